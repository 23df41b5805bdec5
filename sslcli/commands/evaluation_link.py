"""What was measured of a run's encoder, noted in that run: a line of evaluations.jsonl."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sslcli.console import Console

FILE = "evaluations.jsonl"


def link(source: Path, facts: dict[str, Any], console: Console) -> None:
    """Appends `facts` in the run `source`; a warning where that cannot be written, since the evaluation itself is whole."""
    try:
        with (source / FILE).open("a") as links:
            links.write(json.dumps(facts) + "\n")
    except OSError as reason:
        console.warn(f"the link could not be written into {source}: {reason.strerror}")
