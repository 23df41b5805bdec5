"""Runs and sweeps as they lie in their folders, without having trained, and what a browser would make of a page."""

from __future__ import annotations

import json
import math
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import yaml
from PIL import Image

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>&amp;'\"<b>%{x}"


class Page(HTMLParser):
    """What a browser would make of a page: its tags, its text apart from scripts, the values of its charts."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.charts: list[dict[str, Any]] = []
        self.text = ""
        self.inside: tuple[str, dict[str, str | None]] = ("", {})
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.inside = self.tags[-1]

    def handle_endtag(self, tag: str) -> None:
        self.inside = ("", {})

    def handle_data(self, data: str) -> None:
        tag, attributes = self.inside
        if tag == "script" and attributes.get("type") == "application/json":
            self.charts.append(json.loads(data))
        elif tag not in ("script", "style"):
            self.text += data

    def count(self, tag: str) -> int:
        return sum(found == tag for found, _ in self.tags)


def make_run(
    folder: Path, *, steps: int = 20, config: dict[str, Any] | None = None, **facts: Any
) -> Path:
    """A finished run of `pretrain`, as it lies in its folder, without having trained."""
    (folder / "figures").mkdir(parents=True)
    header = {
        "format": 1,
        "version": "0.1.0",
        "command": "pretrain",
        "choices": {"method": "simclr"},
    }
    values = {"sslcli": header, "method": {"temperature": 0.5}, "seed": 0, **(config or {})}
    (folder / "config.yaml").write_text(yaml.safe_dump(values))
    (folder / "overrides.yaml").write_text("[]")
    lines = []
    for step in range(1, steps + 1):
        at = {"phase": "pretrain", "step": step, "epoch": step / 10}
        lines.append(
            {
                **at,
                "loss": 1 + math.exp(-step / 10),
                "learning_rate": 0.1,
                "timing": {"seconds": 1.0},
            }
        )
        if step % 5 == 0:
            lines.append({**at, "knn_accuracy": 0.5 + step / 100, "effective_rank": 3.0})
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    all_facts = {
        "status": "finished",
        "command": "pretrain",
        "choices": {"method": "simclr", "data": "fashion_sample"},
        "started": 1.7e9,
        "seconds": 12.0,
        "metrics": {"loss": 1.1, "knn_accuracy": 0.7},
        "validation": {"metric": "knn_accuracy", "larger_is_better": True},
        **facts,
    }
    (folder / "run.json").write_text(json.dumps(all_facts))
    Image.new("RGB", (60, 40), "red").save(folder / "figures" / "views.png")
    return folder


def make_sweep(folder: Path) -> Path:
    for number, (temperature, seed, accuracy) in enumerate(
        [(0.1, 0, 0.61), (0.1, 1, 0.65), (0.5, 0, 0.81), (0.5, 1, 0.79)]
    ):
        config = {"method": {"temperature": temperature}, "seed": seed}
        metrics = {"loss": 1.1, "knn_accuracy": accuracy, "top1": 1 - accuracy}
        job = make_run(folder / f"{number:03d}-12345678", config=config, metrics=metrics)
        words = ["epochs=2", f"method.temperature={temperature}", f"seed={seed}"]
        (job / "overrides.yaml").write_text(yaml.safe_dump(words))
    refused = {"words": ["epochs=2", "seed=5"], "error": "must be positive", "fix": "try 1"}
    (folder / "004-refused.json").write_text(json.dumps(refused))
    sweep = {
        "command": "pretrain",
        "words": ["epochs=2", "method.temperature=0.1,0.5", "seed=0,1"],
        "planned": [],
    }
    (folder / "sweep.json").write_text(json.dumps(sweep))
    return folder


def hostile_run(folder: Path) -> Path:
    """Whose every name and value is hostile."""
    run = make_run(
        folder / HOSTILE.replace("/", "|"),
        config={"data": {"root": HOSTILE}, HOSTILE: HOSTILE},
        choices={"method": HOSTILE, "data": HOSTILE},
        status="failed",
        error=HOSTILE,
        metrics={HOSTILE: 0.5, "knn_accuracy": 0.5},
        data={"warnings": [HOSTILE]},
    )
    record = {"phase": HOSTILE, "step": 1, "epoch": 1, "loss": 1.0, HOSTILE: 2.0}
    with (run / "metrics.jsonl").open("a") as file:
        file.write(json.dumps(record) + "\n")
    (run / "log.txt").write_text(f"2026-01-01 00:00:00 warning: {HOSTILE} logged\n")
    (run / "evaluations.jsonl").write_text(
        json.dumps({"command": HOSTILE, "run": HOSTILE, HOSTILE: 1.0}) + "\n"
    )
    (run / "results.json").write_text(
        json.dumps({"results": {HOSTILE: {HOSTILE: 1.0, "protocol": {HOSTILE: HOSTILE}}}})
    )
    (run / "confusion.csv").write_text('true,"<b>a","</script>b"\n"<b>a",3,1\n"</script>b",0,4\n')
    Image.new("L", (8, 8)).save(run / "figures" / "<img src=x onerror=alert(3)>.png")
    return run
