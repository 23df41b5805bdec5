"""How often the host waits for the device: in the probe's fit, kNN and uniformity.

On the CPU nothing waits; what would wait on a device is counted where the host reads a value.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from sslcli.evaluation.diagnostics import uniformity
from sslcli.evaluation.knn import knn_scores
from sslcli.evaluation.logistic_regression import LogisticRegression
from sslcli.evaluation.newton import solve
from sslcli.evaluation.probe import select_probe

NUM_CLASSES, WIDTH = 5, 32
GRID = [1e-6, 1e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 1e-1, 1.0, 10.0]
WAITING = ("_local_scalar_dense", "nonzero", "equal.default", "masked_select", "unique")


class Waits(TorchDispatchMode):
    """Counts the operations whose result the host, or the size of a tensor, needs."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        indices = args[1] if "aten.index" in str(func) and isinstance(args[1], list | tuple) else ()
        by_mask = any(isinstance(one, Tensor) and one.dtype == torch.bool for one in indices)
        self.count += by_mask or any(name in str(func) for name in WAITING)
        return func(*args, **(kwargs or {}))


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], int]:
    """Returns a function that counts the waits in `work`."""

    def count(work: Callable[[], object]) -> int:
        mode = Waits()
        to_list = Tensor.tolist

        def counted(tensor: Tensor) -> Any:
            mode.count += 1
            return to_list(tensor)

        with monkeypatch.context() as patch, mode:
            patch.setattr(Tensor, "tolist", counted)
            work()
        return mode.count

    return count


def pictures(count: int, noise: float) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    centres = torch.randn(NUM_CLASSES, 8, generator=generator)
    mixing = torch.randn(8, WIDTH, generator=generator)
    labels = torch.arange(count) % NUM_CLASSES
    hidden = centres[labels] + noise * torch.randn(count, 8, generator=generator)
    return hidden @ mixing + 0.1 * torch.randn(count, WIDTH, generator=generator), labels


def test_reads_are_counted(waits: Callable[[Callable[[], object]], int]) -> None:
    ones = torch.ones(3)
    assert waits(lambda: [ones.sum().item(), bool(ones[0] > 0), ones.tolist()]) == 3
    assert waits(lambda: [ones[ones > 0], ones.nonzero(), torch.equal(ones, ones)]) >= 3
    assert waits(lambda: ones[torch.tensor([0, 1])] + 1) == 0


@pytest.mark.parametrize(("count", "noise"), [(50, 0.3), (600, 1.5)])
def test_ten_strengths_are_chosen_among_with_few_waits(
    waits: Callable[[Callable[[], object]], int], count: int, noise: float
) -> None:
    features, labels = pictures(2 * count, noise)
    parts = features[:count], labels[:count], features[count:], labels[count:]
    # A linear-eval chooses three times (encoder, untrained, pixels): under 500 together.
    assert waits(lambda: select_probe(*parts, NUM_CLASSES, GRID)) < 500 / 3


def test_waits_do_not_grow_with_the_number_of_strengths(
    waits: Callable[[Callable[[], object]], int],
) -> None:
    features, labels = pictures(200, 1.0)
    problem = LogisticRegression(features, labels, NUM_CLASSES)
    alone = waits(lambda: solve(problem, [1e-6]))
    assert waits(lambda: solve(problem, [1e-6] * 20)) <= alone + 2


def test_knn_waits_once_a_block_and_uniformity_once(
    waits: Callable[[Callable[[], object]], int],
) -> None:
    features, labels = pictures(64, 1.0)
    work = lambda: knn_scores(features, labels, features, NUM_CLASSES, k=5, block=8)  # noqa: E731
    assert waits(work) <= 8
    assert waits(lambda: uniformity(features, block=8)) == 1


def test_strengths_solved_in_parts_are_those_solved_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    features, labels = pictures(200, 1.0)
    problem = LogisticRegression(features, labels, NUM_CLASSES)
    strengths = [1e-1, 1e-3, 1e-5]
    together = solve(problem, strengths)
    monkeypatch.setattr("sslcli.evaluation.newton.LARGEST", 2 * 200 * NUM_CLASSES)
    parts = solve(problem, strengths)
    penalty = torch.tensor(strengths)
    losses = [
        problem.losses(torch.log_softmax(problem.logits(weights), dim=2), weights, penalty)
        for weights in (together, parts)
    ]
    torch.testing.assert_close(losses[0], losses[1], atol=2e-6, rtol=0)
