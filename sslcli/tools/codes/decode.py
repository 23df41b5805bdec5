"""`sslcli decode` makes pictures of the codes that `sslcli encode` wrote."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from sslcli.engine.runtime_config import DeviceChoice
from sslcli.errors import SslcliError
from sslcli.files import expanded
from sslcli.tools.arguments import (
    add_device,
    add_outputs,
    parse,
    require_free,
    require_writable,
)
from sslcli.tools.codes.pictures import targets_of
from sslcli.trained.able_runs import DECODES, resolve_able_run
from sslcli.trained.code_file import read_code_file

if TYPE_CHECKING:
    from sslcli.console import Console


def main(arguments: list[str], console: Console) -> int:
    given = parse(_parser(), arguments)
    path, folder = expanded(given.codes), expanded(given.to)
    if folder.exists() and not folder.is_dir():
        raise SslcliError(f"--to {folder} is a file", "name a folder: --to FOLDER")
    require_writable(folder / "any", "--to")
    codes = read_code_file(path)
    targets = targets_of(codes, folder)
    require_free(targets, given.force, "--to")
    run = resolve_able_run(given.run, Path(given.outputs), DECODES)

    from sslcli.tools.codes.decoding import decode  # imports torch

    decode(run, path, codes, targets, DeviceChoice[given.device], not given.unscaled)
    some = f"{len(targets):,} picture{'' if len(targets) == 1 else 's'}"
    console.say(f"decoded: {some}, in {folder}")
    return 0


def _parser() -> argparse.ArgumentParser:
    usage = (
        "sslcli decode RUN CODES.npz --to FOLDER [--unscaled] [--force] "
        "[--device DEVICE] [--outputs FOLDER]"
    )
    parser = argparse.ArgumentParser(prog="sslcli decode", usage=usage, description=__doc__)
    parser.add_argument("run", help="the run that encoded them: as for `sslcli encode`")
    parser.add_argument("codes", metavar="CODES.npz", help="the file that `sslcli encode` wrote")
    parser.add_argument(
        "--to", required=True, metavar="FOLDER", help="where the pictures are written, by name"
    )
    parser.add_argument(
        "--unscaled",
        action="store_true",
        help="write the squares that the network makes, in its resolution "
        "(default: as large as the pictures were)",
    )
    parser.add_argument("--force", action="store_true", help="overwrite what is there")
    add_device(parser)
    add_outputs(parser)
    return parser
