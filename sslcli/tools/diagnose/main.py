"""`sslcli diagnose` measures features without labels, and warns of a collapse."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from sslcli.engine.runtime_config import DeviceChoice
from sslcli.tools.arguments import (
    add_at,
    add_data_root,
    add_device,
    add_outputs,
    parse,
)
from sslcli.trained.encoder_files import read_encoder, resolve_encoder_run

if TYPE_CHECKING:
    from sslcli.console import Console


def main(arguments: list[str], console: Console) -> int:
    given = parse(_parser(), arguments)
    files = read_encoder(resolve_encoder_run(given.run, given.outputs), given.at)

    from sslcli.tools.diagnose.measure import diagnose  # imports torch

    diagnose(files, DeviceChoice[given.device], console, given.data_root)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sslcli diagnose", description=__doc__)
    parser.add_argument(
        "run",
        help="the run's folder, the beginning of its name, or `last`: the newest with an encoder",
    )
    add_at(parser)
    add_device(parser)
    add_data_root(parser)
    add_outputs(parser)
    return parser
