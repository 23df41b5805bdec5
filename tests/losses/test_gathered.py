"""Losses that compare pictures across the batch: several processes that gather compute one's loss."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from doubles import together
from torch import Tensor

from sslcli import losses
from sslcli.processes import average_, gathered, rank, size

NUM, WIDTH = 8, 5
LABELS = torch.tensor([0, 1, 0, 2, 1, 2, 2, 0])
STORED = torch.randn(6, WIDTH, generator=torch.Generator().manual_seed(2)).double()
DIRECTIONS = torch.randn(WIDTH, 4, generator=torch.Generator().manual_seed(3)).double()


def swav(a: Tensor, b: Tensor) -> Tensor:
    targets = [losses.sinkhorn(view, 0.5, 3) for view in (a, b)]
    return losses.cross_view_entropy(targets, [a, b], 0.1)


def vicreg(a: Tensor, b: Tensor) -> Tensor:
    spread = losses.variance(a) + losses.variance(b)
    return losses.invariance(a, b) + spread + losses.covariance(a) + losses.covariance(b)


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "nt_xent": lambda a, b: losses.nt_xent(a, b, 0.2),
    "dcl": lambda a, b: losses.dcl(a, b, 0.2),
    "dclw": lambda a, b: losses.dcl(a, b, 0.2, 0.5),
    "sup_con": lambda a, b: losses.sup_con(torch.cat([a, b]), LABELS, 0.2),
    "queue": lambda a, b: losses.info_nce_with_queue(a, b, STORED, 0.2),
    "similarity": lambda a, b: losses.similarity_entropy(a, b, STORED, 0.2, 0.1),
    "info_nce": lambda a, b: losses.info_nce(a, b, 0.2) + losses.info_nce(b, a, 0.2),
    "cosine": losses.mean_cosine,
    "barlow_twins": lambda a, b: losses.barlow_twins(a, b, 0.1),
    "vicreg": vicreg,
    "sigreg": lambda a, b: losses.sigreg(torch.stack([a, b]), DIRECTIONS),
    "swav": swav,
}


def both_views() -> Tensor:
    """(2 NUM, WIDTH): one view after the other."""
    return torch.randn(2 * NUM, WIDTH, generator=torch.Generator().manual_seed(0)).double()


def compute_all(folder: Path) -> None:
    """Of this rank's rows of both views; the gradient is that which `minimize` would average."""
    found: dict[str, tuple[Tensor, Tensor]] = {}
    for name, loss in LOSSES.items():
        whole = both_views()
        weight = torch.eye(WIDTH).double().requires_grad_()  # stands for a network
        own = torch.cat([view.chunk(size())[rank()] for view in whole.chunk(2)])
        value = loss(*gathered(own @ weight, groups=2).chunk(2))
        (gradient,) = torch.autograd.grad(value, weight)
        average_([gradient])
        found[name] = (value.detach(), gradient)
    torch.save(found, folder / f"{rank()}.pt")


@pytest.mark.slow
@pytest.mark.parametrize("num", [2, 4])
def test_value_and_gradient_are_those_of_one_process(num: int, tmp_path: Path) -> None:
    together(num, compute_all, tmp_path)
    for name, loss in LOSSES.items():
        weight = torch.eye(WIDTH).double().requires_grad_()
        value = loss(*(both_views() @ weight).chunk(2))
        (gradient,) = torch.autograd.grad(value, weight)
        assert gradient.abs().max() > 1e-4, f"{name} would be equal to anything"
        for member in range(num):
            found = torch.load(tmp_path / f"{member}.pt")[name]
            torch.testing.assert_close(found[0], value.detach(), rtol=1e-6, atol=1e-9, msg=name)
            torch.testing.assert_close(found[1], gradient, rtol=1e-6, atol=1e-8, msg=name)
