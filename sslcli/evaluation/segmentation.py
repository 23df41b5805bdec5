"""Scores segmentation by a linear probe on what an encoder's places hold.

N pictures of R x R pixels, D numbers at each of h x w places, K classes. Masks hold 255 where a
pixel belongs to no class.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from sslcli.evaluation.mask_files import IGNORED
from sslcli.evaluation.probe import Probe
from sslcli.evaluation.scores import confusion_matrix


def majority(masks: NDArray[np.uint8], height: int, width: int, num_classes: int) -> Tensor:
    """Returns the most frequent class (N, h, w), int64, of each place of masks (N, R, R).

    Of equally frequent ones the lowest; IGNORED where no pixel belongs to a class.
    """
    num, side, _ = masks.shape
    rows, columns = np.arange(side) * height // side, np.arange(side) * width // side
    place = (np.arange(num)[:, None, None] * height + rows[:, None]) * width + columns
    values = np.where(masks == IGNORED, num_classes, masks.astype(np.int64))
    cells = num * height * width * (num_classes + 1)
    counts = np.bincount((place * (num_classes + 1) + values).ravel(), minlength=cells)
    counts = counts.reshape(num, height, width, num_classes + 1)[..., :num_classes]
    found = np.where(counts.sum(axis=3) > 0, counts.argmax(axis=3), IGNORED)
    return torch.from_numpy(found)


def vectors(maps: Tensor) -> Tensor:
    """Maps (N, D, h, w) to (N h w, D), place by place."""
    return maps.permute(0, 2, 3, 1).flatten(0, 2)


def predicted(probe: Probe, maps: Tensor, resolution: int) -> Tensor:
    """Returns the classes (N, R, R) of every pixel: the places' logits, bilinearly enlarged."""
    num, _, height, width = maps.shape
    logits = probe.logits(vectors(maps)).view(num, height, width, -1).permute(0, 3, 1, 2)
    size = (resolution, resolution)
    return interpolate(logits, size=size, mode="bilinear", align_corners=False).argmax(dim=1)


def pixel_confusion(
    classes: Tensor, masks: NDArray[np.uint8], num_classes: int
) -> NDArray[np.int64]:
    """Returns counts (K, K) of pixels: row the mask's class, column the predicted one."""
    true = torch.from_numpy(masks.astype(np.int64))
    counted = true != IGNORED
    return confusion_matrix(classes.cpu()[counted], true[counted], num_classes)


def mean_iou(confusion: NDArray[np.int64]) -> float:
    """Returns the mean over classes of intersection ÷ union; NaN without any pixel.

    A class that is in no mask and was never predicted does not count.
    """
    right = confusion.diagonal()
    union = confusion.sum(axis=0) + confusion.sum(axis=1) - right
    there = union > 0
    return float((right[there] / union[there]).mean()) if there.any() else float("nan")
