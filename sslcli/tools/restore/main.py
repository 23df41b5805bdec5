"""`sslcli restore` fills holes (--mask) in your own pictures, or denoises them."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sslcli.engine.runtime_config import DeviceChoice
from sslcli.errors import SslcliError
from sslcli.files import expanded
from sslcli.tools.arguments import (
    add_device,
    add_outputs,
    add_run_and_pictures,
    parse,
    require_free,
)
from sslcli.trained.able_runs import RESTORES, resolve_able_run

if TYPE_CHECKING:
    from sslcli.console import Console

Hidden = NDArray[np.bool_]
"""(H, W), True where the picture is to be restored."""
Pixels = NDArray[Any]
"""(H, W, C), of any type of numbers."""


def main(arguments: list[str], console: Console) -> int:
    """Returns 0 when every picture was restored, 1 when some were left out."""
    given = parse(_parser(), arguments)

    # Once the words are read: it imports Pillow.
    from sslcli.tools.restore.pictures import is_jpeg, mask_reader, plan_jobs, read_job, told

    sources = [expanded(word) for word in given.pictures]
    mask_of = None if given.mask is None else mask_reader(given.mask)
    jobs = plan_jobs(sources, given.output)
    require_free([job.target for job in jobs], given.force)
    run = resolve_able_run(given.run, Path(given.outputs), RESTORES)
    if any(is_jpeg(job.target) for job in jobs):
        console.warn(
            "JPEG changes every pixel a little, outside a mask too; a .png keeps them as they are"
        )

    alone = len(sources) == 1 and not sources[0].is_dir()
    restore: Callable[[Pixels, Hidden, bool], Pixels] | None = None
    done: list[Path] = []
    for job in jobs if alone else console.track(jobs, total=len(jobs), label="restoring pictures"):
        try:
            picture, hidden = read_job(job, mask_of)
        except SslcliError as error:
            if alone:
                raise
            console.warn(f"left out: {error.message}")
            continue
        for note in picture.notes:
            console.warn(f"{job.source}: {note}")
        if restore is None:  # now, because importing torch takes seconds
            from sslcli.tools.restore.fill import load_restorer

            restore = load_restorer(run, DeviceChoice[given.device])
        pixels = restore(picture.pixels, hidden, picture.is_unit)
        job.target.parent.mkdir(parents=True, exist_ok=True)
        picture.save(job.target, pixels)
        done.append(job.target)
    return told(console, "restored", jobs, done, alone)


def _parser() -> argparse.ArgumentParser:
    usage = (
        "sslcli restore RUN PICTURE... [--mask MASK] [--output PATH] [--force] "
        "[--device DEVICE] [--outputs FOLDER]"
    )
    parser = argparse.ArgumentParser(prog="sslcli restore", usage=usage, description=__doc__)
    add_run_and_pictures(parser, "can restore")
    parser.add_argument(
        "--mask",
        help="the holes: a picture of the same size, white there; a folder of such, named as the "
        "pictures are; `alpha`: all that is not opaque; a colour, in quotes: '#ff00ff': what has "
        "exactly it. Without: everything is restored (denoised)",
    )
    parser.add_argument(
        "--output",
        help="the file to write, for one picture (.png .webp .tif .jpg .npy), or a folder "
        "(default: NAME_restored.png beside the picture, or .tif or .npy for what no PNG holds, "
        "or the folder NAME_restored)",
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="overwrite what is there; never a picture that is being restored",
    )
    add_device(parser)
    add_outputs(parser)
    return parser
