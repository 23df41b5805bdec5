"""`sslcli rerun`: a saved config run again, verified, changed where named, or from its file alone."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from doubles import MADE, Sslcli, facts, only_run, records

from sslcli.engine.runtime_config import RuntimeConfig
from sslcli.errors import SslcliError
from sslcli.experiments.groups import GROUPS
from sslcli.experiments.linear_eval_config import Config as LinearEvalConfig
from sslcli.experiments.pretrain_config import Config as PretrainConfig
from sslcli.saved import (
    Saved,
    read,
    to_config,
    to_yaml,
    values_of_saved,
    with_values,
)


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    """A finished run under outputs/."""
    return Path(shutil.copytree(made, tmp_path / "outputs" / made.relative_to(made.parents[2])))


def other_run(run: Path) -> Path:
    (found,) = (path.parent for path in run.parents[2].rglob("run.json") if path.parent != run)
    return found


def config(run: Path) -> dict[str, Any]:
    return dict(yaml.safe_load((run / "config.yaml").read_text()))


def weights(run: Path) -> bytes:
    return (run / "encoder.safetensors").read_bytes()


def test_identical_and_knows_when_it_is_not(sslcli: Sslcli, run: Path) -> None:
    outcome = sslcli("rerun", "last")
    assert outcome.status == 0, outcome.err
    assert "identical: every record and every final metric and every weight" in outcome.out
    again = other_run(run)
    assert weights(run) == weights(again)
    assert facts(run)["identity"] == facts(again)["identity"]
    shutil.rmtree(again)

    lines = (run / "metrics.jsonl").read_text().splitlines()
    changed = json.loads(lines[0])
    changed["loss"] += 1e-9
    (run / "metrics.jsonl").write_text("\n".join([json.dumps(changed), *lines[1:], ""]))
    old = facts(run)
    old["environment"]["packages"]["torch"] = "1.0"
    (run / "run.json").write_text(
        json.dumps({**old, "data_before": [{"fingerprint": "0", "until_step": 2}]})
    )
    outcome = sslcli("rerun", str(run))
    assert outcome.status == 1
    assert f"different: at step {changed['step']}, loss was {changed['loss']}" in outcome.out
    assert "packages.torch: 1.0 then" in outcome.out
    assert "data_before: [{'fingerprint': '0', 'until_step': 2}] then, None now" in outcome.out


def test_an_unfinished_run_is_no_measure_but_can_be_changed(sslcli: Sslcli, run: Path) -> None:
    (run / "run.json").write_text(json.dumps({**facts(run), "status": "failed"}))
    outcome = sslcli("rerun", str(run))
    assert outcome.status == 2
    assert f"sslcli resume {run}" in outcome.err
    assert sslcli("rerun", str(run), "--set", "optim.lr=0.01").status == 0


def test_set_changes_what_is_named_and_shows_it(sslcli: Sslcli, run: Path) -> None:
    outcome = sslcli(
        "rerun",
        str(run),
        "--set",
        "seed=3",
        "--set",
        "data.limit=48",
        "--set",
        "method.temperature=5e-1",
    )
    assert outcome.status == 0, outcome.err
    shown = outcome.out.splitlines()
    assert shown[:3] == ["method.temperature: 0.2 -> 0.5", "data.limit: 64 -> 48", "seed: 0 -> 3"]
    assert "not compared" in shown[3]
    assert "identical" not in outcome.out
    again = other_run(run)
    expected = config(run)
    expected["seed"], expected["data"]["limit"], expected["method"]["temperature"] = 3, 48, 0.5
    assert config(again) == expected
    typed = yaml.safe_load((again / "overrides.yaml").read_text())
    assert typed[-3:] == ["seed=3", "data.limit=48", "method.temperature=5e-1"]
    assert facts(again)["identity"] != facts(run)["identity"]


def test_what_changes_no_result_is_still_compared(sslcli: Sslcli, run: Path) -> None:
    words = ["--set", "save_every=0.5", "--set", "runtime.outputs=else where", "--set", "seed=0"]
    outcome = sslcli("rerun", str(run), *words)
    assert outcome.status == 0, outcome.err
    assert "save_every: 1.0 -> 0.5" in outcome.out
    assert "seed" not in outcome.out, "it was 0 already"
    assert "identical: every record and every final metric and every weight" in outcome.out
    again = only_run(Path("else where"))
    assert again.relative_to("else where").parts[:2] == ("pretrain", "simclr-fashion_sample")


@pytest.mark.parametrize(
    ("word", "error", "fix"),
    [
        ("sed=3", "there is no key 'sed'", "did you mean seed?"),
        (
            "method.temperatur=1",
            "there is no key 'method.temperatur'",
            "did you mean method.temperature?",
        ),
        ("temperature=1", "there is no key 'temperature'", "did you mean method.temperature?"),
        ("method.views=simclr_cifar", "there is no key 'method.views'", "there is: method.views."),
        ("seed", "--set 'seed' gives no value", "--set seed=…"),
        ("seed=x", "seed: Value 'x'", "--help"),
        ("seed=null", "seed: ", "--help"),
        ("data.limit=[1]", "data.limit: Value '[1]'", "--help"),
        ("runtime.device=tpu", "runtime.device: Invalid value 'tpu'", "--help"),
        (
            "method.temperature=-1",
            "method.temperature must be positive, got -1.0",
            "try 0.1 to 1.0",
        ),
        ("sslcli.command=runs", "there is no key 'sslcli.command'", "there is:"),
    ],
)
def test_what_cannot_be_set(sslcli: Sslcli, run: Path, word: str, error: str, fix: str) -> None:
    outcome = sslcli("rerun", str(run), "--set", word)
    assert outcome.status == 2
    said = outcome.err.strip().splitlines()[-2:]
    assert said[0].startswith(f"error: {error}")
    assert fix in said[1]
    assert only_run(Path("outputs")).resolve() == run


def test_another_choice_is_a_run_of_its_own(sslcli: Sslcli, run: Path) -> None:
    """Refused, with the command that makes it: what was typed then, without what was typed for the old choice."""
    path = run / "overrides.yaml"
    path.write_text(yaml.safe_dump([*MADE, "optim=sgd", "optim.nesterov=false"]))
    outcome = sslcli("rerun", str(run), "--set", "optim=lars")
    assert outcome.status == 2
    assert "optim is a choice with settings of its own" in outcome.err
    offered = shlex.split(outcome.err.strip().splitlines()[-1].partition("sslcli ")[2])
    assert offered == [
        "pretrain",
        *[word for word in yaml.safe_load(path.read_text()) if "optim" not in word],
        "optim=lars",
    ]


@pytest.mark.parametrize(
    ("key", "word", "value"),
    [
        ("l2", "[1e-4, 1]", [1e-4, 1.0]),
        ("l2", "[1]", [1.0]),
        ("labels", "1e-2", 0.01),
        ("layer", "3", 3),
        ("layer", "null", None),
        ("baselines", "false", False),
        ("run", "yes", "yes"),
        ("run", "[a] b: c # 'd' \"e\" ä=", "[a] b: c # 'd' \"e\" ä="),
        (
            "run",
            "!!python/object/apply:os.system ['false']",
            "!!python/object/apply:os.system ['false']",
        ),
    ],
)
def test_words_are_typed_as_the_setting_is(key: str, word: str, value: object) -> None:
    before = LinearEvalConfig(run="somewhere", runtime=RuntimeConfig(), layer=1)
    content = yaml.safe_load(to_yaml("linear-eval", before, GROUPS))
    header = content.pop("sslcli")
    saved = Saved(header["command"], header["choices"], content)
    after = to_config(LinearEvalConfig, with_values(saved, {key: word}), GROUPS)
    assert getattr(after, key) == value
    assert type(getattr(after, key)) is type(value)
    assert saved.values == content, "what was read is not written to"


def test_from_a_saved_file_alone(sslcli: Sslcli, run: Path, tmp_path: Path) -> None:
    """On another machine: no run around it, and the author's folders not there."""
    text = (
        (run / "config.yaml")
        .read_text()
        .replace(str(read(run / "config.yaml").values["runtime"]["outputs"]), "/no/such")
    )
    (tmp_path / "theirs.yaml").write_text(text)
    expected = weights(run), records(run)
    shutil.rmtree(tmp_path / "outputs")
    outcome = sslcli("rerun", "--only", "theirs.yaml")
    assert outcome.status == 0, outcome.err
    assert "the result is compared with none" in outcome.out
    assert "identical" not in outcome.out
    again = only_run(tmp_path / "outputs/pretrain/simclr-fashion_sample")
    assert (weights(again), records(again)) == expected
    assert values_of_saved(read(again / "config.yaml"))["runtime.outputs"] == "outputs"


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["last", "--only", "config.yaml"], "rerun needs a run, or --only"),
        ([], "rerun needs a run, or --only"),
        (["--only", "nothing.yaml"], "there is no nothing.yaml"),
        (["--only", "."], "Is a directory"),
    ],
)
def test_what_rerun_is_given(sslcli: Sslcli, words: list[str], error: str) -> None:
    outcome = sslcli("rerun", *words)
    assert outcome.status in (1, 2)
    assert error in outcome.err
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda content: content["method"].pop("temperature"), "lacks method.temperature"),
        (
            lambda content: content["method"]["projector"].pop("hidden"),
            "lacks method.projector.hidden",
        ),
        (lambda content: content.pop("epochs"), "lacks epochs"),
        (
            lambda content: content["method"].update(gone=1),
            "has what this version does not know: method.gone",
        ),
    ],
)
def test_another_versions_config_is_refused_with_what_changed(
    sslcli: Sslcli, run: Path, change: Callable[[dict[str, Any]], object], error: str
) -> None:
    content = config(run)
    content["sslcli"]["version"] = "0.0.7"
    change(content)
    (run / "config.yaml").write_text(yaml.safe_dump(content))
    outcome = sslcli("rerun", str(run))
    assert outcome.status == 2
    said, fix = outcome.err.strip().splitlines()[-2:]
    assert "of sslcli 0.0.7" in said
    assert error in said
    assert "--only" in fix


def test_a_new_setting_that_changes_no_result_does_not_stop_an_old_config(run: Path) -> None:
    content = config(run)
    content["runtime"].pop("tensorboard")
    content.pop("keep_last")
    (run / "config.yaml").write_text(yaml.safe_dump(content))
    found = to_config(PretrainConfig, read(run / "config.yaml"), GROUPS)
    assert found.runtime.tensorboard is False
    content["seed"] = "x"
    (run / "config.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(SslcliError, match="seed"):
        to_config(PretrainConfig, read(run / "config.yaml"), GROUPS)
