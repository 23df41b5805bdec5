from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from sslcli.losses import nt_xent, rank_accuracy


def slow_nt_xent(z_a: Tensor, z_b: Tensor, temperature: float) -> float:
    """Eq. 1 of the SimCLR paper and the sum of its Algorithm 1, a pair at a time, in Python's floats."""
    z = [
        row.tolist() for pair in zip(z_a, z_b, strict=True) for row in pair
    ]  # 2k and 2k + 1 are a pair

    def similarity(i: int, j: int) -> float:
        dot = sum(x * y for x, y in zip(z[i], z[j], strict=True))
        return dot / math.sqrt(sum(x * x for x in z[i])) / math.sqrt(sum(y * y for y in z[j]))

    def pair_loss(i: int, j: int) -> float:
        others = [math.exp(similarity(i, k) / temperature) for k in range(len(z)) if k != i]
        return -math.log(math.exp(similarity(i, j) / temperature) / sum(others))

    pairs = [(2 * k, 2 * k + 1) for k in range(len(z) // 2)]
    return sum(pair_loss(i, j) + pair_loss(j, i) for i, j in pairs) / len(z)


@pytest.mark.parametrize("temperature", [0.1, 0.5, 1.0])
@pytest.mark.parametrize("num_images", [2, 7])
def test_equals_the_papers_sum(temperature: float, num_images: int) -> None:
    torch.manual_seed(0)
    z_a, z_b = torch.randn(2, num_images, 5)
    assert nt_xent(z_a, z_b, temperature).item() == pytest.approx(
        slow_nt_xent(z_a, z_b, temperature), rel=1e-5
    )


def test_gradient_is_that_of_the_papers_sum() -> None:
    torch.manual_seed(0)
    z_a, z_b = torch.randn(2, 4, 3)
    z_a.requires_grad_()
    nt_xent(z_a, z_b, 0.3).backward()
    assert z_a.grad is not None
    nudge = 1e-4
    for i, j in ((0, 0), (2, 1), (3, 2)):
        up, down = z_a.detach().double().clone(), z_a.detach().double().clone()
        up[i, j] += nudge
        down[i, j] -= nudge
        slope = (slow_nt_xent(up, z_b.double(), 0.3) - slow_nt_xent(down, z_b.double(), 0.3)) / (
            2 * nudge
        )
        assert z_a.grad[i, j].item() == pytest.approx(slope, abs=1e-4)


def test_closed_form_for_orthogonal_pairs() -> None:
    """Views equal, images orthogonal: similarity 1 to the positive, 0 to the other 2N - 2."""
    z = torch.eye(8)
    temperature = 0.5
    expected = math.log(math.exp(1 / temperature) + 14) - 1 / temperature
    assert nt_xent(z, z, temperature).item() == pytest.approx(expected, rel=1e-6)


def test_indistinguishable_embeddings_cost_the_log_of_the_candidates() -> None:
    z = torch.ones(6, 4)
    assert nt_xent(z, z, 0.07).item() == pytest.approx(math.log(11), rel=1e-6)


def test_symmetries() -> None:
    torch.manual_seed(0)
    z_a, z_b = torch.randn(2, 6, 4)
    loss = nt_xent(z_a, z_b, 0.2)
    order = torch.randperm(6)
    assert torch.allclose(nt_xent(z_b, z_a, 0.2), loss)
    assert torch.allclose(nt_xent(z_a[order], z_b[order], 0.2), loss)
    assert torch.allclose(nt_xent(3 * z_a, 0.1 * z_b, 0.2), loss)
    assert not torch.allclose(nt_xent(z_a[order], z_b, 0.2), loss)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_finite_in_half_precision_at_low_temperature(dtype: torch.dtype) -> None:
    """exp(1 / 0.05) overflows fp16 6,000 times over."""
    torch.manual_seed(0)
    z = torch.randn(32, 16).to(dtype).requires_grad_()
    with torch.autocast("cpu", dtype):
        loss = nt_xent(z[:16], z[16:], 0.05)
    loss.backward()
    assert loss.dtype == torch.float32
    assert loss.isfinite()
    assert z.grad is not None
    assert z.grad.isfinite().all()
    assert loss.item() == pytest.approx(
        slow_nt_xent(z[:16].detach().float(), z[16:].detach().float(), 0.05), rel=1e-4
    )


def test_a_zero_embedding_is_no_disaster() -> None:
    z_a, z_b = torch.zeros(4, 3, requires_grad=True), torch.randn(4, 3)
    loss = nt_xent(z_a, z_b, 0.5)
    loss.backward()
    assert loss.isfinite()
    assert z_a.grad is not None
    assert z_a.grad.isfinite().all()


def test_rank_accuracy() -> None:
    z = torch.eye(4)
    assert rank_accuracy(z, z) == 1.0
    assert rank_accuracy(z, z.roll(1, 0)) == 0.0
    half = z.clone()
    half[2], half[3] = z[3], z[2]
    assert rank_accuracy(z, half) == 0.5


@pytest.mark.parametrize("block", [2, 3, 14, 15])
def test_in_blocks_it_is_the_same_loss_with_the_same_gradient(block: int) -> None:
    torch.manual_seed(0)
    z_a, z_b = (torch.randn(7, 5, requires_grad=True) for _ in range(2))
    whole, blocked = nt_xent(z_a, z_b, 0.2), nt_xent(z_a, z_b, 0.2, block)
    assert blocked.item() == pytest.approx(whole.item(), rel=1e-6)
    for expected, found in zip(
        torch.autograd.grad(whole, (z_a, z_b)),
        torch.autograd.grad(blocked, (z_a, z_b)),
        strict=True,
    ):
        assert torch.allclose(found, expected, rtol=1e-5, atol=1e-7)
    assert rank_accuracy(z_a, z_b, block) == rank_accuracy(z_a, z_b)


def test_in_blocks_no_whole_matrix_is_ever_there(monkeypatch: pytest.MonkeyPatch) -> None:
    largest = 0

    class Watched(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            nonlocal largest
            found = function(*args, **(kwargs or {}))
            if isinstance(found, Tensor):
                largest = max(largest, found.numel())
            return found

    z_a, z_b = (torch.randn(32, 4, requires_grad=True) for _ in range(2))
    with Watched():
        nt_xent(z_a, z_b, 0.2, 8).backward()
        rank_accuracy(z_a, z_b, 8)
    assert largest == 8 * 64
