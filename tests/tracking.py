"""What the tests of trackers share: runs that are written by hand, and a tracker that keeps what it gets."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from doubles import make_run
from PIL import Image

from sslcli.trackers.tracker import Record, TrackedRun, Tracker


def line_of(step: int, phase: str = "pretrain", speed: float = 100.0, **values: float) -> str:
    record = {"phase": phase, "step": step, "epoch": step / 4, "loss": 1 / step, **values}
    return json.dumps({**record, "timing": {"images_per_second": speed}}) + "\n"


def write_steps(run: Path, steps: Sequence[int], speed: float = 100.0) -> None:
    """Writes the records of these steps, and no others."""
    (run / "metrics.jsonl").write_text("".join(line_of(step, speed=speed) for step in steps))


def written_run(folder: Path, steps: int = 6, **facts: Any) -> Path:
    """A run of so many records, with a figure and a table."""
    run = make_run(folder, **facts)
    write_steps(run, range(1, steps + 1))
    draw(run, "curves", 10)
    (run / "confusion.csv").write_text('true,"a, b",c\n"a, b",5,1\nc,0,7\n')
    return run


def draw(run: Path, name: str, grey: int) -> None:
    path = run / f"figures/{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (6, 4), (grey,) * 3).save(path)


class Keeping(Tracker):
    """Keeps what it gets; fails at the calls whose numbers stand in `failing`."""

    def __init__(self, run: TrackedRun) -> None:
        self.run = run
        self.got: list[tuple[Any, ...]] = []
        self.failing: set[int] = set()
        self.calls = 0
        self.closed = 0

    @property
    def look(self) -> str:
        return "keep look"

    def record(self, record: Record) -> None:
        self._take("record", record.index, record.step, record.values)

    def figure(self, name: str, path: Path, step: int) -> None:
        self._take("figure", name, step)

    def table(
        self, name: str, columns: Sequence[str], rows: Sequence[Sequence[str]], step: int
    ) -> None:
        self._take("table", name, list(columns), [list(row) for row in rows], step)

    def finish(self, status: str, metrics: Mapping[str, float]) -> None:
        self._take("finish", status, dict(metrics))

    def close(self) -> None:
        self.closed += 1

    def steps(self) -> list[int]:
        return [entry[2] for entry in self.got if entry[0] == "record"]

    def _take(self, *entry: Any) -> None:
        self.calls += 1
        if self.calls in self.failing:
            raise ConnectionError("the server does not answer")
        self.got.append(entry)
