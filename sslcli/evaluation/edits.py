"""Scores edited pictures by what a classifier sees in them, and by what else has changed.

N pictures, C channels, H W; values in [0, 1].
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor

from sslcli.evaluation.restoration import gradient_magnitude, mean_absolute_error, ssim


@dataclass(frozen=True)
class EditScores:
    """Holds means over N pictures that were edited with one strength.

    `target`, `own`, `other`: the shares that are taken for the class they were to become, for their
    own, and for another, means over J judges; `each`: the first of each judge. `ssim`, `l1` (in
    percent): edited and original compared. `sharpness`: the gradient's mean length over the
    originals'. `recognised`: the share whose nearest original, in pixels, is still its own.
    """

    way: str
    strength: float
    target: float
    own: float
    other: float
    each: tuple[float, ...]
    ssim: float
    l1: float
    sharpness: float
    recognised: float


def score_edits(
    way: str,
    strength: float,
    edited: Tensor,
    originals: Tensor,
    seen: Tensor,
    own: Tensor,
    target: Tensor,
) -> EditScores:
    """Returns the scores of pictures (N, C, H, W) in which judges have `seen` classes (J, N).

    `own` and `target` (N,) differ for every picture. Raises SslcliError for pictures that are too
    small for SSIM.
    """
    assert bool((own != target).all()), "a picture that has the class already cannot become it"
    all_of = torch.ones_like(originals[:, :1], dtype=torch.bool)
    sharp, before = (gradient_magnitude(some, all_of).mean() for some in (edited, originals))
    nearest = torch.cdist(edited.flatten(1), originals.flatten(1)).argmin(dim=1)
    return EditScores(
        way,
        strength,
        target=float((seen == target).double().mean()),
        own=float((seen == own).double().mean()),
        other=float(((seen != target) & (seen != own)).double().mean()),
        each=tuple((seen == target).double().mean(dim=1).tolist()),
        ssim=float(ssim(edited, originals, all_of).mean()),
        l1=100 * float(mean_absolute_error(edited, originals, all_of).mean()),
        sharpness=float(sharp / before.clamp(min=1e-12)),
        recognised=float((nearest == torch.arange(len(edited))).double().mean()),
    )


def share_at(points: list[EditScores], by: str, value: float) -> float | None:
    """Returns the share that becomes the target where `by`, "ssim" or "l1", has a value.

    It lies between two of one way's points; None beyond them.
    """
    ordered = sorted((float(getattr(point, by)), point.target) for point in points)
    for (low, fewer), (high, more) in itertools.pairwise(ordered):
        if low <= value <= high:
            return fewer + (value - low) / max(high - low, 1e-12) * (more - fewer)
    return None


def other_targets(own: Tensor, classes: Tensor) -> Tensor:
    """Returns for each picture one of `classes` (K,) other than its `own` (N,), in turn.

    `classes` ascend, and hold two at least. A class that is not among them turns to any.
    """
    place = torch.searchsorted(classes, own)
    turns = 1 + torch.arange(len(own)) % (len(classes) - 1)
    targets: Tensor = classes[(place + turns) % len(classes)]
    return targets
