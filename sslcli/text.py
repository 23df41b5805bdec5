"""Writes values, paths and names for people, shells and Hydra."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any


def shell_quoted(text: object) -> str:
    """Quotes a text as one word of bash or zsh, for commands that a user may copy.

    Characters that do not print become octal bytes in `$'…'`, so a terminal shows what is copied.
    """
    word = str(text)
    if word.isprintable():
        readable = "'" in word and not set(word) & set('"$`\\!')
        return f'"{word}"' if readable else shlex.quote(word)
    return f"$'{''.join(map(_in_dollar_quotes, word))}'"


def _in_dollar_quotes(character: str) -> str:
    if character in "\\'":
        return f"\\{character}"
    if character.isprintable():
        return character
    undecoded = "\udc80" <= character <= "\udcff"  # a byte of a file name that is not UTF-8
    content = character.encode("utf-8", "surrogateescape" if undecoded else "surrogatepass")
    return "".join(f"\\{byte:03o}" for byte in content)


def shell_path(path: str | Path) -> str:
    """Quotes a path as one word of a shell, no flag and no home."""
    return shell_quoted(_unmistakable(path))


def _unmistakable(path: str | Path) -> str:
    """Returns the path; the absolute one where it begins with - or ~."""
    return str(Path(path).absolute() if str(path).startswith(("-", "~")) else path)


def shell_line(words: Iterable[str]) -> str:
    """Returns a command line of these words."""
    return " ".join(map(shell_quoted, words))


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


def hydra_override(key: str, value: str) -> str:
    """Returns `key=value`, quoted for Hydra where needed."""
    plain = re.fullmatch(r"[A-Za-z/._-][A-Za-z0-9/._-]*", value) is not None
    words = {"null", "true", "false", "nan", "inf"}
    kept = plain and value.lower() not in words and not re.fullmatch(r"[-.]*[0-9].*", value)
    return f"{key}={value if kept else hydra_quoted(value)}"


def hydra_word(key: str, value: str) -> str:
    """Returns `key=value` as one word of a shell, quoted for Hydra where needed."""
    return shell_quoted(hydra_override(key, value))


def hydra_path(key: str, path: str | Path) -> str:
    """Returns `key=path` as `hydra_word` does; no command takes the path for a home."""
    return hydra_word(key, _unmistakable(path))


def as_word(value: Any) -> str:
    """Returns a setting's value as typed on the command line: null, true, 0.1, [a,b]."""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def printable(text: object, kept: str = "") -> str:
    """Escapes non-printable characters except those in `kept`.

    So a file name cannot send control codes to the terminal.
    """
    return "".join(c if c.isprintable() or c in kept else ascii(c)[1:-1] for c in str(text))


def first_line(reason: BaseException, most: int = 200) -> str:
    """Returns the first line of an error's message; its type where that is empty.

    At most `most` characters.
    """
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
