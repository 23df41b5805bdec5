"""Draws the pictures nearest to a method's prototypes.

Shapes: N pictures, K prototypes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sslcli.data.images import ImageSet, evenly_spaced
from sslcli.engine.device import Compute
from sslcli.evaluation.features import eval_mode
from sslcli.evaluation.restoration_monitor import pictures_of
from sslcli.method import Clusterer, Method
from sslcli.report.display import AS_THEY_ARE, Display
from sslcli.report.pictures import save_strips

NUM_SEARCHED, BATCH = 2048, 128
"""Validation pictures that are compared with the prototypes, at most; pictures a batch."""
NUM_PROTOTYPES, NUM_NEAREST = 8, 10
"""Rows and columns of the figure."""


def save_prototypes(
    path: Path,
    method: Method,
    val: ImageSet,
    compute: Compute,
    display: Display = AS_THEY_ARE,
) -> None:
    """Draws, for some prototypes, the validation pictures that score highest.

    The prototypes are those that are most pictures' highest, the commonest first.
    """
    chosen = evenly_spaced(len(val), NUM_SEARCHED)
    images = val.images[chosen]
    scores = _scores(method, images, compute)
    num_pictures, num_prototypes = scores.shape
    counts = scores.argmax(dim=1).bincount(minlength=num_prototypes)
    num_used = int((counts > 0).sum())
    common = counts.argsort(descending=True, stable=True)[: min(NUM_PROTOTYPES, num_used)]
    nearest = scores[:, common].topk(min(NUM_NEAREST, num_pictures), dim=0).indices.T
    names = [
        f"prototype {int(row) + 1} ({100 * int(counts[row]) / num_pictures:.1f} %)"
        for row in common
    ]
    used = f"{num_used:,} of {num_prototypes:,} are some picture's highest"
    title = f"the commonest prototypes; {used}"
    strips = display(images[nearest.cpu().numpy()])
    save_strips(path, strips, names, title, ("highest score", "lower"), display.words)


def _scores(method: Method, images: NDArray[Any], compute: Compute) -> Tensor:
    """Returns the scores (N, K) of images (N, H, W, C), in eval mode."""
    assert isinstance(method, Clusterer)
    found = []
    with torch.no_grad(), eval_mode(nn.ModuleDict(method.modules())):
        for start in range(0, len(images), BATCH):
            pictures = pictures_of(images[start : start + BATCH], compute.device)
            found.append(method.prototype_scores(method.preprocessing.normalized(pictures)))
    return torch.cat(found).float()
