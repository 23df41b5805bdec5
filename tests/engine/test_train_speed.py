"""What the training loop says of its speed where a device works on its own."""

from __future__ import annotations

import pytest
from doubles import CPU
from torch import Tensor
from training import (
    Asynchronous,
    Clock,
    Listener,
    Notes,
    Numbers,
    OneWeight,
    Training,
)

from sslcli.engine.train import Periods, train
from sslcli.errors import RunFailed


def test_nothing_is_saved_before_the_device_was_asked_whether_losses_are_finite() -> None:
    class Diverged(Asynchronous):
        def check_finite(self) -> None:
            if self.asked > 3:
                raise RunFailed("not finite", "")

    training = Training(save_every=2)
    training.minimize = Diverged(Clock())
    with pytest.raises(RunFailed, match="not finite"):
        training.run()
    assert training.at("save") == [2]


@pytest.mark.parametrize("log_every", [1, 2, 3, 6])
@pytest.mark.parametrize("reading", [0, 1, 6])
def test_the_wait_for_a_device_is_the_steps_time_and_an_evaluations_is_not(
    monkeypatch: pytest.MonkeyPatch, log_every: int, reading: int
) -> None:
    """`reading`: seconds for a batch. Making views of it is the step's own time."""
    clock, notes = Clock(), Notes()
    monkeypatch.setattr("sslcli.engine.train.time", clock)

    class Slow(Numbers):
        def at(self, step: int) -> Tensor:
            clock.now += reading
            return super().at(step)

    class Viewing(OneWeight):
        def views(self, images: Tensor, /) -> Tensor:
            clock.now += 1
            return super().views(images)

    def evaluate(_: int) -> dict[str, float]:
        clock.now += 100
        return {}

    speed = train(
        Viewing(notes.events), Slow(notes.events), Asynchronous(clock), evaluate, notes,  # type: ignore[arg-type]
        Periods(6, log_every, 2, 4), CPU, Listener(notes.events),
    )  # fmt: skip
    timings = [record["timing"] for record in notes.records]
    logged = [timing for timing in timings if "seconds" not in timing]
    assert speed == pytest.approx(8 / (3 + reading))
    expected = {
        "images_per_second": pytest.approx(8 / (3 + reading), abs=0.05),
        "data_share": pytest.approx(reading / (3 + reading), abs=1e-4),
    }
    assert logged == [expected] * (6 // log_every)
    assert [t["seconds"] for t in timings if "seconds" in t] == [100] * 3
