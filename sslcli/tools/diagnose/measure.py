"""Measures a run's features without labels, and writes figures into its folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from sslcli.abilities import Decoding
from sslcli.data.images import ImageSet, Splits, evenly_spaced
from sslcli.data.resize import at_resolution, splits_at
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
from sslcli.runs.diagnostics import (
    Diagnostics,
    FeatureScores,
    ViewScores,
    diagnostics_folder,
    write_diagnostics,
)
from sslcli.runs.folder import read_records
from sslcli.tools.diagnose.rate import Rates, measure_rates, print_rates, write_rates
from sslcli.trained.coder import Coder
from sslcli.trained.data import load_own_data
from sslcli.trained.encoder import load_trained
from sslcli.trained.encoder_files import EncoderFiles
from sslcli.trained.method import method_around, read_method
from sslcli.trained.stack import read_decoding

if TYPE_CHECKING:
    from sslcli.console import Console

NUM_PICTURES, NUM_VIEWED, NUM_DRAWS = 5_000, 500, 5
"""Validation pictures at most; those with views; draws of views of each."""


def diagnose(
    files: EncoderFiles, device: DeviceChoice, console: Console, data_root: str | None = None
) -> None:
    """Measures validation pictures; writes numbers and figure, and prints the table."""
    run = files.folder
    compute = Compute.choose(RuntimeConfig(device=device, precision=Precision.fp32))
    splits = load_own_data(files, console.track, data_root)
    splits = splits_at(splits, splits.val.resolution)
    if len(splits.val) < 2:
        raise SslcliError(
            f"diagnose looks at validation pictures, and there is {len(splits.val)}",
            "train with a larger data.val_fraction",
        )
    pictures = splits.val.subset(evenly_spaced(len(splits.val), NUM_PICTURES))
    scores = _measure_pictures(files, pictures, compute)
    of_views = _measure_views(files, pictures, compute, console)
    warnings = _warnings(scores, of_views)
    protocol = _protocol(files, len(pictures), of_views, splits.fingerprint)
    target = diagnostics_folder(run, files.epoch)
    with written_whole(target) as folder:
        about = str(run.absolute())
        found = Diagnostics(about, scores, of_views, warnings, protocol, files.epoch)
        write_diagnostics(folder, found)
        history = [
            (float(record["epoch"]), float(record["effective_rank"]))
            for record in read_records(run)
            if "effective_rank" in record and "epoch" in record
        ]
        figure = folder / "diagnostics.png"
        save_diagnostics(figure, scores.spectrum, scores.dimension_std, history)
        rates = _measure_rates(files, splits, compute)
        if rates is not None:
            write_rates(folder, rates)
    heading = "features" if files.epoch is None else f"features after epoch {files.epoch}"
    console.table(protocol["pictures"], (heading, "value"), _table(scores, of_views))
    if rates is not None:
        print_rates(rates, console)
    for warning in warnings:
        console.warn(warning)
    if not warnings:
        console.say("nothing looks collapsed")
    console.say(f"written: {target}")


def _measure_pictures(files: EncoderFiles, pictures: ImageSet, compute: Compute) -> FeatureScores:
    encoder = load_trained(files)
    compute.to_device(encoder)
    pictures = at_resolution(pictures, files.preprocessing.resolution)
    h = features(encoder, pictures.images, files.preprocessing, compute.device)
    return FeatureScores(
        feature_std=feature_std(h),
        effective_rank=effective_rank(h),
        uniformity=uniformity(h),
        dead_dimensions=dead_dimensions(h),
        spectrum=spectrum(h).tolist(),
        dimension_std=dimension_std(h).tolist(),
    )


def _measure_views(
    files: EncoderFiles, pictures: ImageSet, compute: Compute, console: Console
) -> ViewScores | None:
    """Measures the method's own views; returns None where it makes fewer than two."""
    try:
        method = read_method(files.folder) if files.epoch is None else method_around(files)
    except SslcliError as error:
        console.warn(
            f"alignment and LiDAR are left out, they need the method's views: {error.message}"
        )
        return None
    for module in method.modules().values():
        compute.to_device(module)
    chosen = pictures.images[evenly_spaced(len(pictures), NUM_VIEWED)]
    h: Tensor | None = view_features(method, chosen, compute.device, NUM_DRAWS)
    if h is None:
        console.say(
            f"{type(method).__name__} makes no two views of a picture: no alignment and no LiDAR"
        )
        return None
    return ViewScores(
        alignment=alignment(h[0], h[1]),
        separation=separation(h[0], h[1]),
        lidar=lidar(h),
        views={"pictures": h.shape[1], "of_each": h.shape[0]},
    )


def _measure_rates(files: EncoderFiles, splits: Splits, compute: Compute) -> Rates | None:
    """Measures what the codes compress to; returns None where nothing decodes them.

    That is so for snapshots too, with which no decoder is kept.
    """
    if files.epoch is not None:
        return None
    try:
        method = read_decoding(files.folder)
    except SslcliError:  # which was said where views were measured
        return None
    if not isinstance(method, Decoding):
        return None
    for module in method.modules().values():
        compute.to_device(module)
    return measure_rates(Coder(method, compute.device), splits.pretraining, splits.val)


def _warnings(scores: FeatureScores, of_views: ViewScores | None) -> list[str]:
    alarm = collapse_alarm(scores.feature_std, scores.effective_rank, scores.width)
    aligned, separated = (
        (None, None) if of_views is None else (of_views.alignment, of_views.separation)
    )
    others = findings(scores.dead_dimensions, aligned, separated)
    return ([] if alarm is None else [alarm]) + others


def _protocol(
    files: EncoderFiles, num_pictures: int, of_views: ViewScores | None, fingerprint: str
) -> dict[str, str]:
    after = "" if files.epoch is None else f" after epoch {files.epoch}"
    protocol = {
        "features": f"encoder output{after}, eval mode, no augmentation, float32",
        "pictures": f"{num_pictures} validation pictures at even distances, without their labels",
        "effective_rank": "RankMe (Garrido et al. 2023), not centred; depends on the number of "
        "pictures, which is 512 at most during training",
        "uniformity": "Wang & Isola 2020, t = 2, on L2-normalised features",
        "spectrum": "standard deviations along principal directions: singular values of centred "
        "features over sqrt(N)",
        "data_fingerprint": fingerprint,
    }
    if of_views is not None:
        num, each = of_views.views["pictures"], of_views.views["of_each"]
        protocol["views"] = (
            f"{each} views of each of {num} of them, as in training, the same at every call"
        )
        protocol["alignment"] = (
            "Wang & Isola 2020, alpha = 2, of two views; "
            "separation: the same of two pictures' views"
        )
        protocol["lidar"] = (
            "Thilak et al. 2024, delta = 1e-4; depends on the numbers of pictures and of views"
        )
    return protocol


def _table(scores: FeatureScores, of_views: ViewScores | None) -> list[tuple[str, str]]:
    width = scores.width
    rows = [
        ("RankMe: directions that the features use", f"{scores.effective_rank:.2f} of {width}"),
        ("spread of L2-normalised features, 0 collapsed, 1 uniform", f"{scores.feature_std:.4g}"),
        ("uniformity, 0 collapsed, lower is more even", f"{scores.uniformity:.4g}"),
        ("dead dimensions", f"{100 * scores.dead_dimensions:.1f} %"),
    ]
    if of_views is None:
        return rows
    return [
        *rows,
        ("alignment: squared distance of two views of a picture", f"{of_views.alignment:.4g}"),
        ("separation: the same of two pictures", f"{of_views.separation:.4g}"),
        (
            "LiDAR: directions in which pictures differ more than views",
            f"{of_views.lidar:.2f} of {width}",
        ),
    ]
