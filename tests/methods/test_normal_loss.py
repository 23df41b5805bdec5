"""What a method calls its loss where nothing was learned is what such outputs cost."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from doubles import TEACHER
from torch import Tensor

from sslcli import losses
from sslcli.method import MethodConfig, Normal
from sslcli.methods import METHODS
from sslcli.methods.barlow_twins import BarlowTwinsConfig
from sslcli.methods.dino import DINOConfig
from sslcli.methods.distillation import DistillationConfig
from sslcli.methods.mae import MAEConfig
from sslcli.methods.moco import MoCoConfig
from sslcli.methods.moco_v3 import MoCoV3Config
from sslcli.methods.nnclr import NNCLRConfig
from sslcli.methods.simclr import ContrastiveLoss, SimCLRConfig
from sslcli.methods.sup_con import SupConConfig
from sslcli.methods.swav import SwAVConfig
from sslcli.methods.vicreg import VICRegConfig
from sslcli.nets.encoder_config import ConvNetConfig
from sslcli.nets.head_config import HeadConfig
from sslcli.nets.vit_config import ViTConfig
from sslcli.testing.trial import build_method

N, WIDE = 16, 4096
"""Random rows so wide are all but orthogonal."""
UNIFORM = torch.full((N, 32), 1 / 32)
Loss = Callable[[Tensor, Tensor], Tensor]


def vicreg(a: Tensor, b: Tensor) -> Tensor:
    return 25 * losses.invariance(a, b) + 25 * losses.variance(a) + losses.covariance(a)


CASES: dict[str, tuple[MethodConfig, Loss]] = {
    "simclr": (SimCLRConfig(temperature=0.5), lambda a, b: losses.nt_xent(a, b, 0.5)),
    "simclr, DCL": (
        SimCLRConfig(temperature=0.5, loss=ContrastiveLoss.dcl),
        lambda a, b: losses.dcl(a, b, 0.5) + losses.mean_cosine(a, b) / 0.5,
    ),
    "moco": (
        MoCoConfig(temperature=0.5, queue=N),
        lambda a, b: losses.info_nce_with_queue(a, b, b.roll(1, 0) if a is b else rows(2), 0.5),
    ),
    "distillation": (
        DistillationConfig(teacher=str(TEACHER), queue=N, temperature=0.5),
        lambda a, b: losses.similarity_entropy(a, b, b if a is b else rows(2), 0.5, 0.01),
    ),
    "moco_v3": (MoCoV3Config(temperature=0.5), lambda a, b: 2 * losses.info_nce(a, b, 0.5)),
    "nnclr": (NNCLRConfig(temperature=0.5), lambda a, b: losses.info_nce(a, b, 0.5)),
    "sup_con": (
        SupConConfig(temperature=0.5),
        lambda a, b: losses.sup_con(torch.cat([a, b]), torch.arange(N) // 4, 0.5),
    ),
    "swav": (
        SwAVConfig(num_prototypes=32),
        lambda a, b: losses.cross_view_entropy([UNIFORM], [UNIFORM, UNIFORM], 0.1),
    ),
    "dino": (
        DINOConfig(num_prototypes=32),
        lambda a, b: losses.cross_view_entropy([UNIFORM], [UNIFORM, UNIFORM], 0.1),
    ),
}


def normal_of(config: MethodConfig) -> Normal:
    return build_method(config, ConvNetConfig(width=4)).normal(N)


def rows(seed: int) -> Tensor:
    return torch.randn(N, WIDE, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", list(CASES))
def test_outputs_that_say_nothing_cost_what_is_called_untrained(name: str) -> None:
    config, loss = CASES[name]
    untrained = normal_of(config).untrained
    assert loss(rows(0), rows(1)).item() == pytest.approx(untrained, abs=0.05)


@pytest.mark.parametrize("name", list(CASES))
def test_equal_outputs_cost_what_is_called_collapsed(name: str) -> None:
    config, loss = CASES[name]
    equal = rows(0)[:1].expand(N, -1)  # of one view and of the other, the same object
    cost = loss(equal, equal).item()
    if name == "simclr, DCL":  # whose test adds the positive term, which is then 1 / temperature
        cost -= 1 / 0.5
        assert cost + 1 / 0.5 == pytest.approx(normal_of(config).collapsed + 2, abs=1e-3)
    else:
        assert cost == pytest.approx(normal_of(config).collapsed, abs=1e-3)


def test_barlow_twins_untrained_is_an_expectation_and_its_collapse_the_width() -> None:
    width = 32
    config = BarlowTwinsConfig(off_diagonal=0.1, scale=1.0, projector=HeadConfig(out=width))
    found = [
        losses.barlow_twins(rows(2 * seed)[:, :width], rows(2 * seed + 1)[:, :width], 0.1)
        for seed in range(200)
    ]
    normal = normal_of(config)
    assert torch.stack(found).mean().item() == pytest.approx(normal.untrained, rel=0.02)
    equal = torch.ones(N, width)
    assert losses.barlow_twins(equal, equal, 0.1).item() == normal.collapsed == width


def test_vicregs_collapse() -> None:
    equal = torch.ones(N, 8)
    assert vicreg(equal, equal).item() == pytest.approx(normal_of(VICRegConfig()).collapsed)


def test_maes_loss_of_predicting_every_patchs_mean() -> None:
    patches = losses.normalized_patches(torch.randn(3, 16, 48))
    hidden = torch.ones(3, 16)
    cost = losses.hidden_squared_error(torch.zeros_like(patches), patches, hidden).item()
    vit = ViTConfig(width=24, depth=1, heads=2)
    assert build_method(MAEConfig(), vit).normal(N).collapsed == pytest.approx(cost, abs=1e-4)
    assert build_method(MAEConfig(normalize_patches=False), vit).normal(N) == Normal()


def test_a_method_that_says_nothing_is_not_made_up() -> None:
    assert normal_of(METHODS["denoising_autoencoder"]()) == Normal()
    assert normal_of(SimCLRConfig()).collapsed == pytest.approx(math.log(2 * N - 1))
