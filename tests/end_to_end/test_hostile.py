"""What comes from strangers executes nothing and writes nothing outside its folder."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from doubles import Sslcli, facts, require_refused

from sslcli.config import to_dataclass as config_to_dataclass
from sslcli.data.folder import FolderConfig
from sslcli.runs.checkpoint import FORMAT


class Payload:
    """Whoever unpickles it makes a file."""

    def __reduce__(self) -> Any:
        return Path.touch, (Path("owned"),)


BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 40))


@pytest.mark.parametrize(
    "text",
    [
        "!!python/object/apply:os.system ['touch owned']",
        "sslcli: !!python/object/new:os.system ['touch owned']",
        "a: !!python/name:os.system",
        BOMB,
        "a: &a [*a]",
        "[" * 100_000,
        "- " * 50_000,
        "a: " + "x" * 1_000_000,
        "a: 2024-99-99",
        "a: !!int x",
        "a: !!int ''",
        "a: !!bool x",
        "a: !!timestamp x",
        "a: " + "1" * 5_000,
        "{unclosed",
        "- a list",
        "\x00",
        "",
    ],
    ids=lambda text: text[:24],
)
def test_a_file_that_is_no_config(sslcli: Sslcli, tmp_path: Path, text: str) -> None:
    (tmp_path / "config.yaml").write_text(text)
    require_refused(sslcli("rerun", "--only", "config.yaml"), "config.yaml is not a saved config")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda content: content["method"].update(_target_="os.system"), "method._target_"),
        (lambda content: content.update(_target_="os.system"), "_target_"),
        (
            lambda content: content.update(
                method={"_target_": "os.system", "_args_": ["touch owned"]}
            ),
            "_target_",
        ),
        (
            lambda content: content.update(method="${oc.env:HOME}"),
            "method of the saved config must be its settings, got '${oc.env:HOME}'",
        ),
        (lambda content: content.update(seed="${oc.env:SHLVL}"), "seed"),
        (
            lambda content: content.update(method="simclr"),
            "method of the saved config must be its settings",
        ),
        (
            lambda content: content.update(runtime=None),
            "runtime of the saved config must be its settings",
        ),
        (lambda content: content["sslcli"].update(command="runs"), "there is no command 'runs'"),
        (lambda content: content["sslcli"].update(command="os"), "there is no command 'os'"),
        (lambda content: content["sslcli"].update(choices=["method"]), "no `sslcli` header"),
        (
            lambda content: content["sslcli"]["choices"].update(method="os.system"),
            "there is no method 'os.system'",
        ),
        (lambda content: content["sslcli"]["choices"].update(os="system"), "does not know: os"),
        (lambda content: content.update({1: 2}), "does not know: 1"),
        (lambda content: content.update(seed=[1]), "seed"),
        (lambda content: content.update(seed={"a": 1}), "seed"),
    ],
)
def test_a_config_that_was_tampered_with(
    sslcli: Sslcli, run: Path, change: Callable[[dict[str, Any]], object], words: str
) -> None:
    content = yaml.safe_load((run / "config.yaml").read_text())
    change(content)
    (run / "config.yaml").write_text(yaml.safe_dump(content))
    require_refused(sslcli("rerun", "--only", str(run / "config.yaml")), words)
    require_refused(sslcli("resume", str(run)))


def test_nothing_in_a_saved_config_is_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "seen")
    found = config_to_dataclass(FolderConfig, {"root": "a/${oc.env:SECRET}/\\${x}"})
    assert found.root == "a/${oc.env:SECRET}/\\${x}"


def zipped(payload: object) -> Callable[[Path], None]:
    return lambda path: torch.save(payload, path)


def checkpoint(**changes: object) -> dict[str, object]:
    state = {"modules": {}, "minimize": {}, "meter": {}}
    whole = {
        "format": FORMAT,
        "phase": "pretrain",
        "step": 4,
        "finished": False,
        "metrics_size": 0,
        "state": state,
    }
    return {**whole, **changes}


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (zipped(Payload()), "cannot be read as a checkpoint"),
        (zipped(checkpoint(state={"modules": Payload()})), "cannot be read as a checkpoint"),
        (lambda path: path.write_bytes(pickle.dumps(Payload())), "cannot be read as a checkpoint"),
        (
            lambda path: path.write_bytes(b"cpathlib\nPath.touch\n."),
            "cannot be read as a checkpoint",
        ),
        (
            lambda path: torch.save(Payload(), path, _use_new_zipfile_serialization=False),
            "cannot be read as",
        ),
        (zipped(checkpoint()), "does not fit what the run trains now"),
        (zipped(checkpoint(state={})), "does not fit what the run trains now"),
        (zipped(checkpoint(state=[])), "is not a checkpoint of sslcli: state"),
        (zipped(checkpoint(metrics_size="all")), "is not a checkpoint of sslcli: metrics_size"),
        (zipped(checkpoint(phase="../../x")), "is a checkpoint of phase '../../x'"),
        (zipped(checkpoint(metrics_size=10**12)), "records are missing"),
        (zipped(checkpoint(metrics_size=-1)), "is not a checkpoint of sslcli: metrics_size"),
        (zipped(["format"]), "checkpoint format 'list'"),
    ],
)
def test_a_checkpoint_from_a_stranger(
    sslcli: Sslcli, run: Path, write: Callable[[Path], object], words: str
) -> None:
    write(run / "pretrain/last.pt")
    require_refused(sslcli("resume", str(run)), words)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("encoder.safetensors", pickle.dumps(Payload()), "does not hold the encoder"),
        ("encoder.safetensors", b"\xff" * 64, "does not hold the encoder"),
        (
            "encoder.json",
            b'{"format": 1, "encoder": "os.system", "config": {}}',
            "there is no encoder 'os.system'",
        ),
        ("encoder.json", b"[1]", "is damaged"),
        ("encoder.json", pickle.dumps(Payload()), "is damaged"),
    ],
)
def test_an_encoder_from_a_stranger(
    sslcli: Sslcli, run: Path, name: str, content: bytes, words: str
) -> None:
    (run / name).write_bytes(content)
    require_refused(sslcli("linear-eval", f"run={run}", "baselines=false"), words)


def test_what_was_typed_is_data(sslcli: Sslcli, run: Path) -> None:
    (run / "overrides.yaml").write_text("!!python/object/apply:os.system ['touch owned']")
    require_refused(sslcli("rerun", str(run), "--set", "seed=1"), "overrides.yaml is damaged")


def test_words_of_a_runs_facts_are_no_path(sslcli: Sslcli, run: Path, tmp_path: Path) -> None:
    chosen = {**facts(run)["choices"], "method": "../../../../stolen", "data": "/etc"}
    (run / "run.json").write_text(
        json.dumps({**facts(run), "status": "finished", "choices": chosen})
    )
    (tmp_path / "inside").mkdir()
    outcome = sslcli(
        "linear-eval", f"run={run}", "baselines=false", "l2=[1]", "runtime.outputs=inside/outputs"
    )
    assert outcome.status == 0, outcome.err
    (found,) = tmp_path.rglob("results.json")
    assert found.is_relative_to(tmp_path / "inside/outputs/linear-eval")


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize(
    "name",
    [
        "metrics.jsonl",
        "log.txt",
        "figures",
        "pretrain",
        "run.json",
        ".lock",
        "encoder.safetensors",
        "figures/views.png",
    ],
)
def test_a_link_leads_no_writing_out_of_the_run(
    sslcli: Sslcli, run: Path, tmp_path: Path, name: str
) -> None:
    outside = tmp_path / "precious"
    outside.mkdir()
    target = outside / Path(name).name
    (run / name).rename(target)
    (run / name).symlink_to(target)
    before = tree(outside)
    require_refused(sslcli("resume", str(run)), f"{run / name} is a link out of the run's folder")
    require_refused(sslcli("resume", str(run), "--from-previous"), "is a link out")
    assert tree(outside) == before


def test_links_that_stay_inside_and_runs_reached_by_a_link(
    sslcli: Sslcli, run: Path, tmp_path: Path
) -> None:
    (run / "latest.pt").symlink_to("pretrain/last.pt")
    (run / "circle").symlink_to("circle")
    (tmp_path / "elsewhere").symlink_to(run)
    assert sslcli("resume", "elsewhere").status == 0
    assert facts(run)["status"] == "finished"


def test_an_evaluation_is_not_noted_through_a_link(
    sslcli: Sslcli, run: Path, tmp_path: Path
) -> None:
    (run / "run.json").write_text(json.dumps({**facts(run), "status": "finished"}))
    (tmp_path / "precious").write_text("mine\n")
    (run / "evaluations.jsonl").symlink_to(tmp_path / "precious")
    outcome = sslcli("linear-eval", f"run={run}", "baselines=false", "l2=[1]")
    assert outcome.status == 0, outcome.err
    assert "warning: the link could not be written" in outcome.err
    assert (tmp_path / "precious").read_text() == "mine\n"


def test_a_temporary_file_that_is_a_link(sslcli: Sslcli, run: Path, tmp_path: Path) -> None:
    """Where it leads inside the run, it is not written through either: the name could be that of any process."""
    import os

    (run / f".run.json.{os.getpid()}.tmp").symlink_to("config.yaml")
    before = (run / "config.yaml").read_bytes()
    assert sslcli("resume", str(run)).status == 0
    assert (run / "config.yaml").read_bytes() == before
    assert not (run / "run.json").is_symlink()


def test_a_run_that_began_with_itself(sslcli: Sslcli, run: Path) -> None:
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["sslcli"]["choices"].pop("data")
    (run / "config.yaml").write_text(yaml.safe_dump({**config, "run": str(run)}))
    assert "data=" in require_refused(
        sslcli("linear-eval", f"run={run}"), "names its own run as the one that it began with"
    )


SWEEP = {"command": "pretrain", "words": ["seed=0,1"], "planned": [["seed=0"], ["seed=1"]]}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("sweep.json", {**SWEEP, "words": "seed=0,1"}),
        ("sweep.json", {**SWEEP, "planned": [7]}),
        ("sweep.json", {**SWEEP, "command": ["rm"]}),
        ("sweep.json", [SWEEP]),
        ("000-12345678/overrides.yaml", {"seed": 0}),
        ("001-refused.json", {"words": ["seed=1", 1]}),
        ("001-refused.json", "no"),
    ],
)
def test_a_sweep_of_another_shape(sslcli: Sslcli, run: Path, name: str, content: object) -> None:
    sweep = run.parents[1] / "sweeps/one"
    sweep.mkdir(parents=True)
    run.rename(sweep / "000-12345678")
    (sweep / "sweep.json").write_text(json.dumps(SWEEP))
    (sweep / name).write_text(json.dumps(content))
    outcome = sslcli("report", str(sweep))
    assert outcome.status == 0, outcome.err
    assert f"{name} cannot be read" in (sweep / "report.html").read_text()
    if name == "sweep.json":
        require_refused(sslcli("resume", str(sweep)), name)
