"""A run does not go on with other code or files than it began with, unless that is accepted."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from doubles import (
    FLAT,
    MADE,
    SHIFT,
    Killed,
    Site,
    Sslcli,
    describe_encoder,
    facts,
    only_run,
    records,
    require_two_lines,
)

from sslcli.config import identity
from sslcli.console import TrainingLines
from sslcli.engine.optim_config import AdamWConfig
from sslcli.engine.runtime_config import RuntimeConfig
from sslcli.errors import SslcliError
from sslcli.experiments.label_curve_config import Config as LabelCurveConfig
from sslcli.experiments.linear_eval_config import Config as LinearEvalConfig
from sslcli.jobs import changed_code
from sslcli.jobs.changed_code import Provenance, require_same_provenance
from sslcli.jobs.sweep import accept_changed_code
from sslcli.provenance import own_code

WORDS = ["pretrain", "method=shift", *MADE, "optim=adamw", "save_every=0.5"]
"""A run of 4 steps, which saves after the second."""
POINTS = {"methods": {"shift": "one_shift:ShiftConfig"}}
CHANGED = SHIFT + "# one line more\n"

TAUGHT = SHIFT.replace(
    'note: str = setting("none", "a text")',
    'teacher: str = setting("teacher.pt", "weights of another network", file=True)',
)
"""The module of a method that reads a file."""

Cut = Callable[..., Path]


@pytest.fixture(autouse=True)
def no_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are slow to draw."""
    monkeypatch.setattr("sslcli.experiments.figures.save_curves", lambda *_: None)


@pytest.fixture
def cut(sslcli: Sslcli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cut:
    """Starts a run with a package's method and kills it after a step; returns its folder."""
    real = TrainingLines.step

    def run(after: int = 3) -> Path:
        def step(self: TrainingLines, done: int) -> None:
            real(self, done)
            if done == after:
                raise Killed

        with monkeypatch.context() as patched, pytest.raises(Killed):
            patched.setattr(TrainingLines, "step", step)
            sslcli(*WORDS)
        return only_run(tmp_path / "outputs")

    return run


def write_facts(run: Path, **changes: Any) -> None:
    (run / "run.json").write_text(json.dumps({**facts(run), **changes}))


def test_a_packages_code_that_changed_is_refused_or_accepted_and_noted(
    sslcli: Sslcli, site: Site, cut: Cut
) -> None:
    site.install("one-shift", POINTS)
    run = cut()
    before = facts(run)["code"]
    assert before["sslcli"] == own_code()
    assert {"package": "one-shift", "version": "1.0"}.items() <= before["method"].items()

    site.install("one-shift", POINTS, CHANGED)
    outcome = sslcli("resume", str(run))
    assert outcome.status == 2
    error, fix = outcome.err.strip().splitlines()[-2:]
    assert error.startswith(f"error: the code of {run} changed since it began: method: one-shift")
    assert fix.endswith(f"sslcli resume {run} --accept-changed-code")
    assert facts(run)["code"] == before

    outcome = sslcli("resume", str(run), "--accept-changed-code")
    assert outcome.status == 0, outcome.err
    found = facts(run)
    assert found["status"] == "finished"
    assert found["code"]["method"]["files"] != before["method"]["files"]
    assert found["code_before"] == [{"code": before, "files": {}, "until_step": 2}]
    assert [record["step"] for record in records(run) if "loss" in record] == [2, 4]


def test_the_same_code_goes_on_also_where_its_version_alone_is_another(
    sslcli: Sslcli, site: Site, cut: Cut
) -> None:
    site.install("one-shift", POINTS)
    run = cut()
    site.uninstall("one-shift")
    site.install("one-shift", POINTS, version="1.1")
    outcome = sslcli("resume", str(run))
    assert outcome.status == 0, outcome.err
    assert "code_before" not in facts(run)


def test_what_has_saved_nothing_goes_on_with_the_code_of_now(
    sslcli: Sslcli, site: Site, cut: Cut
) -> None:
    """It begins anew, so nothing is mixed: the way to mend a package in which a run failed."""
    site.install("one-shift", POINTS)
    run = cut(after=1)
    before = facts(run)["code"]
    site.install("one-shift", POINTS, CHANGED)
    outcome = sslcli("resume", str(run))
    assert outcome.status == 0, outcome.err
    assert facts(run)["code"]["method"] != before["method"]
    assert "code_before" not in facts(run)


def test_sslclis_own_code_counts_in_a_checkout_and_conf_does_not(
    sslcli: Sslcli, site: Site, cut: Cut, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.install("one-shift", POINTS)
    run = cut()
    now = own_code()
    assert {"files", "conf"} <= now.keys(), "the tests run in a checkout"
    monkeypatch.setattr(changed_code, "own_code", lambda: {**now, "files": "0"})
    outcome = sslcli("resume", str(run))
    assert outcome.status == 2
    assert f"sslcli: sslcli {version('sslcli')} (files" in outcome.err
    assert f"sslcli resume {run} --accept-changed-code" in outcome.err
    monkeypatch.setattr(changed_code, "own_code", lambda: {**now, "conf": "0"})
    assert sslcli("resume", str(run)).status == 0
    assert "code_before" not in facts(run)


def test_a_run_that_recorded_no_code_goes_on_and_records_it(
    sslcli: Sslcli, site: Site, cut: Cut
) -> None:
    site.install("one-shift", POINTS)
    run = cut()
    found = facts(run)
    before = found.pop("code")
    (run / "run.json").write_text(json.dumps(found))
    site.install("one-shift", POINTS, CHANGED)
    assert sslcli("resume", str(run)).status == 0
    assert facts(run)["code"].keys() == before.keys()


def test_rerun_says_it(sslcli: Sslcli, site: Site, tmp_path: Path) -> None:
    site.install("one-shift", POINTS)
    assert sslcli(*WORDS).status == 0
    run = only_run(tmp_path / "outputs")
    same = sslcli("rerun", str(run))
    assert "identical: every record" in same.out
    assert "although" not in same.out
    site.install("one-shift", POINTS, CHANGED)
    same = sslcli("rerun", str(run))
    assert same.status == 0
    assert "identical: every record" in same.out
    assert "although something has changed since: method: one-shift 1.0 (files" in same.out
    site.install("one-shift", POINTS, SHIFT.replace("- shifts).square()", "- 2 * shifts).square()"))
    other = sslcli("rerun", str(run))
    assert other.status == 1
    assert "in the environment: method: one-shift 1.0 (files" in other.out


def test_the_jobs_of_a_sweep_are_accepted_together(
    sslcli: Sslcli, site: Site, cut: Cut, tmp_path: Path
) -> None:
    site.install("one-shift", POINTS)
    run = cut()
    sweep = tmp_path / "sweep"
    sweep.mkdir()
    (sweep / "sweep.json").write_text('{"command": "pretrain", "words": [], "planned": []}')
    job, finished = sweep / "000-0123abcd", sweep / "001-0123abcd"
    write_facts(run, status="interrupted")
    shutil.copytree(run, job)
    write_facts(run, status="finished")
    shutil.copytree(run, finished)
    before = facts(job)
    site.install("one-shift", POINTS, CHANGED)
    accept_changed_code(sweep)
    assert facts(job)["code"]["method"] != before["code"]["method"]
    assert facts(job)["code_before"] == [{"code": before["code"], "files": {}, "until_step": 2}]
    assert facts(finished)["code"] == before["code"]


def test_an_evaluation_stands_on_the_code_of_the_encoder_that_it_measures(
    site: Site, tmp_path: Path
) -> None:
    site.install("flat", {"encoders": {"flat": "flat:FlatConfig"}}, FLAT)
    describe_encoder(tmp_path, "flat")
    config = LinearEvalConfig(run=str(tmp_path), runtime=RuntimeConfig())
    assert Provenance.of(config).code[f"encoder of {tmp_path}"]["package"] == "flat"


def test_what_is_evaluated_must_stay_as_it_was_also_behind_a_link(tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        describe_encoder(tmp_path / name, "convnet")
        (tmp_path / name / "encoder.safetensors").write_text(name)
    best, curve = tmp_path / "best", tmp_path / "curve"
    best.symlink_to("first")
    config = LabelCurveConfig(
        run=str(best), runs=[str(best)], optim=AdamWConfig(), runtime=RuntimeConfig()
    )
    before = asdict(Provenance.of(config))
    (curve / "0-linear_probe/labels-1-0").mkdir(parents=True)
    (curve / "0-linear_probe/labels-1-0/result.json").write_text("{}")
    require_same_provenance(curve, before, config)
    known = identity("label-curve", config, before["files"])

    best.unlink()
    best.symlink_to("second")
    with pytest.raises(SslcliError, match=f"the encoders of {curve} changed .*: {best}: ") as said:
        require_same_provenance(curve, before, config)
    assert said.value.fix.endswith(f"sslcli resume {curve} --accept-changed-code")
    assert identity("label-curve", config, Provenance.of(config).files) == known
    del before["encoders"]  # as an earlier version wrote it
    require_same_provenance(curve, before, config)

    compared = LinearEvalConfig(
        run=str(tmp_path / "first"), ceiling=str(best), runtime=RuntimeConfig()
    )
    assert Provenance.of(compared).encoders.keys() == {str(tmp_path / "first"), str(best)}


def test_a_file_that_a_method_reads_must_be_there_and_stay_as_it_was(
    sslcli: Sslcli, site: Site, cut: Cut, tmp_path: Path
) -> None:
    site.install("one-shift", POINTS, TAUGHT)
    fix = require_two_lines(
        sslcli(*WORDS), "method.teacher: there is no file or folder 'teacher.pt'"
    )
    assert fix.endswith(f"a relative path begins in {tmp_path}")
    assert not (tmp_path / "outputs").exists()

    teacher = tmp_path / "teacher.pt"
    teacher.write_bytes(b"weights")
    run = cut()
    before = facts(run)
    assert f"teacher: {teacher}\n" in (run / "config.yaml").read_text()
    assert before["files"].keys() == {"method.teacher"}

    teacher.write_bytes(b"weighty")
    said = f"the files of {run} changed since it began: method.teacher: "
    fix = require_two_lines(sslcli("resume", str(run)), said)
    assert fix.endswith(f"sslcli resume {run} --accept-changed-code")
    teacher.unlink()
    gone = sslcli("resume", str(run), "--accept-changed-code")
    require_two_lines(gone, f"method.teacher: there is no file or folder '{teacher}'")

    moved = tmp_path / "moved.pt"
    moved.write_bytes(b"weights")
    config = run / "config.yaml"
    config.write_text(config.read_text().replace(str(teacher), str(moved)))
    assert sslcli("resume", str(run)).status == 0
    assert facts(run)["identity"] == before["identity"]
    assert "code_before" not in facts(run)


def test_an_accepted_file_is_the_runs_from_then_on(
    sslcli: Sslcli, site: Site, cut: Cut, tmp_path: Path
) -> None:
    site.install("one-shift", POINTS, TAUGHT)
    (tmp_path / "teacher.pt").write_bytes(b"weights")
    run = cut()
    before = facts(run)
    (tmp_path / "teacher.pt").write_bytes(b"weighty")
    assert sslcli("resume", str(run), "--accept-changed-code").status == 0
    found = facts(run)
    assert found["code_before"][0]["files"] == before["files"] != found["files"]
    assert found["identity"] != before["identity"]
    write_facts(run, status="interrupted")
    assert sslcli("resume", str(run)).status == 0


def test_rerun_compares_by_the_content_of_files(sslcli: Sslcli, site: Site, tmp_path: Path) -> None:
    site.install("one-shift", POINTS, TAUGHT)
    (tmp_path / "teacher.pt").write_bytes(b"weights")
    (tmp_path / "copy.pt").write_bytes(b"weights")
    assert sslcli(*WORDS).status == 0
    run = only_run(tmp_path / "outputs")
    same = sslcli("rerun", str(run), "--set", "method.teacher=copy.pt")
    assert "identical: every record" in same.out, same.err
    (tmp_path / "teacher.pt").write_bytes(b"weighty")
    changed = sslcli("rerun", str(run))
    assert "although something has changed since: method.teacher: " in changed.out
    (tmp_path / "copy.pt").write_bytes(b"other")
    other = sslcli("rerun", str(run), "--set", "method.teacher=copy.pt")
    assert "another experiment" in other.out
