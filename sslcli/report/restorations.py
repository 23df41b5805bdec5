"""Draws restored pictures, filters of a first layer, and walks among codes."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sslcli.data.images import ImageSet
from sslcli.engine.device import Compute
from sslcli.evaluation.code_directions import principal
from sslcli.evaluation.features import eval_mode
from sslcli.evaluation.restoration_monitor import NUM_WATCHED, damage, restore, some_of
from sslcli.method import Decoding, Method, Restorer
from sslcli.nets.encoder import Encoder
from sslcli.report.display import AS_THEY_ARE, Display
from sslcli.report.pictures import save_filters, save_grid, save_strips

NUM_SHOWN, NUM_STRIPS, NUM_STEPS = 18, 6, 9
"""Validation pictures that are shown; rows and columns of the figures of decoded codes."""


def save_restorations(
    figures: Path,
    method: Method,
    val: ImageSet,
    compute: Compute,
    display: Display = AS_THEY_ARE,
) -> None:
    """Draws clean, damaged and restored pictures, filters, and walks among codes.

    Filters are drawn where `first_filters` finds some, walks where codes can be decoded.
    """
    assert isinstance(method, Restorer)
    modules = nn.ModuleDict(method.modules())
    pictures = some_of(val, NUM_SHOWN, compute.device)
    damaged, hidden = damage(method, pictures)
    restored = torch.where(hidden, restore(method, modules, damaged, hidden, compute), pictures)
    columns = {"clean": pictures, "damaged": damaged, "restored": restored}
    shown = {name: display.of_pictures(column) for name, column in columns.items()}
    save_grid(figures / "restorations.png", shown, display.words)
    filters = first_filters(method.encoder, pictures.shape[1:])
    if filters is not None:
        save_filters(figures / "filters.png", filters)
    if isinstance(method, Decoding):
        with torch.no_grad(), eval_mode(modules):
            some = some_of(val, NUM_WATCHED, compute.device)
            _save_walks(figures, method.encoder, method, some, display)


def first_filters(encoder: Encoder, shape: torch.Size) -> NDArray[np.float32] | None:
    """Returns the weights that are applied to pixels, (K, H, W, C).

    None if these are not of a dense layer, nor of a convolution of 5 x 5 pixels at least.
    """
    for module in encoder.modules():
        if isinstance(module, nn.Linear) and module.in_features == math.prod(shape):
            weights = module.weight.view(-1, *shape)
        elif isinstance(module, nn.Conv2d):
            weights = module.weight
            if min(module.kernel_size) < 5 or weights.shape[1] != shape[0]:
                return None
        else:
            continue
        filters: NDArray[np.float32] = weights.detach().permute(0, 2, 3, 1).float().cpu().numpy()
        return filters if filters.shape[3] in (1, 3) else None
    return None


def _save_walks(
    figures: Path, encoder: Encoder, method: Decoding, pictures: Tensor, display: Display
) -> None:
    """Draws codes moved in principal directions, and from picture to picture.

    Of one picture there is neither.
    """
    if len(pictures) < 2:
        return
    codes = encoder.code(pictures)
    flat = codes.flatten(1).double()
    found = principal(flat)
    steps = torch.linspace(-3, 3, NUM_STEPS, dtype=flat.dtype, device=flat.device).view(1, -1, 1)
    num_rows = min(NUM_STRIPS, len(found.directions))
    scale = found.deviations[:num_rows].view(-1, 1, 1)
    moved = found.centre + steps * scale * found.directions[:num_rows, None]
    names = [
        f"direction {row + 1} ({100 * float(found.shares[row]):.0f} % of variance)"
        for row in range(num_rows)
    ]
    title = "codes moved along their principal directions, decoded"
    save_strips(
        figures / "traversals.png",
        _decode_walks(method, moved, codes, display),
        names,
        title,
        ("−3 sd", "+3 sd"),
        display.words,
    )

    num_pairs = min(NUM_STRIPS, len(flat) // 2)
    way = torch.linspace(0, 1, NUM_STEPS, dtype=flat.dtype, device=flat.device).view(1, -1, 1)
    starts, ends = flat[:num_pairs, None], flat[num_pairs : 2 * num_pairs, None]
    between = _decode_walks(method, starts + way * (ends - starts), codes, display)
    title = "from one picture's code to another's, decoded"
    save_strips(
        figures / "interpolations.png",
        between,
        [""] * num_pairs,
        title,
        ("one", "another"),
        display.words,
    )


def _decode_walks(
    method: Decoding, walks: Tensor, codes: Tensor, display: Display
) -> NDArray[np.uint8]:
    """Decodes codes (R, S, D) to pictures (R, S, H, W, 1 or 3)."""
    pictures = display.of_pictures(method.decode(walks.to(codes.dtype).view(-1, *codes.shape[1:])))
    return pictures.reshape(*walks.shape[:2], *pictures.shape[1:])
