"""Finds the pictures and targets of `sslcli restore` and `edit`, and the masks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from os.path import commonpath
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import ImageColor

from sslcli.data.picture_file import PictureFile, format_of, read_picture, suffix_that_holds
from sslcli.data.picture_names import DEEP_SUFFIXES, SUFFIXES, is_picture
from sslcli.data.scan import pictures_under
from sslcli.errors import SslcliError
from sslcli.files import expanded

if TYPE_CHECKING:
    from sslcli.console import Console

Hidden = NDArray[np.bool_]
"""(H, W), True where the picture is to be restored."""


@dataclass(frozen=True)
class Job:
    """Describes a picture to restore."""

    source: Path
    name: Path
    """Its path below the folder that was searched."""
    target: Path


MaskOf = Callable[[PictureFile, Job], Hidden]


@dataclass(frozen=True)
class Naming:
    """Says what is done to pictures, how new names end, and their suffix by source."""

    verb: str = "restore"
    done: str = "restored"
    suffix_of: Callable[[Path], str] = suffix_that_holds


RESTORED = Naming()


def told(console: Console, verb: str, jobs: list[Job], written: list[Path], alone: bool) -> int:
    """Says what was written; returns 0 where every picture was, else 1. `verb`: restored, say."""
    if alone:
        console.say(f"{verb}: {jobs[0].target}")
    else:
        folders = [target.parent.absolute() for target in written]
        where = f", in {commonpath(folders)}" if folders else ""
        console.say(f"{verb}: {len(written)} of {len(jobs)} pictures{where}")
    return 0 if len(written) == len(jobs) else 1


def plan_jobs(sources: list[Path], output: str | None, naming: Naming = RESTORED) -> list[Job]:
    """Returns a job for every picture that the arguments name.

    Raises SslcliError, before any picture is read, where one is missing or targets collide.
    """
    target = None if output is None else expanded(output)
    if (
        target is not None
        and len(sources) == 1
        and not sources[0].is_dir()
        and _means_file(output or "", target)
    ):
        format_of(target)
        jobs = [Job(_present(sources[0]), Path(sources[0].name), target)]
    else:
        if target is not None and target.exists() and not target.is_dir():
            raise SslcliError(
                f"--output {target} is a file, but needs to be a folder here", "name a folder"
            )
        jobs = [job for source in sources for job in _jobs_of(source, target, naming)]
    by_target: dict[Path, Job] = {}
    inputs = {job.source.resolve() for job in jobs}
    for job in jobs:
        other = by_target.setdefault(job.target.resolve(), job)
        if other is not job:
            message = f"{other.source} and {job.source} would both be written to {job.target}"
            fix = f"{naming.verb} them one by one, each with an --output of its own"
            raise SslcliError(message, fix)
        if job.target.resolve() in inputs:
            raise SslcliError(
                f"{job.target} is one of the pictures to {naming.verb}", "choose another --output"
            )
    return jobs


def _means_file(typed: str, path: Path) -> bool:
    return path.suffix != "" and not typed.endswith("/") and not path.is_dir()


def _jobs_of(source: Path, folder: Path | None, naming: Naming) -> list[Job]:
    """Returns the jobs of one argument, with targets below `folder` or beside it."""
    if not source.is_dir():
        suffix = naming.suffix_of(source)
        beside = source.with_name(f"{source.stem}_{naming.done}{suffix}")
        target = beside if folder is None else (folder / source.name).with_suffix(suffix)
        return [Job(_present(source), Path(source.name), target)]
    if folder is None:
        named = source if source.name not in ("", "..") else source.resolve()
        folder = named.with_name(f"{named.name}_{naming.done}")
    names = pictures_under(source)
    if folder.resolve() != source.resolve():  # earlier results are not restored again
        names = [
            name for name in names if folder.resolve() not in (source / name).resolve().parents
        ]
    if not names:
        raise SslcliError(
            f"there are no pictures in {source}",
            f"it should hold files ending in {' '.join((*SUFFIXES, *DEEP_SUFFIXES))}",
        )
    return [
        Job(source / name, name, (folder / name).with_suffix(naming.suffix_of(source / name)))
        for name in names
    ]


def _present(source: Path) -> Path:
    if not source.exists():
        raise SslcliError(
            f"there is no picture or folder {source}",
            "see to the name; one with spaces needs quotes",
        )
    return source


def mask_reader(word: str) -> MaskOf:
    """Returns the function that gives a picture's mask, by the value of --mask."""
    if word == "alpha":
        return _of_alpha
    if word.startswith("#"):
        return partial(_of_colour, colour=_colour(word))
    path = expanded(word)
    if path.is_dir():
        return lambda picture, job: _of_file(picture, job, _mask_named(path, job))
    if not path.exists():
        fix = "give a picture, a folder of pictures, `alpha`, or a colour like '#ff00ff'"
        raise SslcliError(f"there is no mask {path}", fix)
    return partial(_of_file, path=path)


def _of_alpha(picture: PictureFile, job: Job) -> Hidden:
    if picture.alpha is None:
        raise SslcliError(
            f"{job.source} has no transparency", "erase what is to be filled, and save it as .png"
        )
    hidden: Hidden = picture.alpha < picture.opaque
    return hidden


def _of_colour(picture: PictureFile, job: Job, colour: tuple[int, ...]) -> Hidden:
    if picture.pixels.dtype not in (np.uint8, np.uint16) or picture.pixels.shape[2] not in (1, 3):
        of_kind = f"{picture.pixels.shape[2]} channels of {picture.pixels.dtype}"
        message = f"{job.source} has {of_kind}: no colour of three says what to fill"
        raise SslcliError(message, "give the mask as a picture: --mask mask.png")
    exact = np.array(colour) * (picture.opaque // 255)
    hidden: Hidden = (picture.pixels == exact).all(axis=2)
    return hidden


def _colour(word: str) -> tuple[int, ...]:
    try:
        colour: tuple[int, ...] = ImageColor.getrgb(word)
    except ValueError:
        colour = ()
    if len(colour) != 3:
        raise SslcliError(
            f"--mask {word!r} is no colour", "write red, green and blue in hexadecimal: '#ff00ff'"
        )
    return colour


def _mask_named(folder: Path, job: Job) -> Path:
    wanted = folder / job.name
    files = sorted(wanted.parent.iterdir()) if wanted.parent.is_dir() else []
    masks = [path for path in files if is_picture(path.name) and path.stem == wanted.stem]
    if len(masks) != 1:
        what = (
            f"{' and '.join(map(str, masks))} are both masks" if masks else f"{folder} has no mask"
        )
        raise SslcliError(
            f"{what} of {job.source}", f"it should hold one picture {wanted.with_suffix('.png')}"
        )
    return masks[0]


def _of_file(picture: PictureFile, job: Job, path: Path) -> Hidden:
    mask = read_picture(path)
    if mask.size != picture.size:
        sizes = [f"{file.size[1]} x {file.size[0]}" for file in (mask, picture)]
        message = f"the mask {path} is {sizes[0]} pixels, the picture {job.source} is {sizes[1]}"
        turned = mask.size == picture.size[::-1]
        raise SslcliError(
            message,
            "turn the mask by 90 degrees" if turned else "scale the mask to the picture's size",
        )
    brightness = mask.pixels.mean(axis=2)
    opacity = 1 if mask.alpha is None else mask.alpha / mask.opaque
    hidden: Hidden = brightness * opacity > mask.opaque // 2
    return hidden


def read_job(job: Job, mask_of: MaskOf | None) -> tuple[PictureFile, Hidden]:
    """Returns the picture, and its mask: without --mask everything is restored.

    The picture is made opaque there. Raises SslcliError where picture, mask and target do not
    match.
    """
    picture = read_picture(job.source)
    if mask_of is None:
        hidden = np.ones(picture.size, dtype=bool)
    else:
        hidden = mask_of(picture, job)
        if not hidden.any():
            raise SslcliError(
                f"{job.source}: the mask is empty, there is nothing to fill",
                "a mask is white where the picture is to be filled; "
                "a colour must be exact, which is rare in a JPEG",
            )
        if hidden.all():
            fix = "leave a part visible; without --mask the whole picture is restored (denoised)"
            raise SslcliError(
                f"{job.source}: the mask hides all of it, there is nothing to fill it from", fix
            )
        if picture.alpha is not None:
            opaque = picture.alpha.dtype.type(picture.opaque)
            picture = replace(picture, alpha=np.where(hidden, opaque, picture.alpha))
    picture.require_savable(job.target)
    return picture, hidden


def is_jpeg(path: Path) -> bool:
    return format_of(path) == "JPEG"
