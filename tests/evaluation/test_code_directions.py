"""Directions among codes agree with what is computed by other means."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sslcli.evaluation.code_directions import attribute_directions, near_means, principal
from sslcli.generators import seed_generators


def codes(num: int, width: int) -> torch.Tensor:
    seed_generators(num)
    return torch.randn(num, width, dtype=torch.float64)


def test_near_means_are_those_of_the_nearest() -> None:
    of_class, some = codes(20, 3), codes(4, 3)
    for code, found in zip(some, near_means(some, of_class, 0.15), strict=True):
        distances = [float((other - code).square().sum()) for other in of_class]
        nearest = sorted(range(20), key=distances.__getitem__)[:3]
        torch.testing.assert_close(found, sum(of_class[row] for row in nearest) / 3)
    torch.testing.assert_close(near_means(some, of_class, 1.0)[0], of_class.mean(dim=0))
    assert torch.equal(near_means(of_class, of_class, 0.01), of_class), "one at least: itself"


def test_one_attribute_is_the_difference_of_means() -> None:
    found, has = codes(30, 4), (torch.arange(30) % 3 == 0)
    difference = found[has].mean(dim=0) - found[~has].mean(dim=0)
    torch.testing.assert_close(attribute_directions(found, has.double()[:, None])[0], difference)


def test_attributes_are_regressed_on_together() -> None:
    targets, found = codes(40, 2), codes(41, 3)[:40]
    targets[:, 1] += targets[:, 0]
    design = np.column_stack([targets.numpy(), np.ones(40)])
    wanted = np.linalg.inv(design.T @ design) @ design.T @ found.numpy()
    np.testing.assert_allclose(attribute_directions(found, targets).numpy(), wanted[:2])


def test_a_target_that_never_changes_has_no_direction() -> None:
    targets = torch.stack([torch.arange(30.0), torch.full((30,), 2.0)], dim=1).double()
    found = attribute_directions(codes(30, 3), targets)
    assert found.isfinite().all()
    assert float(found[1].abs().max()) == pytest.approx(0, abs=1e-12)


def test_principal_directions_are_those_of_the_covariance() -> None:
    found = codes(50, 4) * torch.tensor([1.0, 4.0, 2.0, 0.5])
    result = principal(found)
    values = torch.linalg.eigvalsh(torch.cov(found.T, correction=0)).flip(0)
    torch.testing.assert_close(result.deviations.square(), values)
    assert float(result.shares.sum()) == pytest.approx(1)
    torch.testing.assert_close(result.directions @ result.directions.T, torch.eye(4).double())
    assert (principal(torch.ones(5, 2).double()).shares == 0).all()
