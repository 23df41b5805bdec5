"""Finds pictures that are in two parts of a data set: trained on and tested on."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from enum import Enum

import numpy as np

from sslcli.data.images import ImageSet, Splits, in_blocks
from sslcli.errors import SslcliError
from sslcli.text import printable

MAX_NAMED = 3


class Duplicates(Enum):
    """Names what is done about pictures that are in two parts.

    `drop`: they leave training, or validation where test has them too.
    """

    warn = "warn"
    drop = "drop"
    refuse = "refuse"


MEANING = (
    "pictures byte for byte the same in two parts: warn; drop (from training, or from val where "
    "test has them); refuse"
)
PAIRS = (
    ("test", "train"),
    ("test", "val"),
    ("val", "train"),
    ("test", "unlabelled"),
    ("val", "unlabelled"),
)
"""Parts that should share no picture; pretraining sees the unlabelled ones too."""


def handle_duplicates(splits: Splits, policy: Duplicates) -> Splits:
    """Returns `splits` without duplicates, or with a warning that names some.

    Raises SslcliError for duplicates that `policy` refuses, or where dropping empties a part.
    """
    parts = {name: getattr(splits, name) for name in ("train", "val", "test", "unlabelled")}
    digests = {name: _digests(part) for name, part in parts.items() if part is not None}
    found = []
    for judged, other in PAIRS:
        if judged in digests and other in digests:
            line = _overlap_warning(judged, other, digests, parts)
            found += [line] if line else []
    if not found:
        return splits
    if policy is Duplicates.refuse:
        fix = "data.duplicates=drop leaves them out of training, data.duplicates=warn keeps them"
        raise SslcliError("; ".join(found), fix)
    if policy is Duplicates.warn:
        return replace(splits, warnings=(*splits.warnings, *found))
    in_test = set(digests.get("test", ()))
    judged_by = in_test | set(digests["val"])
    unlabelled = splits.unlabelled
    if unlabelled is not None:
        unlabelled = _without(unlabelled, digests["unlabelled"], judged_by)
    return replace(
        splits,
        unlabelled=unlabelled,
        train=_drop("train", splits.train, digests["train"], judged_by),
        val=_drop("val", splits.val, digests["val"], in_test),
        warnings=(
            *splits.warnings,
            *(f"{line}; they are left out of the latter" for line in found),
        ),
    )


def _digests(part: ImageSet) -> list[bytes]:
    """Returns 16 bytes for each picture: of its file, else of its pixels."""
    if part.digests is None:
        return [
            hashlib.blake2b(picture.tobytes(), digest_size=16).digest()
            for block in in_blocks(part.images)
            for picture in block
        ]
    width, data = part.digests.shape[1], part.digests.tobytes()
    return [data[start : start + width] for start in range(0, len(data), width)]


def _overlap_warning(
    judged: str,
    other: str,
    digests: dict[str, list[bytes]],
    parts: dict[str, ImageSet | None],
) -> str | None:
    """Counts the pictures of the one part that are in the other, and names some."""
    where = {digest: row for row, digest in reversed(list(enumerate(digests[other])))}
    rows = [row for row, digest in enumerate(digests[judged]) if digest in where]
    if not rows:
        return None
    names = [
        f"{_name(judged, parts, row)} is {_name(other, parts, where[digests[judged][row]])}"
        for row in rows[:MAX_NAMED]
    ]
    more = ", ..." if len(rows) > MAX_NAMED else ""
    pictures = "picture is" if len(rows) == 1 else "pictures are"
    return f"{len(rows)} {judged} {pictures} also in {other}: {', '.join(names)}{more}"


def _name(part: str, parts: dict[str, ImageSet | None], row: int) -> str:
    images = parts[part]
    paths: Sequence[str] | None = None if images is None else images.paths
    return f"{part}[{row}]" if paths is None else printable(paths[row])


def _drop(name: str, part: ImageSet, digests: list[bytes], others: set[bytes]) -> ImageSet:
    left = _without(part, digests, others)
    if left is None:
        raise SslcliError(
            f"every {name} picture is also in another part: data.duplicates=drop would leave none",
            "bring other pictures, or data.duplicates=warn to keep them",
        )
    return left


def _without(part: ImageSet, digests: list[bytes], others: set[bytes]) -> ImageSet | None:
    """Returns the pictures that `others` do not have; None where there are none."""
    kept = [row for row, digest in enumerate(digests) if digest not in others]
    if not kept:
        return None
    return part if len(kept) == len(part) else part.subset(np.array(kept, dtype=np.int64))
