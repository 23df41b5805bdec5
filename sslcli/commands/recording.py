"""How often a run is written down: settings that every command that trains has. Does not import torch."""

from __future__ import annotations

from typing import Protocol

from sslcli.errors import require


class Recording(Protocol):
    """A command's config. `log_every` in steps, `save_every` in epochs."""

    log_every: int
    save_every: float
    keep_last: int


def require_recording(config: Recording) -> None:
    """Raises SslcliError for a value that cannot be."""
    require(config.log_every >= 1, "log_every", config.log_every, "at least 1", "1 records every step")
    require(config.save_every > 0, "save_every", config.save_every, "positive", "1 saves once an epoch")
    require(config.keep_last >= 1, "keep_last", config.keep_last, "at least 1", "1 keeps the newest")
