"""Protects text values of the command line from Hydra's grammar.

The grammar reads numbers, booleans, lists and escapes wherever it can: `data.root=2024_01` would
name the folder 202401. So the value of a text field is quoted before Hydra sees it.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from types import UnionType
from typing import Any, NamedTuple, Union, get_args, get_origin, get_type_hints

from hydra.core.override_parser.overrides_parser import OverridesParser

from sslcli.choices import Choices
from sslcli.errors import SslcliError
from sslcli.experiments.groups import GROUPS
from sslcli.experiments.table import EXPERIMENTS
from sslcli.jobs.sweep_folder import MULTIRUN
from sslcli.text import hydra_quoted

VALUE_FLAGS = ("--cfg", "-c", "--config-dir", "-cd", "--package", "-p", "--info", "-i")
FILES = ("data.root", "data.val", "data.test")
"""Keys whose values the shell may multiply: it expands {0000..0019}."""
QUOTED = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\""""


class TextField(NamedTuple):
    """Describes a config's field that holds text, or a list of texts."""

    is_list: bool
    may_be_null: bool


def split_words(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Returns the overrides, with text fields quoted, and the flags.

    The user may give them in any order; Hydra wants its overrides in one piece.
    """
    _require_unexpanded(words)
    overrides: list[str] = []
    flags: list[str] = []
    fields = text_fields(words)
    sweeps = bool(set(MULTIRUN) & set(words))
    rest = iter(words)
    for word in rest:
        if not word.startswith("-"):
            overrides.append(_quoted(word, fields, sweeps))
            continue
        flags.append(word)
        if word in VALUE_FLAGS:
            flags += [value for value in [next(rest, None)] if value is not None]
    return overrides, flags


def _require_unexpanded(words: Sequence[str]) -> None:
    """Raises SslcliError where the shell has made several words of one: Hydra takes the last."""
    for word, following in pairwise(words):
        key = word.partition("=")[0]
        if key in FILES and word != following and following.startswith(f"{key}="):
            message = f"{key} is given several times: {word}, {following}"
            raise SslcliError(
                message, f"quote braces from the shell: {key}='train-{{0000..0019}}.tar'"
            )


def text_fields(words: Sequence[str]) -> dict[str, TextField]:
    """Returns all commands' fields that hold text, by dotted key.

    An installed package is imported only where a word chooses what it brings: `method=mine`.
    """
    fields = dict(_built_in_fields())
    for word in words:
        key, _, value = word.partition("=")
        group = key.lstrip("+")
        table = GROUPS.get(group)
        if isinstance(table, Choices):
            for name in {*re.split(r"[^\w-]+", value)} & table.installed.keys():
                fields.update(_fields_of(table[name], f"{group}."))
    return fields


@cache
def _built_in_fields() -> dict[str, TextField]:
    fields: dict[str, TextField] = {}
    for experiment in EXPERIMENTS.values():
        fields.update(_fields_of(experiment.load_config().Config, ""))
    for group, table in GROUPS.items():
        classes = table.built_in if isinstance(table, Choices) else table
        for cls in classes.values():
            fields.update(_fields_of(cls, f"{group}."))
    return fields


def _fields_of(cls: type[Any], prefix: str) -> Iterator[tuple[str, TextField]]:
    hints = get_type_hints(cls)
    for field in dataclasses.fields(cls):
        hint = hints[field.name]
        is_union = get_origin(hint) in (Union, UnionType)
        kinds = [kind for kind in get_args(hint) if kind is not type(None)] if is_union else [hint]
        key = f"{prefix}{field.name}"
        if kinds == [str]:
            yield key, TextField(is_list=False, may_be_null=is_union)
        elif kinds == [list[str]] or hint is Any:  # `Any`: true, false or a list of texts
            yield key, TextField(is_list=True, may_be_null=is_union)
        elif dataclasses.is_dataclass(kinds[0]) and isinstance(kinds[0], type):
            yield from _fields_of(kinds[0], f"{key}.")


def _quoted(word: str, fields: dict[str, TextField], sweeps: bool) -> str:
    key, sign, value = word.partition("=")
    field = fields.get(key.lstrip("+"))
    if not sign or field is None:
        expanded = key.startswith("hydra.") and value.startswith("~/")
        return f"{key}={Path(value).expanduser()}" if expanded else word

    def one(text: str) -> str:
        if field.is_list:
            return _quoted_list(text)
        if re.fullmatch(QUOTED, text, re.DOTALL) or (text == "null" and field.may_be_null):
            return text
        return hydra_quoted(text)

    return f"{key}={_each(value, one) if sweeps else one(value)}"


def _quoted_list(text: str) -> str:
    inside = re.fullmatch(r"\s*\[(.*)\]\s*", text, re.DOTALL)
    if inside is None:
        return text

    def one(element: str) -> str:
        stripped = element.strip()
        return stripped if re.fullmatch(QUOTED, stripped, re.DOTALL) else hydra_quoted(stripped)

    return f"[{','.join(map(one, pieces(inside[1])))}]" if inside[1].strip() else "[]"


def _each(value: str, quote: Callable[[str], str]) -> str:
    """Quotes each value of a sweep, `a,b` or `choice(a,b)`.

    Hydra drops the quotes inside `choice(…)`, so that becomes `a,b`, which means the same. Hydra's
    other functions stay; `require_text` refuses those that turn text into numbers.
    """
    chosen = re.fullmatch(r"choice\((.*)\)", value, re.DOTALL)
    if chosen is not None:
        return ",".join(quote(piece.strip()) for piece in pieces(chosen[1]))
    if re.fullmatch(r"(shuffle|sort|glob|range|interval)\(.*\)", value, re.DOTALL):
        return value
    return ",".join(map(quote, pieces(value)))


def require_text(overrides: Sequence[str], config: Any) -> None:
    """Raises SslcliError where Hydra has read a text field's value as another type.

    `config`: what was composed from the words; it knows the fields of every choice.
    """
    fields = dict(_built_in_fields())
    for group in GROUPS:
        if (part := getattr(config, group, None)) is not None:
            fields.update(_fields_of(type(part), f"{group}."))
    parser = OverridesParser.create()
    for word in overrides:
        key, _, typed = word.partition("=")
        field = fields.get(key.lstrip("+"))
        if field is None or field.is_list:
            continue
        value = parser.parse_override(word).value()
        if not isinstance(value, str) and not (value is None and field.may_be_null):
            message = f"{word} is read as {value!r}, and a text is meant"
            quoted = f"""put it in quotes of its own: '{key}="{typed}"'"""
            several = "name the values one by one, as in key=a,b"
            raise SslcliError(message, several if "(" in typed else quoted)


def pieces(text: str) -> list[str]:
    """Splits a text at its commas, except those inside brackets or quotes."""
    split, start, at, depth = [], 0, 0, 0
    while at < len(text):
        begins = not text[start:at].strip()
        quoted = re.compile(rf"(?:{QUOTED})\s*(?=,|\]|\)|$)", re.DOTALL).match(text, at)
        if quoted and (begins or text[at - 1] in "[,( "):
            at = quoted.end()
            continue
        depth += (text[at] == "[") - (text[at] == "]")
        if text[at] == "," and depth <= 0:
            split.append(text[start:at])
            start = at + 1
        at += 1
    return [*split, text[start:]]
