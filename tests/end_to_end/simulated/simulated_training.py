"""Training on the simulated accelerator, for its tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from doubles import Onlooker, pictures
from simulated_device import Simulated
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from sslcli.data.batches import Batches, LabelledBatches
from sslcli.engine.device import Compute
from sslcli.engine.minimize import Minimizer
from sslcli.engine.optim_config import AdamWConfig
from sslcli.engine.train import Periods, train
from sslcli.method import LabelReader, Learner
from sslcli.runs.checkpoint import Phase
from sslcli.runs.folder import Run


def on(compute: Compute, learner: Learner[Any, Any]) -> Learner[Any, Any]:
    for module in learner.modules().values():
        compute.to_device(module)
    return learner


def steps(
    folder: Path,
    learner: Learner[Any, Any],
    compute: Compute,
    num: int,
    stop_at: int | None = None,
    fused: bool = False,
) -> list[dict[str, Any]]:
    """Trains as a run does, with a record each step, a checkpoint each two; returns the records.

    By the plain loop of AdamW: torch has one for the CPU that rounds otherwise. `fused`: as on a GPU."""
    kind = LabelledBatches if isinstance(learner, LabelReader) else Batches
    batches = kind(pictures(), 8, 0, compute.device)
    minimize = Minimizer.of(learner, AdamWConfig(), compute, lambda _: 3e-3)
    for player in minimize._players.values():
        for group in player.optimizer.param_groups:
            group["fused"], group["foreach"] = fused, False
        player.optimizer._step_supports_amp_scaling = fused  # type: ignore[attr-defined]
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
