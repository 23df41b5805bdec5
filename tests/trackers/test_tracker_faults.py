"""Whatever a tracker does, the run finishes with the bytes that it has without one, and says what was lost."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from doubles import Outcome, Site, Sslcli, facts, only_run, records
from forks import WORDS, require_same
from tracking import write_steps, written_run

from sslcli.experiments import pretrain
from sslcli.system import kill_group
from sslcli.trackers import couriers
from sslcli.trackers.sent import read_sent, state_path

pytestmark = pytest.mark.slow

FAULTY = '''
import os, time
from pathlib import Path
from sslcli.trackers.tracker import Tracker

class Good(Tracker):
    """Writes a line for everything into a file of the run."""
    look = "good look"
    variables = ("GOOD_AT",)
    def __init__(self, run):
        self.path = run.folder / f"{type(self).__name__}{os.environ.get('GOOD_AT', '')}.txt"
        self.write("opened", run.key, run.sweep)
    def write(self, *told):
        with self.path.open("a") as file:
            file.write(" ".join(map(str, told)) + "\\n")
    def record(self, record):
        self.write("record", record.index, record.step)
    def figure(self, name, path, step):
        self.write("figure", name)
    def table(self, name, columns, rows, step):
        self.write("table", name)
    def finish(self, status, metrics):
        self.write("finish", status, len(metrics))

class HangsAtOpening(Good):
    def __init__(self, run):
        time.sleep(600)

class HangsAtRecord(Good):
    def record(self, record):
        super().record(record)
        if record.index == 2:
            time.sleep(600)

class HangsAtEnd(Good):
    def finish(self, status, metrics):
        time.sleep(600)

class Fails(Good):
    def record(self, record):
        raise ConnectionError("nobody answers")

class FillsTheDisk(Good):
    def record(self, record):
        with open("/dev/full", "wb", buffering=0) as full:
            full.write(b"x")

class Dies(Good):
    def record(self, record):
        super().record(record)
        if record.index == 1:
            os._exit(3)

class Talks(Good):
    def record(self, record):
        print("x" * 2**20, flush=True)
        super().record(record)
'''
TRACKERS = {
    "good": "Good", "opening": "HangsAtOpening", "hanging": "HangsAtRecord", "ending": "HangsAtEnd", "failing": "Fails",
    "full": "FillsTheDisk", "dying": "Dies", "talking": "Talks",
}  # fmt: skip


@pytest.fixture(autouse=True)
def faulty(site: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    """Trackers of a package that this process, and those that it starts, see."""
    points = {name: f"faulty:{cls}" for name, cls in TRACKERS.items()}
    site.install("faulty", {"trackers": points}, FAULTY)
    monkeypatch.setenv("PYTHONPATH", str(site.folder))
    monkeypatch.setattr(pretrain, "save_figures", lambda *_: None)
    return site


def told(run: Path, tracker: str) -> list[str]:
    return (run / f"{tracker}.txt").read_text().splitlines()


def steps(run: Path, tracker: str) -> list[int]:
    return [int(line.split()[1]) for line in told(run, tracker) if line.startswith("record")]


def train_with(sslcli: Sslcli, trackers: list[str], outputs: Path) -> tuple[Path, Outcome]:
    words = [*WORDS, f"runtime.outputs={outputs}", f"runtime.trackers=[{','.join(trackers)}]"]
    outcome = sslcli(*words)
    assert outcome.status == 0, outcome.err
    return only_run(outputs), outcome


def state_in(run: Path) -> bytes:
    """The state of the last checkpoint, without how long the records are, which hold times."""
    written = io.BytesIO()
    torch.save(torch.load(run / "pretrain/last.pt")["state"], written)
    return written.getvalue()


def test_no_tracker_stops_a_run_or_changes_a_byte_of_it(sslcli: Sslcli, tmp_path: Path) -> None:
    plain, _ = train_with(sslcli, [], tmp_path / "plain")
    run, outcome = train_with(sslcli, list(TRACKERS), tmp_path / "tracked")
    require_same(run, plain)
    assert state_in(run) == state_in(plain)

    total = len(records(run))
    assert total == 15
    found = facts(run)["trackers"]
    assert {name: each["complete"] for name, each in found.items()} == {
        name: name in ("good", "talking") for name in TRACKERS
    }
    for name in ("good", "talking", "ending"):
        assert (found[name]["records"], found[name]["missing"]) == (total, 0), name
    assert [line for line in told(run, "Good")[1:] if line != "figure views"] == [
        *(f"record {index} {record['step']}" for index, record in enumerate(records(run))),
        f"finish finished {len(facts(run)['metrics'])}",
    ]
    assert told(run, "Good").count("figure views") == 1
    expected = {
        "opening": (0, total, 0, "no answer while opening"),
        "hanging": (2, total - 3, 1, "no answer while open"),
        "ending": (total, 0, 0, "no answer while open"),
        "failing": (0, total, 0, "ConnectionError: nobody answers"),
        "full": (0, total, 0, "OSError: [Errno 28] No space left on device"),
        "dying": (1, total - 2, 1, "its process ended"),
    }
    for name, (given, missing, unclear, failure) in expected.items():
        each = found[name]
        assert (each["records"], each["missing"], each["unclear"]) == (given, missing, unclear), (
            name
        )
        assert each["failure"] == failure
        assert f"tracker {name} has {given} of {total} records" in outcome.err
    assert outcome.err.count("tracker failing failed: ConnectionError: nobody answers") == 1
    assert f"sslcli track {run}" in outcome.err
    assert "good: good look" in outcome.out
    assert (run / "trackers/talking.txt").stat().st_size < total * 2**20 / 2, "the log is cut"


def test_what_a_tracker_missed_is_given_later(sslcli: Sslcli, tmp_path: Path) -> None:
    run, _ = train_with(sslcli, ["dying"], tmp_path / "outputs")
    outcome = sslcli("track", str(run), "--to", "dying,good")
    assert outcome.status == 0, outcome.err
    assert steps(run, "Dies") == steps(run, "Good") == list(range(15)), "none is doubled"
    assert "has 14 of 15 records, and perhaps 1 more" in outcome.err
    assert sslcli("track", str(run), "--to", "good").status == 0
    assert steps(run, "Good") == list(range(15))


def test_killed_and_resumed_no_record_comes_twice(tmp_path: Path, sslcli: Sslcli) -> None:
    """Records beyond the last checkpoint were given, and are written again by the resumed run."""
    words = [
        *WORDS,
        "epochs=30",
        "save_every=1000",
        f"runtime.outputs={tmp_path}/outputs",
        "snapshots=[]",
    ]
    command = [sys.executable, "-m", "sslcli", *words, "runtime.trackers=[good]"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        sent = None
        while sent is None or sent.records < 10:
            assert process.poll() is None, "it ended by itself"
            time.sleep(0.01)
            run = next(iter((tmp_path / "outputs").rglob("run.json")), Path("none")).parent
            sent = read_sent(state_path(run, "good"))
        process.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 60
    while not told(run, "Good")[-1].startswith("finish"):
        assert time.monotonic() < deadline, (
            "what gives the records does not outlive the run for long"
        )
        time.sleep(0.05)
    assert told(run, "Good")[-1] == "finish died 0"
    given = len(steps(run, "Good"))
    assert given >= 10
    outcome = sslcli("resume", str(run))
    assert outcome.status == 0, outcome.err
    assert steps(run, "Good") == list(range(len(records(run))))
    opened = [line for line in told(run, "Good") if line.startswith("opened")]
    assert len(opened) == 2
    assert len(set(opened)) == 1, "in the same run of the tracker"
    assert not list(run.glob("trackers/*.tmp"))


def test_the_process_of_a_tracker_that_was_killed_is_followed_by_one_that_goes_on(
    tmp_path: Path,
) -> None:
    run = written_run(tmp_path / "outputs/pretrain/x/run", steps=20)
    said: list[str] = []
    (first,) = couriers.start(run, ["good"], "sweep", said.append)
    while (first.sent.records, first.sent.giving) != (20, False):
        time.sleep(0.01)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGHUP):
        first.process.send_signal(number)  # as a queue does to all processes of a job
    write_steps(run, range(1, 22))
    while (first.sent.records, first.sent.giving) != (21, False):
        assert first.works, "the signals are the run's"
        time.sleep(0.01)
    kill_group(first.process)
    assert not couriers.end([first])["good"].complete
    write_steps(run, range(1, 26), speed=3.5)
    outcomes = couriers.end(couriers.start(run, ["good"], "sweep", said.append))
    assert outcomes["good"].complete
    assert steps(run, "Good") == list(range(25))
    assert {line.split()[-1] for line in told(run, "Good") if line.startswith("opened")} == {
        "sweep"
    }
    assert said == []


def test_another_place_gets_the_whole_run_and_the_first_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = written_run(tmp_path / "outputs/pretrain/x/run", steps=3)
    for place, number in (("", 3), ("there", 3), ("", 4), ("there", 5)):
        write_steps(run, range(1, number + 1))
        monkeypatch.setenv("GOOD_AT", place)
        assert couriers.end(couriers.start(run, ["good"], None, print))["good"].complete
    assert steps(run, "Good") == [0, 1, 2, 3]
    assert steps(run, "Goodthere") == [0, 1, 2, 3, 4]
