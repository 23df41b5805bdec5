"""Typed configs to plain values and back; with cli.py the only place that knows omegaconf. Does not import torch.

A saved config.yaml holds every value as typed, and under `sslcli` what is needed to run it again: the command, the format,
and which choice every group was. Nothing in it can name a callable: a choice is a word from a table.
"""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import json
from enum import Enum
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar, cast

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import ConfigKeyError, MissingMandatoryValue, OmegaConfBaseException, ValidationError

from sslcli.errors import SslcliError

SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""Reads data only, no objects; libyaml's, where it is there, ten times faster."""

T = TypeVar("T")
Groups = dict[str, dict[str, type[Any]]]
"""For every group of a config (a field whose type is a table's base), the choices by name."""

FORMAT = 1


@dataclasses.dataclass(frozen=True)
class Saved:
    """A config read back. `choices`: the name of the choice made in every group."""

    command: str
    choices: dict[str, str]
    values: dict[str, Any]


def conf_folder() -> Path:
    """Where conf/ is: beside the package in a checkout, inside it when installed as a wheel."""
    found = import_module("sslcli.conf").__file__
    assert found is not None, "conf/ is a package with an __init__.py"
    return Path(found).parent


def values_of(config: Any) -> Any:
    """A config as plain values: dicts, lists, words and numbers."""
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        return {field.name: values_of(getattr(config, field.name)) for field in dataclasses.fields(config)}
    if isinstance(config, Enum):
        return config.name
    if isinstance(config, list):
        return [values_of(item) for item in config]
    return config


def typed(cls: type[T], values: dict[str, Any], where: str = "") -> T:
    """An instance of the config class. Raises SslcliError for a key that it lacks or a value of another type."""
    try:
        config = OmegaConf.merge(OmegaConf.structured(cls), values)
        return cast(T, OmegaConf.to_object(config))
    except OmegaConfBaseException as reason:
        raise explained(reason, where) from reason


def explained(reason: OmegaConfBaseException, where: str = "") -> SslcliError:
    """What omegaconf found wrong, in two lines."""
    key = f"{where}.{reason.full_key}" if where and reason.full_key else reason.full_key or where
    if isinstance(reason, MissingMandatoryValue):
        key = key or str(reason).rsplit(": ", 1)[-1].strip()
        return SslcliError(f"{key} is required", f"give it on the command line: {key}=…")
    if isinstance(reason, ConfigKeyError):
        keys = list(reason.parent_node.keys()) if reason.parent_node is not None else []
        return unknown("key", key or "", keys)
    if isinstance(reason, ValidationError):
        return SslcliError(f"{key}: {_sentence(reason)}", "`--help` shows every key with its default")
    return SslcliError(
        f"{key}: {_sentence(reason)}" if key else _sentence(reason), "`--help` shows every key with its default"
    )


def unknown(what: str, name: str, there_is: list[str]) -> SslcliError:
    """`name` is no such thing: what was perhaps meant, and what there is."""
    last = name.rsplit(".", 1)[-1]
    near = difflib.get_close_matches(last, [known.rsplit(".", 1)[-1] for known in there_is], n=1, cutoff=0.5)
    close = [known for known in there_is if near and known.rsplit(".", 1)[-1] == near[0]]
    hint = f"did you mean {close[0]}? " if close else ""
    return SslcliError(f"there is no {what} {name!r}", f"{hint}there is: {', '.join(sorted(there_is))}")


def choices_of(config: Any, groups: Groups) -> dict[str, str]:
    """Which choice every group of the config is, by its type."""
    return {
        group: name_in(table, part)
        for group, table in groups.items()
        if (part := getattr(config, group, None)) is not None
    }


def name_in(table: dict[str, type[Any]], part: object) -> str:
    """The name under which a table holds the part's type."""
    return next(name for name, cls in table.items() if type(part) is cls)


def to_yaml(command: str, config: Any, groups: Groups) -> str:
    """The text of config.yaml."""
    header = {"format": FORMAT, "version": version("sslcli"), "command": command, "choices": choices_of(config, groups)}
    return yaml.safe_dump({"sslcli": header, **values_of(config)}, sort_keys=False, allow_unicode=True)


def read(path: Path) -> Saved:
    """A saved config.yaml, read as data: no tags, no interpolation. Raises SslcliError where it is not one."""
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=SafeLoader)
    except FileNotFoundError:
        raise SslcliError(f"there is no {path}", "name a run's folder; `sslcli runs` lists them") from None
    except (yaml.YAMLError, UnicodeDecodeError) as reason:
        message = f"{path} is not a saved config: {str(reason).splitlines()[0]}"
        raise SslcliError(message, "give a config.yaml that sslcli wrote") from None
    header = content.pop("sslcli", None) if isinstance(content, dict) else None
    if (
        not isinstance(header, dict)
        or not {"format", "command", "choices"} <= set(header)
        or not isinstance(header["choices"], dict)
    ):
        raise SslcliError(
            f"{path} is not a saved config: it has no `sslcli` header", "give a config.yaml that sslcli wrote"
        )
    if header["format"] != FORMAT:
        message = f"{path} has config format {header['format']!r}; this version of sslcli reads format {FORMAT}"
        raise SslcliError(message, f"run it with the version that wrote it ({header.get('version')})")
    if "${" in yaml.safe_dump(content, allow_unicode=True):
        raise SslcliError(
            f"{path} holds an interpolation (${{…}}); a saved config holds values", "put the value itself there"
        )
    return Saved(str(header["command"]), {str(k): str(v) for k, v in header["choices"].items()}, content)


def values_of_saved(saved: Saved) -> dict[str, Any]:
    """Every value of a saved config by dotted key, and every group's choice by the group's name."""

    def flat(values: dict[str, Any], prefix: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in values.items():
            found.update(flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value})
        return found

    return {**saved.choices, **flat(saved.values, "")}


def restored(cls: type[T], saved: Saved, groups: Groups) -> T:
    """The saved config as an instance of its command's class, every group of the type it was."""
    missing = {field.name for field in dataclasses.fields(cls)} - set(saved.values)  # type: ignore[arg-type]
    if missing:
        message = f"the saved config lacks {', '.join(sorted(missing))}: another version wrote it"
        raise SslcliError(message, "add what is missing, or run it with the version that wrote it")
    parts = {group: restored_group(group, saved, groups) for group in saved.choices}
    return typed(cls, {**saved.values, **parts})


def restored_group(group: str, saved: Saved, groups: Groups) -> Any:
    """One group of a saved config, of the type it was."""
    if group not in saved.choices:
        raise SslcliError(f"the saved config of {saved.command} has no {group}", f"name it: {group}=…")
    table, choice = groups.get(group, {}), saved.choices[group]
    if choice not in table:
        raise unknown(group, choice, list(table))
    return typed(table[choice], saved.values.get(group) or {}, group)


def identity(command: str, config: Any) -> str:
    """12 hex digits that are equal for configs that train alike: where and how they run does not count."""
    return hashlib.sha256(json.dumps([command, _essence(config)], sort_keys=True).encode()).hexdigest()[:12]


def _essence(config: Any) -> Any:
    if not dataclasses.is_dataclass(config) or isinstance(config, type):
        return values_of(config)
    counting = [field for field in dataclasses.fields(config) if field.metadata.get("changes_results", True)]
    return {"type": type(config).__name__, **{field.name: _essence(getattr(config, field.name)) for field in counting}}


def _sentence(reason: Exception) -> str:
    return str(reason).splitlines()[0].rstrip(".")
