"""The epoch whose encoder was best by kNN is named at the end."""

from __future__ import annotations

import pytest

from sslcli.experiments.keep import best_epoch


def records(*accuracies: float) -> list[dict[str, float]]:
    """One record a step without kNN, and one of each epoch with it, from the start on."""
    measured = [
        {"epoch": epoch, "knn_accuracy": accuracy} for epoch, accuracy in enumerate(accuracies)
    ]
    return [{"epoch": 0.5, "loss": 1.0}, *measured]


@pytest.mark.parametrize(
    ("accuracies", "kept", "said"),
    [
        ((0.5, 0.8, 0.9, 0.7), [2, 3], "best after epoch 2, 90.00 % (70.00 % at the end): at=2"),
        ((0.5, 0.8, 0.9, 0.7), [3], "snapshots=[2] keeps it"),
        ((0.5, 0.6, 0.7), [2], None),
        ((0.9, 0.7, 0.7), [], None),
        ((), [], None),
    ],
)
def test_the_best_epoch_is_named_unless_it_is_the_last(
    accuracies: tuple[float, ...], kept: list[int], said: str | None
) -> None:
    """Of equal ones the later is as good; what was before the first step is no epoch."""
    found = best_epoch(records(*accuracies), kept)
    assert found is None if said is None else said in str(found)
