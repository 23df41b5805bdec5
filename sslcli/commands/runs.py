"""`sslcli runs [FOLDER]`: every run found, newest first."""

from __future__ import annotations

import argparse
import datetime
import json
from pathlib import Path
from typing import Any

from sslcli.commands.arguments import parse
from sslcli.console import Console, duration
from sslcli.engine.run import find_runs, is_open, read_facts
from sslcli.errors import SslcliError

SHOWN_METRICS = ("top1", "knn_accuracy", "loss")


def main(arguments: list[str], console: Console) -> int:
    parser = argparse.ArgumentParser(prog="sslcli runs", description=__doc__)
    parser.add_argument("folder", nargs="?", default="outputs", help="where to look (default: outputs)")
    parser.add_argument("--json", action="store_true", help="print run.json of every run as one JSON array")
    given = parse(parser, arguments)
    folder = Path(given.folder)
    if not folder.is_dir():
        raise SslcliError(
            f"there is no folder {folder.absolute()}", "start a run: sslcli pretrain; or name the folder of yours"
        )
    runs = [(run, facts) for run in find_runs(folder) if (facts := _facts(run)) is not None]
    if given.json:
        console.say(json.dumps([{"run": str(run), **facts} for run, facts in runs], indent=2))
        return 0
    console.table(
        "", ("run", "status", "command", "started", "time", "result"), [_row(run, facts) for run, facts in runs]
    )
    return 0


def _facts(run: Path) -> dict[str, Any] | None:
    """run.json, with `died` for a run that says it is running and that no process works on."""
    try:
        facts = read_facts(run)
    except SslcliError as damaged:
        return {"status": "damaged", "error": damaged.message}
    if facts.get("status") == "running" and not is_open(run):
        facts["status"] = "died"
    return facts


def _row(run: Path, facts: dict[str, Any]) -> tuple[str, ...]:
    started = datetime.datetime.fromtimestamp(facts.get("started", 0)).strftime("%Y-%m-%d %H:%M")
    metrics = facts.get("metrics", {})
    shown = ", ".join(f"{name.replace('_', ' ')} {metrics[name]:.4g}" for name in SHOWN_METRICS if name in metrics)
    return (str(run), facts["status"], facts.get("command", ""), started, duration(facts.get("seconds", 0.0)), shown)
