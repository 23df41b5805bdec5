from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from sslcli.losses import cross_entropy, masked_squared_error, squared_error


def sample(*shape: int) -> tuple[Tensor, Tensor, Tensor]:
    """Outputs, targets in [0, 1] and weights, float64."""
    torch.manual_seed(0)
    outputs, target, weights = (
        torch.randn(shape).double(),
        torch.rand(shape).double(),
        torch.rand(shape).double(),
    )
    return outputs, target, weights


def slow_cross_entropy(logits: Tensor, target: Tensor, weights: Tensor) -> float:
    """-sum_k w_k [x_k log z_k + (1 - x_k) log(1 - z_k)], a component at a time; mean over pictures."""
    total = 0.0
    for logit, x, w in zip(
        logits.flatten().tolist(),
        target.flatten().tolist(),
        weights.flatten().tolist(),
        strict=True,
    ):
        z = 1 / (1 + math.exp(-logit))
        total -= w * (x * math.log(z) + (1 - x) * math.log(1 - z))
    return total / len(logits)


def slow_squared_error(prediction: Tensor, target: Tensor, weights: Tensor) -> float:
    rows = zip(
        prediction.flatten().tolist(),
        target.flatten().tolist(),
        weights.flatten().tolist(),
        strict=True,
    )
    return sum(w * (p - t) ** 2 for p, t, w in rows) / len(prediction)


@pytest.mark.parametrize("shape", [(3, 7), (4, 2, 3, 3), (1, 5)])
def test_equal_the_papers_sums(shape: tuple[int, ...]) -> None:
    outputs, target, weights = sample(*shape)
    ones = torch.ones(shape)
    assert cross_entropy(outputs, target).item() == pytest.approx(
        slow_cross_entropy(outputs, target, ones)
    )
    assert cross_entropy(outputs, target, weights).item() == pytest.approx(
        slow_cross_entropy(outputs, target, weights)
    )
    assert squared_error(outputs, target).item() == pytest.approx(
        slow_squared_error(outputs, target, ones)
    )
    assert squared_error(outputs, target, weights).item() == pytest.approx(
        slow_squared_error(outputs, target, weights)
    )


def test_masked_squared_error_is_a_mean_a_picture_over_all_channels() -> None:
    prediction, target, _ = sample(3, 2, 4, 4)
    weights = torch.zeros(3, 1, 4, 4)
    weights[0, 0, 1, 2] = 1
    weights[1, 0, :2] = 1
    weights[2, 0, :2] = 1
    weights[2, 0, 0] = 10  # a band that weighs more
    expected = 0.0
    for n in range(3):
        above = below = 0.0
        for c in range(2):
            for y in range(4):
                for x in range(4):
                    w = weights[n, 0, y, x].item()
                    above += w * (prediction[n, c, y, x] - target[n, c, y, x]).item() ** 2
                    below += w
        expected += above / below / 3
    assert masked_squared_error(prediction, target, weights).item() == pytest.approx(expected)
    # Weights are relative, and what is not weighed does not count.
    assert masked_squared_error(prediction, target, 7 * weights).item() == pytest.approx(expected)
    elsewhere = torch.where(weights > 0, prediction, 99.0)
    assert masked_squared_error(elsewhere, target, weights).item() == pytest.approx(expected)
    whole = masked_squared_error(prediction, target, torch.ones(3, 1, 4, 4, dtype=torch.bool))
    assert whole.item() == pytest.approx((prediction - target).square().mean().item())


def test_a_picture_of_no_weight_counts_as_zero() -> None:
    prediction, target, _ = sample(2, 1, 3, 3)
    prediction.requires_grad_()
    weights = torch.zeros(2, 1, 3, 3)
    weights[0] = 1
    loss = masked_squared_error(prediction, target, weights)
    loss.backward()
    assert loss.item() == pytest.approx((prediction[0] - target[0]).square().mean().item() / 2)
    assert prediction.grad is not None
    assert prediction.grad.isfinite().all()


def test_gradients() -> None:
    outputs, target, weights = sample(3, 2, 2, 2)
    outputs.requires_grad_()
    mask = weights[:, :1]
    assert torch.autograd.gradcheck(lambda z: cross_entropy(z, target, weights), outputs)
    assert torch.autograd.gradcheck(lambda z: squared_error(z, target, weights), outputs)
    assert torch.autograd.gradcheck(lambda z: masked_squared_error(z, target, mask), outputs)


@pytest.mark.parametrize("logit", [-1e4, -100.0, 100.0, 1e4])
def test_extreme_logits_stay_finite_and_cost_what_they_say(logit: float) -> None:
    logits = torch.full((2, 3), logit, requires_grad=True)
    right = torch.full((2, 3), float(logit > 0))
    loss = cross_entropy(logits, 1 - right)
    loss.backward()
    assert loss.item() == pytest.approx(3 * abs(logit))  # -log(1 - sigmoid(a)) = a for large a
    assert cross_entropy(logits, right).item() == pytest.approx(0.0, abs=1e-6)
    assert logits.grad is not None
    assert torch.allclose(logits.grad.abs(), torch.tensor(0.5))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_large_sums_do_not_overflow_in_half_precision(dtype: torch.dtype) -> None:
    """128 pictures of 784 components at log 2 each sum up to 69,559; fp16 ends at 65,504."""
    outputs, target = torch.zeros(128, 784, dtype=dtype), torch.rand(128, 784)
    with torch.autocast("cpu", dtype):
        loss = cross_entropy(outputs, target)
        error = squared_error(outputs - 100, target)
    assert loss.dtype == error.dtype == torch.float32
    assert loss.item() == pytest.approx(784 * math.log(2), rel=1e-5)
    assert error.item() == pytest.approx((-100 - target).square().sum().item() / 128, rel=1e-5)


def test_shapes_that_would_broadcast_are_refused() -> None:
    for loss in (cross_entropy, squared_error):
        with pytest.raises(AssertionError, match="compared"):
            loss(torch.zeros(4, 1), torch.zeros(4))
