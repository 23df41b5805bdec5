"""Edits pictures of any size by a run's codes."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray
from torch import Tensor

from sslcli.data.cut_config import CutConfig
from sslcli.data.picture_file import PictureFile, read_picture
from sslcli.data.resize import MIDDLE, Framing, splits_at
from sslcli.data.shape import Shape
from sslcli.engine.runtime_config import DeviceChoice
from sslcli.errors import SslcliError
from sslcli.tools.edit.frame import Fed, Framed
from sslcli.tools.edit.moves import Learned, Move
from sslcli.tools.edit.wish import Wish
from sslcli.trained.code_changes import changes, decoded
from sslcli.trained.coder import Coder, load_coder
from sslcli.trained.data import load_own_data, run_data_config
from sslcli.trained.encoder_files import EncoderFiles, read_encoder

if TYPE_CHECKING:
    from sslcli.console import Console

Pixels = NDArray[Any]
"""(H, W, c), of the picture's type of numbers."""


@dataclass(frozen=True)
class Edited:
    """Holds a picture's frames, and the classes seen in its code before and after."""

    frames: list[Pixels]
    seen: tuple[str, str] | None = None


Edit = Callable[[PictureFile], Edited]


def load_editor(run: Path, wish: Wish, given: argparse.Namespace, console: Console) -> Edit:
    """Returns what is asked for as a function of a picture.

    Raises SslcliError where the run, its data or the names in the wish do not allow it.
    """
    files = read_encoder(run)
    fed = Fed(files.preprocessing, framing(files))
    if wish.between is not None:
        other = fed.opened(read_picture(wish.between))
        coder = load_coder(run, DeviceChoice[given.device])
        return lambda picture: Edited(_between(coder, fed.opened(picture), other, wish))
    learned = load_learned(files, given, console)
    move = learned.move(wish)
    return lambda picture: _moved(learned, fed.opened(picture), move, wish)


def load_learned(files: EncoderFiles, given: argparse.Namespace, console: Console) -> Learned:
    """Returns the run's coder with its own data, from which directions are learned."""
    splits = load_own_data(files, console.track, given.data_root)
    splits = splits_at(splits, files.preprocessing.resolution)
    return Learned(load_coder(files.folder, DeviceChoice[given.device]), splits)


def framing(files: EncoderFiles) -> Framing:
    """Returns how the run's pictures became square; raises SslcliError for tiles."""
    data = run_data_config(files, None)
    if not isinstance(data, CutConfig):
        return MIDDLE
    if data.tile is not None:
        message = f"the run was trained on tiles of {data.tile} px: no code is that of a picture"
        raise SslcliError(message, "name a run that was trained on whole pictures")
    # Of pictures that training saw squeezed (cover), codes are those of the middle.
    return Framing(Shape.pad, data.fill) if data.shape is Shape.pad else MIDDLE


def _moved(learned: Learned, framed: Framed, move: Move, wish: Wish) -> Edited:
    coder = learned.coder
    codes = _code(coder, framed.square())
    ways = move(codes)
    found = [changes(coder, codes, ways, strength)[0] for strength in wish.strengths]
    frames = [framed.changed(framed.enlarged(change)) for change in found]
    if wish.towards is None:
        return Edited(frames)
    after = _code(coder, (framed.square() + found[-1]).clamp(0, 1))
    before_and_after = [learned.classes[int(learned.seen(z)[0])] for z in (codes, after)]
    return Edited(frames, (before_and_after[0], before_and_after[1]))


def _between(coder: Coder, framed: Framed, other: Framed, wish: Wish) -> list[Pixels]:
    """Returns frames from one picture to another, which both ends are.

    The difference of the pictures fades in, and to it is added by how much the decoded code
    between them is not the mean of the decoded ends.
    """
    start, end = _code(coder, framed.square()), _code(coder, other.square())
    first, last = decoded(coder, start), decoded(coder, end)
    difference = framed.difference(other)
    frames = []
    for share in wish.strengths:
        decoder = decoded(coder, start + share * (end - start))
        bent = framed.enlarged((decoder - (1 - share) * first - share * last)[0])
        frames.append(framed.changed((share * difference + bent).clip(-1, 1)))
    return frames


def _code(coder: Coder, square: Tensor) -> Tensor:
    return coder.encode(square[None]).flatten(1).double()
