"""Health of features without labels, against definitions written out; and when the alarm goes off."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sslcli.evaluation.collapse import collapse_alarm, effective_rank, feature_std


def gaussian(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(3))


def alarm(features: Tensor) -> str | None:
    return collapse_alarm(feature_std(features), effective_rank(features), features.shape[1])


def slow_rank(features: Tensor) -> float:
    sigma = np.linalg.svd(features.double().numpy(), compute_uv=False)
    return math.exp(
        -sum((s / sigma.sum() + 1e-7) * math.log(s / sigma.sum() + 1e-7) for s in sigma)
    )


@pytest.mark.parametrize(
    "features",
    [
        gaussian(200, 32),
        gaussian(20, 64),
        gaussian(200, 32) + 3,
        gaussian(200, 3) @ gaussian(3, 32),
        gaussian(50, 8).relu(),
    ],
    ids=["tall", "wide", "uncentred", "rank 3", "relu"],
)
def test_effective_rank_is_rankme(features: Tensor):
    assert effective_rank(features) == pytest.approx(slow_rank(features), rel=1e-5)


def test_effective_rank_of_equal_directions_is_their_number():
    assert effective_rank(torch.eye(10).repeat(5, 1)) == pytest.approx(10, rel=1e-4)


def test_feature_std_is_1_for_uniform_directions_and_0_for_one():
    assert feature_std(gaussian(2000, 64)) == pytest.approx(1, abs=0.01)
    assert feature_std(torch.rand(1, 64).repeat(100, 1)) == pytest.approx(0, abs=1e-5)
    lengths = torch.linspace(1, 9, 100)[:, None]
    assert feature_std(lengths * torch.rand(1, 64)) == pytest.approx(0, abs=1e-5)
    by_hand = np.array([[1.0, 0.0], [0.6, 0.8]])
    features = torch.tensor(by_hand * np.array([[5.0], [2.0]]))
    assert feature_std(features) == pytest.approx(by_hand.std(axis=0).mean() * math.sqrt(2))


def test_same_features_for_every_picture_raise_the_alarm():
    constant = torch.rand(1, 128).repeat(100, 1)
    for features in (constant, constant + 1e-4 * gaussian(100, 128), torch.zeros(100, 128)):
        words = alarm(features)
        assert words is not None
        assert "every picture gets nearly the same features" in words


def test_one_direction_raises_the_alarm():
    words = alarm(gaussian(100, 1) @ gaussian(1, 128))
    assert words is not None
    assert "one direction" in words
    assert "of 128" in words


def test_a_code_of_few_dimensions_may_have_one_direction():
    assert alarm(gaussian(100, 1)) is None
    assert alarm(gaussian(100, 1) @ gaussian(1, 2)) is None


def test_an_untrained_network_raises_no_alarm():
    torch.manual_seed(0)
    images = torch.rand(100, 1, 16, 16)
    narrow = nn.Sequential(nn.Flatten(), nn.Linear(256, 2))
    perceptron = nn.Sequential(
        nn.Flatten(), nn.Linear(256, 100), nn.Sigmoid(), nn.Linear(100, 50), nn.Sigmoid()
    )
    stem = nn.Sequential(
        nn.Conv2d(1, 8, 3, 2), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 32, 3, 2), nn.ReLU()
    )
    convolutional = nn.Sequential(stem, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with torch.no_grad():
        assert [alarm(network(images)) for network in (narrow, perceptron, convolutional)] == [
            None,
            None,
            None,
        ]
        assert alarm(gaussian(500, 128)) is None
