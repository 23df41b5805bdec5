"""`sslcli export` writes a run's encoder for other programs, with a model card.

The file is loaded back, and its features of real pictures are compared with the run's own.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from sslcli.console import Console
from sslcli.errors import SslcliError
from sslcli.files import expanded, written_whole
from sslcli.runs.snapshots import name_of
from sslcli.tools.arguments import (
    add_at,
    add_data_root,
    add_outputs,
    add_pool,
    parse,
    pool_of,
    require_free,
)
from sslcli.tools.export.formats import FORMATS, require_format
from sslcli.trained.encoder_files import read_encoder, resolve_encoder_run


def main(arguments: list[str], console: Console) -> int:
    given = parse(_parser(), arguments)
    run = resolve_encoder_run(given.run, given.outputs)
    source = read_encoder(run, given.at, pool_of(given))
    chosen = require_format(given.to, source)
    name = given.to if given.at is None else f"{given.to}-{name_of(given.at)}"
    name = name if given.pool is None else f"{name}-{given.pool}"
    target = run / "export" / name if given.output is None else expanded(given.output)
    files = chosen.files(source)
    _require_target(target, [*files, chosen.card], given.force)
    if chosen.note is not None:
        console.warn(chosen.note)

    from sslcli.tools.export.model_card import model_card  # imports torch
    from sslcli.tools.export.verify import pictures_to_compare, write_verified

    pictures = pictures_to_compare(source, console, given.data_root)
    with written_whole(target) as folder:
        difference = write_verified(source, chosen, pictures, folder)
        card = model_card(source, chosen, difference, given.data_licence)
        (folder / chosen.card).write_text(card, encoding="utf-8")
    console.say(f"largest difference from the run's features: {difference}")
    for name in (*files, chosen.card):
        console.say(f"exported: {target / name}")
    return 0


def _parser() -> argparse.ArgumentParser:
    usage = (
        f"sslcli export RUN --to {'|'.join(FORMATS)} [--output FOLDER] [--force] "
        "[--at EPOCH] [--pool POOL] [--data-licence TEXT] [--data-root PATH] [--outputs FOLDER]"
    )
    parser = argparse.ArgumentParser(prog="sslcli export", usage=usage, description=__doc__)
    parser.add_argument(
        "run",
        help="the run's folder, the beginning of its name, or `last`: the newest with an encoder",
    )
    parser.add_argument(
        "--to",
        required=True,
        choices=list(FORMATS),
        metavar="FORMAT",
        help="safetensors: sslcli's own keys; torchvision: of a ResNet; timm: of a timm model or "
        "a vit; huggingface: a folder for timm and transformers; "
        "onnx: a graph, for onnxruntime; torchscript: its successor, a program of "
        "torch.export (.pt2)",
    )
    parser.add_argument(
        "--output", help="the folder to write into (default: export/FORMAT in the run's folder)"
    )
    parser.add_argument(
        "--force", action="store_true", help="overwrite what an export wrote there before"
    )
    parser.add_argument(
        "--data-licence", metavar="TEXT", help="the licence of the pictures, for the model card"
    )
    add_at(parser)
    add_pool(parser)
    add_data_root(parser)
    add_outputs(parser)
    return parser


def _require_target(target: Path, names: list[str], force: bool) -> None:
    """Raises SslcliError where `target` cannot be the folder for those files."""
    if (target / "run.json").exists():
        raise SslcliError(
            f"{target} is a run's folder, whose own files would be overwritten",
            "choose another --output",
        )
    if target.exists() and not target.is_dir():
        raise SslcliError(f"{target} is a file", "--output names the folder to write into")
    require_free([target / name for name in names], force)
