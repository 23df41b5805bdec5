"""Says what an evaluation will take."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from sslcli.engine.live_memory import num_bytes
from sslcli.evaluation.features import BATCH, features
from sslcli.evaluation.newton import MAX_PRODUCTS, MAX_STEPS
from sslcli.evaluation.rehearsal import tensors_of
from sslcli.text import duration
from sslcli.tools.plan.evaluating import Evaluation
from sslcli.tools.plan.machine import Machine, size
from sslcli.tools.plan.measure import require_here

if TYPE_CHECKING:
    from sslcli.console import Console

FEWER = (0.5, 0.2, 0.1, 0.05, 0.02, 0.01)
"""Parts of the labels that are tried where all of them take too much memory."""
PARTS = ("numbers a picture", "features", "probe", "where it needs float64", "kNN")
"""Columns of the memory that an extractor's evaluation takes."""
UNCOUNTED = (
    "memory counts tensors on the device; pictures in the host's memory, and what kernels, "
    "libraries and fragments take, are not in it"
)


def report_evaluation(
    evaluation: Evaluation, machine: Machine, measure: bool, console: Console
) -> None:
    """Prints the plan of an evaluation; `measure`: computes some features for it.

    Raises SslcliError where none can be measured here.
    """
    if measure:
        require_here(evaluation.compute)
    console.columns(f"plan of {evaluation.title}", rows(evaluation))
    console.table("most memory of the device", ("", *PARTS), memories(evaluation))
    console.say("")
    for sentence in sentences(evaluation, machine):
        console.say(sentence)
    if measure:
        console.say(measured(evaluation))
    console.say(UNCOUNTED)


def rows(evaluation: Evaluation) -> list[tuple[str, str]]:
    """Returns what is counted, by name."""
    amounts = evaluation.amounts
    further = f", {amounts.standardizing:,} that standardise" if amounts.standardizing else ""
    peak = max(needs.peak for needs in evaluation.needs.values())
    lines = [
        (
            "pictures",
            f"{amounts.labelled:,} with labels for the probe, {amounts.val:,} to choose l2 on, "
            f"{amounts.test:,} to test on{further}; {amounts.classes:,} classes",
        )
    ]
    device = evaluation.compute.device.type
    lines.append(("memory", f"{size(peak)} at most ({device}, features in fp32)"))
    lines.append(("work", work(evaluation)))
    kept = (
        evaluation.extractors["trained_encoder"].encoder if evaluation.config.keep_encoder else None
    )
    also = f", and {size(num_bytes(tensors_of(kept)))} of the encoder" if kept is not None else ""
    lines.append(("disk", f"results and figures{also}"))
    return lines


def memories(evaluation: Evaluation) -> list[tuple[str, ...]]:
    """Returns the most memory of every part of every extractor's evaluation, in words."""
    return [
        (
            name.replace("_", " "),
            f"{evaluation.extractors[name].width:,}",
            *map(size, (needs.features, needs.probe, needs.exact, needs.knn)),
        )
        for name, needs in evaluation.needs.items()
    ]


def work(evaluation: Evaluation) -> str:
    """Returns the operations of the features, and those of the probe as far as they are known."""
    amounts, config = evaluation.amounts, evaluation.config
    widest = max(one.width for one in evaluation.extractors.values())
    refitted = amounts.labelled + (0 if amounts.standardizing else amounts.val)
    product = 4 * refitted * (widest + 1) * amounts.classes
    return (
        f"{evaluation.extractions / 1e9:,.3g} GFLOP for all features; at most "
        f"{product / 1e9:,.3g} GFLOP for a product of the probe at one l2, of which there are "
        f"{len(config.l2)}; no more than {MAX_STEPS} x {MAX_PRODUCTS} products each"
    )


def sentences(evaluation: Evaluation, machine: Machine) -> Iterator[str]:
    """Yields what is not counted, what would not fit and what would, and the least time."""
    for further in evaluation.config.also:
        yield f"also=[{further.name}] is not counted"
    if machine.memory is not None:
        yield from _fits(evaluation, machine.memory)
    if machine.teraflops is not None:
        seconds = evaluation.extractions / (machine.teraflops * 1e12)
        yield (
            f"a bound, not a forecast: the features take at least {duration(seconds)} at "
            f"{machine.teraflops:g} TFLOP/s; the probe and kNN are not in it"
        )


def _fits(evaluation: Evaluation, memory: int) -> Iterator[str]:
    room = size(memory)
    large = {name: one for name, one in evaluation.needs.items() if one.peak > memory}
    for name, needs in large.items():
        shown = name.replace("_", " ")
        yield f"evaluating the {shown} does not fit in {room}: it takes up to {size(needs.peak)}"
    if not large:
        yield f"fits in {room}"
        return
    found = _fewer_labels(evaluation, memory)
    if found is not None:
        labels, taken = found
        yield f"labels={labels:g} lets it fit, in {size(taken)}: another result, of fewer labels"
        return
    if len(large) < len(evaluation.needs) and "trained_encoder" not in large:
        yield "baselines=false leaves it out"
        return
    cuda = evaluation.compute.device.type == "cuda"
    where = ": runtime.device=cpu has the host's memory" if cuda else ""
    yield f"nor does it with labels={FEWER[-1]:g}{where}"


def _fewer_labels(evaluation: Evaluation, memory: int) -> tuple[float, int] | None:
    """Returns the largest part of the labels, of a few, that fits, and its bytes; None: none."""
    amounts = {part: evaluation.amounts_with(part) for part in FEWER}
    fewer = [part for part in FEWER if amounts[part].labelled < evaluation.amounts.labelled]

    def peak(part: float) -> int:
        return max(needs.peak for needs in evaluation.needs_with(amounts[part]).values())

    if fewer and peak(fewer[-1]) <= memory:  # else none does
        for part in fewer:
            taken = peak(part)
            if taken <= memory:
                return part, taken
    return None


def measured(evaluation: Evaluation) -> str:
    """Returns how long all features would take here."""
    pictures, device = evaluation.session.splits.train.images, evaluation.compute.device
    num = min(BATCH, len(pictures))
    seconds = 0.0
    for one in evaluation.extractors.values():
        if one.encoder is None:
            continue
        evaluation.compute.to_device(one.encoder)
        features(one.encoder, pictures[: min(num, 16)], one.preprocessing, device)
        began = time.perf_counter()
        features(one.encoder, pictures[:num], one.preprocessing, device).sum().item()
        seconds += time.perf_counter() - began
    whole = seconds * evaluation.amounts.extracted / num
    name = evaluation.compute.name
    return (
        f"measured here, {name}: features of {num:,} pictures by every encoder, so "
        f"{duration(whole)} for all; the probe and kNN are not in it"
    )
