"""Sentences of the verdict: each case once."""

from __future__ import annotations

import pytest

from sslcli.evaluation.label_equivalents import LabelEquivalent
from sslcli.report.verdict import compared, sentences

BETTER = LabelEquivalent(50, 4.13, 2.9, 5.8, 0.107, 0.026)
CASES = {
    "better": (BETTER, "worth as much as 4.1 times the labels (2.9 to 5.8): 10.7 points more"),
    "open above": (
        LabelEquivalent(50, 4.13, 2.9, None, 0.1, 0.02),
        "4.1 times the labels (at least 2.9): 10.0 points more (8.0 to 12.0)",
    ),
    "beyond all": (
        LabelEquivalent(50, None, 18.0, None, 0.1, 0.02),
        "is worth more than 18 times the labels: 10.0",
    ),
    "with all labels": (
        LabelEquivalent(900, None, None, None, 0.01, 0.005),
        "With 900 labels, pretraining on 8,000 pictures is worth it: 1.0 points more (0.5 to 1.5).",
    ),
    "worse": (
        LabelEquivalent(50, 0.5, 0.3, 0.9, -0.1, 0.02),
        "With 50 labels, it is better not to pretrain: 10.0 points fewer (8.0 to 12.0).",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_decided_number_of_labels(case: str) -> None:
    found, said = CASES[case]
    (sentence,) = sentences([found], "pretraining on 8,000 pictures", 900)
    assert said in sentence


def test_undecided_numbers_are_one_sentence() -> None:
    undecided = [LabelEquivalent(n, 1.1, 0.8, 1.4, 0.01, 0.02) for n in (450, 900, 1800)]
    alone = LabelEquivalent(9, 1.1, None, None, 0.01, None)
    assert sentences([alone, BETTER, *undecided], "pretraining", 1800)[::2] == [
        "With 9 labels, no difference can be told.",
        "With 450 to 1,800 labels, no difference can be told.",
    ]


def test_given_encoders_are_compared_with_the_one_pretrained_here() -> None:
    undecided = LabelEquivalent(450, 1.1, 0.8, 1.4, 0.01, 0.02)
    assert compared([BETTER, undecided], {}) == [
        "With 50 labels, the given encoder has 10.7 points more (8.1 to 13.3) than the one "
        "pretrained here.",
        "With 450 labels, no difference can be told between it and the given encoder.",
    ]


def test_of_several_given_encoders_the_best_is_named() -> None:
    undecided = LabelEquivalent(450, 1.1, 0.8, 1.4, 0.01, 0.02)
    assert compared([BETTER, undecided], {50: "a", 450: "b", 900: "b"}) == [
        "Of the given encoders, validation prefers a with 50 labels.",
        "Of the given encoders, validation prefers b with 450 to 900 labels.",
        "With 50 labels, the best given encoder has 10.7 points more (8.1 to 13.3) than the one "
        "pretrained here.",
        "With 450 labels, no difference can be told between it and the best given encoder.",
    ]
