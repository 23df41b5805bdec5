"""Judges a run's edits of test pictures by classifiers that were trained apart."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sslcli.data.images import ImageSet, Track, evenly_spaced
from sslcli.engine.device import Compute
from sslcli.engine.runtime_config import DeviceChoice, Precision, RuntimeConfig
from sslcli.errors import SslcliError
from sslcli.evaluation.edits import EditScores, other_targets, score_edits, share_at
from sslcli.evaluation.restoration import SSIM_WINDOW
from sslcli.files import written_whole
from sslcli.method import as_pictures
from sslcli.report.display import Display
from sslcli.report.edits import Fate, save_edit_curves
from sslcli.report.pictures import save_grid
from sslcli.tools.edit.editor import load_learned
from sslcli.tools.edit.judge_training import EPOCHS, NUM_JUDGES, Judges, train_judges
from sslcli.tools.edit.moves import SHARE, Learned
from sslcli.tools.edit.wish import By
from sslcli.trained.code_changes import SMALL, changes
from sslcli.trained.encoder_files import EncoderFiles
from sslcli.trained.least_change import ODDS, SURE

if TYPE_CHECKING:
    from sslcli.console import Console

NUM_JUDGED, NUM_SHOWN = 500, 12
STRENGTHS = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0)
FOLDER = "edits"
"""In the run's folder."""
PIXELS = "pixel mean shift"
WAYS = {"codes, least": By.least, "codes, near": By.near, "codes, mean": By.mean}

Change = Callable[[float], Tensor]
"""Returns by how much the pictures change at a strength."""


@dataclass(frozen=True, eq=False)
class Subjects:
    """Holds test pictures (N, C, R, R), their classes (N,), and those that they are to become."""

    pictures: Tensor
    own: Tensor
    target: Tensor

    @classmethod
    def of(cls, learned: Learned, test: ImageSet, target: int | None) -> Subjects:
        """Takes pictures at even distances, of other classes than the target."""
        assert test.labels is not None
        rows = np.flatnonzero(
            (test.labels >= 0) & (test.labels != (-1 if target is None else target))
        )
        rows = rows[evenly_spaced(len(rows), NUM_JUDGED)]
        own = torch.from_numpy(test.labels[rows])
        seen = torch.from_numpy(_classes_seen(learned))
        wanted = other_targets(own, seen) if target is None else torch.full_like(own, target)
        return cls(as_pictures(torch.tensor(test.images[rows])), own, wanted)


def judge(files: EncoderFiles, given: argparse.Namespace, console: Console) -> None:
    """Edits test pictures in every way and strength; writes scores and figures, prints a table."""
    learned = load_learned(files, given, console)
    test = _require_judgeable(learned, files.preprocessing.resolution)
    target = None if given.towards is None else learned.class_number(given.towards)
    subjects = Subjects.of(learned, test, target)
    compute = Compute.choose(
        RuntimeConfig(device=DeviceChoice[given.device], precision=Precision.fp32)
    )
    number, train = learned.splits.num_classes, learned.labelled
    seen_by = train_judges(train, number, files.seed, compute, console.track)
    ways = _ways(learned, subjects, console.track)
    points = [
        _score(name, strength, change(strength), subjects, seen_by)
        for name, change in ways.items()
        for strength in STRENGTHS
    ]
    right = float((seen_by(subjects.pictures) == subjects.own).double().mean())
    folder = files.folder / FOLDER
    if given.towards is not None:
        folder = folder / f"class-{learned.class_number(given.towards)}"
    protocol = _protocol(learned, subjects, right)
    with written_whole(folder) as made:
        _write(made, files, given.towards, points, protocol)
        _draw_pictures(made / "pictures.png", learned, subjects, ways)
    _say(points, right, console)
    console.say(f"written: {folder}")


def _require_judgeable(learned: Learned, resolution: int) -> ImageSet:
    """Returns the test part; raises SslcliError where edits of it cannot be judged."""
    _ = learned.labelled
    test = learned.splits.test
    if test is None or test.labels is None:
        message = "edits are judged on test pictures with classes, and the run's data have none"
        raise SslcliError(message, "train with data.test_fraction=0.2, or on data with a test part")
    if resolution < SSIM_WINDOW:
        message = f"SSIM needs {SSIM_WINDOW} pixels a side, the run's pictures have {resolution}"
        raise SslcliError(message, f"train with data.resolution={SSIM_WINDOW} or more")
    if len(_classes_seen(learned)) < 2:
        message = "the run's training pictures have one class: none can become another"
        raise SslcliError(message, "train on pictures of two classes or more")
    return test


def _classes_seen(learned: Learned) -> NDArray[np.int64]:
    """Returns, ascending, the classes that have training pictures."""
    labels = learned.labelled.labels
    assert labels is not None, "labelled says so"
    return np.unique(labels).astype(np.int64)


def _ways(learned: Learned, subjects: Subjects, track: Track) -> dict[str, Change]:
    """Returns each way's change; the pixels' shift is that of the classes' mean pictures."""
    codes = learned.coder.encode(subjects.pictures).flatten(1).double()

    def of_codes(name: str, by: By) -> Change:
        way = torch.empty_like(codes)
        labels = sorted(set(subjects.target.tolist()))
        for label in track(labels, total=len(labels), label=f"editing: {name}"):
            chosen = subjects.target == label
            way[chosen] = learned.towards(label, by)(codes[chosen])
        return lambda strength: changes(learned.coder, codes, way, strength)

    means = _mean_pictures(learned.labelled, learned.splits.num_classes)
    shift = means[subjects.target] - means[subjects.own]
    ways = {name: of_codes(name, by) for name, by in WAYS.items()}
    return {**ways, PIXELS: lambda strength: strength * shift}


def _mean_pictures(train: ImageSet, num_classes: int) -> Tensor:
    """Returns each class's mean picture (K, C, R, R) in [0, 1]."""
    assert train.labels is not None
    means = []
    for label in range(num_classes):
        rows = np.flatnonzero(train.labels == label)
        parts = [
            as_pictures(torch.tensor(train.images[some])).double().sum(dim=0)
            for some in np.array_split(rows, max(1, len(rows) // 512))
        ]
        means.append(torch.stack(parts).sum(dim=0) / max(1, len(rows)))
    return torch.stack(means).float()


def _score(
    name: str, strength: float, change: Tensor, subjects: Subjects, seen_by: Judges
) -> EditScores:
    edited = (subjects.pictures + change).clamp(0, 1)
    own, target = subjects.own, subjects.target
    return score_edits(name, strength, edited, subjects.pictures, seen_by(edited), own, target)


def _protocol(learned: Learned, subjects: Subjects, right: float) -> dict[str, str]:
    train = len(learned.labelled)
    return {
        "pictures": f"{len(subjects.own)} test pictures at even distances",
        "target": "a class that is not the picture's own: every other class in turn, or that named",
        "judges": f"{NUM_JUDGES} convnets on pixels, trained apart with other seeds on {train:,} "
        f"training labels for {EPOCHS} epochs; shares are their means; right on "
        f"{100 * right:.1f} % of the pictures as they are",
        "codes": f"directions from {train:,} training pictures; near: mean of the nearest "
        f"{SHARE:g} of the class; least: from there back, as long as a probe on codes is surer "
        f"than of {100 * SURE:g} % of the class, or {ODDS:g} to 1; changes below {SMALL:g} of a "
        "picture's largest are left out",
        PIXELS: "the mean training picture of the target class minus that of the picture's own, "
        "which it is told; codes are not told it",
        "data_fingerprint": learned.splits.fingerprint,
    }


def _write(
    folder: Path,
    files: EncoderFiles,
    towards: str | None,
    points: Sequence[EditScores],
    protocol: dict[str, str],
) -> None:
    content = {
        "run": str(files.folder.absolute()),
        "towards": towards,
        "points": [asdict(point) for point in points],
        "protocol": protocol,
    }
    text = json.dumps(content, indent=2, allow_nan=False) + "\n"
    (folder / "judged.json").write_text(text, encoding="utf-8")
    curves = {
        name: [
            Fate(point.strength, point.target, point.own, point.other, point.ssim)
            for point in points
            if point.way == name
        ]
        for name in (*WAYS, PIXELS)
    }
    title = f"{protocol['pictures'].split(' at')[0]}, judged by convnets trained apart"
    save_edit_curves(folder / "judged.png", curves, title)


def _draw_pictures(
    path: Path, learned: Learned, subjects: Subjects, ways: dict[str, Change]
) -> None:
    """Draws some pictures as they are, and edited at strength 1."""
    chosen = evenly_spaced(len(subjects.own), NUM_SHOWN)
    display = Display.of(learned.splits.val.images, learned.splits.shown)
    columns = {"original": display.of_pictures(subjects.pictures[chosen])}
    for name, change in ways.items():
        edited = (subjects.pictures + change(1.0)).clamp(0, 1)
        columns[name] = display.of_pictures(edited[chosen])
    save_grid(path, columns, display.words)


def _say(points: Sequence[EditScores], right: float, console: Console) -> None:
    """Prints strength 1 of every way, and the pixels' shift where it is as similar."""
    rows = [
        (
            point.way,
            *(f"{100 * share:.1f} %" for share in (point.target, point.own, point.other)),
            f"{point.ssim:.3f}",
            f"{point.l1:.1f} %",
            f"{point.sharpness:.2f}",
            f"{100 * point.recognised:.0f} %",
        )
        for point in points
        if point.strength == 1
    ]
    title = f"edits at strength 1; the judges are right on {100 * right:.1f} % of the originals"
    seen = ("become it", "stay", "another")
    heads = ("way", *seen, "SSIM", "changed", "sharpness", "own original nearest")
    console.table(title, heads, rows)
    first = next(point for point in points if point.strength == 1)
    shift = [point for point in points if point.way == PIXELS]
    for by, words in (
        ("ssim", f"SSIM, {first.ssim:.3f}"),
        ("l1", f"mean change, {first.l1:.1f} %"),
    ):
        share = share_at(shift, by, getattr(first, by))
        if share is not None:
            console.say(f"at the same {words}: {100 * share:.1f} % by the {PIXELS}")
