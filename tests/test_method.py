"""What a method is told of its progress, and how its views are told apart."""

from __future__ import annotations

import math

import pytest
import torch

from sslcli.method import Progress, views_by_size, views_one_by_one


def test_progress_knows_the_epoch() -> None:
    places = [Progress(step, 12, 4) for step in range(12)]
    assert [place.epoch for place in places] == [0] * 4 + [1] * 4 + [2] * 4
    assert [place.fraction for place in places[::3]] == [0.0, 0.25, 0.5, 0.75]


def test_a_cosine_leads_from_its_start_towards_its_end() -> None:
    """BYOL's tau (Grill et al. 2020, section 3.3): 1 - (1 - base) (cos(pi k / K) + 1) / 2."""
    taus = [Progress(step, 50).cosine(0.996, 1.0) for step in range(50)]
    papers = [1 - (1 - 0.996) * (math.cos(math.pi * k / 50) + 1) / 2 for k in range(50)]
    assert taus == pytest.approx(papers, rel=1e-12)
    assert taus[0] == 0.996
    assert Progress(5, 10).cosine(4.0, 0.0) == pytest.approx(2.0)


def test_views_are_told_apart_by_size_and_one_by_one() -> None:
    large, small = torch.randn(4, 1, 8, 8), torch.randn(6, 1, 5, 5)
    assert [len(size) for size in views_by_size([large, small])] == [4, 6]
    assert views_by_size(large)[0] is large
    views = views_one_by_one([large, small], 2)
    assert [tuple(view.shape) for view in views] == [(2, 1, 8, 8)] * 2 + [(2, 1, 5, 5)] * 3
    assert torch.equal(views[1], large[2:])
