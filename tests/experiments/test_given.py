"""Experiments that begin with given weights, or compare with those of others."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from doubles import (
    TINY_WITHOUT_LIMIT,
    Killed,
    Sslcli,
    Steps,
    facts,
    make_run,
    only_run,
    records,
)

from sslcli.data.arrays import ArraysConfig
from sslcli.engine.optim_config import SGDConfig
from sslcli.engine.runtime_config import RuntimeConfig
from sslcli.errors import SslcliError
from sslcli.experiments import finetune_config, label_curve_config
from sslcli.experiments.given import names_of
from sslcli.experiments.linear_eval_config import Config, resolve
from sslcli.experiments.remembering import Remembering
from sslcli.nets.encoder_config import ConvNetConfig
from sslcli.nets.teacher import load_teacher
from sslcli.nets.vit_config import Pool
from sslcli.runs.folder import Run
from sslcli.runs.results import read_results

DATA = ["data=arrays", "data.root=pictures.npz", "runtime.threads=1"]
FEW = ["l2=[1e-1]", *DATA]
SAME = ["encoder=convnet", "encoder.width=4", "encoder.grid=4"]


def test_before_the_first_step_knn_is_that_of_the_run_that_goes_on(
    sslcli: Sslcli, coloured: Path, tmp_path: Path
) -> None:
    words = [*TINY_WITHOUT_LIMIT, "epochs=1", "seed=1", "encoder.weights=last"]
    outcome = sslcli("pretrain", *words, *DATA, f"runtime.outputs={tmp_path}/outputs")
    assert outcome.status == 0, outcome.err
    (run,) = (path for path in coloured.parent.iterdir() if path != coloured)
    first = records(run)[0]
    assert first["step"] == 0
    for measured in ("knn_accuracy", "feature_std", "effective_rank"):
        assert first[measured] == facts(coloured)["metrics"][measured]
    assert "encoder.json beside it says so" in outcome.out
    assert "loaded 30" in outcome.out
    noted = json.loads((run / "weights.json").read_text())["encoder"]
    assert noted["share"] == 1
    assert noted["file"] == str(coloured / "encoder.safetensors")
    assert facts(run)["weights"]["encoder"]["hash"] == noted["hash"]
    assert facts(run)["files"].keys() == {"encoder.weights"}, "they count in the identity"
    described = json.loads((run / "encoder.json").read_text())
    before = json.loads((coloured / "encoder.json").read_text())
    assert described == {**before, "seed": 1}, "the network is described as ever"


def test_an_encoder_of_no_run_is_measured_as_a_runs_is(
    sslcli: Sslcli, coloured: Path, tmp_path: Path
) -> None:
    np.savez(tmp_path / "mine.npz", **_arrays(coloured))
    given = [*SAME, "encoder.weights=mine.npz", "encoder.weights_fed=data"]
    beside = f"baselines=[raw_pixels,untrained,{coloured}]"
    outcome = sslcli("linear-eval", *given, *FEW, beside, "keep_encoder=true")
    assert outcome.status == 0, outcome.err
    run = only_run(tmp_path / "outputs/linear-eval")
    kept, own = load_teacher(run / "encoder"), load_teacher(coloured)
    pictures = torch.rand(4, 3, 8, 8)
    assert kept.eval()(pictures).equal(own.eval()(pictures)), "it can teach as its run can"
    results = read_results(run)
    own_name = coloured.name
    names = ["trained_encoder", "raw_pixels", "untrained_encoder", own_name]
    assert [row.name for row in results.rows] == names
    assert results.row("trained_encoder").scores == results.row(own_name).scores
    assert facts(run)["metrics"][f"{own_name}_top1"] == facts(run)["metrics"]["top1"]
    assert run.parent.name == "given_convnet-arrays"


def test_a_curve_has_those_of_other_encoders_beside_it(
    sslcli: Sslcli, coloured: Path, tmp_path: Path
) -> None:
    np.savez(tmp_path / "other.npz", **_arrays(coloured))
    words = ["labels=[4]", "subsets=1", "kinds=[linear_probe]", "l2=[0.1]", "runtime.threads=1"]
    beside = f"baselines=[raw_pixels,untrained,other.npz,{coloured}]"
    outcome = sslcli("label-curve", *words, beside)
    assert outcome.status == 0, outcome.err
    metrics = facts(only_run(tmp_path / "outputs/label-curve"))["metrics"]
    own = f"linear_probe,_{coloured.name}_12"
    others = {"linear_probe,_untrained_12", "linear_probe,_other_12", own}
    assert metrics.keys() == {"linear_probe_12", "raw_pixels_12", *others}
    assert metrics[own] == metrics["linear_probe_12"]


@pytest.mark.slow
def test_a_run_that_goes_on_resumes_bit_for_bit_from_the_same_weights(
    sslcli: Sslcli, coloured: Path, tmp_path: Path, steps: Steps
) -> None:
    weights = tmp_path / "mine.safetensors"
    shutil.copy(coloured / "encoder.safetensors", weights)
    words = [*TINY_WITHOUT_LIMIT, *DATA, f"encoder.weights={weights}", "encoder.frozen_epochs=1"]
    assert sslcli("pretrain", *words, "runtime.outputs=whole").status == 0
    for killed_at in (3, 9):  # before the first checkpoint, and after it
        outputs = f"killed-{killed_at}"
        steps.kill_at = ("SimCLR", killed_at)
        with pytest.raises(Killed):
            sslcli("pretrain", *words, f"runtime.outputs={outputs}")
        steps.kill_at = None
        run, whole = only_run(tmp_path / outputs), only_run(tmp_path / "whole")
        weights.write_bytes(b"others" + weights.read_bytes())
        refused = sslcli("resume", str(run))
        assert refused.status == 2
        assert "encoder.weights" in refused.err
        weights.write_bytes(weights.read_bytes().removeprefix(b"others"))
        assert sslcli("resume", str(run)).status == 0
        assert records(run) == records(whole)
        assert [record["step"] for record in records(run)].count(0) == 1
        trained = [path / "encoder.safetensors" for path in (run, whole)]
        assert trained[0].read_bytes() == trained[1].read_bytes()
    again = ["rerun", str(whole), "--set", f"encoder.weights={coloured}"]
    outcome = sslcli(*again, "--outputs", "outputs")
    assert outcome.status == 0, outcome.err


@pytest.mark.slow
def test_given_weights_are_fine_tuned(sslcli: Sslcli, coloured: Path, tmp_path: Path) -> None:
    words = ["training.epochs=1", "training.steps=1", *DATA, *SAME]
    outcome = sslcli("finetune", *words, f"encoder.weights={coloured}")
    assert outcome.status == 0, outcome.err
    assert "from given weights" in outcome.out
    run = only_run(tmp_path / "outputs/finetune")
    assert "weights" not in json.loads((run / "encoder.json").read_text())["config"]
    outcome = sslcli("finetune", *words, f"encoder.weights={run}")
    assert outcome.status == 2
    assert "learned from 120 labels" in outcome.err
    assert sslcli("finetune", *words, "init=random").status == 0


def _arrays(run: Path) -> Any:
    from safetensors.numpy import load_file

    return load_file(run / "encoder.safetensors")


RUNTIME = RuntimeConfig(outputs="nowhere")
GIVEN = ConvNetConfig(weights="public")
ARRAYS = ArraysConfig(root="x.npz")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "run is required"),
        ({"run": "a", "encoder": GIVEN}, "run=a and encoder=… name two encoders"),
        ({"encoder": ConvNetConfig(), "data": ARRAYS}, "encoder.weights is required"),
        ({"encoder": GIVEN}, "data is required"),
        (
            {"encoder": GIVEN, "data": ARRAYS, "baselines": ["public", "public"]},
            "baselines name one twice",
        ),
        (
            {"encoder": replace(GIVEN, weights="nobody"), "data": ARRAYS},
            "no run is named 'nobody'",
        ),
    ],
)
def test_what_is_evaluated_must_be_clear(settings: Any, message: str) -> None:
    with pytest.raises(SslcliError) as error:
        resolve(Config(runtime=RUNTIME, **settings))
    assert message in error.value.message


@pytest.mark.parametrize("chosen", [{"at": 3}, {"pool": Pool.cls}])
def test_what_is_chosen_of_a_run_is_refused_of_given_weights(chosen: dict[str, Any]) -> None:
    given: Any = {"encoder": GIVEN, "data": ARRAYS, "runtime": RUNTIME, **chosen}
    optim = SGDConfig()
    configs: list[tuple[Any, Any]] = [
        (resolve, Config(**given)),
        (finetune_config.resolve, finetune_config.Config(optim=optim, **given)),
        (label_curve_config.resolve, label_curve_config.Config(optim=optim, **given)),
    ]
    for resolved, config in configs:
        with pytest.raises(SslcliError, match="and there is no run") as refused:
            resolved(config)
        assert refused.value.fix.startswith("leave it out")


def test_baselines_are_true_false_or_a_list() -> None:
    assert Config(runtime=RUNTIME).compared == ["untrained", "raw_pixels"]
    assert Config(runtime=RUNTIME, baselines=False).compared == []
    for wrong in ("raw_pixels", 3, [1], None):
        with pytest.raises(SslcliError, match="baselines must be true, false or a list"):
            Config(runtime=RUNTIME, baselines=wrong)


def test_every_baseline_has_a_name_of_its_own(tmp_path: Path) -> None:
    assert names_of(["untrained", "/a/x.pth", "/b/x.pth", "/c/y z.pt", "public"]) == [
        "untrained", "x", "x_2", "y_z", "public",
    ]  # fmt: skip
    taken = ["/a/untrained.pth", "untrained", "/a/trained_encoder.pth", "/a/raw_pixels.pth"]
    assert names_of(taken) == ["untrained_2", "untrained", "trained_encoder_2", "raw_pixels_2"]
    assert names_of(["/a/x.pth", "/a/x_2.pth", "/b/x.pth"]) == ["x", "x_2", "x_3"]


def test_an_alarm_when_less_is_known_than_before_the_first_step(tmp_path: Path) -> None:
    knn = {0: 0.5, 3: 0.625, 4: 0.25, 5: 0.125}
    heard: list[str] = []
    with Run(make_run(tmp_path / "run")) as run:
        watched = Remembering(lambda step: {"knn_accuracy": knn[step]}, run, heard.append)
        for step in knn:
            values = watched(step)
            run.record({"phase": "pretrain", "step": step, "epoch": step, **values})
            assert values.get("knn_below_start") == (None if step == 0 else float(step > 3))
        resumed = Remembering(lambda step: {"knn_accuracy": knn[step]}, run, heard.append)
        assert resumed(4)["knn_below_start"] == 1, "a resumed run remembers"
    assert len(heard) == 2
    assert "after step 4: kNN accuracy on validation is 25.00 %, below the 50.00 %" in heard[0]
