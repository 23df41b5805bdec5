"""Few-shot episodes against a slow loop; how they are drawn, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestCentroid
from torch import Tensor

from sslcli.errors import SslcliError
from sslcli.evaluation.few_shot import Episodes, few_shot_scores

FEW = Episodes(ways=3, shots=(1, 4), queries=5, number=20)


def clusters(num_classes: int = 5, each: int = 12, spread: float = 1.5) -> tuple[Tensor, Tensor]:
    """Features in overlapping clusters far from the origin, and their classes."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(num_classes * each) % num_classes
    centres = torch.randn(num_classes, 6, generator=generator)
    noise = torch.randn(len(labels), 6, generator=generator)
    return 10 + centres[labels] + spread * noise, labels


def slow_accuracy(pictures: list[list[list[float]]], shots: int, first_query: int) -> float:
    """Accuracy in one episode of centred features, class by class."""

    def unit(vector: list[float]) -> list[float]:
        length = math.hypot(*vector)
        return [value / length for value in vector]

    units = [[unit(picture) for picture in of_class] for of_class in pictures]
    means = [[sum(column) / shots for column in zip(*one[:shots], strict=True)] for one in units]
    right = [
        min(range(len(means)), key=lambda one: math.dist(query, means[one])) == true
        for true, of_class in enumerate(units)
        for query in of_class[first_query:]
    ]
    return sum(right) / len(right)


def test_scores_are_those_of_a_slow_loop() -> None:
    features, labels = clusters()
    centre = features.mean(dim=0) + 0.3
    found = few_shot_scores(features, labels, centre, FEW, seed=4)
    drawn = FEW.draw(labels.numpy(), seed=4)
    centred = (features.double() - centre.double()).numpy()
    for shots in FEW.shots:
        values = [slow_accuracy(centred[one].tolist(), shots, 4) for one in drawn]
        mean, half = np.mean(values), 2.093 * np.std(values, ddof=1) / math.sqrt(20)
        assert found[shots] == (pytest.approx(mean, abs=1e-9), pytest.approx(half, rel=1e-3))
    assert found[1][0] < found[4][0]


def test_the_nearest_mean_is_scikit_learns() -> None:
    features, labels = clusters()
    centre = features.mean(dim=0)
    one = Episodes(ways=5, shots=(3,), queries=9, number=1)
    (pictures,) = one.draw(labels.numpy(), seed=0)
    centred = (features.double() - centre.double()).numpy()
    unit = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    true = np.arange(5)
    model = NearestCentroid().fit(unit[pictures[:, :3]].reshape(15, -1), true.repeat(3))
    expected = model.score(unit[pictures[:, 3:]].reshape(45, -1), true.repeat(9))
    assert few_shot_scores(features, labels, centre, one)[3] == (pytest.approx(expected), None)


def test_an_episode_has_other_pictures_of_each_of_its_classes() -> None:
    _, labels = clusters()
    drawn = FEW.draw(labels.numpy(), seed=0)
    assert drawn.shape == (20, 3, 9)
    for episode in labels.numpy()[drawn]:
        assert len(set(episode[:, 0])) == 3
        assert (episode == episode[:, :1]).all()
    assert all(len(set(episode.ravel())) == 27 for episode in drawn)
    assert len(np.unique(labels.numpy()[drawn])) == 5, "over the episodes all classes are drawn"


def test_one_seed_draws_one_set_of_episodes() -> None:
    features, labels = clusters()
    centre = features.mean(dim=0)
    found = few_shot_scores(features, labels, centre, FEW, seed=1)
    torch.manual_seed(5)
    np.random.seed(5)
    assert few_shot_scores(features, labels, centre, FEW, seed=1) == found
    assert few_shot_scores(features, labels, centre, FEW, seed=2) != found


def test_classes_with_too_few_pictures_are_never_drawn() -> None:
    _, labels = clusters(each=12)
    rare = torch.cat([labels, torch.full((8,), 9)])
    drawn = FEW.draw(rare.numpy(), seed=0)
    assert 9 not in rare.numpy()[drawn]


@pytest.mark.parametrize(
    ("each", "num_classes", "fix"),
    [(12, 2, "try few_shot_ways=2"), (12, 1, "leave few_shot out"), (8, 5, "leave few_shot out")],
)
def test_fewer_classes_than_ways_are_refused(each: int, num_classes: int, fix: str) -> None:
    features, labels = clusters(num_classes, each)
    with pytest.raises(SslcliError, match="need 9 test pictures of 3 classes") as caught:
        few_shot_scores(features, labels, features[0], FEW)
    assert fix in caught.value.fix


def test_features_that_are_all_alike_are_at_chance() -> None:
    labels = clusters()[1]
    found = few_shot_scores(torch.ones(len(labels), 4), labels, torch.zeros(4), FEW)
    assert found == {1: (pytest.approx(1 / 3), 0.0), 4: (pytest.approx(1 / 3), 0.0)}
