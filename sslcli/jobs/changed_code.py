"""Refuses to continue a run with other code or files than it began with."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sslcli.config import identity
from sslcli.errors import SslcliError
from sslcli.experiments.groups import GROUPS
from sslcli.input_files import file_hashes
from sslcli.nets.encoders import ENCODERS
from sslcli.provenance import Code, code_changes, file_changes, own_code, package_code
from sslcli.runs.folder import Run
from sslcli.text import shell_quoted
from sslcli.trained.encoder_files import read_encoder

SAVED = ("last.pt", "result.json")
"""Files in which a run's phases keep what they have trained or measured."""


@dataclass(frozen=True)
class Provenance:
    """Holds the code that a run stands on, and hashes of the files that it reads.

    A package's code is named by the group whose choice it brings, and for an evaluation by the run
    whose encoder it brings; a file by its key.
    """

    code: dict[str, Code]
    files: dict[str, str]

    @classmethod
    def of(cls, config: Any) -> Provenance:
        """Raises SslcliError where a file is not there."""
        parts = ((group, table, getattr(config, group, None)) for group, table in GROUPS.items())
        encoders = ((f"encoder of {run}", ENCODERS, part) for run, part in _encoders(config))
        packages = {
            name: package_code(table, part)
            for name, table, part in (*parts, *encoders)
            if part is not None
        }
        brought = {name: code for name, code in packages.items() if code is not None}
        return cls({"sslcli": own_code(), **brought}, file_hashes(config))


def _encoders(config: Any) -> Iterator[tuple[str, Any]]:
    """Yields the runs that a config evaluates, with the configs of their encoders."""
    named = [getattr(config, "run", None), *getattr(config, "runs", [])]
    for run in dict.fromkeys(name for name in named if name):
        with contextlib.suppress(SslcliError):  # the experiment itself says what is wrong with it
            yield run, read_encoder(Path(run)).config


def require_same_provenance(folder: Path, facts: dict[str, Any], config: Any) -> None:
    """Raises SslcliError where code or files changed since a run that saved began.

    A run of an earlier version, which recorded none, is not compared.
    """
    changes = _changes(facts, Provenance.of(config))
    if changes and _has_saved(folder):
        listed = "; ".join(change for found in changes.values() for change in found)
        raise SslcliError(
            f"the {' and '.join(changes)} of {folder} changed since it began: {listed}",
            "put that back as it was, or go on with it: "
            f"sslcli resume {shell_quoted(folder)} --accept-changed-code",
        )


def note_provenance(run: Run, command: str, config: Any) -> None:
    """Writes what the run goes on with into run.json, and what it was before."""
    facts, now = run.facts, Provenance.of(config)
    if "code" in facts and not _changes(facts, now):
        return
    entries: dict[str, Any] = {**asdict(now), "identity": identity(command, config, now.files)}
    if "code" in facts and _has_saved(run.folder):
        before = {"code": facts["code"], "files": facts.get("files", {})}
        before["until_step"] = facts.get("step", 0)
        entries["code_before"] = [*facts.get("code_before", []), before]
    run.update(**entries)


def _changes(facts: dict[str, Any], now: Provenance) -> dict[str, list[str]]:
    """Describes the changes of `code` and of `files`, where there are any."""
    if "code" not in facts:
        return {}
    code = code_changes(facts["code"], now.code)
    files = file_changes(facts.get("files", {}), now.files)
    return {name: found for name, found in (("code", code), ("files", files)) if found}


def _has_saved(folder: Path) -> bool:
    return any(any(folder.rglob(name)) for name in SAVED)
