"""Refuses to continue a run with other code, files or encoders than it began with."""

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
from sslcli.nets.description import WEIGHTS
from sslcli.nets.encoders import ENCODERS
from sslcli.provenance import (
    Code,
    code_changes,
    file_changes,
    hash_of,
    own_code,
    package_code,
)
from sslcli.runs.folder import Run
from sslcli.text import shell_quoted
from sslcli.trained.encoder_files import EncoderFiles, read_encoder

SAVED = ("last.pt", "result.json")
"""Files in which a run's phases keep what they have trained or measured."""


@dataclass(frozen=True)
class Provenance:
    """Holds the code that a run stands on, and hashes of the files that it reads.

    A package's code is named by the group whose choice it brings, and for an evaluation by the run
    whose encoder it brings; a file by its key; the weights of an encoder that is evaluated by its
    run, which may be a link that leads elsewhere now. These weights are no part of the identity.
    """

    code: dict[str, Code]
    files: dict[str, str]
    encoders: dict[str, str]

    @classmethod
    def of(cls, config: Any) -> Provenance:
        """Raises SslcliError where a file is not there."""
        parts = ((group, table, getattr(config, group, None)) for group, table in GROUPS.items())
        encoders = (
            (f"encoder of {run}", ENCODERS, files.config) for run, files in _encoders(config)
        )
        packages = {
            name: package_code(table, part)
            for name, table, part in (*parts, *encoders)
            if part is not None
        }
        brought = {name: code for name, code in packages.items() if code is not None}
        return cls({"sslcli": own_code(), **brought}, file_hashes(config), _weights_hashes(config))


def _encoders(config: Any) -> Iterator[tuple[str, EncoderFiles]]:
    """Yields the runs that a config evaluates, with the encoders that it chooses of them."""
    named = [getattr(config, "run", None), *getattr(config, "runs", [])]
    for run in dict.fromkeys(name for name in named if name):
        with contextlib.suppress(SslcliError):  # the experiment itself says what is wrong with it
            yield run, read_encoder(Path(run), getattr(config, "at", None))


def _weights_hashes(config: Any) -> dict[str, str]:
    """Returns hashes of the weights of what a config evaluates and compares with, by run."""
    found = {run: files.weights for run, files in _encoders(config)}
    ceiling = getattr(config, "ceiling", None)
    if ceiling:
        found[ceiling] = Path(ceiling) / WEIGHTS
    return {run: hash_of({WEIGHTS: path}) for run, path in found.items() if path.is_file()}


def require_same_provenance(folder: Path, facts: dict[str, Any], config: Any) -> None:
    """Raises SslcliError where code, files or encoders changed since a run that saved began.

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


def encoder_changes(facts: dict[str, Any], config: Any) -> list[str]:
    """Describes each encoder that is another than the one that a run evaluated.

    A run of an earlier version, which recorded none, is not compared.
    """
    now = _weights_hashes(config)
    return file_changes(facts.get("encoders", now), now)


def note_provenance(run: Run, command: str, config: Any) -> None:
    """Writes what the run goes on with into run.json, and what it was before."""
    facts, now = run.facts, Provenance.of(config)
    if "code" in facts and not _changes(facts, now):
        return
    entries: dict[str, Any] = {**asdict(now), "identity": identity(command, config, now.files)}
    if "code" in facts and _has_saved(run.folder):
        before = {"code": facts["code"], "files": facts.get("files", {})}
        if facts.get("encoders"):
            before["encoders"] = facts["encoders"]
        before["until_step"] = facts.get("step", 0)
        entries["code_before"] = [*facts.get("code_before", []), before]
    run.update(**entries)


def _changes(facts: dict[str, Any], now: Provenance) -> dict[str, list[str]]:
    """Describes the changes of `code`, `files` and `encoders`, where there are any."""
    if "code" not in facts:
        return {}
    code = code_changes(facts["code"], now.code)
    files = file_changes(facts.get("files", {}), now.files)
    encoders = file_changes(facts.get("encoders", now.encoders), now.encoders)
    every = {"code": code, "files": files, "encoders": encoders}
    return {name: found for name, found in every.items() if found}


def _has_saved(folder: Path) -> bool:
    return any(any(folder.rglob(name)) for name in SAVED)
