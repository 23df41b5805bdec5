"""Finds the runs whose method restores pictures. Imports no torch."""

from __future__ import annotations

from pathlib import Path

from sslcli.choices import missing
from sslcli.errors import SslcliError
from sslcli.method import Restorer, built_by
from sslcli.methods import METHODS
from sslcli.runs.find import resolve_run
from sslcli.runs.folder import read_facts
from sslcli.saved import group_to_config, read


def resolve_restoring_run(name: str, outputs: Path) -> Path:
    """Returns the run that `name` names.

    Raises SslcliError, without loading it, where its method restores nothing.
    """
    run = resolve_run(
        name,
        outputs,
        " that can restore pictures",
        _is_wanted,
    )
    if not _can_restore(run):
        facts = read_facts(run)
        method = facts.get("choices", {}).get("method")
        if method and method not in METHODS:
            package = read(run / "config.yaml").packages.get("method")
            raise missing(METHODS, "method", str(method), package)
        raise cannot_restore(
            run, f"was trained by {method}" if method else f"is a run of {facts.get('command')}"
        )
    return run


def _is_wanted(run: Path) -> bool:
    try:
        return read_facts(run).get("status") == "finished" and _can_restore(run)
    except SslcliError:  # damaged, or its method cannot be imported
        return False


def _can_restore(run: Path) -> bool:
    """Returns whether the run's method is a Restorer; its settings may decide that."""
    method = str(read_facts(run).get("choices", {}).get("method"))
    if method not in METHODS:
        return False
    try:
        config = group_to_config("method", read(run / "config.yaml"), {"method": METHODS})
    except SslcliError:  # damaged, or of another version: loading it says so
        return issubclass(built_by(METHODS[method]), Restorer)
    return issubclass(config.builds(), Restorer)


def cannot_restore(run: Path, reason: str) -> SslcliError:
    """Returns the error that names the methods which can."""
    able = [
        name for name, config in METHODS.built_in.items() if issubclass(built_by(config), Restorer)
    ]
    return SslcliError(
        f"{run} {reason}: it cannot restore pictures", f"name a run of {' or '.join(able)}"
    )
