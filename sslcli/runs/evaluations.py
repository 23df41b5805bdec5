"""What was measured of a run's encoder, noted in that run: a line of evaluations.jsonl."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sslcli.console import Console

FILE = "evaluations.jsonl"


def link(source: Path, facts: dict[str, Any], console: Console) -> None:
    """Appends `facts` in the run `source`; a warning where that cannot be written, since the evaluation itself is whole."""
    try:
        # Not through a link: a run that came from elsewhere must not lead out of its folder.
        descriptor = os.open(
            source / FILE, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o666
        )
        with open(descriptor, "a", encoding="utf-8") as links:  # noqa: PTH123
            links.write(json.dumps(facts) + "\n")
    except OSError as reason:
        console.warn(f"the link could not be written into {source}: {reason.strerror}")
