"""Parses and checks arguments that several tools share."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import NoReturn

from sslcli.engine.runtime_config import DeviceChoice
from sslcli.errors import SslcliError
from sslcli.nets.vit_config import Pool


def add_outputs(parser: argparse.ArgumentParser) -> None:
    """Adds --outputs, the folder under which runs are searched."""
    parser.add_argument(
        "--outputs",
        default="outputs",
        help="folder under which runs are looked for (default: outputs)",
    )


def add_run_and_pictures(parser: argparse.ArgumentParser, does: str, fewest: str = "+") -> None:
    """Adds a run that `does` something, and pictures; `fewest`: + for one, * for none."""
    parser.add_argument(
        "run",
        help="the run's folder, the beginning of its name, or `last`: "
        f"the newest finished one that {does}",
    )
    parser.add_argument(
        "pictures",
        nargs=fewest,
        metavar="picture",
        help="a picture, or a folder searched for pictures",
    )


def add_device(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--device", choices=[choice.name for choice in DeviceChoice], default="auto"
    )


def add_at(parser: argparse.ArgumentParser) -> None:
    """Adds --at, the epoch of the snapshot that is meant."""
    parser.add_argument(
        "--at",
        type=int,
        metavar="EPOCH",
        help="the snapshot after this epoch (default: the finished encoder)",
    )


def add_pool(parser: argparse.ArgumentParser) -> None:
    """Adds --pool, the features of a ViT."""
    parser.add_argument(
        "--pool",
        choices=[pool.name for pool in Pool],
        help="features of a vit: cls, the class token; mean of the patches', or by place, grid "
        "(default: as it was trained)",
    )


def pool_of(given: argparse.Namespace) -> Pool | None:
    """Returns what --pool chose."""
    return None if given.pool is None else Pool[given.pool]


def add_data_root(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data-root",
        metavar="PATH",
        help="where the run's data are now, if they moved; they must be the same pictures",
    )


def parse(parser: argparse.ArgumentParser, arguments: list[str]) -> argparse.Namespace:
    """Parses the arguments; raises SslcliError for a mistake."""

    def error(message: str) -> NoReturn:
        usage = " ".join(parser.format_usage().split())
        raise SslcliError(message, f"{usage}   (--help tells more)")

    parser.error = error  # type: ignore[method-assign]
    return parser.parse_intermixed_args(arguments)


def require_writable(target: Path, option: str) -> None:
    """Raises SslcliError where no file or folder can be made at `target`."""
    there = next(folder for folder in target.absolute().parents if folder.exists())
    if not there.is_dir():
        raise SslcliError(f"{option} {target}: {there} is a file", f"choose another {option}")
    if not os.access(there, os.W_OK):
        message = f"{option} {target}: {there} may not be written to"
        raise SslcliError(message, f"choose another {option}, or make it writable")


def require_free(targets: list[Path], force: bool, option: str = "--output") -> None:
    """Raises SslcliError where a target is a folder, or exists and `force` is false."""
    for target in targets:
        if target.is_dir():
            raise SslcliError(f"{target} is a folder", f"choose another {option}")
    taken = [target for target in targets if target.exists()]
    if taken and not force:
        more = f", and {len(taken) - 1} more" if len(taken) > 1 else ""
        raise SslcliError(
            f"{taken[0]} exists already{more}", f"--force overwrites; {option} names another place"
        )
