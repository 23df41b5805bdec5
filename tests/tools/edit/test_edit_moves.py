"""Directions come from the training pictures that have what is asked for, and from no others."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from editing import RNG, coder, learned, two_classes

from sslcli.data.images import ImageSet, Splits
from sslcli.errors import SslcliError
from sslcli.report.restorations import NUM_WATCHED
from sslcli.tools.edit.moves import SHARE, Learned
from sslcli.tools.edit.wish import By, Wish
from sslcli.trained.code_changes import SMALL, changes, without_small

NAMES = {"classes": ("left", "right")}


def flat(images: np.ndarray) -> torch.Tensor:  # type: ignore[type-arg]
    return torch.from_numpy(images).permute(0, 3, 1, 2).flatten(1).double() / 255


def test_near_leads_to_the_nearest_of_the_class() -> None:
    images, labels = two_classes()
    found = learned(ImageSet(images, labels), **NAMES)
    code = flat(images[:1])
    way = found.move(Wish(towards="right", by=By.near))(code)
    right = flat(images[labels == 1])
    nearest = (right - code).norm(dim=1).argsort()[: round(SHARE * len(right))]
    torch.testing.assert_close(code + way, right[nearest].mean(dim=0)[None], atol=1e-6, rtol=0)


def test_a_class_is_reached_along_the_difference_of_means() -> None:
    images, labels = two_classes()
    found = learned(ImageSet(images, labels), **NAMES)
    code = flat(images[:2])
    assert found.seen(code).tolist() == [0, 1]
    way = found.move(Wish(towards="right", by=By.mean))(code)
    assert found.seen(code + way).tolist() == [1, 1]
    difference = flat(images[labels == 1]).mean(dim=0) - flat(images[labels == 0]).mean(dim=0)
    assert float(way[0].norm()) == pytest.approx(float(difference.norm()), rel=1e-5)
    assert (way[1] == 0).all(), "it is of the class already"


def test_attributes_are_told_apart_where_they_come_together() -> None:
    """Most that smile are bright, and smiling alone makes no picture bright."""
    smiling = np.arange(40) % 2 == 0
    bright = smiling.copy()
    bright[:8] = ~bright[:8]
    images = np.full((40, 16, 16, 3), 50, np.uint8)
    images[bright] += 100
    images[smiling, 5] += 60
    targets = np.stack([smiling, bright], axis=1)
    found = learned(ImageSet(images, targets=targets), target_names=("smiling", "bright"))
    way = found.move(Wish(attributes={"smiling": 2.0}))(flat(images[:1])).view(3, 16, 16)
    wanted = torch.zeros(3, 16, 16).double()
    wanted[:, 5] = 2 * 60 / 255
    torch.testing.assert_close(way, wanted, atol=1e-6, rtol=0)


def test_a_number_moves_codes_by_its_units_and_unknown_ones_are_left_out() -> None:
    ages = RNG.uniform(20, 60, (30, 1))
    images = np.clip(ages * 2, 0, 255).astype(np.uint8)[:, :, None, None].repeat(16, 1)
    images = images.repeat(16, 2).repeat(3, 3)
    images[:5], ages[:5] = 255, np.nan
    found = learned(ImageSet(images, targets=ages), target_names=("age",))
    way = found.move(Wish(attributes={"age": -10.0}))(flat(images[:1]))
    torch.testing.assert_close(way, torch.full_like(way, -20 / 255), atol=2e-4, rtol=0)


def test_directions_are_those_of_the_figure_in_deviations() -> None:
    images, _ = two_classes(60)
    found = Learned(coder(), Splits(ImageSet(images[:4]), ImageSet(images), None))
    assert len(images) < NUM_WATCHED
    codes = flat(images)
    values, vectors = torch.linalg.eigh(torch.cov(codes.T, correction=0))
    way = found.move(Wish(directions={1: -1.5}))(codes[:1])[0]
    assert float(way.norm()) == pytest.approx(1.5 * float(values[-1].sqrt()), rel=1e-5)
    assert float((way @ vectors[:, -1]).abs() / way.norm()) == pytest.approx(1)
    with pytest.raises(SslcliError, match="the run's codes have 60 principal directions"):
        found.move(Wish(directions={61: 1.0}))


def test_several_wishes_add_up() -> None:
    images, labels = two_classes()
    found = Learned(coder(), Splits(ImageSet(images, labels), ImageSet(images), None, ("a", "b")))
    both = found.move(Wish(towards="b", by=By.near, directions={2: 1.0}))(flat(images[:1]))
    each = [Wish(towards="b", by=By.near), Wish(directions={2: 1.0})]
    torch.testing.assert_close(both, sum(found.move(wish)(flat(images[:1])) for wish in each))


@pytest.mark.parametrize(
    ("wish", "said", "fix"),
    [
        (Wish(towards="up"), "have no class 'up'", "left, right"),
        (Wish(attributes={"age": 1.0}), "have no attributes", "they have classes"),
    ],
)
def test_unknown_names_are_refused_with_the_known_ones(wish: Wish, said: str, fix: str) -> None:
    with pytest.raises(SslcliError, match=said) as caught:
        learned(ImageSet(*two_classes()), **NAMES).move(wish)
    assert fix in caught.value.fix


def test_pictures_without_labels_are_refused_with_what_they_allow() -> None:
    images, _ = two_classes()
    with pytest.raises(SslcliError, match="no classes") as caught:
        learned(ImageSet(images)).move(Wish(towards="left"))
    assert "--direction 1=2" in caught.value.fix
    of_ages = ImageSet(images, targets=np.ones((24, 1)))
    with pytest.raises(SslcliError, match="no classes") as caught:
        learned(of_ages, target_names=("age",)).move(Wish(towards="left"))
    assert "--attribute age=+1" in caught.value.fix
    with pytest.raises(SslcliError, match="'age' is the same in all 24"):
        learned(of_ages, target_names=("age",)).move(Wish(attributes={"age": 1.0}))


def test_a_change_is_the_difference_of_decoded_codes_without_what_is_small() -> None:
    images, _ = two_classes()
    codes = flat(images[:2])
    ways = torch.zeros_like(codes)
    ways[0, 7], ways[0, 8], ways[1, 9] = 0.4, -0.05, 0.01
    found = changes(coder(), codes, ways, 0.5).flatten(1)
    assert float(found[0, 7]) == pytest.approx(0.2 * (1 - SMALL))
    assert float(found[0, 8]) == pytest.approx(-0.025 + 0.2 * SMALL, abs=1e-6)
    assert float(found[1, 9]) == pytest.approx(0.005 * (1 - SMALL), rel=1e-3)
    assert int((found != 0).sum()) == 3
    assert (without_small(torch.zeros(1, 3, 4, 4)) == 0).all()
