"""Whether the data are still those that a run was made on."""

from __future__ import annotations

from pathlib import Path

from sslcli.data.images import Splits
from sslcli.engine.run import Run, read_facts
from sslcli.errors import SslcliError


def allow_changed_data(run: Run) -> None:
    """Forgets the run's fingerprint, so that the data may be others the next time; `data_before` in run.json keeps it.
    A finished run is left as it is."""
    facts = run.facts
    if facts.get("status") == "finished":
        return
    data = facts.get("data", {})
    before = {"fingerprint": data.get("fingerprint"), "until_step": facts.get("step", 0)}
    run.update(data={**data, "fingerprint": None}, data_before=[*facts.get("data_before", []), before])


def require_same_data(run: Path, splits: Splits, otherwise: str) -> None:
    """Raises SslcliError where the run recorded another fingerprint; `otherwise` is the fix beside putting the data back."""
    before = read_facts(run).get("data", {}).get("fingerprint")
    if before is not None and before != splits.fingerprint:
        message = f"the data changed since the run began ({run}): fingerprint {before} then, {splits.fingerprint} now"
        raise SslcliError(message, f"put the data back as they were, or {otherwise}")
