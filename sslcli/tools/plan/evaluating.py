"""States what `linear-eval` would measure: it opens the run and the data as linear-eval does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import torch

from sslcli.data.images import Pixels, dtype_of
from sslcli.data.subset import label_subset
from sslcli.engine.device import Compute
from sslcli.engine.live_memory import num_bytes
from sslcli.engine.runtime_config import DeviceChoice
from sslcli.errors import SslcliError, require
from sslcli.evaluation.features import pixels
from sslcli.evaluation.rehearsal import (
    Amounts,
    EvaluationNeeds,
    Extractor,
    needs_of,
    tensors_of,
)
from sslcli.experiments.extractors import compared_encoders, opened
from sslcli.experiments.further_scores import require_enough
from sslcli.experiments.linear_eval_config import Config
from sslcli.experiments.probed import refits_on_validation, standardizing
from sslcli.experiments.session import Session
from sslcli.nets.encoder import Encoder
from sslcli.tools.plan.subject import passing_run, planned_compute
from sslcli.trained.encoder_files import EncoderFiles


@dataclass(frozen=True)
class Evaluation:
    """States what would be measured: the extractors by name, on the pictures of `session`."""

    config: Config
    session: Session
    extractors: Mapping[str, Extractor]
    compute: Compute

    @cached_property
    def amounts(self) -> Amounts:
        return self.amounts_with(self.config.labels)

    def amounts_with(self, labels: float) -> Amounts:
        """Counts the pictures with another part, or number per class, of the labels."""
        config, splits = replace(self.config, labels=labels), self.session.splits
        assert splits.train.labels is not None
        assert splits.test is not None
        chosen = label_subset(splits.train.labels, labels, config.seed, classes=splits.classes)
        labelled = splits.train.subset(chosen)
        refit = refits_on_validation(config, labelled, splits)
        networks = [one.encoder for one in self.extractors.values() if one.encoder is not None]
        return Amounts(
            labelled=len(labelled),
            val=len(splits.val),
            test=len(splits.test),
            standardizing=0 if refit else len(standardizing(splits)),
            classes=splits.num_classes,
            neighbours=min(config.knn_k, len(labelled)),
            held=sum(num_bytes(tensors_of(network)) for network in networks),
        )

    @cached_property
    def needs(self) -> dict[str, EvaluationNeeds]:
        """Returns what each extractor needs."""
        return self.needs_with(self.amounts)

    def needs_with(self, amounts: Amounts) -> dict[str, EvaluationNeeds]:
        device = self.compute.device.type
        return {name: needs_of(one, amounts, device) for name, one in self.extractors.items()}

    @property
    def extractions(self) -> float:
        """Returns the operations of all features."""
        flops = sum(needs.flops for needs in self.needs.values())
        return flops * self.amounts.extracted

    @property
    def title(self) -> str:
        network, splits = type(self.extractors["trained_encoder"].encoder).__name__, self.session
        side, num = splits.splits.train.resolution, len(splits.splits.train)
        return f"linear-eval: {network}, {num:,} training pictures of {side} x {side} px"


def evaluating(config: Config, elsewhere: bool) -> Evaluation:
    """States what linear-eval would measure. Raises SslcliError where it would, at its start."""
    compute = planned_compute(config.runtime, elsewhere)
    without = "left out: segmentation has no plan"
    require(
        config.masks is None,
        "masks",
        config.masks,
        without,
        "leave masks=… out: what is planned is then the probe",
    )
    here = replace(config.runtime, device=DeviceChoice.cpu, compile=False)
    there = replace(config, runtime=here)
    with passing_run("linear-eval") as (run, silent):
        session, files, ceiling = opened(there, run, silent)
        _require_classes(session)
        test = session.splits.test
        assert test is not None, "linear-eval requires one"
        require_enough(config, test)
        found = dict(compared_encoders(there, files, ceiling, session))
    pictures = session.splits.val.images
    extractors = {name: _extractor(compared, files, pictures) for name, compared in found.items()}
    evaluation = Evaluation(config, session, extractors, compute)
    _ = evaluation.amounts  # which refuses labels=… as linear-eval does
    return evaluation


def _require_classes(session: Session) -> None:
    if session.splits.train.labels is None:
        raise SslcliError(
            "linear-eval of several classes a picture, or of numbers, has no plan",
            "run it with few labels first: labels=0.1",
        )


def _extractor(
    compared: tuple[Encoder, EncoderFiles] | None, files: EncoderFiles, pictures: Pixels
) -> Extractor:
    kind = getattr(torch, str(dtype_of(pictures)))
    if compared is None:
        return Extractor(None, files.preprocessing, kind, pixels(pictures[:1]).shape[1])
    encoder, own = compared
    return Extractor(encoder, own.preprocessing, kind, encoder.width)
