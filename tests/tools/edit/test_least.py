"""Of the way to a class, no more is gone than a probe needs to see the class in the picture."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from doubles import PREPROCESSING
from editing import coder, learned, two_classes
from torch import Tensor

from sslcli.data.images import ImageSet, Splits
from sslcli.tools.edit.moves import Learned
from sslcli.tools.edit.wish import By, Wish
from sslcli.trained.code_changes import changes
from sslcli.trained.least_change import Least, margins, sure_margin


def flat(images: np.ndarray) -> Tensor:  # type: ignore[type-arg]
    return torch.from_numpy(images).permute(0, 3, 1, 2).flatten(1).double() / 255


def setting(num: int = 24, **of_fed: int) -> tuple[Learned, ImageSet]:
    images, labels = two_classes(num)
    side = of_fed.get("resolution", 16)
    train = ImageSet(np.ascontiguousarray(images[:, :side, 16 - side :]), labels)
    return Learned(coder(replace(PREPROCESSING, **of_fed)), Splits(train, train, None)), train


def ways_to_right(found: Learned, codes: Tensor, margin: float) -> tuple[Tensor, Tensor]:
    """The least ways to class 1, and the whole ones."""
    whole = found.towards(1, By.near)(codes)
    deviations = found.class_codes[0].std(dim=0, correction=0)
    return Least(found.coder, found.probe, deviations, 1, margin).ways(codes, whole), whole


def margins_after(found: Learned, codes: Tensor, ways: Tensor) -> Tensor:
    edited = codes + changes(found.coder, codes, ways, 1.0).flatten(1)
    return margins(found.probe.logits(edited.clamp(0, 1)), 1)


def test_the_less_is_asked_the_less_is_changed() -> None:
    found, train = setting()
    codes = flat(train.images[:2])
    assert found.seen(codes).tolist() == [0, 1]
    lengths = []
    for margin in (1.0, 3.0):
        least, whole = ways_to_right(found, codes, margin)
        reached = margins_after(found, codes, least)
        assert 0.8 * margin < float(reached[0]) < 1.6 * margin
        lengths.append(float(least[0].norm()))
    assert lengths[0] < 0.9 * lengths[1] < 0.9 * float(whole[0].norm())
    assert float(least[1].norm()) < 0.5 * lengths[1], "it is of the class already"


def test_by_default_the_class_is_seen() -> None:
    found, train = setting()
    codes = flat(train.images[:1])
    way = found.move(Wish(towards="1"))(codes)
    assert torch.equal(way, found.towards(1, By.least)(codes))
    assert float(margins_after(found, codes, way)) > 3


def test_each_picture_goes_its_own_way_however_many_there_are() -> None:
    found, train = setting()
    codes = flat(train.images[::2])
    together, alone = (ways_to_right(found, some, 2.0)[0] for some in (codes, codes[4:5]))
    torch.testing.assert_close(together[4:5], alone, atol=1e-4, rtol=0)


def test_what_never_varies_in_training_stays() -> None:
    found, train = setting()
    train.images[..., 1] = 7  # type: ignore[index]
    least = ways_to_right(found, flat(train.images[:1]), 2.0)[0].view(3, 16, 16)
    assert float(least[1].abs().max()) < 1e-6
    assert float(least[2].abs().max()) > 0.1


def test_pictures_too_small_for_ssim_are_edited_too() -> None:
    found, train = setting(resolution=8)
    codes = flat(train.images[:1])
    least, whole = ways_to_right(found, codes, 1.0)
    assert found.seen(codes).tolist() == [0]
    assert float(margins_after(found, codes, least)) > 0.8
    assert float(least.norm()) < float(whole.norm())


def test_where_there_is_one_class_all_of_the_way_is_gone() -> None:
    images, labels = two_classes()
    found = learned(ImageSet(images, np.zeros_like(labels)))
    codes = flat(images[:2])
    assert torch.equal(found.towards(0, By.least)(codes), found.towards(0, By.near)(codes))


def test_a_margin_is_that_over_the_best_other_class() -> None:
    logits = torch.tensor([[1.0, 3.0, 2.0], [0.0, -1.0, 5.0]])
    assert margins(logits, 1).tolist() == [1, -6]
    assert margins(logits, 2).tolist() == [-1, 5]


def test_nine_tenths_of_the_class_say_how_sure_is_sure_enough_up_to_odds() -> None:
    found, train = setting(40)
    codes = flat(train.images[:])
    faint = codes.mean(dim=0) + (codes - codes.mean(dim=0)) / 2
    found_margins = margins(found.probe.logits(faint), 1)
    margin = sure_margin(found.probe, faint, 1)
    assert int((found_margins > margin).sum()) == len(codes) // 10
    assert sure_margin(found.probe, codes * 10, 1) == pytest.approx(math.log(99))
