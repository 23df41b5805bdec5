"""Whether the data are still those that a run was made on."""

from __future__ import annotations

from pathlib import Path

from sslcli.data.images import Splits
from sslcli.engine.run import read_facts
from sslcli.errors import SslcliError


def require_same_data(run: Path, splits: Splits, otherwise: str) -> None:
    """Raises SslcliError where the run recorded another fingerprint; `otherwise` is the fix beside putting the data back."""
    before = read_facts(run).get("data", {}).get("fingerprint")
    if before is not None and before != splits.fingerprint:
        message = f"the data changed since the run began ({run}): fingerprint {before} then, {splits.fingerprint} now"
        raise SslcliError(message, f"put the data back as they were, or {otherwise}")
