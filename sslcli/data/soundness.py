"""Checks that a data source gives what it must, so that nothing fails far from it."""

from __future__ import annotations

import numpy as np

from sslcli.choices import Misfit
from sslcli.data.images import ImageSet, Pixels, Splits, dtype_of, in_blocks
from sslcli.data.split import StoredParts
from sslcli.data.values import MOST_CHANNELS
from sslcli.preprocessing import FULL_SCALE

PARTS = {"train": "training", "val": "validation", "test": "test", "unlabelled": "unlabelled"}
"""What messages call the parts."""


def require_parts(parts: StoredParts[ImageSet] | Splits) -> None:
    """Raises Misfit unless every part holds pictures and labels as `ImageSet` says."""
    for key, name in PARTS.items():
        part = getattr(parts, key)
        if part is not None:
            _require_pictures(part, name)
            _require_labels(part, name, parts.classes)
            _require_targets(part, name, parts.target_names)


def require_splits(splits: object, resolution: int | None, limit: int | None) -> None:
    """Raises Misfit unless these are sound parts, as the data source's settings ask.

    Their pictures are square, and of one size.
    """
    if not isinstance(splits, Splits):
        raise Misfit(
            f"its load returns {type(splits).__name__}, no Splits",
            "let load end with: return self.split_and_resize(stored, track)",
        )
    require_parts(splits)
    there = {name: getattr(splits, key) for key, name in PARTS.items()}
    images = {name: part.images for name, part in there.items() if part is not None}
    kind = dtype_of(images["training"])
    for name, pixels in images.items():
        if dtype_of(pixels) == np.float32:
            _require_unit(pixels, name)
    for name, pixels in images.items():
        if dtype_of(pixels) != kind:
            message = f"its {name} pictures must be numbers of one type, got {dtype_of(pixels)}"
            raise Misfit(f"{message}, and training's are {kind}", "give all parts as one type")
    shapes = {name: pixels.shape[1:] for name, pixels in images.items()}
    height, width, _ = shapes["training"]
    asked = resolution or height
    by_split = "let load end with: return self.split_and_resize(stored, track)"
    for name, shape in shapes.items():
        if height != width or shape != shapes["training"] or height != asked:
            must_be = f"square, of one size{f' and of {resolution} px' if resolution else ''}"
            raise Misfit(f"its {name} pictures must be {must_be}, got {_by(shape)}", by_split)
    if limit is not None and len(splits.train) > limit:
        raise Misfit(f"it gives {len(splits.train)} pictures where data.limit={limit}", by_split)


def _by(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def _require_pictures(part: object, name: str) -> None:
    if not isinstance(part, ImageSet):
        message = f"its {name} part is a {type(part).__name__}, no ImageSet"
        raise Misfit(message, "give ImageSet(images, labels)")
    shape = tuple(part.images.shape)
    if len(shape) != 4 or not 1 <= shape[3] <= MOST_CHANNELS or shape[1] < shape[2] == shape[3]:
        of_channels = f"(N, H, W, C), of 1 to {MOST_CHANNELS} channels"
        message = f"its {name} pictures must be {of_channels}, got shape {_by(shape)}"
        raise Misfit(message, "reorder the axes; grey pictures have one channel: images[..., None]")
    found = dtype_of(part.images)
    if str(found) not in FULL_SCALE:  # big-endian numbers have another name, and torch has none
        fix = "convert them: (65535 * images).round().astype(np.uint16), if they are from 0 to 1"
        must_be = "must be uint8, uint16, or float32 in [0, 1]"
        raise Misfit(f"its {name} pictures {must_be}, got {found}", fix)


def _require_unit(images: Pixels, name: str) -> None:
    few, many = _range_of(images)
    if not (few >= 0 and many <= 1):
        fix = "convert them: (images - low) / (high - low), with the values of black and white"
        raise Misfit(f"its {name} pictures must be in [0, 1], got {few:g} to {many:g}", fix)


def _range_of(images: Pixels) -> tuple[float, float]:
    """Returns the least and the largest value; NaN where there is one."""
    ends = [(float(block.min()), float(block.max())) for block in in_blocks(images)]
    return float(np.min([low for low, _ in ends])), float(np.max([high for _, high in ends]))


def _require_labels(part: ImageSet, name: str, classes: tuple[str, ...] | None) -> None:
    labels = part.labels
    if labels is None:
        return
    if not isinstance(labels, np.ndarray) or labels.dtype != np.int64:
        kind = labels.dtype if isinstance(labels, np.ndarray) else type(labels).__name__
        message = f"its {name} labels must be an array of int64, got {kind}"
        raise Misfit(message, "convert them: np.asarray(labels, dtype=np.int64)")
    if labels.shape != (len(part),):
        message = f"its {name} labels must be one for each of {len(part)} pictures"
        raise Misfit(f"{message}, got shape {_by(labels.shape)}", "give them as (N,)")
    most = None if classes is None else len(classes) - 1
    few, many = (int(labels.min()), int(labels.max())) if len(labels) else (0, 0)
    if few < 0 or (most is not None and many > most):
        must_be = "0 or more" if most is None else f"from 0 to {most}, the last of its classes"
        message = f"its {name} labels must be {must_be}, got {few} to {many}"
        raise Misfit(message, "number the classes from 0, in the order of `classes`")


def _require_targets(part: ImageSet, name: str, names: tuple[str, ...] | None) -> None:
    targets = part.targets
    if targets is None:
        return
    fix = "give which classes a picture has as (N, K) bool, a number as (N, 1) float64"
    if part.labels is not None or names is None:
        raise Misfit(f"its {name} part must have targets with names, and no labels", fix)
    kind = f"{targets.dtype} {_by(targets.shape)}"
    shapes = {"bool": (len(part), len(names)), "float64": (len(part), 1)}
    if targets.shape != shapes.get(str(targets.dtype)):
        message = f"its {name} targets must be bool or float64, for {len(part)} pictures"
        raise Misfit(f"{message} and {len(names)} names, got {kind}", fix)
    if not np.isfinite(targets).all():
        message = f"its {name} targets must be finite"
        raise Misfit(message, "put pictures without a number into `unlabelled`")
