"""Reads what `sslcli edit` is asked for. Imports no torch."""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from sslcli.errors import SslcliError
from sslcli.files import expanded

MOST_FRAMES = 200
"""Pictures of one series at most: each is held in memory at the picture's own size."""
DEFAULT_FRAMES = {"pictures": 7, "strip": 7, "animation": 24}


class By(Enum):
    """Names how the way to a class is found from labelled pictures.

    `near`: to the mean of the class's codes nearest to the picture's. `least`: of that way what a
    linear probe needs to see the class. `mean`: along the difference of the class's mean and that
    of the class that the probe sees.
    """

    least = "least"
    near = "near"
    mean = "mean"


class Form(Enum):
    """Names what is written: one picture, a folder of steps, all in a row, or a film."""

    picture = "picture"
    pictures = "pictures"
    strip = "strip"
    animation = "animation"


@dataclass(frozen=True)
class Wish:
    """Says how codes are to be moved, and what is written.

    `attributes` and `directions` have each how far: a number of units, of standard deviations.
    Directions are counted from 1. `strength` multiplies all; `frames` pictures lead there.
    """

    towards: str | None = None
    attributes: dict[str, float] = field(default_factory=dict)
    directions: dict[int, float] = field(default_factory=dict)
    between: Path | None = None
    by: By = By.least
    strength: float = 1.0
    form: Form = Form.picture
    frames: int = 1

    @property
    def strengths(self) -> list[float]:
        """Returns how far each picture goes: the last alone, or from nothing evenly up to it."""
        if self.form is Form.picture:
            return [self.strength]
        return [self.strength * frame / (self.frames - 1) for frame in range(self.frames)]


def read_wish(given: argparse.Namespace) -> Wish:
    """Returns what the options ask for; raises SslcliError where they do not fit."""
    moves = [given.towards, *given.attribute, *given.direction]
    if given.between is not None and any(word is not None for word in moves):
        message = "--between leads to another picture, and takes no other direction"
        raise SslcliError(message, "leave out --towards, --attribute and --direction")
    if given.between is None and not any(word is not None for word in moves):
        fix = "try --towards CLASS, --attribute NAME=+1, --direction 1=2 or --between PICTURE"
        raise SslcliError("nothing says how the pictures are to be changed", fix)
    if given.by is not None and given.towards is None:
        message = f"--by {given.by} says how a class is reached, and there is no --towards"
        raise SslcliError(message, "add --towards CLASS, or leave --by out")
    form = Form.strip if given.between is not None else Form.picture
    form = form if given.form is None else Form[given.form]
    halfway = given.between is not None and form is Form.picture
    strength = given.strength if given.strength is not None else (0.5 if halfway else 1.0)
    _require_strength(strength, given.between is not None)
    return Wish(
        given.towards,
        _amounts("--attribute", given.attribute),
        _numbered(_amounts("--direction", given.direction)),
        None if given.between is None else expanded(given.between),
        By[given.by or "least"],
        strength,
        form,
        _frames(form, given.frames),
    )


def _require_strength(strength: float, between: bool) -> None:
    if not math.isfinite(strength):
        raise SslcliError(f"--strength must be a number, got {strength}", "try --strength 1")
    if between and not 0 <= strength <= 1:
        message = f"--strength {strength:g} lies beyond the two pictures of --between"
        raise SslcliError(message, "from 0, the first, to 1, the other: --strength 0.5")


def _frames(form: Form, typed: int | None) -> int:
    if form is Form.picture:
        if typed is not None:
            message = f"--frames {typed} is for several pictures, and one is written"
            raise SslcliError(message, "add --as strip, --as pictures or --as animation")
        return 1
    frames = DEFAULT_FRAMES[form.name] if typed is None else typed
    if not 2 <= frames <= MOST_FRAMES:
        raise SslcliError(f"--frames must be 2 to {MOST_FRAMES}, got {frames}", "try --frames 7")
    return frames


def _amounts(option: str, words: list[str]) -> dict[str, float]:
    """Returns the numbers that words like smiling=+2 give."""
    found: dict[str, float] = {}
    for word in words:
        name, _, typed = word.rpartition("=")
        try:
            amount = float(typed)
        except ValueError:
            amount = math.nan
        if not name or not math.isfinite(amount):
            example = "3=-1.5" if option == "--direction" else "smiling=+2"
            message = f"{option} {word} must be a name, =, and a number"
            raise SslcliError(message, f"write {option} {example}")
        if name in found:
            raise SslcliError(f"{option} {name} is given twice", "give it once, with the sum")
        found[name] = amount
    return found


def _numbered(amounts: dict[str, float]) -> dict[int, float]:
    found: dict[int, float] = {}
    for name, amount in amounts.items():
        if not name.isdecimal() or int(name) < 1:
            message = f"--direction {name} must be a number from 1"
            raise SslcliError(message, "figures/traversals.png of the run shows and numbers them")
        if int(name) in found:
            raise SslcliError(
                f"--direction {int(name)} is given twice", "give it once, with the sum"
            )
        found[int(name)] = amount
    return found
