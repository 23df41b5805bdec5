"""In its first steps a frozen encoder stays bit for bit as it was; what is behind it learns."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from doubles import CPU, build_method, pictures
from torch import Tensor

from sslcli.engine.minimize import Minimizer
from sslcli.engine.optim_config import SGDConfig
from sslcli.errors import SslcliError
from sslcli.method import Method, MethodConfig, Progress
from sslcli.methods.dino import DINOConfig
from sslcli.methods.simclr import SimCLRConfig
from sslcli.nets.encoder_config import ConvNetConfig


def states(method: Method) -> dict[str, Tensor]:
    return {
        f"{part}.{name}": tensor.clone()
        for part, module in method.modules().items()
        for name, tensor in module.state_dict().items()
    }


def steps(method: Method, minimize: Minimizer, numbers: range) -> None:
    for step in numbers:
        minimize.begin(step)
        views = method.views(torch.from_numpy(pictures().images[:8]))
        method.train_step(views, minimize, Progress(step, 4))
        minimize.end()


@pytest.mark.parametrize(
    ("config", "encoder"),
    [
        (SimCLRConfig(), "encoder."),
        (DINOConfig(num_prototypes=4), "student."),
        (DINOConfig(num_prototypes=4), "teacher.networks.0."),
    ],
)
def test_the_encoder_stays_and_then_learns(config: MethodConfig, encoder: str) -> None:
    torch.manual_seed(0)
    method = build_method(config, ConvNetConfig(width=2))
    for module in method.modules().values():
        module.train()
    minimize = Minimizer.of(method, SGDConfig(), CPU, lambda step: 0.1, frozen_steps=2)
    first = states(method)
    steps(method, minimize, range(2))
    frozen = states(method)
    changed = {name for name in first if not first[name].equal(frozen[name])}
    blocks = {name for name in first if name.startswith(encoder) and "blocks" in name}
    assert blocks
    assert not changed & blocks
    assert changed, "what is behind it learned"
    steps(method, minimize, range(2, 3))
    now = states(method)
    assert {name for name in blocks if not now[name].equal(frozen[name])}, "it learns again"


def test_nothing_but_an_encoder_cannot_be_frozen() -> None:
    encoder = ConvNetConfig(width=2).build(3, 16)

    class Alone:
        def learning_rates(self) -> Any:
            return {"method": 1.0}

        def players(self) -> Any:
            return {"method": [encoder]}

        def modules(self) -> Any:
            return {"encoder": encoder}

    minimize = Minimizer.of(Alone(), SGDConfig(), CPU, lambda step: 0.1, frozen_steps=1)  # type: ignore[arg-type]
    minimize.begin(0)
    with pytest.raises(SslcliError, match="trains nothing beside the encoder"):
        minimize(encoder(torch.randn(2, 3, 16, 16)).sum())
