"""`sslcli edit` changes your own pictures through a run's codes: towards a class, or another."""

from __future__ import annotations

import argparse
from functools import partial
from os.path import commonpath
from pathlib import Path
from typing import TYPE_CHECKING

from sslcli.engine.runtime_config import DeviceChoice
from sslcli.errors import SslcliError
from sslcli.tools.arguments import add_data_root, add_outputs, parse, require_free
from sslcli.tools.edit.wish import DEFAULT_FRAMES, By, Form, Wish, read_wish
from sslcli.trained.able_runs import DECODES, resolve_able_run
from sslcli.trained.encoder_files import read_encoder

if TYPE_CHECKING:
    from sslcli.console import Console
    from sslcli.tools.edit.editor import Edit
    from sslcli.tools.restore.pictures import Job


def main(arguments: list[str], console: Console) -> int:
    """Returns 0 when every picture was edited, 1 when some were left out."""
    given = parse(_parser(), arguments)
    if given.judge:
        return _judge(given, console)
    if not given.pictures:
        raise SslcliError("no picture is named", "sslcli edit RUN PICTURE --towards CLASS")
    wish = read_wish(given)

    from sslcli.tools.edit.save import targets_of  # Pillow

    sources = [Path(word).expanduser() for word in given.pictures]
    jobs = _plan(sources, given.output, wish)
    targets = {job: targets_of(job, wish) for job in jobs}
    require_free([target for several in targets.values() for target in several], given.force)
    run = resolve_able_run(given.run, Path(given.outputs), DECODES)
    alone = len(sources) == 1 and not sources[0].is_dir()
    done = _edit_all(run, wish, given, targets, alone, console)
    if alone:
        console.say(f"edited: {jobs[0].target}")
    else:
        where = f", in {commonpath([target.parent.absolute() for target in done])}" if done else ""
        console.say(f"edited: {len(done)} of {len(jobs)} pictures{where}")
    return 0 if len(done) == len(jobs) else 1


def _judge(given: argparse.Namespace, console: Console) -> int:
    """Judges the run's edits; raises SslcliError for what says how other pictures are edited."""
    idle = {
        "pictures": "a picture", "by": "--by", "attribute": "--attribute", "form": "--as",
        "direction": "--direction", "between": "--between", "strength": "--strength",
        "frames": "--frames", "output": "--output",
    }  # fmt: skip
    for name, words in idle.items():
        if getattr(given, name) not in (None, []):
            message = f"--judge edits the run's test pictures in every way, and takes no {words}"
            raise SslcliError(message, "sslcli edit RUN --judge, or with --towards CLASS")
    run = resolve_able_run(given.run, Path(given.outputs), DECODES)

    from sslcli.tools.edit.judge import judge  # imports torch

    judge(read_encoder(run), given, console)
    return 0


def _plan(sources: list[Path], output: str | None, wish: Wish) -> list[Job]:
    from sslcli.tools.edit.save import suffix_of
    from sslcli.tools.restore.pictures import Job, Naming, plan_jobs

    naming = Naming("edit", "edited", partial(suffix_of, wish.form))
    jobs = plan_jobs(sources, output if wish.form is not Form.pictures else None, naming)
    if wish.form is not Form.pictures or output is None:
        return jobs
    folder = Path(output).expanduser()
    if folder.exists() and not folder.is_dir():
        message = f"--output {folder} is a file, but needs to be a folder here"
        raise SslcliError(message, "name a folder")
    if len(jobs) == 1:
        return [Job(jobs[0].source, jobs[0].name, folder)]
    return [Job(job.source, job.name, folder / job.name.with_suffix("")) for job in jobs]


def _edit_all(
    run: Path,
    wish: Wish,
    given: argparse.Namespace,
    targets: dict[Job, list[Path]],
    alone: bool,
    console: Console,
) -> list[Path]:
    """Edits every picture; returns what was written for each that was not left out."""
    from sslcli.data.picture_file import read_picture
    from sslcli.tools.edit.save import require_savable, save_frames
    from sslcli.tools.restore.pictures import is_jpeg

    if any(wish.form is not Form.pictures and is_jpeg(job.target) for job in targets):
        console.warn("JPEG changes every pixel a little, a .png keeps those that are not edited")
    edit: Edit | None = None
    done: list[Path] = []
    jobs = targets if alone else console.track(targets, total=len(targets), label="editing")
    for job in jobs:
        try:
            picture = read_picture(job.source)
            require_savable(picture, targets[job], wish.form)
            if edit is None:  # now, because importing torch takes seconds
                from sslcli.tools.edit.editor import load_editor

                edit = load_editor(run, wish, given, console)
            edited = edit(picture)
        except SslcliError as error:
            if alone or edit is None:
                raise
            console.warn(f"left out: {job.source}: {error.message}")
            continue
        for note in picture.notes:
            console.warn(f"{job.source}: {note}")
        save_frames(picture, edited.frames, targets[job], wish.form)
        done.append(targets[job][0])
        if edited.seen is not None and alone:
            console.say(f"seen in its code: {edited.seen[0]} before, {edited.seen[1]} after")
    return done


def _parser() -> argparse.ArgumentParser:
    usage = (
        "sslcli edit RUN PICTURE... (--towards CLASS | --attribute NAME=AMOUNT | "
        "--direction NUMBER=AMOUNT | --between PICTURE) [--as FORM] [--output PATH] [--force], "
        "or sslcli edit RUN --judge"
    )
    parser = argparse.ArgumentParser(prog="sslcli edit", usage=usage, description=__doc__)
    parser.add_argument(
        "run",
        help="the run's folder, the beginning of its name, or `last`: "
        "the newest finished one that decodes codes",
    )
    parser.add_argument(
        "pictures",
        nargs="*",
        metavar="picture",
        help="a picture of any size, or a folder searched for pictures",
    )
    _add_moves(parser)
    parser.add_argument(
        "--judge",
        action="store_true",
        help="edit the run's test pictures, of every class or towards one, and measure how many "
        "become the class and what else changes, by a classifier that it trains for this; writes "
        "into the folder edits of the run",
    )
    parser.add_argument(
        "--as",
        dest="form",
        choices=[form.name for form in Form],
        help="what is written: picture, the last step; pictures, a folder of all steps; strip, all "
        "side by side; animation, there and back as .webp (default: picture, with --between strip)",
    )
    parser.add_argument(
        "--frames",
        type=int,
        metavar="N",
        help=f"steps of several pictures (default: {DEFAULT_FRAMES['strip']}, "
        f"of an animation {DEFAULT_FRAMES['animation']})",
    )
    parser.add_argument(
        "--output",
        help="the file to write, for one picture (.png .webp .tif .jpg .npy), or a folder "
        "(default: NAME_edited.png beside the picture, or .tif or .npy for what no PNG holds, "
        "or the folder NAME_edited)",
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="overwrite what is there; never a picture that is being edited",
    )
    parser.add_argument(
        "--device", choices=[choice.name for choice in DeviceChoice], default="auto"
    )
    add_data_root(parser)
    add_outputs(parser)
    return parser


def _add_moves(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--towards", metavar="CLASS", help="make it more like this class of the run's pictures"
    )
    parser.add_argument(
        "--by",
        choices=[by.name for by in By],
        help="the way to the class: near, to the mean of its codes nearest to the picture's "
        "(default); mean, along the difference of class means; probe, along a linear probe's "
        "weights",
    )
    parser.add_argument(
        "--attribute",
        action="append",
        default=[],
        metavar="NAME=AMOUNT",
        help="add so much of a column of the run's data: smiling=+1 leads from without to with, "
        "age=+10 ten of the column's units; may be repeated",
    )
    parser.add_argument(
        "--direction",
        action="append",
        default=[],
        metavar="NUMBER=AMOUNT",
        help="so many standard deviations along a principal direction, numbered as in "
        "figures/traversals.png; may be repeated",
    )
    parser.add_argument(
        "--between", metavar="PICTURE", help="lead from each picture to this one, through the codes"
    )
    parser.add_argument(
        "--strength",
        type=float,
        metavar="S",
        help="multiplies the whole change (default: 1; of one picture between two, 0.5)",
    )
