"""Edited pictures are scored by what is seen in them, and by what else has changed."""

from __future__ import annotations

import pytest
import torch

from sslcli.errors import SslcliError
from sslcli.evaluation.edits import EditScores, other_targets, score_edits, share_at
from sslcli.generators import seed_generators


def originals() -> torch.Tensor:
    seed_generators(0)
    return torch.rand(4, 3, 16, 16)


OWN, TARGET = torch.tensor([0, 1, 2, 0]), torch.tensor([1, 2, 0, 2])


def scored(edited: torch.Tensor, seen: list[int]) -> EditScores:
    judges = torch.tensor([seen, [1, 2, 0, 2]])
    return score_edits("near", 1.0, edited, originals(), judges, OWN, TARGET)


def test_untouched_pictures_are_the_originals() -> None:
    found = scored(originals(), [0, 1, 2, 0])
    assert (found.target, found.own, found.other) == (0.5, 0.5, 0)
    assert found.each == (0, 1)
    assert (found.ssim, found.l1, found.sharpness, found.recognised) == pytest.approx((1, 0, 1, 1))


def test_shares_say_what_each_picture_became() -> None:
    found = scored(originals(), [1, 1, 1, 2])
    assert (found.target, found.own, found.other) == (0.75, 0.125, 0.125)
    assert found.each == (0.5, 1)


def test_what_else_changed() -> None:
    blurred = originals() / 2 + 0.25
    found = scored(blurred, [1, 2, 0, 2])
    assert found.sharpness == pytest.approx(0.5)
    assert found.l1 == pytest.approx(12.5, abs=0.5)
    assert found.ssim < 0.95
    assert found.recognised == 1
    assert scored(originals().roll(1, dims=0), [1, 2, 0, 2]).recognised == 0


def test_pictures_too_small_for_ssim_are_refused() -> None:
    small = torch.zeros(4, 1, 8, 8)
    with pytest.raises(SslcliError, match="SSIM"):
        score_edits("near", 1.0, small, small, OWN[None], OWN, TARGET)


def test_a_target_is_never_the_own_class_and_all_come_equally_often() -> None:
    own = torch.arange(90) % 10
    targets = other_targets(own, torch.arange(10))
    assert bool((targets != own).all())
    assert torch.bincount(targets, minlength=10).tolist() == [9] * 10
    assert set(other_targets(torch.tensor([0, 1, 1, 0]), torch.arange(2)).tolist()) == {0, 1}
    own, seen = torch.tensor([0, 1, 2, 3, 4, 1]), torch.tensor([1, 4])
    targets = other_targets(own, seen)
    assert set(targets.tolist()) == {1, 4}, "a class without training pictures is no target"
    assert bool((targets != own).all())


def test_the_share_at_the_same_similarity_lies_between_two_points() -> None:
    points = [
        EditScores("pixels", strength, target, 0, 0, (target,), ssim, 10 * strength, 1, 1)
        for strength, target, ssim in ((1.0, 0.4, 0.6), (2.0, 0.8, 0.4), (0.5, 0.1, 0.9))
    ]
    assert share_at(points, "ssim", 0.5) == pytest.approx(0.6)
    assert share_at(points, "ssim", 0.75) == pytest.approx(0.25)
    assert share_at(points, "ssim", 0.95) is None
    assert share_at(points, "ssim", 0.3) is None
    assert share_at(points, "l1", 15.0) == pytest.approx(0.6)
