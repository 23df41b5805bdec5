"""Writes a run's features as a file, a map of them, and nearest neighbours."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from sslcli.data.images import ImageSet, Splits, evenly_spaced
from sslcli.data.resize import splits_at
from sslcli.engine.device import Compute
from sslcli.engine.runtime_config import DeviceChoice, Precision, RuntimeConfig
from sslcli.errors import SslcliError
from sslcli.evaluation.features import features
from sslcli.evaluation.knn import neighbours
from sslcli.evaluation.maps import MAPS
from sslcli.files import expanded, written_whole
from sslcli.report.display import Display
from sslcli.report.embedding import class_names, save_map
from sslcli.report.page import save_page
from sslcli.report.pictures import save_grid
from sslcli.runs.snapshots import name_of
from sslcli.tools.arguments import require_free
from sslcli.trained.data import load_own_data
from sslcli.trained.encoder import load_trained
from sslcli.trained.encoder_files import EncoderFiles

if TYPE_CHECKING:
    from sslcli.console import Console

MAX_POINTS, NUM_QUERIES, NUM_NEIGHBOURS = 2_000, 8, 8
"""Pictures on the map at most; rows and columns of the picture of neighbours."""
FILES = ("features.npz", "map.png", "map.html", "neighbours.png")


def embed(files: EncoderFiles, given: argparse.Namespace, console: Console) -> None:
    """Writes the files; `given` holds the options part, map, output, force and device."""
    run = files.folder
    chosen_map = MAPS[given.map]
    chosen_map.require_package()
    if given.output and expanded(given.output).is_file():
        raise SslcliError(f"{given.output} is a file", "name a folder: --output FOLDER")
    splits = load_own_data(files, console.track, given.data_root)
    splits = splits_at(splits, files.preprocessing.resolution)
    part, pictures = _part(splits, given.part)
    chosen_map.require_pictures(len(pictures))
    target = (
        expanded(given.output)
        if given.output
        else run / "embeddings" / _folder_name(part, given.map, files.epoch, given.pool)
    )
    require_free([target / name for name in FILES], given.force)

    h = _features(files, pictures, DeviceChoice[given.device])
    chosen = evenly_spaced(len(pictures), MAX_POINTS)
    shown, points = pictures.subset(chosen), chosen_map(h[chosen]).numpy()
    names = class_names(shown.labels, splits.classes)
    title = f"{chosen_map.name} of {len(shown):,} {part} pictures"
    after = _after(files, given.pool)
    trained = f"Features of {run.parent.name}/{run.name}, encoder output{after}, L2-normalised."
    display = Display.of(splits.val.images, splits.shown)
    if display.words:
        trained = f"{trained} Shown: {display.words}."
    with written_whole(target) as folder:
        features_of = f"encoder output{after}"
        _save_features(folder / FILES[0], h, pictures, part, splits, features_of)
        save_map(folder / FILES[1], points, shown.labels, names, title)
        save_page(
            folder / FILES[2],
            points,
            display(shown.images[:]),
            shown.labels,
            names,
            shown.paths,
            title,
            trained,
        )
        _save_neighbours(folder / FILES[3], h, pictures, display)
    console.say(f"features {tuple(h.shape)} of {part}: {target / FILES[0]}")
    console.say(f"map: {target / FILES[1]}, and to hover over, in a browser: {target / FILES[2]}")
    console.say(f"nearest neighbours: {target / FILES[3]}")


def _folder_name(part: str, map_name: str, epoch: int | None, pool: str | None) -> str:
    names = [part, map_name, "" if epoch is None else name_of(epoch), pool]
    return "-".join(name for name in names if name)


def _after(files: EncoderFiles, pool: str | None) -> str:
    """Returns the words that tell a snapshot, or other features, from the finished encoder."""
    after = "" if files.epoch is None else f" after epoch {files.epoch}"
    return after if pool is None else f"{after} with pool={pool}"


def _part(splits: Splits, name: str | None) -> tuple[str, ImageSet]:
    name = name or ("val" if splits.test is None else "test")
    pictures = {"train": splits.train, "val": splits.val, "test": splits.test}[name]
    if pictures is None:
        fix = "leave --part out, or use --part val"
        raise SslcliError("the run's data have no test pictures", fix)
    return name, pictures


def _features(files: EncoderFiles, pictures: ImageSet, device: DeviceChoice) -> Tensor:
    """Returns the features (N, D), float32 on the CPU."""
    compute = Compute.choose(RuntimeConfig(device=device, precision=Precision.fp32))
    encoder = load_trained(files)
    compute.to_device(encoder)
    return features(encoder, pictures.images, files.preprocessing, compute.device).cpu()


def _save_features(
    path: Path, h: Tensor, pictures: ImageSet, part: str, splits: Splits, features_of: str
) -> None:
    """Saves features, and labels, paths and classes where the data have them."""
    protocol = {
        "features": f"{features_of}, eval mode, no augmentation, float32, not normalised",
        "pictures": f"{len(pictures)} {part} pictures",
        "data_fingerprint": splits.fingerprint,
    }
    content: dict[str, Any] = {
        "features": h.numpy(),
        "fingerprint": splits.fingerprint,
        "part": part,
        "protocol": json.dumps(protocol),
    }
    optional = {
        "labels": pictures.labels,
        "paths": pictures.paths,
        "classes": splits.classes,
        "targets": pictures.targets,
        "target_names": splits.target_names,
    }
    content.update({name: np.array(value) for name, value in optional.items() if value is not None})
    np.savez(path, **content)


def _save_neighbours(path: Path, h: Tensor, pictures: ImageSet, display: Display) -> None:
    """Draws evenly spaced pictures, each beside the most similar ones of its part."""
    queries = evenly_spaced(len(pictures), NUM_QUERIES)
    count = min(NUM_NEIGHBOURS, len(pictures) - 1)
    nearest = neighbours(h, torch.from_numpy(queries), count).numpy()
    columns = {"query": display(pictures.images[queries])}
    for rank in range(count):
        columns[f"{rank + 1}"] = display(pictures.images[nearest[:, rank]])
    save_grid(path, columns, display.words)
