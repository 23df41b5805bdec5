"""The leaderboard's table and picture, from what is finished: means over seeds, and 95 % intervals by Student's t."""

from __future__ import annotations

import math
import os
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sslcli.evaluation.scores import mean_and_interval
from sslcli.report.style import COLOURS, INK, MUTED, label_axes, new_figure, style_axes
from sslcli.runs.lock import HOST
from sslcli.runs.results import Results
from sslcli.text import duration

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from benchmarks.leaderboard import Entry

NONE = "-"
COLUMNS = {
    "linear probe": ("top1", 1.0),
    "kNN": ("knn", 1.0),
    "5 % of the labels": ("top1", 0.05),
    "1 % of the labels": ("top1", 0.01),
}
"""Heading -> the score, and the part of the labels that it is measured with."""
Spread = tuple[float, "float | None"]
"""Mean, and half the width of the 95 % interval; None of a single seed."""


@dataclass(frozen=True)
class Seed:
    """One finished and evaluated run of pretraining: run.json, and results by labels.

    `baselines`: those of raw pixels and of the untrained encoder.
    """

    facts: dict[str, Any]
    results: dict[float, Results]
    baselines: dict[float, Results]

    def score(self, features: str, name: str, labels: float) -> float | None:
        measured = self.results if features == "trained_encoder" else self.baselines
        return measured[labels].row(features).scores.get(name)


@dataclass(frozen=True)
class Line:
    """A method's finished seeds."""

    method: str
    seeds: list[Seed]

    def spread(self, features: str, name: str, labels: float) -> Spread | None:
        values = [seed.score(features, name, labels) for seed in self.seeds]
        measured = [value for value in values if value is not None]
        return mean_and_interval(measured) if measured else None

    def mean(self, fact: str) -> float:
        return sum(float(seed.facts[fact]) for seed in self.seeds) / len(self.seeds)

    @property
    def name(self) -> str:
        labels = self.seeds[0].facts["derived"]["labels"]
        return f"{self.method} (learns from {labels:,} labels)" if labels else self.method


def write_page(page: Path, entries: Sequence[Entry], command: str) -> None:
    """Writes the table, and draws it beside it; says what was left out."""
    lines = lines_of(entries)
    if not lines:
        print("nothing is finished yet: nothing is written")
        return
    page.parent.mkdir(parents=True, exist_ok=True)
    draw(page.with_suffix(".png"), lines)
    text = text_of(lines, reasons_of(entries), command, page.stem)
    page.write_text(text, encoding="utf-8")


def lines_of(entries: Sequence[Entry]) -> list[Line]:
    """The methods of which a seed is finished, the best linear probe first."""
    seeds: dict[str, list[Seed]] = {entry.method: [] for entry in entries}
    for entry in entries:
        seed = finished(entry)
        if seed is not None:
            seeds[entry.method].append(seed)
    lines = [Line(method, found) for method, found in seeds.items() if found]
    return sorted(
        lines, key=lambda line: -(line.spread("trained_encoder", "top1", 1.0) or (0.0, None))[0]
    )


def finished(entry: Entry) -> Seed | None:
    """What is known of an entry that is pretrained and evaluated with all numbers of labels."""
    facts, results = entry.trained_facts(), entry.results()
    if facts is None:
        return None
    baselines, needed = entry.baselines(), {labels for _, labels in COLUMNS.values()}
    evaluated = results.keys() >= needed and baselines.keys() >= needed
    return Seed(facts, results, baselines) if evaluated else None


def reasons_of(entries: Sequence[Entry]) -> dict[str, list[int]]:
    """Why seeds are not in the table: `METHOD`: reason -> seeds."""
    reasons: dict[str, list[int]] = {}
    for entry in entries:
        if finished(entry) is None:
            reason = f"`{entry.method}`: {entry.refusal() or 'not finished yet'}"
            reasons.setdefault(reason, []).append(entry.seed)
    return reasons


def raw_pixels(lines: Sequence[Line]) -> Line:
    """The seeds of raw pixels, each once: they depend on no method, only on the draw of labels."""
    by_seed = {seed.results[1.0].settings["seed"]: seed for line in lines for seed in line.seeds}
    return Line("raw pixels", list(by_seed.values()))


def shown(spread: Spread | None) -> str:
    if spread is None:
        return NONE
    mean, half = spread
    return f"{100 * mean:.2f}" if half is None else f"{100 * mean:.2f} ± {100 * half:.2f}"


def text_of(
    lines: Sequence[Line], left_out: dict[str, list[int]], command: str, picture: str
) -> str:
    rows = [row_of(line, "trained_encoder") for line in lines]
    rows.append(row_of(raw_pixels(lines), "raw_pixels"))
    headings = [
        "method", "encoder", "seeds", *COLUMNS, "untrained encoder", "processor time", "memory",
    ]  # fmt: skip
    table = [headings, ["---"] * 3 + ["---:"] * (len(headings) - 3), *rows]
    reasons = [
        f"- {reason} (seed {', '.join(map(str, seeds))})" for reason, seeds in left_out.items()
    ]
    return "\n".join(
        [
            "# Every method on one table",
            "",
            *explanation(lines, command),
            "",
            f"![Linear probe of every method]({picture}.png)",
            "",
            *("| " + " | ".join(row) + " |" for row in table),
            "",
            *(["Not in the table:", "", *reasons, ""] if reasons else []),
        ]
    )


def row_of(line: Line, features: str) -> list[str]:
    scores = [shown(line.spread(features, *wanted)) for wanted in COLUMNS.values()]
    if features == "raw_pixels":
        return [line.method, NONE, str(len(line.seeds)), *scores, *[NONE] * 3]
    encoders = sorted({str(seed.facts["choices"]["encoder"]) for seed in line.seeds})
    return [
        line.name,
        ", ".join(encoders),
        str(len(line.seeds)),
        *scores,
        shown(line.spread("untrained_encoder", "top1", 1.0)),
        duration(line.mean("processor_seconds")),
        f"{line.mean('peak_memory_bytes') / 2**20:,.0f} MiB",
    ]


def explanation(lines: Sequence[Line], command: str) -> list[str]:
    seeds = [seed for line in lines for seed in line.seeds]
    protocol = seeds[0].results[1.0].protocol
    days = sorted(time.strftime("%Y-%m-%d", time.localtime(s.facts["started"])) for s in seeds)
    best, _ = lines[0].spread("trained_encoder", "top1", 1.0) or (0.0, None)
    num_tested = sum(map(sum, seeds[0].results[1.0].row("trained_encoder").confusion))
    error = math.sqrt(best * (1 - best) / num_tested)
    data = ", ".join(sorted({str(seed.facts["choices"]["data"]) for seed in seeds}))
    return [
        f"Made by `{command}`:",
        f"{' to '.join(sorted({days[0], days[-1]}))}, {machine(seeds)}.",
        "",
        f"Every method is trained by `sslcli pretrain method=NAME seed=N` on {data}, with nothing else typed but the",
        f"words above. Accuracies are percent on {protocol.tested_on} for every finished run, by a probe on",
        f"{protocol.trained_on}, chosen on {protocol.chosen_on}: mean over seeds",
        "± half of the 95 % interval by Student's t, which a single seed does not have. An interval is of these seeds on",
        f"these pictures: it does not tell that other test pictures would differ (a standard error of {100 * error:.1f} points), and",
        "nothing of other data. 5 % and 1 % of the labels are drawn anew for every seed. `untrained encoder` is the linear probe",
        "of the same network before training, with all labels; raw pixels depend on no seed there. Processor time, of all",
        "threads together and with what is measured during training, and memory are pretraining's, and the mean over seeds.",
    ]


def machine(seeds: Sequence[Seed]) -> str:
    """Where the runs were made, as run.json has it, and its processor if that is this machine."""
    environments = [seed.facts["environment"] for seed in seeds]
    devices = sorted({f"{found['device']} in {found['precision']}" for found in environments})
    torch = sorted({str(found["packages"]["torch"]) for found in environments})
    told = f"{', '.join(devices)}, torch {', '.join(torch)}"
    here = {seed.facts["host"] for seed in seeds} == {HOST}
    return f"{processor()}, {os.cpu_count()} cores; {told}" if here else told


def processor() -> str:
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text().splitlines() if facts.exists() else []
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def draw(path: Path, lines: Sequence[Line]) -> None:
    """A row of dots for every method: linear probe, its interval, and the untrained encoder."""
    figure = new_figure(7.2, 1.4 + 0.3 * len(lines))
    axes = figure.add_subplot()
    spreads = [line.spread("trained_encoder", "top1", 1.0) for line in lines]
    untrained = [line.spread("untrained_encoder", "top1", 1.0) for line in lines]
    pixels = raw_pixels(lines).spread("raw_pixels", "top1", 1.0)
    if pixels is not None:
        axes.axvline(100 * pixels[0], color=COLOURS[1], linestyle="--", label="raw pixels")
    means = [spread and (spread[0], None) for spread in untrained]
    draw_column(axes, means, MUTED, "|", "untrained encoder (mean)")
    draw_column(axes, spreads, COLOURS[0], "o", "trained encoder")
    style_axes(axes, "linear probe, all labels [% of test], mean and 95 % interval over seeds")
    axes.set_yticks(range(len(lines)), [line.method for line in lines], color=INK)
    axes.set_ylim(len(lines) - 0.5, -0.5)
    label_axes(axes, "accuracy [%]")
    figure.legend(fontsize=7, frameon=False, loc="outside lower center", ncols=3)
    figure.savefig(path)


def draw_column(
    axes: Axes, spreads: Sequence[Spread | None], colour: str, marker: str, name: str
) -> None:
    there = [(row, *spread) for row, spread in enumerate(spreads) if spread is not None]
    rows, means = [row for row, *_ in there], [100 * mean for _, mean, _ in there]
    halves = [100 * (half or 0.0) for *_, half in there]
    axes.errorbar(
        means, rows, xerr=halves, fmt=marker, color=colour, markersize=6, elinewidth=1.2, label=name
    )
