"""Defines the settings that choose which of a run's encoders is evaluated, and its features.

Does not import torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sslcli.errors import SslcliError
from sslcli.nets.vit_config import Pool
from sslcli.runs.results import Value
from sslcli.runs.snapshots import name_of
from sslcli.settings import setting
from sslcli.trained.encoder_files import EncoderFiles, read_encoder


@dataclass(kw_only=True)
class ChosenEncoder:
    """Holds the settings of every evaluation that begins with a run's encoder."""

    at: int | None = setting(
        None,
        "evaluate the snapshot after this epoch; null: the finished encoder",
        added_later=True,
    )
    pool: Pool | None = setting(
        None,
        "features of a vit: cls, the class token; mean of the patches', or by place, grid; null: "
        "as it was trained",
        added_later=True,
    )

    def read(self, run: Path) -> EncoderFiles:
        """Returns the description of the chosen encoder of a run.

        Raises SslcliError where the run has no such encoder.
        """
        return read_encoder(run, self.at, self.pool)

    def require_nothing_chosen(self) -> None:
        """Raises SslcliError for what chooses among a run's encoders, where there is no run."""
        if self.at is not None:
            message = f"at={self.at} names a snapshot of a run, and there is no run"
            raise SslcliError(message, "leave it out, or give run=…")
        if self.pool is not None:
            message = f"pool={self.pool.name} is of a run's encoder, and there is no run"
            raise SslcliError(message, f"leave it out; encoder.pool={self.pool.name} says it")

    def chosen(self) -> dict[str, Value]:
        """Returns what is chosen otherwise than the finished encoder as it was trained."""
        found: dict[str, Value] = {} if self.at is None else {"epoch": self.at}
        return found if self.pool is None else {**found, "pool": self.pool.name}

    def label(self, name: str) -> str:
        """Returns the part of a run folder's path that also names what is chosen."""
        name = name if self.at is None else f"{name}-{name_of(self.at)}"
        return name if self.pool is None else f"{name}-{self.pool.name}"

    def described(self) -> str:
        """Returns the words that follow "encoder output" in a protocol."""
        after = "" if self.at is None else f" after epoch {self.at}"
        return after if self.pool is None else f"{after}, {POOLED[self.pool]}"


POOLED = {
    Pool.cls: "the class token",
    Pool.mean: "the mean of the patches' tokens",
    Pool.grid: "the means of the patches' tokens by place",
}
