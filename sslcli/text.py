"""Writes values, paths and names for people, shells and Hydra."""

from __future__ import annotations

import json
import re
import shlex
from importlib.metadata import PackageNotFoundError, version
from typing import Any


def shell_quoted(text: object) -> str:
    """Quotes a text as one word of a shell, for the commands in an error's fix."""
    return shlex.quote(str(text))


def hydra_quoted(text: str) -> str:
    """Quotes a text so that Hydra's grammar and OmegaConf read back exactly this text.

    A backslash escapes only before a quote, the end, or an interpolation.
    """
    literal = escape_interpolation(text)
    inside = re.sub(
        r"(\\*)('|$(?!\n))", lambda found: 2 * found[1] + (r"\'" if found[2] else ""), literal
    )
    return f"'{inside}'"


def escape_interpolation(text: str) -> str:
    """Escapes `${`, so that OmegaConf reads the text back unchanged."""
    return re.sub(r"(\\*)\$\{", lambda found: 2 * found[1] + r"\${", text)


def hydra_word(key: str, value: str) -> str:
    """Returns `key=value` as one word of a shell, quoted for Hydra where needed."""
    plain = re.fullmatch(r"[A-Za-z/._-][A-Za-z0-9/._-]*", value) is not None
    words = {"null", "true", "false", "nan", "inf"}
    kept = plain and value.lower() not in words and not re.fullmatch(r"[-.]*[0-9].*", value)
    return shell_quoted(f"{key}={value if kept else hydra_quoted(value)}")


def as_word(value: Any) -> str:
    """Returns a setting's value as typed on the command line: null, true, 0.1, [a,b]."""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def printable(text: object, kept: str = "") -> str:
    """Escapes non-printable characters except those in `kept`.

    So a file name cannot send control codes to the terminal.
    """
    return "".join(c if c.isprintable() or c in kept else ascii(c)[1:-1] for c in str(text))


def first_line(reason: Exception, most: int = 200) -> str:
    """Returns the first line of an error's message, or else its type, cut at `most`."""
    return (str(reason).splitlines() or [type(reason).__name__])[0][:most]


def package_version(package: str) -> str | None:
    """Returns the installed version, or None."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def duration(seconds: float) -> str:
    """Returns a duration in words: 8.2 s, 3 min 5 s, 2 h 10 min."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
