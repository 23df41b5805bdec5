"""Writes a config as config.yaml, and reads it back as data.

The file holds every value as the user typed it, and under `sslcli` what is needed to run it again:
the command, the format, and the choice of every group. It cannot name a callable: a choice is a
name from a table. Does not import torch.
"""

from __future__ import annotations

import copy
import dataclasses
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import yaml

from sslcli.choices import missing, name_in, package_in
from sslcli.config import Groups, flat, node, to_dataclass, values_of
from sslcli.errors import SslcliError, unknown
from sslcli.settings import NOTHING, REQUIRED
from sslcli.text import first_line

SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""Reads data only, no objects. libyaml's loader, if present, is ten times faster."""

T = TypeVar("T")

FORMAT = 1

MOST_CHARACTERS = 200_000
MOST_LEVELS = 30
"""Limits of a saved config; our largest has a hundredth of the one and a fifth of the other."""

_YAML_ERRORS = (yaml.YAMLError, ValueError, LookupError, TypeError, AttributeError)
"""What the parts of the yaml package raise for text that they cannot read."""

_OPENING = (
    yaml.BlockMappingStartToken, yaml.BlockSequenceStartToken,
    yaml.FlowMappingStartToken, yaml.FlowSequenceStartToken,
)  # fmt: skip
_CLOSING = (yaml.BlockEndToken, yaml.FlowMappingEndToken, yaml.FlowSequenceEndToken)


@dataclasses.dataclass(frozen=True)
class Saved:
    """A config read from a file. `choices`: the name of every group's choice.

    `packages`: name and version of the installed package that brought a group's choice.
    """

    command: str
    choices: dict[str, str]
    values: dict[str, Any]
    version: str = "?"
    packages: dict[str, str] = dataclasses.field(default_factory=dict)


def choices_of(config: Any, groups: Groups) -> dict[str, str]:
    """Returns the name of every group's choice, found by the type of its config."""
    return {
        group: name_in(table, part)
        for group, table in groups.items()
        if (part := getattr(config, group, None)) is not None
    }


def to_yaml(command: str, config: Any, groups: Groups) -> str:
    """Returns the text of config.yaml.

    Raises SslcliError for a text that YAML could not read again.
    """
    values = values_of(config)
    _require_utf8(values)
    choices = choices_of(config, groups)
    found = {group: package_in(groups[group], name) for group, name in choices.items()}
    packages = {group: package for group, package in found.items() if package is not None}
    header = {
        "format": FORMAT,
        "version": version("sslcli"),
        "command": command,
        "choices": choices,
        **({"packages": packages} if packages else {}),
    }
    return yaml.safe_dump({"sslcli": header, **values}, sort_keys=False, allow_unicode=True)


def _require_utf8(values: dict[str, Any]) -> None:
    """Raises SslcliError for the path of a file whose name is no UTF-8."""
    for key, value in flat(values).items():
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str) and text != text.encode(errors="replace").decode():
                message = f"{key}: {text!r} holds bytes that are no UTF-8, as config.yaml must be"
                raise SslcliError(message, "rename it, or name a link to it by its whole path")


def read(path: Path) -> Saved:
    """Reads a saved config.yaml as data: no tags, no aliases; `${` is text.

    Raises SslcliError where it is not one.
    """
    try:
        content = _plain_yaml(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SslcliError(
            f"there is no {path}", "name a run's folder; `sslcli runs` lists them"
        ) from None
    except _YAML_ERRORS as reason:
        message = f"{path} is not a saved config: {first_line(reason).rstrip('.')}"
        raise SslcliError(message, "give a config.yaml that sslcli wrote") from None
    header = content.pop("sslcli", None) if isinstance(content, dict) else None
    if (
        not isinstance(header, dict)
        or not {"format", "command", "choices"} <= set(header)
        or not isinstance(header["choices"], dict)
        or not isinstance(header.get("packages", {}), dict)
    ):
        raise SslcliError(
            f"{path} is not a saved config: it has no `sslcli` header",
            "give a config.yaml that sslcli wrote",
        )
    if header["format"] != FORMAT:
        message = (
            f"{path} has config format {header['format']!r}; "
            f"this version of sslcli reads format {FORMAT}"
        )
        raise SslcliError(
            message, f"run it with the version that wrote it ({header.get('version')})"
        )
    choices, packages = (
        {str(group): str(name) for group, name in names.items()}
        for names in (header["choices"], header.get("packages", {}))
    )
    return Saved(str(header["command"]), choices, content, str(header.get("version")), packages)


def _plain_yaml(text: str) -> Any:
    """Parses YAML; refuses what would expand to a gigabyte, or nests deeply."""
    if len(text) > MOST_CHARACTERS:
        raise ValueError(f"it has {len(text)} characters")
    depth = 0
    for token in yaml.scan(text, Loader=SafeLoader):
        depth += isinstance(token, _OPENING) - isinstance(token, _CLOSING)
        if isinstance(token, yaml.AliasToken | yaml.AnchorToken) or depth > MOST_LEVELS:
            raise ValueError("it has aliases, or too many levels")
    return yaml.load(text, Loader=SafeLoader)


def values_of_saved(saved: Saved) -> dict[str, Any]:
    """Returns a saved config's values by dotted key, and its choices by group."""
    return {**saved.choices, **flat(saved.values)}


def with_values(saved: Saved, changes: dict[str, str]) -> Saved:
    """Returns the saved config with other values, given as typed on the command line.

    Raises SslcliError for an unknown key.
    """
    values = copy.deepcopy(saved.values)
    for key, word in changes.items():
        keys = flat(saved.values)
        if key not in keys:
            raise unknown("key", key, _similar_keys(key, list(keys)))
        *parents, name = key.split(".")
        part = values
        for parent in parents:
            part = part[parent]
        part[name] = _value(word, keys[key])
    return dataclasses.replace(saved, values=values)


def _similar_keys(key: str, keys: list[str]) -> list[str]:
    parent, _, last = key.rpartition(".")
    below = [known for known in keys if known.startswith(f"{key}.")]
    beside = [
        known
        for known in keys
        if known.rpartition(".")[0] == parent or known.rpartition(".")[2] == last
    ]
    return below or beside or keys


def _value(word: str, before: Any) -> Any:
    """Returns the value that a typed word stands for.

    Numbers stay text, which omegaconf converts by the field's type; it does not parse lists.
    """
    if word == "null":
        return None
    if isinstance(before, bool) and word in ("true", "false"):
        return word == "true"
    may_be_list = isinstance(before, list) or (isinstance(before, bool) and word.startswith("["))
    if not may_be_list:
        return word
    try:
        return yaml.load(word, Loader=yaml.BaseLoader)  # words and lists of words, nothing else
    except yaml.YAMLError:
        return word


def to_config(cls: type[T], saved: Saved, groups: Groups) -> T:
    """Returns the config as its command's class, every group of its chosen class."""
    _require_keys(cls, {**saved.values, **dict.fromkeys(saved.choices)}, saved)
    parts = {
        group: node(*_class_and_values(group, saved, groups), group) for group in saved.choices
    }
    return to_dataclass(cls, {**saved.values, **parts})


def group_to_config(group: str, saved: Saved, groups: Groups) -> Any:
    """Returns one group of a saved config as its chosen class."""
    return to_dataclass(*_class_and_values(group, saved, groups), group)


def _class_and_values(group: str, saved: Saved, groups: Groups) -> tuple[type[Any], dict[str, Any]]:
    if group not in saved.choices:
        raise SslcliError(
            f"the saved config of {saved.command} has no {group}", f"name it: {group}=…"
        )
    table, choice = groups.get(group, {}), saved.choices[group]
    if choice not in table:
        raise missing(table, group, choice, saved.packages.get(group))
    values = saved.values.get(group)
    if not isinstance(values, dict):
        raise SslcliError(
            f"{group} of the saved config must be its settings, got {values!r}",
            "restore it from a copy",
        )
    _require_keys(table[choice], values, saved, f"{group}.")
    return table[choice], {**_meant_before(table[choice]), **values}


def _meant_before(cls: type[Any]) -> dict[str, Any]:
    """Returns what configs did that lack a key, where that is not its default."""
    found = {f.name: f.metadata.get("before", NOTHING) for f in dataclasses.fields(cls)}
    return {name: value for name, value in found.items() if value is not NOTHING}


def _require_keys(cls: type[Any], values: dict[str, Any], saved: Saved, prefix: str = "") -> None:
    """Raises SslcliError where the values' keys are not those of the class.

    Another version wrote them: they would run differently, or not at all.
    """
    known, given = _keys(cls), set(flat(values))
    lacking = [key for key, counts in known.items() if counts and not _meets(key, given)]
    excess = [key for key in sorted(given) if not _meets(key, set(known))]
    if lacking or excess:
        problems = {"lacks": lacking, "has what this version does not know:": excess}
        parts = (
            f"{problem} {', '.join(prefix + key for key in keys)}"
            for problem, keys in problems.items()
            if keys
        )
        message = f"the saved config, of sslcli {saved.version}, {'; it '.join(parts)}"
        again = "correct that in a copy, then: sslcli rerun --only COPY"
        raise SslcliError(message, f"{again}; or use the version that wrote it")


def _keys(cls: type[Any], prefix: str = "", counts: bool = True) -> dict[str, bool]:
    """Returns every key of a config class, and whether a saved config must have it.

    What changes results must be there; a group, and a part that may be null, counts as one key.
    """
    keys: dict[str, bool] = {}
    hints = get_type_hints(cls)
    for field in dataclasses.fields(cls):
        key, hint = prefix + field.name, hints[field.name]
        changes = field.metadata.get("changes_results", True)
        field_counts = counts and changes and not field.metadata.get("added_later", False)
        group = field.default == REQUIRED
        nested = dataclasses.is_dataclass(hint) and not group
        keys.update(_keys(hint, f"{key}.", field_counts) if nested else {key: field_counts})
    return keys


def _meets(key: str, others: set[str]) -> bool:
    """Tells whether a key equals another one, or lies above or below it.

    A part may be null in the one config and set in the other.
    """
    return any(
        key == other or key.startswith(f"{other}.") or other.startswith(f"{key}.")
        for other in others
    )
