"""Writes what pretraining was worth in sentences that a person can act on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from sslcli.evaluation.label_equivalents import LabelEquivalent


def sentences(found: Sequence[LabelEquivalent], pretraining: str, most: int) -> list[str]:
    """Returns a sentence for each number of labels, and one for a row of undecided ones.

    `pretraining` names it; `most`: the largest number of labels that was measured.
    """
    said: list[str] = []
    for is_decided, group in groupby(found, lambda each: each.is_better or each.is_worse):
        members = list(group)
        if is_decided:
            said += [_decided(each, pretraining, most) for each in members]
        else:
            said.append(_undecided(members))
    return said


def compared(found: Sequence[LabelEquivalent], preferred: Mapping[int, str]) -> list[str]:
    """Returns what the best given encoder does beside the one that was pretrained here.

    `preferred`: by number of labels, which of several validation prefers; {} of a single one.
    """
    said = [
        f"Of the given encoders, validation prefers {name} with {_labels(counts)} labels."
        for name, counts in ((name, list(same)) for name, same in _by_name(preferred))
    ]
    which = "best given encoder" if preferred else "given encoder"
    for is_decided, group in groupby(found, lambda each: each.is_better or each.is_worse):
        members = list(group)
        if is_decided:
            said += [
                f"With {each.num_labels:,} labels, the {which} has {_points(each)} than the "
                "one pretrained here."
                for each in members
            ]
        else:
            said.append(f"{_undecided(members)[:-1]} between it and the {which}.")
    return said


def _decided(found: LabelEquivalent, pretraining: str, most: int) -> str:
    labels, points = f"With {found.num_labels:,} labels", _points(found)
    if found.is_worse:
        return f"{labels}, it is better not to pretrain: {points}."
    what = f"{labels}, {pretraining} is worth"
    if found.num_labels == most:
        return f"{what} it: {points}."
    return f"{what} {_times(found)}: {points}."


def _times(found: LabelEquivalent) -> str:
    """Returns `as much as 4.1 times the labels (2.9 to 5.8)`."""
    low = None if found.low is None else _number(found.low)
    high = None if found.high is None else _number(found.high)
    if found.ratio is None:
        return f"more than {low or _number(1.0)} times the labels"
    ends = f"{low or 'less'} to {high}" if high else f"at least {low or 'that'}"
    return f"as much as {_number(found.ratio)} times the labels ({ends})"


def _number(value: float) -> str:
    return f"{value:.1f}" if value < 10 else f"{value:.0f}"


def _points(found: LabelEquivalent) -> str:
    """Returns `10.7 points more (8.1 to 13.3)`."""
    assert found.gain_interval is not None
    gain, half = 100 * abs(found.gain), 100 * found.gain_interval
    more = "more" if found.gain > 0 else "fewer"
    return f"{gain:.1f} points {more} ({gain - half:.1f} to {gain + half:.1f})"


def _undecided(members: Sequence[LabelEquivalent]) -> str:
    labels = _labels([each.num_labels for each in members])
    return f"With {labels} labels, no difference can be told."


def _by_name(preferred: Mapping[int, str]) -> Iterator[tuple[str, Iterator[int]]]:
    """Yields each name with the numbers of labels, ascending, as long as it stays the same."""
    return groupby(sorted(preferred), key=preferred.__getitem__)


def _labels(counts: Sequence[int]) -> str:
    first, last = counts[0], counts[-1]
    return f"{first:,}" if first == last else f"{first:,} to {last:,}"
