from __future__ import annotations

import torch

from sslcli.nets.running_mean import RunningMean


def test_it_moves_towards_the_rows_mean() -> None:
    """DINO's centre (Caron et al. 2021, eq. 4): c <- m c + (1 - m) mean."""
    centre, expected = RunningMean(3), torch.zeros(3)
    for step in range(4):
        rows = torch.randn(5, 3) + step
        centre.follow(rows.requires_grad_(), momentum=0.9)
        expected = 0.9 * expected + 0.1 * rows.detach().mean(dim=0)
        assert torch.allclose(centre.value, expected, atol=1e-6)
    assert not centre.value.requires_grad
    assert list(centre.state_dict()) == ["value"]
