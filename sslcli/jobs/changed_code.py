"""Refuses to continue a run with other code than it began with."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sslcli.errors import SslcliError
from sslcli.experiments.groups import GROUPS
from sslcli.nets.encoders import ENCODERS
from sslcli.provenance import Code, code_changes, own_code, package_code
from sslcli.runs.folder import Run
from sslcli.text import shell_quoted
from sslcli.trained.encoder_files import read_encoder

SAVED = ("last.pt", "result.json")
"""Files in which a run's phases keep what they have trained or measured."""


def code_of(config: Any) -> dict[str, Code]:
    """Returns the code that a run stands on: sslcli's, and that of packages.

    A package's is named by the group whose choice it brings, and for an evaluation by the run whose
    encoder it brings.
    """
    parts = ((group, table, getattr(config, group, None)) for group, table in GROUPS.items())
    encoders = ((f"encoder of {run}", ENCODERS, part) for run, part in _encoders(config))
    code = {
        name: package_code(table, part)
        for name, table, part in (*parts, *encoders)
        if part is not None
    }
    return {"sslcli": own_code(), **{name: found for name, found in code.items() if found}}


def _encoders(config: Any) -> Iterator[tuple[str, Any]]:
    """Yields the runs that a config evaluates, with the configs of their encoders."""
    named = [getattr(config, "run", None), *getattr(config, "runs", [])]
    for run in dict.fromkeys(name for name in named if name):
        with contextlib.suppress(SslcliError):  # the experiment itself says what is wrong with it
            yield run, read_encoder(Path(run)).config


def require_same_code(folder: Path, facts: dict[str, Any], config: Any) -> None:
    """Raises SslcliError where the code changed since a run that trained began.

    A run of an earlier version, which recorded no code, is not compared.
    """
    changes = _changes(facts, code_of(config))
    if changes and _has_trained(folder):
        raise SslcliError(
            f"the code of {folder} has changed since it began: {'; '.join(changes)}",
            "put it back as it was, or go on with it: "
            f"sslcli resume {shell_quoted(folder)} --accept-changed-code",
        )


def note_code(run: Run, config: Any) -> None:
    """Writes the code that the run goes on with into run.json, and what it was before."""
    facts, now = run.facts, code_of(config)
    if "code" in facts and not _changes(facts, now):
        return
    if "code" in facts and _has_trained(run.folder):
        before = {"code": facts["code"], "until_step": facts.get("step", 0)}
        run.update(code_before=[*facts.get("code_before", []), before])
    run.update(code=now)


def _changes(facts: dict[str, Any], now: dict[str, Code]) -> list[str]:
    return code_changes(facts["code"], now) if "code" in facts else []


def _has_trained(folder: Path) -> bool:
    return any(any(folder.rglob(name)) for name in SAVED)
