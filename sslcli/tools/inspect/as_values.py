"""Gives what was found as plain values, for JSON."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from sslcli.tools.inspect.findings import Finding, Seen
from sslcli.tools.inspect.words import Asked


def values(asked: Asked, seen: Seen, found: Sequence[Finding]) -> dict[str, Any]:
    """Returns all that was found as values that JSON can hold."""
    names, rows = seen.catalogue.names, seen.survey.rows

    def named(clusters: Sequence[Sequence[int]]) -> list[list[str]]:
        return [[_text(names[row]) for row in members] for members in clusters]

    return {
        "words": asked.words,
        "pictures": len(seen.catalogue),
        "looked_at": len(seen.survey),
        "bytes": seen.catalogue.num_bytes,
        "parts": seen.summary.parts,
        "sizes": seen.summary.sizes(),
        **seen.summary.kinds,
        "classes": seen.summary.classes,
        "groups": seen.summary.groups,
        "broken": {_text(names[int(rows[i])]): reason for i, reason in seen.survey.bad.items()},
        "copies": named(seen.copies.exact),
        "near_copies": named(seen.copies.near),
        "command": seen.advice.command,
        "reasons": list(seen.advice.reasons),
        "findings": [
            {
                "severity": finding.severity.name,
                "kind": finding.key,
                "text": finding.text,
                "fix": finding.fix,
                "pictures": named(finding.rows),
            }
            for finding in found
        ],
    }


def _text(name: str) -> str:
    """Returns a file's name as UTF-8 can hold it."""
    return os.fsencode(name).decode("utf-8", errors="backslashreplace")
