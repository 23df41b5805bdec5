"""Typed configs to plain values and back; with cli.py the only place that knows omegaconf. Does not import torch.

A saved config.yaml holds every value as typed, and under `sslcli` what is needed to run it again: the command, the format,
and which choice every group was. Nothing in it can name a callable: a choice is a word from a table.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from enum import Enum
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar, cast

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import (
    ConfigKeyError,
    MissingMandatoryValue,
    OmegaConfBaseException,
    ValidationError,
)

from sslcli.errors import SslcliError, unknown
from sslcli.text import first_line

SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""Reads data only, no objects; libyaml's, where it is there, ten times faster."""

T = TypeVar("T")
Groups = Mapping[str, Mapping[str, type[Any]]]
"""For every group of a config (a field whose type is a table's base), the choices by name."""


def conf_folder() -> Path:
    """Where conf/ is: beside the package in a checkout, inside it when installed as a wheel."""
    found = import_module("sslcli.conf").__file__
    assert found is not None, "conf/ is a package with an __init__.py"
    return Path(found).parent


def values_of(config: Any) -> Any:
    """A config as plain values: dicts, lists, words and numbers."""
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        return {
            field.name: values_of(getattr(config, field.name))
            for field in dataclasses.fields(config)
        }
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
        return SslcliError(
            f"{key}: {first_line(reason).rstrip('.')}", "`--help` shows every key with its default"
        )
    return SslcliError(
        f"{key}: {first_line(reason).rstrip('.')}" if key else first_line(reason).rstrip("."),
        "`--help` shows every key with its default",
    )


def flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values by dotted key."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        found.update(
            flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
        )
    return found


def identity(command: str, config: Any) -> str:
    """12 hex digits that are equal for configs that train alike: where and how they run does not count."""
    return hashlib.sha256(
        json.dumps([command, _essence(config)], sort_keys=True).encode()
    ).hexdigest()[:12]


def _essence(config: Any) -> Any:
    if not dataclasses.is_dataclass(config) or isinstance(config, type):
        return values_of(config)
    counting = [
        field
        for field in dataclasses.fields(config)
        if field.metadata.get("changes_results", True)
        and not (
            field.metadata.get("added_later", False)
            and getattr(config, field.name) == field.default
        )
    ]
    return {
        "type": type(config).__name__,
        **{field.name: _essence(getattr(config, field.name)) for field in counting},
    }
