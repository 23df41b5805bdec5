"""What goes wrong, said in two lines: what is wrong with the value seen, and the fix."""

from __future__ import annotations


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


def quoted(path: object) -> str:
    """A path as a shell reads it back, whatever is in it: for the commands that a fix offers."""
    return "'" + str(path).replace("'", "'\"'\"'") + "'"


def first_line(reason: Exception, most: int = 200) -> str:
    """Of what another library says, at most so many characters; the error's name where it says nothing."""
    return (str(reason).splitlines() or [type(reason).__name__])[0][:most]


def printable(text: object, kept: str = "") -> str:
    """As it can be shown: what is no character to print, and not `kept`, is spelled out. A name may hold anything, a terminal's
    commands too."""
    return "".join(c if c.isprintable() or c in kept else ascii(c)[1:-1] for c in str(text))


def require(condition: bool, field: str, value: object, must_be: str, fix: str) -> None:
    """Raises SslcliError("<field> must be <must_be>, got <value>", fix) unless `condition` holds."""
    if not condition:
        raise SslcliError(f"{field} must be {must_be}, got {value!r}", fix)
