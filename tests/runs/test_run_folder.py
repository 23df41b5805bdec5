from __future__ import annotations

import fcntl
import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from doubles import HOSTILE_NAMES, make_run

from sslcli.errors import RunFailed, SslcliError
from sslcli.files import write_atomically
from sslcli.runs.checkpoint import FORMAT, Phase, read_checkpoint
from sslcli.runs.find import find_runs, new_folder, resolve_run
from sslcli.runs.folder import Run, read_facts, read_records
from sslcli.runs.lock import HOST, Lock, is_open
from sslcli.runs.summary import summaries


def test_records_are_cut_back_to_the_checkpoint(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    with Run(folder) as run:
        phase = Phase(run, "one", keep_last=1, seed=0)
        assert phase.restore() is None
        run.record({"step": 1})
        phase.save(1, {"weights": torch.ones(2)}, False)
        run.record({"step": 2})
    with Run(folder) as run:
        restored = Phase(run, "one", keep_last=1, seed=0).restore()
        assert restored is not None
        assert restored[0] == 1
        assert torch.equal(restored[1]["weights"], torch.ones(2))
        run.record({"step": 2, "again": True})
    assert read_records(folder) == [{"step": 1}, {"step": 2, "again": True}]


def test_a_second_phase_without_a_checkpoint_keeps_the_first_ones_records(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    for _ in range(2):  # the second time, as a resume
        with Run(folder) as run:
            first, second = Phase(run, "one", 1, 0), Phase(run, "two", 1, 0)
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
        Phase(run, "one", 1, 0).save(1, {}, True)
        run.record({"step": 1, "phase": "two"})
        Phase(run, "two", 1, 0).save(1, {}, False)
        run.record({"step": 2, "phase": "two"})
    with Run(folder) as run:
        finished = [Phase(run, name, 1, 0).restore() for name in ("one", "two")]
    assert [restored and restored[2] for restored in finished] == [True, False]
    assert read_records(folder) == [{"step": 1}, {"step": 1, "phase": "two"}]


def test_a_cut_off_last_line_is_left_out(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    (folder / "metrics.jsonl").write_text('{"step": 1}\n{"st')
    assert read_records(folder) == [{"step": 1}]


@pytest.mark.parametrize("content", [b'{"step": 1\n{"step": 2}\n', b"[1]\n", b"\xff\n"])
def test_damaged_records_are_an_error(tmp_path: Path, content: bytes) -> None:
    folder = make_run(tmp_path / "run")
    (folder / "metrics.jsonl").write_bytes(content)
    with pytest.raises(SslcliError, match=r"metrics\.jsonl cannot be read"):
        read_records(folder)


def test_missing_records_are_an_error(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    with Run(folder) as run:
        run.record({"step": 1})
        Phase(run, "one", 1, 0).save(1, {}, False)
    (folder / "metrics.jsonl").write_text("")
    with Run(folder) as run, pytest.raises(SslcliError, match="records are missing"):
        Phase(run, "one", 1, 0).restore()


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    assert not is_open(folder)
    with Run(folder):
        assert is_open(folder)
        with pytest.raises(SslcliError, match="another process"):
            Run(folder)
    assert not is_open(folder)


def test_a_run_on_another_machine_is_known_by_its_touch(tmp_path: Path) -> None:
    """Its lock is not seen from here."""
    folder = make_run(tmp_path / "run")
    now = (folder / ".lock").stat().st_mtime
    for touched, open_elsewhere in (
        (now, True),
        (now - 60, True),
        (now - 600, False),
        (now + 3600, True),
    ):
        os.utime(folder / ".lock", (touched, touched))
        assert is_open(folder, "elsewhere") == open_elsewhere
        assert not is_open(folder, HOST)
        assert not is_open(folder, None)
    (folder / ".lock").unlink()
    assert not is_open(folder, "elsewhere")


def test_asking_whether_a_run_is_open_leaves_no_trace(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    (folder / ".lock").unlink()
    assert not is_open(folder)
    assert not (folder / ".lock").exists()


def test_a_lock_is_had_although_somebody_is_asking(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    with (folder / ".lock").open("rb") as asking:
        fcntl.flock(asking, fcntl.LOCK_SH)
        threading.Timer(0.02, lambda: fcntl.flock(asking, fcntl.LOCK_UN)).start()
        Lock(folder).release()


def test_a_run_is_touched_while_it_is_worked_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sslcli.runs.lock.TOUCH_EVERY", 0.01)
    folder = make_run(tmp_path / "run")

    def touched_again(within: float) -> bool:
        os.utime(folder / ".lock", (1, 1))
        until = time.monotonic() + within
        while (folder / ".lock").stat().st_mtime < 2 and time.monotonic() < until:
            time.sleep(0.01)
        return (folder / ".lock").stat().st_mtime > 2

    before = set(threading.enumerate())
    with Run(folder):
        (toucher,) = set(threading.enumerate()) - before
        assert toucher.daemon, "it keeps no process from ending"
        assert touched_again(within=5)
    assert not set(threading.enumerate()) - before
    assert not touched_again(within=0.1)


def test_who_works_on_a_run_is_written_down(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    assert read_facts(folder)["host"] == HOST
    write_atomically(folder / "run.json", b'{"status": "running", "host": "elsewhere"}')
    with Run(folder) as run:
        run.update(step=1)
    assert read_facts(folder)["host"] == HOST


def test_seconds_of_all_sessions_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_run(tmp_path / "run")
    before = read_facts(folder)["seconds"]
    for wall, processor in ((3.0, 5.0), (4.0, 2.0)):
        monkeypatch.setattr("time.monotonic", lambda: 100.0)
        monkeypatch.setattr("time.process_time", lambda: 10.0)
        run = Run(folder)
        monkeypatch.setattr("time.monotonic", lambda wall=wall: 100.0 + wall)
        monkeypatch.setattr("time.process_time", lambda processor=processor: 10.0 + processor)
        run.update()
        run.__exit__()
    facts = read_facts(folder)
    assert (facts["seconds"] - before, facts["processor_seconds"]) == (7.0, 7.0)


@pytest.mark.parametrize(
    "content", ["", "[1]", "3", '{"status": 3}', '{"metrics": "many"}', '{"started": null}', "\xff"]
)
def test_facts_that_are_none(tmp_path: Path, content: str) -> None:
    folder = make_run(tmp_path / "run")
    (folder / "run.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(SslcliError, match=r"run\.json cannot be read"):
        read_facts(folder)
    assert find_runs(tmp_path) == [folder]


def test_keep_last(tmp_path: Path) -> None:
    with Run(make_run(tmp_path / "run")) as run:
        phase = Phase(run, "one", keep_last=3, seed=0)
        for step in (2, 4, 6, 8):
            phase.save(step, {}, False)
    kept = sorted(path.name for path in (tmp_path / "run" / "one").iterdir())
    assert kept == ["last.pt", "step-00000004.pt", "step-00000006.pt"]
    assert read_checkpoint(tmp_path / "run/one/last.pt")["step"] == 8
    assert read_checkpoint(tmp_path / "run/one/step-00000006.pt")["step"] == 6


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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
        phase = Phase(run, "one", keep_last=1, seed=0)
        phase.save(1, {}, False)

        def full(_content: object, _path: Path) -> None:
            raise RuntimeError("[enforce fail] PytorchStreamWriter failed writing file data/0")

        monkeypatch.setattr(torch, "save", full)
        with pytest.raises(RunFailed, match="step 2 could not be written") as caught:
            phase.save(2, {}, False)
    assert "sslcli resume" in caught.value.fix
    assert read_checkpoint(tmp_path / "run/one/last.pt")["step"] == 1


@pytest.mark.parametrize(
    "damage", ["truncated", "empty", "text", "other format", "a list", "pickle"]
)
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
            "last",
            tmp_path,
            wanted=lambda run: json.loads((run / "run.json").read_text())["status"] == "finished",
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


def test_the_whole_name_is_enough_where_another_begins_so(tmp_path: Path) -> None:
    """The second run in one second is called so."""
    first, second = make_run(tmp_path / "a/2026"), make_run(tmp_path / "a/2026_2")
    for name in ("2026", "a/2026", str(tmp_path / "a/2026")):
        assert resolve_run(name, tmp_path) == first
    assert resolve_run("2026_", tmp_path) == second
    assert resolve_run(str(second)[:-1], tmp_path) == second  # what Tab leaves of a path
    with pytest.raises(SslcliError, match="no run is named ''"):
        resolve_run("", tmp_path)


@pytest.mark.parametrize("name", [*HOSTILE_NAMES, "-rf", "$HOME", "last"])
def test_any_name_of_a_folder_names_its_run(tmp_path: Path, name: str) -> None:
    make_run(tmp_path / "outputs/newest", started=2)
    run = make_run(tmp_path / "outputs" / name / "run", started=1)
    assert find_runs(tmp_path / "outputs")[1] == run
    assert resolve_run(str(run), tmp_path) == run
    assert resolve_run(f"{name}/r", tmp_path / "outputs") == run
    assert resolve_run("last", tmp_path / "outputs").name == "newest"


def test_a_folder_that_cannot_be_read_hides_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path / "a/run")
    (tmp_path / "b").mkdir()
    scandir = os.scandir

    def refusing(path: Path) -> Any:
        if Path(path).name == "b":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    assert find_runs(tmp_path) == [run]


def test_facts_that_cannot_be_read_hide_no_other_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    newest = make_run(tmp_path / "b", started=2)
    make_run(tmp_path / "c", started=1)
    make_run(tmp_path / "a", started=0)
    (tmp_path / "c/run.json").unlink()
    (tmp_path / "c/run.json").symlink_to("run.json")
    read_text = Path.read_text

    def refusing(path: Path, *given: Any) -> str:
        if path == newest / "run.json":
            raise PermissionError(13, "Permission denied", str(path))
        return read_text(path, *given)

    monkeypatch.setattr(Path, "read_text", refusing)
    found = {run.folder.name: run for run in summaries(tmp_path)}
    assert [found[name].status for name in "abc"] == ["finished", "damaged", "damaged"]
    assert found["b"].facts["error"] == f"{newest}/run.json cannot be read: Permission denied"
