from __future__ import annotations

import torch
from torch.nn.functional import cosine_similarity

from sslcli.nets.prototypes import Prototypes


def test_they_give_cosines_whatever_the_lengths() -> None:
    torch.manual_seed(0)
    prototypes, z = Prototypes(4, 6), 5 * torch.randn(3, 4)
    expected = cosine_similarity(z.unsqueeze(1), prototypes.weight.unsqueeze(0), dim=2)
    assert torch.allclose(prototypes(z), expected, atol=1e-6)
    with torch.no_grad():
        prototypes.weight.mul_(torch.rand(6, 1) + 0.5)
    assert torch.allclose(prototypes(3 * z), expected, atol=1e-6)


def test_the_gradient_turns_them_and_does_not_lengthen_them() -> None:
    prototypes = Prototypes(4, 6)
    prototypes(torch.randn(3, 4)).square().sum().backward()
    gradient = prototypes.weight.grad
    assert gradient is not None
    assert gradient.norm() > 0
    assert (gradient * prototypes.weight).sum(dim=1).abs().max() < 1e-6
