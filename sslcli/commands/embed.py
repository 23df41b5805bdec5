"""`sslcli embed RUN`: a run's features as a file, as a map to look at, and as nearest neighbours."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sslcli.commands.arguments import add_outputs, parse
from sslcli.commands.encoder_files import EncoderFiles, read_encoder, resolve_encoder_run
from sslcli.engine.runtime import DeviceChoice, Precision, RuntimeConfig
from sslcli.errors import SslcliError

if TYPE_CHECKING:
    from torch import Tensor

    from sslcli.console import Console
    from sslcli.data.images import ImageSet, Splits

MAP_NAMES = ("pca", "tsne", "umap")
MAX_POINTS, NUM_QUERIES, NUM_NEIGHBOURS = 2_000, 8, 8
"""Pictures on the map at most; rows and columns of the picture of neighbours."""
FILES = ("features.npz", "map.png", "map.html", "neighbours.png")


def main(arguments: list[str], console: Console) -> int:
    given = parse(_parser(), arguments)
    run = resolve_encoder_run(given.run, given.outputs)
    files = read_encoder(run)

    from sslcli.commands.output_files import require_free, written_whole
    from sslcli.commands.run_data import own_data
    from sslcli.data.images import evenly
    from sslcli.evaluation.maps import MAPS
    from sslcli.report.embedding import class_names, save_map
    from sslcli.report.page import save_page

    chosen_map = MAPS[given.map]
    chosen_map.require_package()
    if given.output and Path(given.output).expanduser().is_file():
        raise SslcliError(f"{given.output} is a file", "name a folder: --output FOLDER")
    splits = own_data(files, console.track)
    part, pictures = _part(splits, given.part)
    chosen_map.require_pictures(len(pictures))
    target = Path(given.output).expanduser() if given.output else run / "embeddings" / f"{part}-{given.map}"
    require_free([target / name for name in FILES], given.force)

    h = _features(files, pictures, DeviceChoice[given.device])
    chosen = evenly(len(pictures), MAX_POINTS)
    shown, points = pictures.subset(chosen), chosen_map(h[chosen]).numpy()
    names = class_names(shown.labels, splits.classes)
    title = f"{chosen_map.name} of {len(shown):,} {part} pictures"
    trained = f"Features of {run.parent.name}/{run.name}, encoder output, L2-normalised."
    with written_whole(target) as folder:
        _save_features(folder / FILES[0], h, pictures, part, splits)
        save_map(folder / FILES[1], points, shown.labels, names, title)
        save_page(folder / FILES[2], points, shown.images[:], shown.labels, names, shown.paths, title, trained)
        _save_neighbours(folder / FILES[3], h, pictures)
    console.say(f"features {tuple(h.shape)} of {part}: {target / FILES[0]}")
    console.say(f"map: {target / FILES[1]}, and to hover over, in a browser: {target / FILES[2]}")
    console.say(f"nearest neighbours: {target / FILES[3]}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sslcli embed", description=__doc__)
    parser.add_argument(
        "run", help="the run's folder, the beginning of its name, or `last`: the newest with an encoder"
    )
    parser.add_argument(
        "--part", choices=["train", "val", "test"], help="of the run's data (default: test, or val where there is none)"
    )
    parser.add_argument(
        "--map", choices=MAP_NAMES, default="pca", help="how features become a plane; t-SNE and UMAP need sslcli[maps]"
    )
    parser.add_argument("--output", help="the folder to write into (default: embeddings/PART-MAP in the run's folder)")
    parser.add_argument("--force", action="store_true", help="overwrite what is there")
    parser.add_argument("--device", choices=[choice.name for choice in DeviceChoice], default="auto")
    add_outputs(parser)
    return parser


def _part(splits: Splits, name: str | None) -> tuple[str, ImageSet]:
    name = name or ("val" if splits.test is None else "test")
    pictures = {"train": splits.train, "val": splits.val, "test": splits.test}[name]
    if pictures is None:
        raise SslcliError("the run's data have no test pictures", "leave --part out, or use --part val")
    return name, pictures


def _features(files: EncoderFiles, pictures: ImageSet, device: DeviceChoice) -> Tensor:
    """(N, D) float32 on the CPU."""
    from sslcli.engine.device import Compute
    from sslcli.evaluation.features import features

    compute = Compute.choose(RuntimeConfig(device=device, precision=Precision.fp32))
    encoder = files.load()
    compute.place(encoder)
    return features(encoder, pictures.images, files.preprocessing, compute.device).cpu()


def _save_features(path: Path, h: Tensor, pictures: ImageSet, part: str, splits: Splits) -> None:
    """`labels`, `paths` and `classes` are left out where the data have none."""
    import numpy as np

    protocol = {
        "features": "encoder output, eval mode, no augmentation, float32, not normalised",
        "pictures": f"{len(pictures)} {part} pictures",
        "data_fingerprint": splits.fingerprint,
    }
    content: dict[str, Any] = {
        "features": h.numpy(),
        "fingerprint": splits.fingerprint,
        "part": part,
        "protocol": json.dumps(protocol),
    }
    optional = {"labels": pictures.labels, "paths": pictures.paths, "classes": splits.classes}
    content.update({name: np.array(value) for name, value in optional.items() if value is not None})
    np.savez(path, **content)


def _save_neighbours(path: Path, h: Tensor, pictures: ImageSet) -> None:
    """Queries at even distances, each beside the pictures of the same part that are most similar by cosine."""
    import torch

    from sslcli.data.images import evenly
    from sslcli.evaluation.knn import neighbours
    from sslcli.report.pictures import save_grid

    queries = evenly(len(pictures), NUM_QUERIES)
    found = neighbours(h, torch.from_numpy(queries), min(NUM_NEIGHBOURS, len(pictures) - 1)).numpy()
    columns = {"query": pictures.images[queries]}
    columns.update({f"{rank + 1}": pictures.images[found[:, rank]] for rank in range(found.shape[1])})
    save_grid(path, columns)
