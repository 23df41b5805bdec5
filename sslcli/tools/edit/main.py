"""`sslcli edit` changes your own pictures through a run's codes: towards a class, or another."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from sslcli.errors import SslcliError
from sslcli.tools.arguments import (
    add_data_root,
    add_device,
    add_outputs,
    add_run_and_pictures,
    parse,
)
from sslcli.tools.edit.wish import DEFAULT_FRAMES, By, Form, read_wish
from sslcli.trained.able_runs import DECODES, resolve_able_run
from sslcli.trained.encoder_files import read_encoder

if TYPE_CHECKING:
    from sslcli.console import Console


def main(arguments: list[str], console: Console) -> int:
    """Returns 0 when every picture was edited, 1 when some were left out."""
    given = parse(_parser(), arguments)
    if given.judge:
        return _judge(given, console)
    if not given.pictures:
        raise SslcliError("no picture is named", "sslcli edit RUN PICTURE --towards CLASS")
    wish = read_wish(given)

    from sslcli.tools.edit.work import edit_pictures  # Pillow

    return edit_pictures(wish, given, console)


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


def _parser() -> argparse.ArgumentParser:
    usage = (
        "sslcli edit RUN PICTURE... (--towards CLASS | --attribute NAME=AMOUNT | "
        "--direction NUMBER=AMOUNT | --between PICTURE) [--as FORM] [--output PATH] [--force], "
        "or sslcli edit RUN --judge"
    )
    parser = argparse.ArgumentParser(prog="sslcli edit", usage=usage, description=__doc__)
    add_run_and_pictures(parser, "decodes codes", fewest="*")
    _add_moves(parser)
    parser.add_argument(
        "--judge",
        action="store_true",
        help="edit the run's test pictures, of every class or towards one, and measure how many "
        "become the class and what else changes, by classifiers that it trains for this; writes "
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
    add_device(parser)
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
        help="the way to the class: near, to the mean of its codes nearest to the picture's; "
        "least, of that what a linear probe needs to see the class in the picture (default); mean, "
        "along the difference of class means",
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
