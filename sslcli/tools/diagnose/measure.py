"""Measures a run's features without labels, and writes what was found into the run's folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from sslcli.data.images import ImageSet, evenly
from sslcli.engine.device import Compute
from sslcli.engine.runtime_config import DeviceChoice, Precision, RuntimeConfig
from sslcli.errors import SslcliError
from sslcli.evaluation.collapse import collapse_alarm, effective_rank, feature_std
from sslcli.evaluation.diagnostics import (
    alignment,
    dead_dimensions,
    dimension_std,
    findings,
    lidar,
    separation,
    spectrum,
    uniformity,
)
from sslcli.evaluation.features import features
from sslcli.evaluation.view_features import view_features
from sslcli.files import written_whole
from sslcli.report.diagnostics import save_diagnostics
from sslcli.runs.folder import read_records
from sslcli.trained.data import own_data
from sslcli.trained.encoder import load_trained
from sslcli.trained.encoder_files import EncoderFiles
from sslcli.trained.method import read_method

if TYPE_CHECKING:
    from sslcli.console import Console

NUM_PICTURES, NUM_VIEWED, NUM_DRAWS = 5_000, 500, 5
"""Validation pictures at most; those that views are made of; how often views are drawn of each."""
FOLDER = "diagnostics"


def diagnose(files: EncoderFiles, device: DeviceChoice, console: Console) -> None:
    """Measures validation pictures; writes numbers and figure, and prints the table."""
    run = files.folder
    compute = Compute.choose(RuntimeConfig(device=device, precision=Precision.fp32))
    splits = own_data(files, console.track)
    if len(splits.val) < 2:
        raise SslcliError(
            f"diagnose looks at validation pictures, and there is {len(splits.val)}",
            "train with a larger data.val_fraction",
        )
    pictures = splits.val.subset(evenly(len(splits.val), NUM_PICTURES))
    found = {**_of_pictures(files, pictures, compute), **_of_views(run, pictures, compute, console)}
    words = _words(found)
    protocol = _protocol(len(pictures), found, splits.fingerprint)
    content = {"run": str(run.absolute()), **found, "words": words, "protocol": protocol}
    with written_whole(run / FOLDER) as folder:
        (folder / "diagnostics.json").write_text(
            json.dumps(content, indent=2, allow_nan=False) + "\n"
        )
        history = [
            (float(record["epoch"]), float(record["effective_rank"]))
            for record in read_records(run)
            if "effective_rank" in record and "epoch" in record
        ]
        save_diagnostics(
            folder / "diagnostics.png", found["spectrum"], found["dimension_std"], history
        )
    _report(run, found, words, protocol, console)


def _of_pictures(files: EncoderFiles, pictures: ImageSet, compute: Compute) -> dict[str, Any]:
    encoder = load_trained(files)
    compute.to_device(encoder)
    h = features(encoder, pictures.images, files.preprocessing, compute.device)
    return {
        "feature_std": feature_std(h),
        "effective_rank": effective_rank(h),
        "uniformity": uniformity(h),
        "dead_dimensions": dead_dimensions(h),
        "spectrum": spectrum(h).tolist(),
        "dimension_std": dimension_std(h).tolist(),
    }


def _of_views(run: Path, pictures: ImageSet, compute: Compute, console: Console) -> dict[str, Any]:
    """What is measured on the method's own views, where it makes two or more of a picture."""
    try:
        method = read_method(run)
    except SslcliError as error:
        console.warn(
            f"alignment and LiDAR are left out, they need the method's views: {error.message}"
        )
        return {}
    for module in method.modules().values():
        compute.to_device(module)
    chosen = pictures.images[evenly(len(pictures), NUM_VIEWED)]
    h: Tensor | None = view_features(method, chosen, compute.device, NUM_DRAWS)
    if h is None:
        console.say(
            f"{type(method).__name__} makes no two views of a picture: no alignment and no LiDAR"
        )
        return {}
    return {
        "alignment": alignment(h[0], h[1]),
        "separation": separation(h[0], h[1]),
        "lidar": lidar(h),
        "views": {"pictures": h.shape[1], "of_each": h.shape[0]},
    }


def _words(found: dict[str, Any]) -> list[str]:
    alarm = collapse_alarm(
        found["feature_std"], found["effective_rank"], len(found["dimension_std"])
    )
    others = findings(found["dead_dimensions"], found.get("alignment"), found.get("separation"))
    return ([] if alarm is None else [alarm]) + others


def _protocol(num_pictures: int, found: dict[str, Any], fingerprint: str) -> dict[str, Any]:
    protocol = {
        "features": "encoder output, eval mode, no augmentation, float32",
        "pictures": f"{num_pictures} validation pictures at even distances, without their labels",
        "effective_rank": "RankMe (Garrido et al. 2023), not centred; depends on the number of pictures, "
        "which is 512 at most during training",
        "uniformity": "Wang & Isola 2020, t = 2, on L2-normalised features",
        "spectrum": "standard deviations along principal directions: singular values of centred features over sqrt(N)",
        "data_fingerprint": fingerprint,
    }
    if "views" in found:
        num, each = found["views"]["pictures"], found["views"]["of_each"]
        protocol["views"] = (
            f"{each} views of each of {num} of them, as in training, the same at every call"
        )
        protocol["alignment"] = (
            "Wang & Isola 2020, alpha = 2, of two views; separation: the same of two pictures' views"
        )
        protocol["lidar"] = (
            "Thilak et al. 2024, delta = 1e-4; depends on the numbers of pictures and of views"
        )
    return protocol


def _report(
    run: Path, found: dict[str, Any], words: list[str], protocol: dict[str, Any], console: Console
) -> None:
    width = len(found["dimension_std"])
    rows = [
        ("RankMe: directions that the features use", f"{found['effective_rank']:.2f} of {width}"),
        ("spread of L2-normalised features, 0 collapsed, 1 uniform", f"{found['feature_std']:.4g}"),
        ("uniformity, 0 collapsed, lower is more even", f"{found['uniformity']:.4g}"),
        ("dead dimensions", f"{100 * found['dead_dimensions']:.1f} %"),
    ]
    if "views" in found:
        rows += [
            ("alignment: squared distance of two views of a picture", f"{found['alignment']:.4g}"),
            ("separation: the same of two pictures", f"{found['separation']:.4g}"),
            (
                "LiDAR: directions in which pictures differ more than views",
                f"{found['lidar']:.2f} of {width}",
            ),
        ]
    console.table(protocol["pictures"], ("features", "value"), rows)
    for word in words:
        console.warn(word)
    if not words:
        console.say("nothing looks collapsed")
    console.say(f"written: {run / FOLDER}")
