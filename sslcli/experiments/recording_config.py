"""Defines how often a run is recorded and saved."""

from __future__ import annotations

from dataclasses import dataclass

from sslcli.errors import require
from sslcli.settings import setting


@dataclass(kw_only=True)
class RecordingConfig:
    """Holds the settings that every training experiment shares.

    `log_every` counts steps, `save_every` epochs.
    """

    log_every: int = setting(
        20, "steps between two records of the loss (a record holds the mean since the last)"
    )
    save_every: float = setting(
        1.0, "epochs between two checkpoints; may be a fraction", changes_results=False
    )
    keep_last: int = setting(2, "checkpoints kept, the newest included", changes_results=False)

    def __post_init__(self) -> None:
        fix = "1 records every step"
        require(self.log_every >= 1, "log_every", self.log_every, "at least 1", fix)
        fix = "1 saves once an epoch"
        require(self.save_every > 0, "save_every", self.save_every, "positive", fix)
        fix = "1 keeps the newest"
        require(self.keep_last >= 1, "keep_last", self.keep_last, "at least 1", fix)
