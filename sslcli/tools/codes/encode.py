"""`sslcli encode` writes pictures as a run's codes, which `sslcli decode` makes pictures again."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from sslcli.engine.runtime_config import DeviceChoice
from sslcli.errors import SslcliError
from sslcli.evaluation.quantization import BITS, EXACT
from sslcli.files import expanded
from sslcli.tools.arguments import (
    add_data_root,
    add_device,
    add_outputs,
    add_run_and_pictures,
    parse,
    require_free,
    require_writable,
)
from sslcli.tools.codes.pictures import listed
from sslcli.trained.able_runs import DECODES, resolve_able_run

if TYPE_CHECKING:
    from sslcli.console import Console


def main(arguments: list[str], console: Console) -> int:
    """Returns 0 when every picture was encoded, 1 when some were left out."""
    given = parse(_parser(), arguments)
    target = expanded(given.to)
    if target.suffix != ".npz":
        raise SslcliError(f"--to {target} does not end in .npz", "--to codes.npz")
    require_free([target], given.force, "--to")
    require_writable(target, "--to")
    pictures = listed([expanded(word) for word in given.pictures])
    run = resolve_able_run(given.run, Path(given.outputs), DECODES)

    from sslcli.tools.codes.encoding import Encoding, encode  # imports torch

    bits = None if given.bits == EXACT else given.bits
    encoding = Encoding(run, bits, DeviceChoice[given.device], given.data_root)
    return encode(encoding, pictures, target, console)


def _parser() -> argparse.ArgumentParser:
    usage = (
        "sslcli encode RUN PICTURE... --to CODES.npz [--bits 8|6|4|32] [--force] "
        "[--device DEVICE] [--data-root PATH] [--outputs FOLDER]"
    )
    parser = argparse.ArgumentParser(prog="sslcli encode", usage=usage, description=__doc__)
    add_run_and_pictures(parser, "can decode codes to pictures")
    parser.add_argument("--to", required=True, metavar="CODES.npz", help="the file to write")
    parser.add_argument(
        "--bits",
        type=int,
        choices=[*BITS, EXACT],
        default=8,
        help="of each number: 8, 6 or 4 round it to levels over its range among the training "
        "pictures' codes, whose file is then entropy-coded; 32 keeps it as it is (default: 8)",
    )
    parser.add_argument("--force", action="store_true", help="overwrite the file")
    add_device(parser)
    add_data_root(parser)
    add_outputs(parser)
    return parser
