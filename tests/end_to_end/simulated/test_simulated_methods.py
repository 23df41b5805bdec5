"""Every method on a simulated accelerator: nothing mixes devices, no step waits, and results are the CPU's, bit for bit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from cases import CASES
from doubles import CPU, Killed, Onlooker, pictures
from simulated_device import WAITS, Mixed, Simulated, Waited
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from sslcli.data.batches import Batches, LabelledBatches
from sslcli.engine.device import Compute
from sslcli.engine.minimize import Minimizer
from sslcli.engine.optim_config import AdamWConfig
from sslcli.engine.train import Periods, train
from sslcli.method import LabelReader, Learner, Minimize, Progress
from sslcli.runs.checkpoint import Phase
from sslcli.runs.folder import Run
from sslcli.testing.trial import build_method


def on(compute: Compute, learner: Learner[Any, Any]) -> Learner[Any, Any]:
    for module in learner.modules().values():
        compute.to_device(module)
    return learner


def steps(
    folder: Path, learner: Learner[Any, Any], compute: Compute, num: int, stop_at: int | None = None
) -> list[dict[str, Any]]:
    """Trains as a run does, with a record each step, a checkpoint each two; returns the records.

    By the plain loop of AdamW: torch has one for the CPU that rounds otherwise."""
    kind = LabelledBatches if isinstance(learner, LabelReader) else Batches
    batches = kind(pictures(), 8, 0, compute.device)
    minimize = Minimizer.of(learner, AdamWConfig(), compute, lambda _: 3e-3)
    for player in minimize._players.values():
        for group in player.optimizer.param_groups:
            group["fused"] = group["foreach"] = False
    onlooker = Onlooker(stop_at=stop_at)
    folder.mkdir(exist_ok=True)
    with Run(folder) as run, sdpa_kernel(SDPBackend.MATH):  # the CPU's own kernel rounds otherwise
        if not (folder / "run.json").exists():
            (folder / "run.json").write_text("{}")
        phase = Phase(run, "train", 2, 0)
        periods = Periods(num, 1, 1000, 2)
        train(learner, batches, minimize, lambda _: {}, phase, periods, compute, onlooker)
    return onlooker.records


def values(learner: Learner[Any, Any]) -> dict[str, Tensor]:
    """The state, on the CPU."""
    state = nn.ModuleDict(learner.modules()).state_dict()
    return {
        key: value.raw if isinstance(value, Simulated) else value for key, value in state.items()
    }


def require_equal(a: dict[str, Tensor], b: dict[str, Tensor]) -> None:
    assert a.keys() == b.keys()
    assert not [key for key in a if not torch.equal(a[key], b[key])]


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


class Faulty:
    """A learner of two numbers a picture, whose step does what `fault` does with them."""

    def __init__(self, fault: Callable[[Tensor], Tensor]) -> None:
        self.fault, self.layer = fault, nn.Linear(2, 2)

    def modules(self) -> dict[str, nn.Module]:
        return {"layer": self.layer}

    def players(self) -> dict[str, Sequence[nn.Module]]:
        return {"method": [self.layer]}

    def learning_rates(self) -> dict[str, float]:
        return {"method": 1.0}

    def satisfied(self) -> bool:
        return False

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
