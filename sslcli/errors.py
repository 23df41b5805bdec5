"""Defines errors for users in two lines: what is wrong (value seen), and the fix."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SslcliError(Exception):
    """Reports a user's mistake, or something that this machine cannot do.

    cli/guard.py prints it as two lines and exits with `exit_code`.
    """

    exit_code = 2

    def __init__(self, message: str, fix: str) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix

    def _render_traceback_(self) -> list[str]:
        """Returns the lines that a notebook prints in place of a traceback."""
        return [f"error: {self.message}", f"fix:   {self.fix}"]


class RunFailed(SslcliError):
    """Reports a failure during a run; the command was right.

    Such as a loss that is not finite, or a full disk.
    """

    exit_code = 1


class Interrupted(SslcliError):
    """Reports that a signal stopped a run; `exit_code` is 128 + the signal's number."""

    def __init__(self, message: str, fix: str, signal_number: int) -> None:
        super().__init__(message, fix)
        self.signal_number = signal_number
        self.exit_code = 128 + signal_number


def is_out_of_memory(reason: BaseException) -> bool:
    """Recognises a failed allocation; torch raises RuntimeError for some."""
    said = str(reason).lower()
    allocation = ("out of memory", "allocate memory", "could not create a primitive", "bad_alloc")
    return isinstance(reason, MemoryError) or any(words in said for words in allocation)


def require(condition: bool, field: str, value: object, must_be: str, fix: str) -> None:
    """Raises SslcliError unless `condition`: "<field> must be <must_be>, got <value>"."""
    if not condition:
        raise SslcliError(f"{field} must be {must_be}, got {value!r}", fix)


def unknown(what: str, name: str, there_is: Iterable[str]) -> SslcliError:
    """Returns the error for an unknown name, with the nearest and all known names."""
    known = list(there_is)
    close = nearest(name, known)[:1]
    hint = f"did you mean {close[0]}? " if close else ""
    return SslcliError(
        f"there is no {what} {name!r}", f"{hint}there is: {', '.join(sorted(known))}"
    )


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """Returns up to three known names spelt alike; compares a dotted key's last part."""
    by_last: dict[str, list[str]] = {}
    for full in known:
        by_last.setdefault(full.rpartition(".")[2], []).append(full)
    close = difflib.get_close_matches(name.rpartition(".")[2], by_last, n=3, cutoff=0.5)
    return [full for last in close for full in by_last[last]][:3]
