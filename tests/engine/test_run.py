from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch

from sslcli.engine.checkpoint import FORMAT, Phase, read_checkpoint
from sslcli.engine.run import Run, find_runs, is_open, new_folder, read_records, resolve_run, write_atomically
from sslcli.errors import RunFailed, SslcliError


def make_run(folder: Path, started: float = 0.0, status: str = "finished") -> Path:
    folder.mkdir(parents=True)
    with Run.create(folder, {"config.yaml": "a: 1\n"}, {"status": status, "started": started}):
        pass
    return folder


def test_records_are_cut_back_to_the_checkpoint(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    with Run(folder) as run:
        phase = Phase(run, "one", keep_last=1)
        assert phase.restore() is None
        run.record({"step": 1})
        phase.save(1, {"weights": torch.ones(2)}, False)
        run.record({"step": 2})
    with Run(folder) as run:
        restored = Phase(run, "one", keep_last=1).restore()
        assert restored is not None
        assert restored[0] == 1
        assert torch.equal(restored[1]["weights"], torch.ones(2))
        run.record({"step": 2, "again": True})
    assert read_records(folder) == [{"step": 1}, {"step": 2, "again": True}]


def test_a_second_phase_without_a_checkpoint_keeps_the_first_ones_records(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    for _ in range(2):  # the second time, as a resume
        with Run(folder) as run:
            first, second = Phase(run, "one", 1), Phase(run, "two", 1)
            if first.restore() is None:
                run.record({"step": 1})
                first.save(1, {}, True)
            assert second.restore() is None
            run.record({"step": 1, "phase": "two"})
    assert read_records(folder) == [{"step": 1}, {"step": 1, "phase": "two"}]


def test_a_finished_phase_leaves_the_records_of_later_ones(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    with Run(folder) as run:
        run.record({"step": 1})
        Phase(run, "one", 1).save(1, {}, True)
        run.record({"step": 1, "phase": "two"})
        Phase(run, "two", 1).save(1, {}, False)
        run.record({"step": 2, "phase": "two"})
    with Run(folder) as run:
        finished = [Phase(run, name, 1).restore() for name in ("one", "two")]
    assert [restored and restored[2] for restored in finished] == [True, False]
    assert read_records(folder) == [{"step": 1}, {"step": 1, "phase": "two"}]


def test_a_cut_off_last_line_is_left_out(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    (folder / "metrics.jsonl").write_text('{"step": 1}\n{"st')
    assert read_records(folder) == [{"step": 1}]


def test_missing_records_are_an_error(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    with Run(folder) as run:
        run.record({"step": 1})
        Phase(run, "one", 1).save(1, {}, False)
    (folder / "metrics.jsonl").write_text("")
    with Run(folder) as run, pytest.raises(SslcliError, match="records are missing"):
        Phase(run, "one", 1).restore()


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    assert not is_open(folder)
    with Run(folder):
        assert is_open(folder)
        with pytest.raises(SslcliError, match="another process"):
            Run(folder)
    assert not is_open(folder)


def test_keep_last(tmp_path: Path) -> None:
    with Run(make_run(tmp_path / "run")) as run:
        phase = Phase(run, "one", keep_last=3)
        for step in (2, 4, 6, 8):
            phase.save(step, {}, False)
    kept = sorted(path.name for path in (tmp_path / "run" / "one").iterdir())
    assert kept == ["last.pt", "step-00000004.pt", "step-00000006.pt"]
    assert read_checkpoint(tmp_path / "run/one/last.pt")["step"] == 8
    assert read_checkpoint(tmp_path / "run/one/step-00000006.pt")["step"] == 6


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "facts"
    write_atomically(path, b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_checkpoint_that_cannot_be_written_keeps_the_last_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Run(make_run(tmp_path / "run")) as run:
        phase = Phase(run, "one", keep_last=1)
        phase.save(1, {}, False)

        def full(_content: object, _path: Path) -> None:
            raise RuntimeError("[enforce fail] PytorchStreamWriter failed writing file data/0")

        monkeypatch.setattr(torch, "save", full)
        with pytest.raises(RunFailed, match="step 2 could not be written") as caught:
            phase.save(2, {}, False)
    assert "sslcli resume" in caught.value.fix
    assert read_checkpoint(tmp_path / "run/one/last.pt")["step"] == 1


@pytest.mark.parametrize("damage", ["truncated", "empty", "text", "other format", "a list", "pickle"])
def test_a_damaged_checkpoint_is_said_so(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "last.pt"
    torch.save({"format": FORMAT, "x": torch.zeros(1000)}, path)
    content = {
        "truncated": path.read_bytes()[:500],
        "empty": b"",
        "text": b"hello",
        "pickle": b"cos\nsystem\n(S'touch owned'\ntR.",
    }
    if damage in content:
        path.write_bytes(content[damage])
    else:
        torch.save({"format": 99} if damage == "other format" else [1], path)
    with pytest.raises(SslcliError, match=r"last\.pt"):
        read_checkpoint(path)
    assert not (Path.cwd() / "owned").exists()


def test_a_damaged_checkpoint_offers_the_one_before(tmp_path: Path) -> None:
    with Run(make_run(tmp_path / "run")) as run:
        phase = Phase(run, "one", keep_last=2)
        phase.save(1, {}, False)
        phase.save(2, {}, False)
        phase.last.write_bytes(phase.last.read_bytes()[:100])
        with pytest.raises(SslcliError) as caught:
            phase.restore()
    assert "step-00000001.pt" in caught.value.fix


def test_new_folders_never_meet(tmp_path: Path) -> None:
    made = [new_folder(tmp_path, "same") for _ in range(3)]
    assert [folder.name for folder in made] == ["same", "same_2", "same_3"]


def test_finding_and_naming_runs(tmp_path: Path) -> None:
    old = make_run(tmp_path / "pretrain/a/2026-01-01", started=1)
    new = make_run(tmp_path / "pretrain/a/2026-02-02", started=2, status="failed")
    (tmp_path / "link").symlink_to(tmp_path / "pretrain")
    assert find_runs(tmp_path) == [new, old]
    assert resolve_run("last", tmp_path) == new
    assert (
        resolve_run(
            "last", tmp_path, wanted=lambda run: json.loads((run / "run.json").read_text())["status"] == "finished"
        )
        == old
    )
    assert resolve_run("2026-01", tmp_path) == old
    assert resolve_run("pretrain/a/2026-02", tmp_path) == new
    assert resolve_run(str(old), tmp_path / "elsewhere") == old
    with pytest.raises(SslcliError, match="2 runs begin with"):
        resolve_run("2026", tmp_path)
    with pytest.raises(SslcliError, match="no run is named"):
        resolve_run("1999", tmp_path)
    with pytest.raises(SslcliError, match="there is no run"):
        resolve_run("last", tmp_path / "empty")
