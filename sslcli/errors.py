"""What goes wrong, said in two lines: what is wrong with the value seen, and the fix."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SslcliError(Exception):
    """A user's mistake or the machine's refusal. `cli.py` prints it as two lines and exits with `exit_code`."""

    exit_code = 2

    def __init__(self, message: str, fix: str) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix


class RunFailed(SslcliError):
    """The run itself went wrong (a loss that is not finite, a full disk): nothing was wrong with the command."""

    exit_code = 1


class Interrupted(SslcliError):
    """A signal asked the run to stop; its state is saved. `exit_code` is 128 + the signal's number."""

    def __init__(self, message: str, fix: str, signal_number: int) -> None:
        super().__init__(message, fix)
        self.exit_code = 128 + signal_number


def require(condition: bool, field: str, value: object, must_be: str, fix: str) -> None:
    """Raises SslcliError("<field> must be <must_be>, got <value>", fix) unless `condition` holds."""
    if not condition:
        raise SslcliError(f"{field} must be {must_be}, got {value!r}", fix)


def unknown(what: str, name: str, there_is: Iterable[str]) -> SslcliError:
    """Returns the error for a name that there is not: what was perhaps meant, and what there is."""
    known = list(there_is)
    close = nearest(name, known)[:1]
    hint = f"did you mean {close[0]}? " if close else ""
    return SslcliError(
        f"there is no {what} {name!r}", f"{hint}there is: {', '.join(sorted(known))}"
    )


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """Up to three of the known names that are spelt alike; of dotted keys the last part counts."""
    by_last: dict[str, list[str]] = {}
    for full in known:
        by_last.setdefault(full.rpartition(".")[2], []).append(full)
    close = difflib.get_close_matches(name.rpartition(".")[2], by_last, n=3, cutoff=0.5)
    return [full for last in close for full in by_last[last]][:3]
