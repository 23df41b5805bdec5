"""What a method that restores pictures is worth on validation, in numbers and in figures."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sslcli.data.images import ImageSet, evenly
from sslcli.engine.device import Compute
from sslcli.engine.train import kept_generators, seed_generators
from sslcli.evaluation.features import eval_mode
from sslcli.evaluation.restoration import restoration_scores
from sslcli.method import Method, Restorer, as_pictures
from sslcli.report.pictures import save_filters, save_grid, save_strips

if TYPE_CHECKING:
    from sslcli.nets.encoder import Encoder

NUM_WATCHED, NUM_SHOWN, NUM_STRIPS, NUM_STEPS = 256, 18, 6, 9
"""Validation pictures that are scored, and shown; rows and columns of the latent figures."""
BATCH = 128


@runtime_checkable
class Decoding(Protocol):
    """A method whose codes can be decoded to pictures in [0, 1]."""

    def decode(self, codes: Tensor) -> Tensor: ...


class RestorationMonitor:
    """Call it with the steps done: PSNR and SSIM of validation pictures damaged as in training, and restored; against the
    originals, where they were to be restored. The damage is the same at every call."""

    def __init__(self, method: Restorer, modules: dict[str, nn.Module], val: ImageSet, compute: Compute) -> None:
        self._method = method
        self._modules = nn.ModuleDict(modules)
        self._pictures = some_of(val, NUM_WATCHED, compute.device)
        self._compute = compute

    def __call__(self, step: int) -> dict[str, float]:
        damaged, hidden = damage(self._method, self._pictures)
        restored = restore(self._method, self._modules, damaged, hidden, self._compute).where(hidden, self._pictures)
        before, after = (restoration_scores(given, self._pictures, hidden) for given in (damaged, restored))
        return {
            **{f"damaged_{name}": before[name] for name in ("psnr", "ssim") if name in before},
            **{f"restored_{name}": after[name] for name in ("psnr", "ssim") if name in after},
        }


def pictures_of(images: NDArray[np.uint8], device: torch.device) -> Tensor:
    """(N, H, W, C) uint8 -> (N, C, H, W) in [0, 1]."""
    return as_pictures(torch.tensor(images).to(device))


def some_of(part: ImageSet, at_most: int, device: torch.device) -> Tensor:
    """(N, C, H, W) in [0, 1]: at even distances, for pictures may be sorted by class."""
    return pictures_of(part.images[evenly(len(part), at_most)], device)


def as_images(pictures: Tensor) -> NDArray[np.uint8]:
    """(N, C, H, W) -> (N, H, W, C) uint8."""
    images: NDArray[np.uint8] = (pictures.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    return images


def damage(method: Restorer, pictures: Tensor, seed: int = 0) -> tuple[Tensor, Tensor]:
    """As in training, but the same for the same seed, and without a trace in the generators."""
    with kept_generators():
        seed_generators(seed)
        return method.damage(pictures)


def restore(method: Restorer, modules: nn.ModuleDict, damaged: Tensor, hidden: Tensor, compute: Compute) -> Tensor:
    """In eval mode, without gradient, batch by batch."""
    with torch.no_grad(), eval_mode(modules), compute.autocast():
        batches = [slice(start, start + BATCH) for start in range(0, len(damaged), BATCH)]
        return torch.cat([method.restore(damaged[batch], hidden[batch]).float() for batch in batches])


def save_restorations(figures: Path, method: Method, val: ImageSet, compute: Compute) -> None:
    """Damaged, restored and true pictures; the first layer's filters; and, where codes can be decoded, walks among them."""
    assert isinstance(method, Restorer)
    modules = nn.ModuleDict(method.modules())
    pictures = some_of(val, NUM_SHOWN, compute.device)
    damaged, hidden = damage(method, pictures)
    restored = torch.where(hidden, restore(method, modules, damaged, hidden, compute), pictures)
    columns = {"clean": pictures, "damaged": damaged, "restored": restored}
    save_grid(figures / "restorations.png", {name: as_images(column) for name, column in columns.items()})
    filters = first_filters(method.encoder, pictures.shape[1:])
    if filters is not None:
        save_filters(figures / "filters.png", filters)
    if isinstance(method, Decoding):
        with torch.no_grad(), eval_mode(modules):
            _save_walks(figures, method.encoder, method, some_of(val, NUM_WATCHED, compute.device))


def first_filters(encoder: Encoder, shape: torch.Size) -> NDArray[np.float32] | None:
    """The weights that look at pixels, (K, H, W, C): of a dense layer or of a convolution of 5 x 5 at least; else None."""
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


def _save_walks(figures: Path, encoder: Encoder, method: Decoding, pictures: Tensor) -> None:
    """Codes are moved along their principal directions, and from one picture's to another's, and decoded. One picture has
    neither."""
    if len(pictures) < 2:
        return
    codes = encoder.code(pictures)
    flat = codes.flatten(1).double()
    centre = flat.mean(dim=0)
    _, spread, directions = torch.linalg.svd(flat - centre, full_matrices=False)
    share = spread.square() / spread.square().sum().clamp(min=torch.finfo(spread.dtype).tiny)  # of equal codes: 0
    steps = torch.linspace(-3, 3, NUM_STEPS, dtype=flat.dtype, device=flat.device).view(1, -1, 1)
    num_rows = min(NUM_STRIPS, len(directions))
    scale = (spread[:num_rows] / math.sqrt(len(flat))).view(-1, 1, 1)
    moved = centre + steps * scale * directions[:num_rows, None]
    names = [f"direction {row + 1} ({100 * float(share[row]):.0f} % of variance)" for row in range(num_rows)]
    title = "codes moved along their principal directions, decoded"
    save_strips(figures / "traversals.png", _decoded(method, moved, codes), names, title, ("−3 sd", "+3 sd"))

    num_pairs = min(NUM_STRIPS, len(flat) // 2)
    way = torch.linspace(0, 1, NUM_STEPS, dtype=flat.dtype, device=flat.device).view(1, -1, 1)
    starts, ends = flat[:num_pairs, None], flat[num_pairs : 2 * num_pairs, None]
    between = _decoded(method, starts + way * (ends - starts), codes)
    title = "from one picture's code to another's, decoded"
    save_strips(figures / "interpolations.png", between, [""] * num_pairs, title, ("one", "another"))


def _decoded(method: Decoding, walks: Tensor, codes: Tensor) -> NDArray[np.uint8]:
    """(R, S, D) codes -> (R, S, H, W, C)."""
    pictures = as_images(method.decode(walks.to(codes.dtype).view(-1, *codes.shape[1:])))
    return pictures.reshape(*walks.shape[:2], *pictures.shape[1:])
