"""Half precision on the simulated accelerator: no step waits, and a loss that overflows skips its step."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from cases import CASES
from doubles import Killed, OfOneLayer
from simulated_device import WAITS, Waited
from simulated_training import on, require_equal, steps, values
from torch import Tensor, nn

from sslcli.engine.device import Compute
from sslcli.method import Minimize, Progress
from sslcli.testing.trial import build_method

HALF = [torch.float16, torch.bfloat16]


def half(device: Compute, dtype: torch.dtype = torch.float16) -> Compute:
    return Compute(device.device, dtype)


@pytest.mark.parametrize("dtype", HALF, ids=["fp16", "bf16"])
@pytest.mark.parametrize("name", sorted(CASES))
def test_a_method_trains_there_in_half_precision_without_a_wait(
    name: str, dtype: torch.dtype, device: Compute, tmp_path: Path
) -> None:
    full, low = on(device, build_method(*CASES[name])), on(device, build_method(*CASES[name]))
    (expected, *_) = steps(tmp_path / "full", full, device, 1)
    WAITS.counts.clear()
    (first, *_) = steps(tmp_path / "low", low, half(device, dtype), 1, fused=True)
    assert first["loss"] == pytest.approx(expected["loss"], rel=0.05, abs=0.02)
    assert first["loss"] != expected["loss"], "nothing was cast"
    allowed = {"engine/minimize.py", "engine/meter.py", "runs/checkpoint.py"}
    assert {line.partition(":")[0] for line in WAITS.counts} <= allowed


class Overflowing(OfOneLayer):
    """A learner whose gradients overflow in float16 at the steps `at`, and whose loss does not."""

    def __init__(self, at: set[int]) -> None:
        torch.manual_seed(0)
        self.layer, self.at = nn.Linear(2, 2), at
        self.weights: list[Tensor] = []

    def views(self, images: Tensor, /) -> Tensor:
        return images[:, 0, 0, :2].float() / 255

    def train_step(
        self, views: Tensor, minimize: Minimize, progress: Progress
    ) -> dict[str, Tensor]:
        self.weights.append(values(self)["layer.weight"].clone())  # type: ignore[arg-type]
        loss = self.layer(views).float().square().mean()
        minimize(loss * 1e6 if progress.step in self.at else loss)
        return {"loss": loss.detach()}


def test_a_step_whose_gradients_overflow_is_skipped_and_the_next_is_not(
    device: Compute, tmp_path: Path
) -> None:
    learner = on(device, Overflowing({0, 3}))
    steps(tmp_path / "run", learner, half(device), 6, fused=True)
    weights = [*learner.weights, values(learner)["layer.weight"]]  # type: ignore[attr-defined]
    changed = [not torch.equal(*pair) for pair in pairwise(weights)]
    assert changed == [False, True, True, False, True, True]
    saved = torch.load(tmp_path / "run/train/last.pt", weights_only=True)
    assert scale_of(saved) == 2.0**16 / 4


def scale_of(saved: dict[str, Any]) -> float:
    found = [value for key, value in saved.items() if key == "scale"]
    found += [scale_of(value) for value in saved.values() if isinstance(value, dict)]
    return max(found, default=0.0)


def test_an_optimizer_that_is_not_fused_waits_for_the_scaler(
    device: Compute, tmp_path: Path
) -> None:
    """torch's own scaler reads whether gradients overflowed; on a GPU the optimizers here are fused."""
    with pytest.raises(Waited, match=r"engine/minimize\.py:\d+"):
        steps(tmp_path / "run", on(device, Overflowing(set())), half(device), 1)


def test_the_scale_is_resumed_bit_for_bit(device: Compute, tmp_path: Path) -> None:
    whole, cut, resumed = (on(device, Overflowing({0, 3})) for _ in range(3))
    steps(tmp_path / "whole", whole, half(device), 6, fused=True)
    with pytest.raises(Killed):
        steps(tmp_path / "cut", cut, half(device), 6, stop_at=3, fused=True)
    steps(tmp_path / "cut", resumed, half(device), 6, fused=True)
    require_equal(values(whole), values(resumed))
