"""Converts configs (dataclasses) to plain values and back; computes identities.

With cli/ the only place that uses omegaconf. Does not import torch.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import re
from collections.abc import Mapping
from enum import Enum
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar, cast, get_type_hints

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import (
    ConfigKeyError,
    MissingMandatoryValue,
    OmegaConfBaseException,
    ValidationError,
)

from sslcli.errors import SslcliError, require, unknown
from sslcli.settings import NOTHING
from sslcli.text import escape_interpolation, first_line

T = TypeVar("T")
Groups = Mapping[str, Mapping[str, type[Any]]]
"""The table of choices of every group; a group is a config's field chosen by name."""


def conf_folder() -> Path:
    """Returns the folder conf/, beside the package in a checkout, else inside it."""
    init = import_module("sslcli.conf").__file__
    assert init is not None, "conf/ is a package with an __init__.py"
    return Path(init).parent


def values_of(config: Any) -> Any:
    """Returns a config as plain values: dicts, lists, strings, numbers, bools, None."""
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


def to_dataclass(cls: type[T], values: dict[str, Any], where: str = "") -> T:
    """Converts plain values to an instance of the config class.

    Raises SslcliError for an unknown key, a value of another type, a number that is not finite.
    """
    return cast(T, to_object(node(cls, values, where), where))


def to_object(composed: DictConfig, where: str = "") -> Any:
    """Converts OmegaConf's node of a config class to an instance of it.

    Raises as `to_dataclass`. What a part refuses is named by the part's full key: the same class
    may be several parts of one config.
    """
    try:
        config = OmegaConf.to_object(composed)
    except OmegaConfBaseException as reason:
        raise explained(reason, where) from reason
    except SslcliError as error:
        raise _placed(error, composed, where) from None
    require_finite(config, where)
    return config


def _placed(error: SslcliError, node: DictConfig, place: str) -> SslcliError:
    """Returns a part's error with its keys as they are at the part's place.

    A part names a key by the place that it usually has, as in method.views.flip.
    """
    for name in map(str, node):
        child = None if OmegaConf.is_missing(node, name) else node[name]
        if isinstance(child, DictConfig) and _refused(child):
            return _placed(error, child, f"{place}.{name}" if place else name)
    cls = OmegaConf.get_type(node)
    if not dataclasses.is_dataclass(cls) or "." not in place:
        return error
    own = "|".join(field.name for field in dataclasses.fields(cls))
    usual = re.compile(rf"\b{place.partition('.')[0]}(\.\w+)+\.(?=({own})\b)")
    message, fix = (usual.sub(f"{place}.", text) for text in (error.message, error.fix))
    return SslcliError(message, fix)


def _refused(node: DictConfig) -> bool:
    try:
        OmegaConf.to_object(node)
    except SslcliError:
        return True
    except OmegaConfBaseException:
        return False
    return False


def node(cls: type[Any], values: dict[str, Any], where: str = "") -> DictConfig:
    """Returns values as OmegaConf's node of the class; raises as `to_dataclass`."""
    _require_text(cls, values, where)
    try:
        merged = OmegaConf.merge(OmegaConf.structured(cls), _literal(values))
    except OmegaConfBaseException as reason:
        raise explained(reason, where) from reason
    return cast(DictConfig, merged)


def _literal(values: Any) -> Any:
    """Escapes `${` in all values: they are text, not OmegaConf's interpolations."""
    if isinstance(values, dict):
        return {key: _literal(value) for key, value in values.items()}
    if isinstance(values, list):
        return [_literal(value) for value in values]
    return escape_interpolation(values) if isinstance(values, str) else values


def _require_text(cls: type[Any], values: dict[str, Any], where: str) -> None:
    """Raises SslcliError for a number instead of text: YAML reads 2024_01 as 202401."""
    for name, hint in get_type_hints(cls).items():
        value, key = values.get(name), f"{where}.{name}" if where else name
        if hint in (str, str | None) and isinstance(value, (int, float)):
            raise SslcliError(f"{key} must be text, got {value!r}", f"put it in quotes: '{value}'")
        if hint == list[str] and isinstance(value, list):
            for element in value:
                fix = f"put it in quotes: '{element}'"
                require(isinstance(element, str), key, element, "text", fix)


def require_finite(config: Any, where: str = "") -> None:
    """Raises SslcliError for a number below the config that is not finite."""
    if isinstance(config, float):
        good, fix = math.isfinite(config), "see its default in --help"
        require(good, where, config, "a finite number", fix)
    elif isinstance(config, list):
        for value in config:
            require_finite(value, where)
    elif dataclasses.is_dataclass(config):
        for field in dataclasses.fields(config):
            key = f"{where}.{field.name}" if where else field.name
            require_finite(getattr(config, field.name), key)


def explained(reason: OmegaConfBaseException, where: str = "") -> SslcliError:
    """Returns omegaconf's error as one with a fix."""
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
    """Returns nested values by dotted key."""
    by_key: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        by_key.update(flat(value, f"{name}.") if isinstance(value, dict) else {name: value})
    return by_key


def identity(command: str, config: Any, files: Mapping[str, str] | None = None) -> str:
    """Returns 12 hex digits that are equal for configs that train alike.

    Fields with `changes_results=False` do not count. `files`: by key, the hashes of what fields
    with `file=True` name (`input_files.file_hashes`), which count in place of the paths.
    """
    counting = json.dumps([command, _essence(config, files or {})], sort_keys=True)
    return hashlib.sha256(counting.encode()).hexdigest()[:12]


def _default(field: dataclasses.Field[Any]) -> Any:
    """Returns the field's default, also where it is a list."""
    makes = field.default_factory
    return field.default if makes is dataclasses.MISSING else makes()


def _essence(config: Any, files: Mapping[str, str], key: str = "") -> Any:
    if key in files:
        return files[key]
    if not dataclasses.is_dataclass(config) or isinstance(config, type):
        return values_of(config)
    counting = [
        field
        for field in dataclasses.fields(config)
        if field.metadata.get("changes_results", True)
        and not (
            field.metadata.get("added_later", False)
            and getattr(config, field.name)
            in (_default(field), field.metadata.get("before", NOTHING))
        )
    ]
    return {
        "type": type(config).__name__,
        **{
            name: _essence(getattr(config, name), files, f"{key}.{name}" if key else name)
            for name in (field.name for field in counting)
        },
    }
