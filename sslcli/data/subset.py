"""Chooses the few training pictures that keep their labels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sslcli.data.split import draw_per_class
from sslcli.errors import SslcliError, require
from sslcli.seeding import derive_seed


def label_subset(
    labels: NDArray[np.int64],
    amount: float,
    seed: int,
    *,
    field: str = "labels",
    classes: tuple[str, ...] | None = None,
) -> NDArray[np.int64]:
    """Returns the indices, ascending, of the pictures that keep their label.

    Up to 1, `amount` is a part of every class (0.01 is 1 %, one picture at least; 1 is all of
    them); above 1, how many pictures of every class. Another seed draws others. `field` is the
    setting an error names, `classes` what it calls them.
    """
    whole = amount <= 1 or float(amount).is_integer()
    must_be = "a part in (0, 1], or a whole number of pictures per class"
    require(amount > 0 and whole, field, amount, must_be, "try 0.01, 0.1, or 10")
    values, sizes = np.unique(labels, return_counts=True)
    counts: dict[int, int] = {}
    for label, size in zip(values.tolist(), sizes.tolist(), strict=True):
        counts[label] = max(1, round(amount * size)) if amount <= 1 else int(amount)
        if counts[label] > size:
            name = str(label) if classes is None else classes[label]
            raise SslcliError(
                f"{field} asks for {counts[label]} pictures of every class, but class {name!r} "
                f"has {size}",
                f"ask for {min(sizes.tolist())} at most, or for a part of each class, such as "
                f"{field}=0.1",
            )
    return draw_per_class(labels, counts, derive_seed("labels", seed))
