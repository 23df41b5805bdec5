"""What a run writes is given to a tracker once, in order, whatever stops in between."""

from __future__ import annotations

import errno
import json
import threading
from collections import namedtuple
from pathlib import Path

import pytest
from doubles import facts
from tracking import Keeping, draw, line_of, write_steps, written_run

from sslcli.runs.results import Protocol, Results, Row, write_results
from sslcli.trackers import courier
from sslcli.trackers.courier import Courier
from sslcli.trackers.deliveries import Deliveries, results_table
from sslcli.trackers.sent import Sent, Stage, read_sent, state_path
from sslcli.trackers.tracker import Record, TrackedRun


@pytest.fixture
def run(tmp_path: Path) -> Path:
    made = written_run(tmp_path / "outputs/pretrain/simclr-dots/now", metrics={"loss": 0.25})
    (made / "trackers").mkdir()
    return made


def session(run: Path) -> Deliveries:
    """What a new process would go on with."""
    path = state_path(run, "keeping")
    return Deliveries(TrackedRun.of(run, None), read_sent(path) or Sent(), path)


def tracker(run: Path) -> Keeping:
    return Keeping(TrackedRun.of(run, None))


def test_a_whole_run_arrives_in_order_and_once(run: Path) -> None:
    work, keeping = session(run), tracker(run)
    work.give_new(keeping)
    work.give_new(keeping)
    work.give_end(keeping)
    kinds = [entry[0] for entry in keeping.got]
    assert kinds == ["record"] * 6 + ["figure", "table", "finish"]
    assert keeping.got[0] == (
        "record", 0, 1, {"pretrain/loss": 1.0, "pretrain/images_per_second": 100.0},
    )  # fmt: skip
    assert keeping.got[6] == ("figure", "curves", 6)
    assert keeping.got[7] == (
        "table", "confusion", ["true", "a, b", "c"], [["a, b", "5", "1"], ["c", "0", "7"]], 6,
    )  # fmt: skip
    assert keeping.got[8] == ("finish", "finished", {"loss": 0.25})


def test_another_session_gives_what_is_new_alone(run: Path) -> None:
    first, before = session(run), tracker(run)
    first.give_new(before)
    first.give_end(before)
    write_steps(run, range(1, 9))
    draw(run, "curves", 200)
    draw(run, "parts/features", 10)
    later, after = session(run), tracker(run)
    later.give_new(after)
    later.give_end(after)
    assert after.steps() == [7, 8]
    figures = [entry[1:] for entry in after.got if entry[0] == "figure"]
    assert figures == [("curves", 8), ("parts/features", 8)], "drawn again, and new"
    assert "table" not in {entry[0] for entry in after.got}
    assert later.of_now().given == 12


def test_a_resumed_run_that_writes_again_what_was_given_doubles_nothing(run: Path) -> None:
    first, before = session(run), tracker(run)
    first.give_new(before)
    write_steps(run, range(1, 4), speed=7.25)  # cut to its checkpoint
    later, after = session(run), tracker(run)
    later.give_new(after)
    assert after.got == []
    for last in range(4, 9):  # with other timings, so that no byte stands where it stood
        write_steps(run, range(1, last + 1), speed=7.25)
        later.give_new(after)
    assert before.steps() + after.steps() == list(range(1, 9))


def test_records_of_several_phases_are_counted_through_all(run: Path) -> None:
    lines = [line_of(1, "denoising-0/layer-1"), line_of(1, "denoising-0/layer-2", knn=0.5)]
    (run / "metrics.jsonl").write_text("".join(lines))
    keeping = tracker(run)
    session(run).give_new(keeping)
    assert [entry[1:3] for entry in keeping.got[:2]] == [(0, 1), (1, 1)]
    assert keeping.got[1][3]["denoising-0/layer-2/knn"] == 0.5


def test_a_process_that_was_killed_while_it_gave_a_record_gives_it_not_again(run: Path) -> None:
    class Dying(Keeping):
        def record(self, record: Record) -> None:
            if record.step == 3:
                raise KeyboardInterrupt  # nothing of ours catches it: as if killed

    work = session(run)
    with pytest.raises(KeyboardInterrupt):
        work.give_new(Dying(TrackedRun.of(run, None)))
    sent = read_sent(state_path(run, "keeping"))
    assert sent is not None
    assert (sent.records, sent.giving) == (3, True)
    later, after = session(run), tracker(run)
    later.give_new(after)
    assert after.steps() == [4, 5, 6]
    sent = read_sent(state_path(run, "keeping"))
    assert sent is not None
    assert (sent.unclear, sent.giving) == (1, False), "and it is said"


def test_what_failed_is_given_again_and_no_more(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(courier, "LOOK_EVERY", 0.001)
    over = threading.Event()
    opened, said = [], []

    class Flaky(Keeping):
        def __init__(self, run: TrackedRun) -> None:
            super().__init__(run)
            opened.append(self)
            self.failing = {3} if len(opened) < 4 else set()
            if len(opened) == 4:
                over.set()

    assert Courier(lambda: Flaky, session(run), said.append).follow(over)
    assert [step for each in opened for step in each.steps()] == [1, 2, 3, 4, 5, 6]
    assert [each.run.given for each in opened] == [0, 3, 6, 9]
    assert [each.closed for each in opened] == [1, 1, 1, 0]
    assert "ConnectionError: the server does not answer" in said[0]
    assert read_sent(state_path(run, "keeping")).failure == ""  # type: ignore[union-attr]


def test_a_tracker_that_fails_at_every_call_is_given_up_at_the_end_with_its_reason(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(courier, "LOOK_EVERY", 0.001)
    over, said = threading.Event(), []

    class Failing(Keeping):
        def record(self, record: Record) -> None:
            raise SystemError("no\nmore")

    threading.Timer(0.1, over.set).start()
    assert not Courier(lambda: Failing, session(run), said.append).follow(over)
    sent = read_sent(state_path(run, "keeping"))
    assert sent is not None
    assert (sent.records, sent.giving, sent.stage) == (0, False, Stage.failing)
    assert sent.failure == "SystemError: no"
    assert len(said) == 1, "said once, however often it fails"


def test_nothing_is_given_where_the_disk_of_the_run_is_nearly_full(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage(2**40, 2**40, courier.RESERVE - 1))
    over = threading.Event()
    over.set()
    assert not Courier(lambda: Keeping, session(run), lambda _: None).follow(over)
    sent = read_sent(state_path(run, "keeping"))
    assert sent is not None
    assert "255 MiB are left" in sent.failure
    with pytest.raises(OSError, match="are kept for it") as refused:
        courier.require_space(run)
    assert refused.value.errno == errno.ENOSPC


@pytest.mark.parametrize(
    ("written", "told"),
    [("finished", "finished"), ("interrupted", "interrupted"), ("running", "died")],
)
def test_the_end_is_told_as_it_was(run: Path, written: str, told: str) -> None:
    (run / "run.json").write_text(json.dumps({**facts(run), "status": written}))
    work, keeping = session(run), tracker(run)
    work.give_end(keeping)
    metrics = {"loss": 0.25} if written == "finished" else {}
    assert keeping.got[-1] == ("finish", told, metrics)


def test_damaged_lines_are_passed_over(run: Path) -> None:
    with (run / "metrics.jsonl").open("a") as lines:
        lines.write("{broken\n[]\n" + line_of(9))
    keeping = tracker(run)
    session(run).give_new(keeping)
    assert keeping.steps() == [1, 2, 3, 4, 5, 6, 9]


def test_results_become_a_table(run: Path) -> None:
    rows = [
        Row("probe", {"top1": 0.5, "top5": None}, {"labels": "all"}),
        Row("raw", {"top1": 0.25}, {"seed": 3}),
    ]
    write_results(run, Results("linear-eval", Protocol("test", None), rows))
    assert results_table(run / "results.json") == [
        ["row", "labels", "seed", "top1", "top5"],
        ["probe", "all", "", "0.5", ""],
        ["raw", "", "3", "0.25", ""],
    ]


def test_a_run_is_known_again_after_it_was_moved(run: Path, tmp_path: Path) -> None:
    before = TrackedRun.of(run, None)
    (tmp_path / "outputs").rename(tmp_path / "elsewhere")
    moved = TrackedRun.of(tmp_path / "elsewhere" / run.relative_to(tmp_path / "outputs"), None)
    assert moved.key == before.key
    assert before.outputs == tmp_path / "outputs"
    assert moved.outputs == tmp_path / "elsewhere", "and so is what lies beside it"
    assert before.settings["method"] == "simclr"


def test_a_figure_that_is_being_drawn_waits_until_it_is_whole(run: Path) -> None:
    path = run / "figures/curves.png"
    whole = path.read_bytes()
    work, keeping = session(run), tracker(run)
    for piece in (whole[:0], whole[:20], whole[:-1]):
        path.write_bytes(piece)
        work.give_new(keeping)
    assert keeping.steps() == [1, 2, 3, 4, 5, 6]
    assert "figure" not in {entry[0] for entry in keeping.got}
    path.write_bytes(whole)
    work.give_new(keeping)
    assert keeping.got[-1] == ("figure", "curves", 6)
