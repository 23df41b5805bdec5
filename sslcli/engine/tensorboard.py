"""Writes records for TensorBoard."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from sslcli.errors import SslcliError


def tensorboard_writer(folder: Path) -> Callable[[dict[str, Any]], None]:
    """Returns a writer of records' numbers; raises SslcliError without tensorboard."""
    try:
        from torch.utils.tensorboard.writer import SummaryWriter
    except ModuleNotFoundError:
        raise SslcliError(
            "runtime.tensorboard=true needs the package tensorboard",
            "pip install 'sslcli[tensorboard]'",
        ) from None
    writer: Any = SummaryWriter(str(folder / "tensorboard"))

    def write(record: dict[str, Any]) -> None:
        numbers = {**record, **record["timing"]}
        for name, value in numbers.items():
            if isinstance(value, int | float) and name not in ("step", "epoch"):
                writer.add_scalar(f"{record['phase']}/{name}", value, record["step"])
        writer.flush()

    return write
