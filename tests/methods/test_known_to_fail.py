"""What is known to fail is said before the first step; what the losses' algebra says is measured here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from doubles import TINY, Sslcli, facts, only_run
from torch import Tensor

from sslcli import losses
from sslcli.method import MethodConfig
from sslcli.methods import METHODS
from sslcli.methods.barlow_twins import BarlowTwinsConfig
from sslcli.methods.byol import BYOLConfig
from sslcli.methods.dino import DINOConfig
from sslcli.methods.distillation import DistillationConfig
from sslcli.methods.moco import MoCoConfig
from sslcli.methods.simclr import ContrastiveLoss, SimCLRConfig
from sslcli.methods.swav import SwAVConfig
from sslcli.methods.vicreg import VICRegConfig
from sslcli.nets.head_config import HeadConfig

CASES: list[tuple[MethodConfig, int, str, MethodConfig, int]] = [
    (SimCLRConfig(), 16, "method.loss=dcl", SimCLRConfig(loss=ContrastiveLoss.dcl), 16),
    (SimCLRConfig(), 16, "batch_size=32", SimCLRConfig(), 32),
    (MoCoConfig(momentum=0.0), 128, "method.momentum=0.99", MoCoConfig(momentum=0.99), 128),
    (BYOLConfig(momentum=1.0), 128, "method.momentum=0.99", BYOLConfig(momentum=0.99), 128),
    (DINOConfig(momentum=0.0), 128, "method.momentum=0.99", DINOConfig(momentum=0.99), 128),
    (
        DINOConfig(teacher_temperature=0.1),
        128,
        "at most 0.06",
        DINOConfig(teacher_temperature=0.06),
        128,
    ),
    (DINOConfig(centre_momentum=0.999), 128, "0.9 to", DINOConfig(centre_momentum=0.99), 128),
    (
        SwAVConfig(queue=0),
        128,
        "method.num_prototypes=128",
        SwAVConfig(queue=0, num_prototypes=128),
        128,
    ),
    (VICRegConfig(variance=0.0), 128, "variance=25", VICRegConfig(), 128),
    (VICRegConfig(), 8, "batch_size=21", VICRegConfig(), 21),
    (BarlowTwinsConfig(), 2, "batch_size=4", BarlowTwinsConfig(), 4),
]


@pytest.mark.parametrize(("config", "batch", "fix", "better", "larger"), CASES)
def test_what_is_named_as_better_is_not_known_to_fail(
    config: MethodConfig, batch: int, fix: str, better: MethodConfig, larger: int
) -> None:
    said = config.known_to_fail(batch)
    assert said is not None
    assert fix in said
    assert better.known_to_fail(larger) is None


@pytest.mark.parametrize("name", list(METHODS))
def test_no_method_is_known_to_fail_as_it_is_by_default(name: str) -> None:
    config = METHODS[name]
    built = config(teacher="x") if config is DistillationConfig else config()
    assert built.known_to_fail(128) is None


def least(loss: Callable[[Tensor], Tensor], num: int, width: int) -> Tensor:
    """Returns embeddings (num, width) of both views at the least loss that Adam finds."""
    z = torch.randn(num, width, generator=torch.Generator().manual_seed(0)).requires_grad_()
    optimizer = torch.optim.Adam([z], lr=0.05)
    for _ in range(300):
        optimizer.zero_grad()
        loss(z).backward()
        optimizer.step()
    return z.detach()


@pytest.mark.parametrize("num", [4, 12])
def test_vicregs_deviations_stay_below_half_exactly_where_it_says_so(num: int) -> None:
    """Views agree: two covariances, and the mean of two equal variance terms."""
    config = replace(VICRegConfig(), projector=HeadConfig(out=128))
    z = least(lambda z: 25 * losses.variance(z) + 2 * losses.covariance(z), num, 128)
    below = bool(z.std(dim=0).mean() < 0.5)
    assert below == (config.known_to_fail(num) is not None) == (num == 4)


@pytest.mark.parametrize("num", [3, 12])
def test_barlow_twins_views_correlate_by_less_than_half_where_it_says_so(num: int) -> None:
    """One embedding for both views cannot be less than 1: the second one is free."""
    config = BarlowTwinsConfig(off_diagonal=0.05, projector=HeadConfig(out=64))
    both = least(lambda z: losses.barlow_twins(*z.chunk(2), 0.05), 2 * num, 64)
    a, b = ((z - z.mean(0)) / z.std(0, correction=0) for z in both.chunk(2))
    below = bool((a * b).mean() < 0.5)
    assert below == (config.known_to_fail(num) is not None) == (num == 3)


@pytest.mark.slow
def test_it_is_a_warning_before_the_first_step_and_recorded(sslcli: Sslcli, tmp_path: Path) -> None:
    outcome = sslcli("pretrain", *TINY, "knn_every=0", "epochs=1")
    assert outcome.status == 0
    assert "warning: NT-Xent is weak with a batch of 16" in outcome.err
    said = facts(only_run(tmp_path / "outputs"))["derived"]["known_to_fail"]
    assert said.startswith("NT-Xent is weak")
