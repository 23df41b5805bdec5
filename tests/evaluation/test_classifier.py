"""Fine-tuning: the weights that did best, when it ends, and that it goes on after a resume as if nothing had been."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from doubles import PREPROCESSING, Killed, pictures, same, state, train_in
from torch import nn

from sslcli.data.batches import LabelledBatches
from sslcli.data.images import ImageSet
from sslcli.evaluation.classifier import BestWeights, Classifier
from sslcli.nets.encoder_config import MLPConfig

LABELLED = ImageSet(pictures().images, np.arange(24) % 3)


def watched() -> tuple[nn.Module, BestWeights]:
    module = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    return module, BestWeights([module], patience=2)


def set_all(module: nn.Module, number: float) -> None:
    for value in module.state_dict().values():
        value.fill_(number)


def is_all(module: nn.Module, number: float) -> bool:
    return all(bool((value == number).all()) for value in module.state_dict().values())


def test_the_best_weights_are_kept_and_put_back() -> None:
    module, best = watched()
    for number, accuracy in ((1, 0.5), (2, 0.7), (3, 0.6), (4, 0.7)):
        set_all(module, number)
        best.observe(accuracy)
        assert is_all(module, number), "observing changes nothing"
    best.put_back()
    assert is_all(module, 2), "statistics too; of equals the first"


def test_an_accuracy_of_0_is_kept_and_without_any_the_first_weights_are() -> None:
    module, best = watched()
    set_all(module, 7)
    best.observe(0.0)
    set_all(module, 8)
    best.put_back()
    assert is_all(module, 7)
    module, best = watched()
    first = {key: value.clone() for key, value in module.state_dict().items()}
    set_all(module, 1)
    best.put_back()
    assert same(dict(module.state_dict()), first)


@pytest.mark.parametrize("accuracy", [k / 30 for k in (1, 7, 10, 13, 21, 29)])
def test_patience_ends_after_evaluations_in_a_row_that_are_no_better(accuracy: float) -> None:
    _, best = watched()
    ends = []
    for value in (accuracy / 2, accuracy / 3, accuracy, accuracy, accuracy):  # a tie is no better
        best.observe(value)
        ends.append(best.exhausted)
    assert ends == [False, False, False, False, True]


def test_its_state_survives_being_saved(tmp_path: Path) -> None:
    module, best = watched()
    for number, accuracy in ((1, 0.7), (2, 0.6)):
        set_all(module, number)
        best.observe(accuracy)
    assert not {id(p) for p in best.parameters()}, "the modules' weights are saved by who has them"
    torch.save(best.state_dict(), tmp_path / "state.pt")
    other, again = watched()
    again.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    again.observe(0.7)
    assert again.exhausted
    again.put_back()
    assert is_all(other, 1)


class Script:
    """Accuracies in place of validation's; counts how often it was asked."""

    def __init__(self, classifier: Classifier, accuracies: list[float]) -> None:
        self.classifier, self.accuracies, self.asked = classifier, accuracies, 0

    def __call__(self, step: int) -> dict[str, float]:
        accuracy = self.accuracies[step // 3 - 1]
        self.asked += 1
        self.classifier.best.observe(accuracy)
        return {"val_accuracy": accuracy}


def finetune(
    folder: Path, accuracies: list[float], stop_at: int | None = None
) -> tuple[Classifier, Script, Any]:
    """At most 30 steps, evaluated after every third, with patience 2."""
    torch.manual_seed(1)
    classifier = Classifier.of(MLPConfig(widths=[8]).build(3, 16), 3, PREPROCESSING, patience=2)
    script = Script(classifier, accuracies)
    records = train_in(
        folder, classifier, LabelledBatches(LABELLED, 8, 0, "cpu"), 30, stop_at, script, 3
    )
    return classifier, script, records


ACCURACIES = [0.3, 0.7, 0.6, 0.7, 0.9]


def test_training_ends_early_and_a_resumed_phase_does_not_go_on(tmp_path: Path) -> None:
    classifier, script, records = finetune(tmp_path / "run", ACCURACIES)
    assert script.asked == 4
    assert max(record["step"] for record in records) == 12
    written = (tmp_path / "run/metrics.jsonl").read_bytes()
    again, script, records = finetune(tmp_path / "run", ACCURACIES)
    assert script.asked == 0
    assert records == []
    assert (tmp_path / "run/metrics.jsonl").read_bytes() == written
    assert same(state(again), state(classifier))
    at_best, _, _ = finetune(tmp_path / "until the best", [*ACCURACIES[:2], 0.0, 0.0])
    at_best.best.put_back()
    again.best.put_back()
    assert same(state(again), state(at_best))


@pytest.mark.parametrize("killed_at", [4, 8, 11])
def test_patience_and_best_weights_go_on_after_a_resume(tmp_path: Path, killed_at: int) -> None:
    whole, _, _ = finetune(tmp_path / "whole", ACCURACIES)
    with pytest.raises(Killed):
        finetune(tmp_path / "cut", ACCURACIES, stop_at=killed_at)
    resumed, _, _ = finetune(tmp_path / "cut", ACCURACIES)
    assert same(state(resumed), state(whole))
    lines = [
        (tmp_path / name / "metrics.jsonl").read_text().splitlines() for name in ("whole", "cut")
    ]
    whole_lines, cut_lines = ([line.partition(', "timing"')[0] for line in run] for run in lines)
    assert whole_lines == cut_lines


def test_it_learns_and_its_network_is_what_is_scored(tmp_path: Path) -> None:
    torch.manual_seed(1)
    classifier = Classifier.of(MLPConfig(widths=[16]).build(3, 16), 3, PREPROCESSING, patience=5)
    images = torch.from_numpy(LABELLED.images)
    first, labels = classifier.views((images, torch.arange(24) % 3))
    with torch.no_grad():
        assert not classifier.logits(LABELLED, torch.device("cpu")).any(), (
            "the classifier begins with zeros"
        )
    assert torch.allclose(first, (images.permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.25)
    records = train_in(tmp_path / "run", classifier, LabelledBatches(LABELLED, 8, 0, "cpu"), 60)
    losses = [record["loss"] for record in records if "loss" in record]
    assert losses[0] == pytest.approx(np.log(3), abs=0.05)
    assert losses[-1] < 0.6 * losses[0]
    logits = classifier.logits(LABELLED, torch.device("cpu"))
    assert (logits.argmax(dim=1) == labels).float().mean() > 0.8


def test_labels_go_with_their_pictures() -> None:
    marked = ImageSet(
        np.arange(20, dtype=np.uint8).reshape(20, 1, 1, 1).repeat(3, 3), np.arange(20) * 2
    )
    batches = LabelledBatches(marked, 6, 0, "cpu")
    assert batches.steps_per_epoch == 3
    for step in range(6):
        images, labels = batches.at(step)
        assert torch.equal(images[:, 0, 0, 0].long() * 2, labels)
