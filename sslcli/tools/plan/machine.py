"""States the machine that is planned for, as it is typed, and bytes in words. Imports no torch."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sslcli.errors import SslcliError

UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


@dataclass(frozen=True)
class Machine:
    """States what is planned for; None is not known.

    `memory`: bytes of a device; `teraflops`: of a GPU that is not here; `processes` train together.
    """

    memory: int | None = None
    teraflops: float | None = None
    processes: int = 1

    @property
    def elsewhere(self) -> bool:
        """Tells whether a GPU is planned for that is not here."""
        return self.teraflops is not None

    @classmethod
    def of(cls, memory: str | None, teraflops: str | None, processes: str) -> Machine:
        """Reads what was typed; raises SslcliError for a mistake."""
        return cls(
            None if memory is None else memory_bytes(memory),
            None if teraflops is None else _positive(teraflops),
            _processes(processes),
        )


def memory_bytes(text: str) -> int:
    """Returns the bytes that a text such as 24GB or 512MiB says."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?([KMG]i?B)", text.strip(), re.IGNORECASE)
    size = int(float(found[1]) * UNITS[found[2].upper()]) if found else 0
    if not size:
        raise SslcliError(
            f"--memory must be a number of bytes with its unit, got {text!r}", "try --memory 24GB"
        )
    return size


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise SslcliError(f"--device-tflops must be positive, got {text!r}", "try 400")
    return value


def _processes(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise SslcliError(f"--processes must be at least 1, got {text!r}", "try --processes 8")
    return int(text)


def size(num_bytes: int) -> str:
    """Returns a number of bytes in words: 3.2 GB."""
    for unit, name in ((10**9, "GB"), (10**6, "MB")):
        if num_bytes >= unit:
            return f"{num_bytes / unit:,.3g} {name}"
    return f"{num_bytes / 1000:.3g} kB"
