"""Losses of two fixed matrices, as computed in float64 by the papers' formulas outside this project.

Several were also given by official code or by lightly. The matrices are 4 x 3:
Z1[i][j] = sin(1 + 0.7 i + 1.3 j), Z2[i][j] = cos(0.5 + 0.9 i - 0.4 j).
"""

from __future__ import annotations

import math

import pytest
import torch

from sslcli import losses

Z1, Z2 = (
    torch.tensor([[f(i, j) for j in range(3)] for i in range(4)], dtype=torch.float64)
    for f in (
        lambda i, j: math.sin(1 + 0.7 * i + 1.3 * j),
        lambda i, j: math.cos(0.5 + 0.9 * i - 0.4 * j),
    )
)
BOTH = torch.cat([Z1, Z2])
OWN = torch.arange(4)


@pytest.mark.parametrize(
    ("value", "published"),
    [
        (losses.dcl(Z1, Z2, 0.1), 7.091441851203419),
        (losses.dcl(Z1, Z2, 0.5), 2.0021522794184015),
        (losses.sup_con(BOTH, OWN, 0.5), 2.2006225847156733),
        (losses.sup_con(BOTH, torch.tensor([0, 0, 1, 1]), 0.1), 4.763332287905165),
        (2 * 0.2 * losses.info_nce(Z1, Z2, 0.2), 0.5973485933269722),
        (
            2 * 0.2 * (losses.info_nce(Z1, Z2, 0.2) + losses.info_nce(Z2, Z1, 0.2)),
            1.2212091193411032,
        ),
        (2 * losses.info_nce(Z1, Z2, 1.0), 2.2543433570722904),
        (2 - 2 * losses.mean_cosine(Z1, Z2), 1.7336253809699549),
        (4 - 4 * losses.mean_cosine(BOTH, torch.cat([Z2, Z1])), 3.4672507619399098),
        (-losses.mean_cosine(Z1, Z2), -0.13318730951502256),
        (losses.barlow_twins(Z1, Z2, 0.005), 1.2169022108345207),
        (losses.barlow_twins(Z1, Z2, 0.0), 1.1986192429819307),
        (losses.invariance(Z1, Z2), 0.8253530343997425),
        ((losses.variance(Z1) + losses.variance(Z2)) / 2, 0.346927457775201),
        (losses.covariance(Z1) + losses.covariance(Z2), 0.9356838049196794),
        (25 * losses.variance(torch.ones(4, 3, dtype=torch.float64)), 24.75),
    ],
)
def test_value(value: torch.Tensor, published: float) -> None:
    assert value.item() == pytest.approx(published, rel=1e-12)


def test_sup_con_of_own_labels_is_nt_xent() -> None:
    nt_xent = losses.nt_xent(Z1, Z2, 0.5)
    assert losses.sup_con(BOTH, OWN, 0.5).item() == pytest.approx(nt_xent.item(), rel=1e-6)


def test_nt_xent_is_softplus_of_dcl_for_every_anchor() -> None:
    """With two pictures of equal views all anchors have the same loss, so that it holds for the mean."""
    z = torch.eye(2, dtype=torch.float64)
    dcl = losses.dcl(z, z, 0.7)
    nt_xent = losses.nt_xent(z, z, 0.7)
    assert nt_xent.item() == pytest.approx(math.log1p(math.exp(dcl.item())), rel=1e-6)


def test_uniform_predictions_of_k_prototypes_cost_ln_k() -> None:
    uniform = torch.full((4, 3), 1 / 3, dtype=torch.float64)
    logits = torch.zeros(4, 3, dtype=torch.float64)
    loss = losses.cross_view_entropy([uniform, uniform], [logits] * 4, 0.1)
    assert loss.item() == pytest.approx(math.log(3), rel=1e-12)
