from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from sslcli.losses import discriminator_loss, generator_loss


def logits() -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    return 2 * torch.randn(5).double(), 2 * torch.randn(3).double()


def sigmoid(a: float) -> float:
    return 1 / (1 + math.exp(-a))


def test_equal_the_papers_sums() -> None:
    real, fake = logits()
    from_real = sum(-math.log(sigmoid(a)) for a in real.tolist()) / 5
    from_fake = sum(-math.log(1 - sigmoid(a)) for a in fake.tolist()) / 3
    assert discriminator_loss(real, fake).item() == pytest.approx(from_real + from_fake)
    assert generator_loss(fake).item() == pytest.approx(
        sum(-math.log(sigmoid(a)) for a in fake.tolist()) / 3
    )


def test_at_chance() -> None:
    assert discriminator_loss(torch.zeros(4), torch.zeros(4)).item() == pytest.approx(
        2 * math.log(2)
    )
    assert generator_loss(torch.zeros(4)).item() == pytest.approx(math.log(2))


def test_gradients() -> None:
    real, fake = (part.requires_grad_() for part in logits())
    assert torch.autograd.gradcheck(discriminator_loss, (real, fake))
    assert torch.autograd.gradcheck(generator_loss, fake)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_extreme_logits_stay_finite(dtype: torch.dtype) -> None:
    far = torch.tensor([-1e4, 1e4]).to(dtype).requires_grad_()
    loss = discriminator_loss(far, far) + generator_loss(far)
    loss.backward()
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(1.5e4, rel=0.01)
    assert far.grad is not None
    assert far.grad.isfinite().all()


def test_a_losing_generator_has_a_gradient() -> None:
    """Where the discriminator is certain of the fake, the saturating loss would teach nothing."""
    lost = torch.full((4,), -20.0, requires_grad=True)
    generator_loss(lost).backward()
    assert lost.grad is not None
    assert torch.allclose(lost.grad, torch.tensor(-0.25))
