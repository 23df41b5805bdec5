"""Every method on a simulated accelerator: nothing mixes devices, no step waits, and results are the CPU's, bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from cases import CASES
from doubles import CPU, Killed, OfOneLayer
from simulated_device import WAITS, Mixed, Waited
from simulated_training import on, require_equal, steps, values
from torch import Tensor, nn

from sslcli.engine.device import Compute
from sslcli.method import Learner, Minimize, Progress
from sslcli.testing.trial import build_method

ROUND_OTHERWISE = {"context_encoder", "context_encoder, adversarial", "distillation"}
"""There torch's CPU takes another kernel where autograd records nothing, as for what the simulated tensors wrap."""


@pytest.mark.parametrize("name", sorted(CASES.keys() - ROUND_OTHERWISE))
def test_a_method_trains_there_as_on_the_cpu(name: str, device: Compute, tmp_path: Path) -> None:
    here, there = on(CPU, build_method(*CASES[name])), on(device, build_method(*CASES[name]))
    records = steps(tmp_path / "here", here, CPU, 2)
    WAITS.counts.clear()
    assert steps(tmp_path / "there", there, device, 2) == records
    require_equal(values(here), values(there))
    require_few_waits(num_steps=2, learner=there)


@pytest.mark.parametrize("name", sorted(ROUND_OTHERWISE))
def test_others_train_there_nearly_as_on_the_cpu(
    name: str, device: Compute, tmp_path: Path
) -> None:
    here, there = on(CPU, build_method(*CASES[name])), on(device, build_method(*CASES[name]))
    losses = [one.get("loss") for one in steps(tmp_path / "here", here, CPU, 2)]
    WAITS.counts.clear()
    found = [one.get("loss") for one in steps(tmp_path / "there", there, device, 2)]
    assert found[:2] == pytest.approx(losses[:2], rel=1e-4)
    require_few_waits(num_steps=2, learner=there)


def require_few_waits(num_steps: int, learner: Learner[Any, Any]) -> None:
    """Checks where the host waited: for losses and metrics at each record (here each step), and at checkpoints."""
    counts = {line.partition(":")[0]: number for line, number in WAITS.counts.items()}
    players = len(learner.players())
    assert counts.keys() == {"engine/minimize.py", "engine/meter.py", "runs/checkpoint.py"}
    assert counts["engine/minimize.py"] == players * (num_steps + 2)  # evaluation; checkpoint
    assert counts["engine/meter.py"] == num_steps


def test_it_is_resumed_there_bit_for_bit(device: Compute, tmp_path: Path) -> None:
    whole, cut, resumed = (on(device, build_method(*CASES["moco"])) for _ in range(3))
    steps(tmp_path / "whole", whole, device, 6)
    with pytest.raises(Killed):
        steps(tmp_path / "cut", cut, device, 6, stop_at=3)
    steps(tmp_path / "cut", resumed, device, 6)
    require_equal(values(whole), values(resumed))


class Faulty(OfOneLayer):
    """A learner of two numbers a picture, whose step does what `fault` does with them."""

    def __init__(self, fault: Callable[[Tensor], Tensor]) -> None:
        self.fault, self.layer = fault, nn.Linear(2, 2)

    def views(self, images: Tensor, /) -> Tensor:
        return images[:, 0, 0, :2].float()

    def train_step(
        self, views: Tensor, minimize: Minimize, progress: Progress
    ) -> dict[str, Tensor]:
        loss = self.layer(self.fault(views)).square().mean()
        minimize(loss)
        return {"loss": loss.detach()}


def half_where_large(views: Tensor) -> Tensor:
    return views / 2 if views.max() > 1 else views


FAULTS: dict[str, tuple[Callable[[Tensor], Tensor], type[Exception]]] = {
    "moved to the CPU": (lambda views: views.cpu().to(views.device), Waited),
    "read": (lambda views: views * views.mean().item(), Waited),
    "decided by a value": (half_where_large, Waited),
    "chosen by a mask": (lambda views: views[views[:, 0] >= 0], Waited),
    "listed": (lambda views: views * len(views.tolist()), Waited),
    "a constant on the CPU": (lambda views: views * torch.ones(2), Mixed),
    "drawn on the CPU": (lambda views: views + torch.rand(len(views), 2), Mixed),
    "another device's generator": (
        lambda views: views + torch.rand(2, device=views.device, generator=torch.Generator()),
        Mixed,
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_of_a_step_are_caught_with_file_and_line(
    fault: str, device: Compute, tmp_path: Path
) -> None:
    work, error = FAULTS[fault]
    steps(tmp_path / "here", on(CPU, Faulty(work)), CPU, 1)  # there it goes unseen
    with pytest.raises(error, match=r"test_simulated_methods\.py:\d+"):
        steps(tmp_path / "there", on(device, Faulty(work)), device, 1)


def test_a_step_without_faults_passes(device: Compute, tmp_path: Path) -> None:
    steps(tmp_path / "there", on(device, Faulty(lambda views: views)), device, 1)
    assert WAITS.total > 0


def test_elsewhere_waits_are_counted_by_line(device: Compute) -> None:
    ones = torch.ones(3, device=device.device)
    WAITS.counts.clear()
    assert (ones.sum().item(), bool(ones[0] > 0), ones.cpu().tolist()) == (3, True, [1, 1, 1])
    assert torch.equal(ones, ones)
    assert WAITS.total == 4
    assert all(line.startswith("simulated/test_simulated_methods.py:") for line in WAITS.counts)
    WAITS.counts.clear()
    assert float(torch.ones(2).sum()) == 2
    assert (ones * 2.0 + torch.tensor(1.0)).device.type == "sim"
    assert WAITS.total == 0
