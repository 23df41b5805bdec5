"""What `sslcli plan linear-eval` counts, beside what an evaluation takes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from doubles import Sslcli, require_refused
from finished import finished_run
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from sslcli.data.images import Pixels
from sslcli.data.sample import FashionSampleConfig
from sslcli.data.subset import label_subset
from sslcli.engine.runtime_config import DeviceChoice, RuntimeConfig
from sslcli.evaluation import newton
from sslcli.evaluation.features import features, pixels
from sslcli.evaluation.rehearsal import Amounts, EvaluationNeeds
from sslcli.experiments.linear_eval import measure
from sslcli.experiments.linear_eval_config import Config
from sslcli.method import Preprocessing
from sslcli.methods.denoising_autoencoder import DenoisingAutoencoderConfig
from sslcli.nets.encoder_config import ConvNetConfig, EncoderConfig, MLPConfig
from sslcli.tools.plan.evaluating import Evaluation, evaluating
from sslcli.tools.plan.evaluation_report import rows, sentences
from sslcli.tools.plan.machine import Machine

NETWORKS: dict[str, Callable[[], EncoderConfig]] = {
    "convnet": lambda: ConvNetConfig(width=8),
    "mlp": lambda: MLPConfig(widths=[200]),
}


def evaluation_of(folder: Path, network: str, labels: float = 1.0) -> Evaluation:
    """Of 500 pictures of the embedded sample, by a network whose weights have been moved."""
    shape = Preprocessing(28, 1, (0.5,), (0.25,))
    run = finished_run(
        folder / "run", FashionSampleConfig(limit=500), DenoisingAutoencoderConfig(),
        NETWORKS[network](), 0.01, shape,
    )  # fmt: skip
    return evaluating(config_of(run, labels), False)


def config_of(run: Path, labels: float = 1.0) -> Config:
    runtime = RuntimeConfig(device=DeviceChoice.cpu, threads=torch.get_num_threads())
    return Config(run=str(run), runtime=runtime, labels=labels, l2=[0.1, 1.0])


def measured_peak(evaluation: Evaluation, name: str) -> int:
    """The most bytes that torch's allocator held in an extractor's real evaluation on the CPU."""
    session, config, one = evaluation.session, evaluation.config, evaluation.extractors[name]
    train = session.splits.train
    assert train.labels is not None
    labelled = train.subset(label_subset(train.labels, config.labels, config.seed))

    def extract(images: Pixels) -> Tensor:
        if one.encoder is None:
            return pixels(images)
        return features(one.encoder, images, one.preprocessing, evaluation.compute.device)

    if one.encoder is not None:
        evaluation.compute.to_device(one.encoder)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        measure(name, extract, labelled, session, config)
    assert profiled.profiler is not None
    events = [one for one in profiled.profiler.kineto_results.events() if one.name() == "[memory]"]
    sizes = [event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())]
    return int(evaluation.amounts.held + np.cumsum(sizes).max())


@pytest.mark.slow
@pytest.mark.parametrize(("network", "labels"), [("convnet", 1.0), ("mlp", 0.2)])
def test_the_peak_of_an_evaluation_is_that_of_a_real_one(
    tmp_path: Path, network: str, labels: float
) -> None:
    evaluation = evaluation_of(tmp_path, network, labels)
    for name in ("trained_encoder", "raw_pixels"):
        needs = evaluation.needs[name]
        planned = max(needs.features, needs.probe, needs.knn)
        assert 0.9 < planned / measured_peak(evaluation, name) < 1.1


@pytest.mark.slow
def test_so_it_is_where_the_probe_goes_on_in_float64(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which the real probe does here after one step, whether it must or not."""
    evaluation = evaluation_of(tmp_path, "mlp")
    monkeypatch.setattr("sslcli.evaluation.probe.solve", partial(newton.solve, most_steps=1))
    for name in ("trained_encoder", "raw_pixels"):
        planned = evaluation.needs[name].peak
        assert planned == evaluation.needs[name].exact
        assert 0.9 < planned / measured_peak(evaluation, name) < 1.1


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every extractor needs ten bytes a label: nothing is rehearsed."""

    def needs(_: object, amounts: Amounts, __: str) -> EvaluationNeeds:
        return EvaluationNeeds(0, amounts.labelled, 10 * amounts.labelled, 0, 1)

    monkeypatch.setattr("sslcli.tools.plan.evaluating.needs_of", needs)


def test_what_is_evaluated_is_counted(coloured: Path, counted: None) -> None:
    evaluation = evaluating(config_of(coloured), False)
    amounts, few = evaluation.amounts, evaluation.amounts_with(10)
    assert list(evaluation.extractors) == ["trained_encoder", "untrained_encoder", "raw_pixels"]
    assert evaluation.extractors["raw_pixels"].width == 12 * 12 * 3
    assert (amounts.labelled, amounts.val, amounts.test, amounts.standardizing) == (120, 30, 60, 0)
    assert (few.labelled, few.standardizing, few.neighbours) == (30, 120, 20)
    assert amounts.classes == 3
    told = dict(rows(evaluation))
    assert told["pictures"].startswith("120 with labels for the probe, 30 to choose l2 on, 60 ")
    assert told["memory"].startswith("1.2 kB at most (cpu")


def test_fewer_labels_that_fit_are_named(coloured: Path, counted: None) -> None:
    evaluation = evaluating(config_of(coloured), False)

    def said(memory: int) -> str:
        return "\n".join(sentences(evaluation, Machine(memory=memory)))

    assert said(1200) == "fits in 1.2 kB"
    assert "evaluating the raw pixels does not fit in 1.2 kB: it takes up to 1.2 kB" in said(1199)
    assert "labels=0.5 lets it fit, in 0.6 kB: another result, of fewer labels" in said(1199)
    assert "labels=0.2 lets it fit" in said(599)
    assert "nor does it with labels=0.01" in said(10)


def test_the_command_says_it_and_evaluates_nothing(sslcli: Sslcli, coloured: Path) -> None:
    before = sorted(Path().rglob("*"))
    said = sslcli("plan", "linear-eval", f"run={coloured}", "baselines=false", "--measure")
    assert said.status == 0, said.err
    assert "plan of linear-eval: ConvNet, 120 training pictures of 12 x 12 px" in said.out
    assert "the probe and kNN are not in it" in said.out
    assert sorted(Path().rglob("*")) == before


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["run=nowhere"], "nowhere"),
        (["labels=1000"], "labels asks for 1000 pictures of every class"),
        (["knn_k=0"], "knn_k must be at least 1"),
        (["masks=masks"], "masks"),
        (["also=[few_shot]"], "few-shot episodes need 20 test pictures of 5 classes"),
        (["--processes", "2"], "linear-eval trains in one process"),
        (["--device-tflops", "9", "--measure"], "a GPU that is not here"),
    ],
)
def test_what_linear_eval_refuses_is_refused(
    sslcli: Sslcli, coloured: Path, words: list[str], error: str
) -> None:
    run = [] if words[0].startswith("run=") else [f"run={coloured}"]
    require_refused(sslcli("plan", "linear-eval", *run, *words), error)
