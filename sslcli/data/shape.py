"""Names how pictures that are not square become so."""

from __future__ import annotations

from enum import Enum


class Shape(Enum):
    """Names what is stored of a picture that is not square.

    `square`: its middle. `pad`: all of it, with borders. `cover`: all of it, squeezed; crops are
    drawn as from the picture itself, and are not.
    """

    square = "square"
    pad = "pad"
    cover = "cover"
