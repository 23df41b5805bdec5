"""What codes are held to, against slow sums written from the papers."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from sslcli.losses import contraction, mean_activity, normal_divergence


def slow_divergence(mean: Tensor, log_variance: Tensor) -> float:
    """-1/2 sum_j (1 + log sigma_j^2 - mu_j^2 - sigma_j^2), a number at a time; mean over pictures."""
    total = 0.0
    for mu, log in zip(mean.flatten().tolist(), log_variance.flatten().tolist(), strict=True):
        total -= 0.5 * (1 + log - mu**2 - math.exp(log))
    return total / len(mean)


@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 2, 2)])
def test_the_divergence_is_the_papers_sum(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    mean, log_variance = torch.randn(shape), torch.randn(shape)
    found = normal_divergence(mean, log_variance)
    assert found.item() == pytest.approx(slow_divergence(mean, log_variance), rel=1e-5)
    assert normal_divergence(torch.zeros(shape), torch.zeros(shape)).item() == 0
    in_half = normal_divergence(mean.half() * 100, log_variance.half())
    assert in_half.dtype == torch.float32
    assert in_half.isfinite()


def test_the_divergence_is_that_of_the_two_distributions() -> None:
    mean, log_variance = torch.randn(5, 3).double(), torch.randn(5, 3).double()
    own = torch.distributions.Normal(mean, (log_variance / 2).exp())
    normal = torch.distributions.Normal(torch.zeros(5, 3).double(), torch.ones(5, 3).double())
    expected = torch.distributions.kl_divergence(own, normal).sum(dim=1).mean()
    assert torch.isclose(normal_divergence(mean, log_variance), expected)


def slow_contraction(encode: nn.Module, inputs: Tensor) -> float:
    """||J||_F^2 by its closed form of a sigmoid layer (Rifai et al. 2011), mean over pictures."""
    linear = encode[0].requires_grad_(False)  # type: ignore[index]
    total = 0.0
    for x in inputs.detach():
        for weights, bias in zip(linear.weight, linear.bias, strict=True):
            h = torch.sigmoid(weights @ x.flatten() + bias).detach()
            total += float((h * (1 - h)) ** 2 * weights.square().sum())
    return total / len(inputs)


def test_the_contraction_along_all_directions_is_the_jacobians_norm() -> None:
    torch.manual_seed(0)
    encode = nn.Sequential(nn.Linear(6, 3), nn.Sigmoid()).double()
    inputs = torch.randn(4, 6).double().requires_grad_()
    axes = torch.eye(3).double()
    along = [contraction(inputs, encode(inputs), axis.expand(4, 3)) for axis in axes]
    assert sum(one.item() for one in along) == pytest.approx(slow_contraction(encode, inputs))
    many = inputs.detach().repeat(3000, 1).requires_grad_()
    drawn = contraction(many, encode(many), torch.randn(12_000, 3).double())
    assert drawn.item() == pytest.approx(slow_contraction(encode, inputs), rel=0.03)


def test_the_contraction_has_a_gradient_for_the_encoder() -> None:
    torch.manual_seed(0)
    encode = nn.Sequential(nn.Linear(5, 2), nn.Tanh()).double()
    inputs = torch.randn(3, 5).double().requires_grad_()
    directions = torch.randn(3, 2).double()

    def loss(weight: Tensor) -> Tensor:
        codes = torch.tanh(inputs @ weight.T)
        return contraction(inputs, codes, directions)

    assert torch.autograd.gradcheck(loss, (encode[0].weight,))


def slow_activity(codes: Tensor, rho: float) -> float:
    total = 0.0
    for unit in codes.flatten(1).T.tolist():
        mean = sum(unit) / len(unit)
        total += rho * math.log(rho / mean) + (1 - rho) * math.log((1 - rho) / (1 - mean))
    return total


@pytest.mark.parametrize("shape", [(7, 4), (3, 2, 2, 2)])
def test_the_mean_activity_is_the_lectures_sum(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    codes = torch.rand(shape)
    assert mean_activity(codes, 0.05).item() == pytest.approx(slow_activity(codes, 0.05), rel=1e-5)
    assert mean_activity(torch.full(shape, 0.2), 0.2).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_units_that_are_never_on_or_never_off_are_no_infinity(value: float) -> None:
    codes = torch.full((4, 3), value, requires_grad=True)
    loss = mean_activity(codes, 0.05)
    loss.backward()
    assert loss.isfinite()
    assert codes.grad is not None
    assert codes.grad.isfinite().all()
