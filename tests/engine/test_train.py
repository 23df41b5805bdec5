"""What the training loop says of its speed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from test_contract import CPU, Onlooker, build, pictures

from sslcli.data.batches import Batches
from sslcli.engine import train as loop
from sslcli.engine.minimize import Minimizer
from sslcli.engine.optim_config import SGDConfig
from sslcli.engine.train import Periods, train
from sslcli.runs.checkpoint import Phase
from sslcli.runs.folder import Run, read_records


@dataclass
class Clock:
    """Stands still but for what the device is waited for."""

    now: float = 0.0

    def perf_counter(self) -> float:
        return self.now


class Asynchronous(Minimizer):
    """Steps take no time, as where they are only asked of a device; the device needs 2 s for each, and is waited for here."""

    clock: Clock
    asked = 0

    def end(self) -> None:
        super().end()
        self.asked += 1

    def check_finite(self) -> None:
        super().check_finite()
        if hasattr(self, "clock"):
            self.clock.now += 2 * self.asked
            self.asked = 0


@pytest.mark.parametrize("log_every", [1, 2, 3, 6])
def test_the_wait_for_a_device_is_the_steps_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log_every: int
) -> None:
    clock = Clock()
    monkeypatch.setattr(loop, "time", clock)
    monkeypatch.setattr(Minimizer, "_watch", lambda *_: None)
    method = build("simclr")
    minimize = Asynchronous.of(method, SGDConfig(), CPU, lambda _: 0.1)
    minimize.clock = clock  # type: ignore[attr-defined]
    (tmp_path / "run.json").write_text("{}")

    def evaluate(_: int) -> dict[str, float]:
        clock.now += 100
        return {}

    with Run(tmp_path) as run:
        speed = train(
            method, Batches(pictures(), 8, 0, "cpu"), minimize, evaluate, Phase(run, "pretrain", 1, 0),
            Periods(6, log_every, 2, 4), CPU, Onlooker(),
        )  # fmt: skip
        timings: list[dict[str, Any]] = [
            record["timing"] for record in read_records(tmp_path) if "loss" in record
        ]
    assert speed == 4
    assert [timing["images_per_second"] for timing in timings] == [4] * (6 // log_every)
