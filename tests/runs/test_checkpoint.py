"""Checkpoints: what is damage and what is not, and how a run steps back from it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from doubles import make_run

from sslcli.errors import RunFailed, SslcliError
from sslcli.runs.checkpoint import Damaged, Phase, Trained, read_checkpoint, skip_finished
from sslcli.runs.folder import Run, read_facts, read_records
from sslcli.runs.step_back import step_back


def train(run: Run, name: str, steps: int, finished: bool) -> None:
    """Trains a phase from its last checkpoint on, with a record and a checkpoint a step."""
    phase = Phase(run, name, 2, 0)
    begun = phase.restore()
    for step in range(1 if begun is None else begun[0] + 1, steps + 1):
        run.record({"phase": name, "step": step})
        phase.save(step, {"step": step}, finished and step == steps)
        phase.note(step, Trained(step, 1.0))


def train_all(folder: Path) -> Path:
    """Trains three phases, the last one up to its middle."""
    with Run(folder) as run:
        for name in ("one", "two", "three"):
            train(run, name, 2, finished=name != "three")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """Returns the bytes of the records and of all checkpoints."""
    kept = [folder / "metrics.jsonl", *folder.rglob("*.pt")]
    return {str(path): path.read_bytes() for path in kept}


@pytest.mark.parametrize(
    "reason",
    [
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 4 bytes"),
    ],
)
def test_too_little_memory_is_no_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: Exception
) -> None:
    folder = make_run(tmp_path / "run")
    with Run(folder) as run:
        train(run, "one", 3, False)
    before = contents(folder)

    def fail(*_: object, **__: object) -> None:
        raise reason

    monkeypatch.setattr(torch, "load", fail)
    with pytest.raises(RunFailed, match=r"memory ran out while .*last\.pt was read"):
        read_checkpoint(folder / "one/last.pt")
    with Run(folder) as run, pytest.raises(RunFailed, match="memory ran out"):
        step_back(run)
    assert contents(folder) == before


def restored(folder: Path, name: str) -> int | None:
    """Returns the step from which the phase goes on."""
    with Run(folder) as run:
        found = Phase(run, name, 2, 0).restore()
        return None if found is None else found[0]


def test_a_missing_checkpoint_is_said_before_anything_is_cut(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    with Run(folder) as run:
        train(run, "one", 3, False)
    (folder / "one/last.pt").unlink()
    before = contents(folder)
    with pytest.raises(Damaged, match=r"one/last\.pt is missing") as caught:
        restored(folder, "one")
    assert caught.value.fix.endswith(f"sslcli resume {folder} --from-previous")
    assert contents(folder) == before
    with Run(folder) as run:
        assert step_back(run) == ["one goes on from step 2"]
    assert [record["step"] for record in read_records(folder)] == [1, 2]
    assert restored(folder, "one") == 2


@pytest.mark.parametrize("noted", [True, False])
def test_a_missing_checkpoint_in_the_middle(tmp_path: Path, noted: bool) -> None:
    """Phases before it stay; it and those behind it begin anew, to the same bytes."""
    folder = train_all(make_run(tmp_path / "run"))
    whole = contents(folder)
    for checkpoint in (folder / "two").iterdir():
        checkpoint.unlink()
    if not noted:  # as by a version that did not, or a process that died before it did
        with Run(folder) as run:
            run.update(trained={})
    before = contents(folder)
    with pytest.raises(Damaged, match=r"two/last\.pt is missing"):
        train_all(folder)
    assert contents(folder) == before
    with Run(folder) as run:
        assert step_back(run) == ["two begins anew", "three begins anew"]
    assert contents(folder).keys() == {
        path for path in whole if "/t" not in path[len(str(folder)) :]
    }
    train_all(folder)
    assert contents(folder) == whole


def test_a_phase_that_never_saved_begins_anew(tmp_path: Path) -> None:
    """Its records are cut, as a killed process may have left them."""
    folder = make_run(tmp_path / "run")
    with Run(folder) as run:
        train(run, "one", 2, True)
        Phase(run, "two", 2, 0).restore()
        run.record({"phase": "two", "step": 1})
    with Run(folder) as run:
        train(run, "one", 2, True)
        train(run, "two", 1, False)
    assert [(r["phase"], r["step"]) for r in read_records(folder)] == [
        ("one", 1), ("one", 2), ("two", 1),
    ]  # fmt: skip


def test_a_finished_phase_needs_its_result_alone(tmp_path: Path) -> None:
    """Its checkpoints may be gone, to save space: its records stay, and later phases go on."""
    folder = train_all(make_run(tmp_path / "run"))
    whole = (folder / "metrics.jsonl").read_bytes()
    (folder / "two/result.json").write_text("{}")
    for checkpoint in (folder / "two").glob("*.pt"):
        checkpoint.unlink()
    with Run(folder) as run:
        train(run, "one", 2, True)
        skip_finished(run, "two")
        train(run, "three", 2, False)
    assert (folder / "metrics.jsonl").read_bytes() == whole
    (folder / "one/last.pt").write_bytes(b"")
    with Run(folder) as run:
        assert step_back(run) == ["one goes on from step 1", "two begins anew", "three begins anew"]
    train_all(folder)
    assert (folder / "metrics.jsonl").read_bytes() == whole


@pytest.mark.parametrize("name", ["../other", ".", "", "one/../../other", "{}/other"])
def test_no_name_in_a_file_leads_out_of_the_run(tmp_path: Path, name: str) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "step-00000001.pt").touch()
    folder = train_all(make_run(tmp_path / "run"))
    with Run(folder) as run:
        name = name.format(tmp_path)
        run.update(trained={name: {}})
        with (folder / "metrics.jsonl").open("a") as lines:
            lines.writelines(f'{{"phase": "{each}"}}\n' for each in (name, "three"))
        (folder / "three/last.pt").write_bytes(b"")
        assert step_back(run) == ["three goes on from step 1"]
    assert (other / "step-00000001.pt").exists()
    assert (folder / "one/last.pt").exists()


def test_another_runs_checkpoint_is_refused(tmp_path: Path) -> None:
    """Its tensors fit, but its records' bytes are others."""
    folders = [make_run(tmp_path / name, started=started) for name, started in (("a", 1), ("b", 2))]
    for folder in folders:
        with Run(folder) as run:
            train(run, "one", 2, False)
    own = (folders[1] / "one/last.pt").read_bytes()
    shutil.copy(folders[0] / "one/last.pt", folders[1] / "one/last.pt")
    before = contents(folders[1])
    with pytest.raises(SslcliError, match=r"is another run's, begun at 1; this one began at 2"):
        restored(folders[1], "one")
    assert contents(folders[1]) == before
    (folders[1] / "one/last.pt").write_bytes(own)
    assert restored(folders[1], "one") == 2


@pytest.mark.parametrize("lacks", ["the checkpoint", "run.json"])
def test_a_checkpoint_that_does_not_name_its_run(tmp_path: Path, lacks: str) -> None:
    folder = make_run(tmp_path / "run")
    with Run(folder) as run:
        train(run, "one", 2, False)
    last = folder / "one/last.pt"
    if lacks == "the checkpoint":
        content = torch.load(last)
        del content["run_started"]
        torch.save(content, last)
    else:
        facts = read_facts(folder)
        del facts["started"]
        (folder / "run.json").write_text(json.dumps(facts))
    assert restored(folder, "one") == 2


def test_records_are_not_cut_in_a_line(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    with Run(folder) as run:
        train(run, "one", 2, False)
    records = folder / "metrics.jsonl"
    other = records.read_bytes().replace(b'"one"', b'"one", "loss": 0.123')
    records.write_bytes(other)
    with pytest.raises(SslcliError, match=r"metrics\.jsonl: no record ends at byte \d+"):
        restored(folder, "one")
    assert records.read_bytes() == other
