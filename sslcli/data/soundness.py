"""Checks that a data source gives what it must, so that nothing fails far from it."""

from __future__ import annotations

import numpy as np

from sslcli.choices import Misfit
from sslcli.data.images import ImageSet, Splits
from sslcli.data.split import StoredParts

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
    shapes = {
        name: part.images.shape[1:]
        for key, name in PARTS.items()
        if (part := getattr(splits, key)) is not None
    }
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
    if len(shape) != 4 or shape[3] not in (1, 3):
        message = f"its {name} pictures must be (N, H, W, 1 or 3), got shape {_by(shape)}"
        raise Misfit(message, "reorder the axes; grey pictures have one channel: images[..., None]")
    found = part.images.dtype if isinstance(part.images, np.ndarray) else part.images[:1].dtype
    if found != np.uint8:
        fix = "convert them: (255 * images).round().astype(np.uint8), if they are from 0 to 1"
        raise Misfit(f"its {name} pictures must be uint8, from 0 to 255, got {found}", fix)


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
