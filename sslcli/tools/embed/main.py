"""`sslcli embed` writes a run's features, a map of them, and nearest neighbours."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from sslcli.tools.arguments import (
    add_at,
    add_data_root,
    add_device,
    add_outputs,
    add_pool,
    parse,
    pool_of,
)
from sslcli.trained.encoder_files import read_encoder, resolve_encoder_run

if TYPE_CHECKING:
    from sslcli.console import Console

MAP_NAMES = ("pca", "tsne", "umap")


def main(arguments: list[str], console: Console) -> int:
    given = parse(_parser(), arguments)
    run = resolve_encoder_run(given.run, given.outputs)
    files = read_encoder(run, given.at, pool_of(given))

    from sslcli.tools.embed.write import embed  # imports torch

    embed(files, given, console)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sslcli embed", description=__doc__)
    parser.add_argument(
        "run",
        help="the run's folder, the beginning of its name, or `last`: the newest with an encoder",
    )
    parser.add_argument(
        "--part",
        choices=["train", "val", "test"],
        help="of the run's data (default: test, or val where there is none)",
    )
    parser.add_argument(
        "--map",
        choices=MAP_NAMES,
        default="pca",
        help="how features become a plane; t-SNE and UMAP need sslcli[maps]",
    )
    parser.add_argument(
        "--output",
        help="the folder to write into (default: embeddings/PART-MAP in the run's folder)",
    )
    parser.add_argument("--force", action="store_true", help="overwrite what is there")
    add_at(parser)
    add_pool(parser)
    add_device(parser)
    add_data_root(parser)
    add_outputs(parser)
    return parser
