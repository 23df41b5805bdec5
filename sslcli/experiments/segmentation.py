"""Measures segmentation by a linear probe on what an encoder's places hold."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sslcli.data.cut_config import CutConfig
from sslcli.data.images import ImageSet, evenly_spaced
from sslcli.errors import SslcliError
from sslcli.evaluation.mask_files import IGNORED, Masks, masks_of
from sslcli.evaluation.probe import Probe, select_probe
from sslcli.evaluation.segmentation import majority, mean_iou, pixel_confusion, predicted, vectors
from sslcli.experiments.extractors import Extract, build_extractors, opened
from sslcli.experiments.linear_eval_config import Config
from sslcli.experiments.probed import (
    candidates,
    chosen_settings,
    finish,
    measure_each,
    say_where,
)
from sslcli.experiments.session import Session
from sslcli.experiments.subject_config import RAW_PIXELS
from sslcli.runs.folder import Run
from sslcli.runs.results import (
    Protocol,
    Results,
    Row,
    Value,
    percentage,
    score,
)
from sslcli.trained.data import run_data_config

if TYPE_CHECKING:
    from sslcli.console import Console

MOST_PLACES = 100_000
"""Most places on which a probe is fitted, or by which its l2 is chosen."""
BATCH = 64
"""Pictures whose pixels are held at once."""


@dataclass(frozen=True)
class Masked:
    """Holds pictures and their masks."""

    pictures: ImageSet
    masks: Masks

    def some(self, at_most: int) -> Masked:
        """Returns up to `at_most` of the pictures, evenly spaced."""
        rows = evenly_spaced(len(self.pictures), at_most)
        paths, pictures = (
            tuple(names[row] for row in rows.tolist())
            for names in (self.masks.paths, self.masks.pictures)
        )
        chosen = Masks(paths, pictures, self.masks.resolution)
        return Masked(self.pictures.subset(rows), chosen)

    def batches(self) -> list[NDArray[np.int64]]:
        """Returns the rows of batches of BATCH pictures."""
        rows = np.arange(len(self.pictures))
        return np.split(rows, range(BATCH, len(rows), BATCH))

    def values(self) -> set[int]:
        """Returns the values in the masks, without IGNORED."""
        found = [np.unique(self.masks[rows]) for rows in self.batches()]
        return set(np.concatenate(found).tolist()) - {IGNORED}


@dataclass(frozen=True)
class Parts:
    """Holds the pictures that the probes learn from, are chosen by and tested on."""

    train: Masked
    val: Masked
    test: Masked
    num_classes: int


def run_segmentation(config: Config, run: Run, console: Console) -> None:
    """Fits a probe on the places' features of every encoder; reads test here, once."""
    session, files, ceiling = opened(config, run, console)
    data = config.data if config.run is None else None
    data = data or run_data_config(files, config.data, config.data_root)
    if isinstance(data, CutConfig):
        data.require_middle_squares("masks")
    extractors = build_extractors(config, files, ceiling, session, places=True)
    height, width = extractors["trained_encoder"](session.splits.val.images[:1]).shape[2:]
    parts = masked_parts(config, session, data.picture_folder(), MOST_PLACES // (height * width))

    def measured(name: str, extract: Extract) -> Row:
        return measure(name, extract, parts, config)

    rows = measure_each(extractors, measured, session)
    settings = {**config.chosen(), "masks": config.masks}
    results = Results(
        "linear-eval",
        describe_protocol(config, session, parts),
        rows,
        runs=[] if config.run is None else [config.run],
        settings=settings,
        classes=[str(number) for number in range(parts.num_classes)],
    )
    finish(config, session, results, "miou", settings)
    print_table(session, results, len(parts.test.masks))
    say_where(config, session, files.labels)


def masked_parts(config: Config, session: Session, folder: Path | None, at_most: int) -> Parts:
    """Returns the parts with their masks, up to `at_most` pictures to learn and choose from.

    Raises SslcliError where masks are missing, or hold fewer than two classes.
    """
    assert config.masks is not None
    splits, masks = session.splits, Path(config.masks)
    assert splits.test is not None
    if folder is None:
        message = "masks=… belong to pictures in files, and these data have none"
        raise SslcliError(message, "use data=folder or data=table")
    folder = folder.absolute()
    train, val, test = (
        Masked(part, masks_of(part, folder, masks))
        for part in (splits.train, splits.val, splits.test)
    )
    train, val = train.some(max(1, at_most)), val.some(max(1, at_most))
    learned = train.values()
    if len(learned) < 2:
        message = f"the training masks in {masks} hold {len(learned)} classes, and need two"
        raise SslcliError(message, "a mask's pixels are numbers of classes: 0, 1, …")
    if not val.values():
        message = (
            f"the validation masks in {masks} hold no class: all of their pixels are {IGNORED}"
        )
        raise SslcliError(message, "add masks, or hold out others: data.split_seed=1")
    return Parts(train, val, test, max(learned | val.values() | test.values()) + 1)


def measure(name: str, extract: Extract, parts: Parts, config: Config) -> Row:
    """Returns one encoder's scores on test; l2 is chosen on validation."""
    began = time.perf_counter()
    train, train_labels = places(extract, parts.train, parts.num_classes)
    val, val_labels = places(extract, parts.val, parts.num_classes)
    selection = select_probe(
        train, train_labels, val, val_labels, parts.num_classes, config.l2, refit=False
    )
    on_val, on_test = (
        confusion(selection.probe, extract, part, parts.num_classes)
        for part in (parts.val, parts.test)
    )
    counts = on_test.sum(axis=1)
    return Row(
        name,
        scores={
            "miou": score(mean_iou(on_test)),
            "pixel_accuracy": score(float(on_test.trace() / max(1, on_test.sum()))),
            "val_miou": score(mean_iou(on_val)),
        },
        settings=chosen_settings(selection, train.shape[1]),
        candidates=candidates(selection),
        per_class=[
            float(right / count) if count else None
            for right, count in zip(on_test.diagonal(), counts, strict=True)
        ],
        confusion=on_test.tolist(),
        seconds=round(time.perf_counter() - began, 3),
    )


def places(extract: Extract, part: Masked, num_classes: int) -> tuple[Tensor, Tensor]:
    """Returns what the places hold, (P, D), and their classes (P,), without those of none."""
    held, classes = [], []
    for rows in part.batches():
        maps = extract(part.pictures.subset(rows).images)
        height, width = maps.shape[2:]
        labels = majority(part.masks[rows], height, width, num_classes).flatten().to(maps.device)
        held.append(vectors(maps)[labels != IGNORED])
        classes.append(labels[labels != IGNORED])
    return torch.cat(held), torch.cat(classes)


def confusion(probe: Probe, extract: Extract, part: Masked, num_classes: int) -> NDArray[np.int64]:
    """Returns counts (K, K) of the part's pixels: row the mask's class, column the predicted."""
    total = np.zeros((num_classes, num_classes), dtype=np.int64)
    for rows in part.batches():
        maps = extract(part.pictures.subset(rows).images)
        classes = predicted(probe, maps, part.masks.resolution)
        total += pixel_confusion(classes, part.masks[rows], num_classes)
    return total


def describe_protocol(config: Config, session: Session, parts: Parts) -> Protocol:
    """Describes how the rows were measured."""
    of_pixels: dict[str, Value] = {"raw_pixels": "4 x 4 mean colours of each place"}
    return Protocol(
        trained_on=f"{len(parts.train.masks)} training masks",
        chosen_on=f"{len(parts.val.masks)} validation masks, by the accuracy on places",
        tested_on=f"{len(parts.test.masks)} test masks, once",
        data_fingerprint=session.splits.fingerprint,
        details={
            "probe": "multinomial logistic regression on what each place holds, standardised; a "
            "place's class is that of most of its pixels",
            "features": f"patches or feature maps{config.described()}, eval mode, float32, no "
            "augmentation",
            **(of_pixels if RAW_PIXELS in config.compared else {}),
            "miou": "of all test pixels: logits enlarged bilinearly, classes averaged",
        },
    )


def print_table(session: Session, results: Results, num_tested: int) -> None:
    """Prints every encoder's scores on the test masks."""
    lines = [
        (
            row.name.replace("_", " "),
            percentage(row.scores["miou"]),
            percentage(row.scores["pixel_accuracy"]),
            f"{row.seconds:.1f} s",
        )
        for row in results.rows
    ]
    title = f"segmentation of {num_tested} test pictures, {results.protocol.trained_on}"
    session.console.table(title, ("features", "mean IoU", "pixels right", "time"), lines)
