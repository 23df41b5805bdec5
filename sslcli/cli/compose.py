"""Composes a command's config from conf/ and the words typed, through Hydra."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import hydra
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.config_loader import ConfigLoader
from hydra.core.config_store import ConfigNode, ConfigStore
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from sslcli import config as configs
from sslcli.experiments.groups import GROUPS
from sslcli.experiments.table import EXPERIMENTS

VALUE_FLAGS = ("--cfg", "-c", "--config-dir", "-cd", "--package", "-p", "--info", "-i")
CONFIG_PATH = "pkg://sslcli.conf"
NO_CHANGES = ("method/views", "small_pictures")
"""A choice whose values are all defaults, so that it needs no file."""


class _Nodes(dict[str, Any]):
    """Hydra's folder of one group in the store: the config of a choice is made when it is read.

    So an installed package is imported only when its choice is composed.
    """

    def __init__(self, choices: Mapping[str, type[Any]], without: set[str]) -> None:
        super().__init__({f"{name}.yaml": None for name in choices if name not in without})
        self._choices = choices

    def __getitem__(self, file: str) -> Any:
        stored = super().__getitem__(file)
        if stored is not None:  # a group inside this one
            return stored
        node = OmegaConf.structured(self._choices[file.removesuffix(".yaml")])
        return ConfigNode(name=file, node=node, group=None, package=None, provider=None)


def register() -> None:
    """Makes the tables' dataclasses known to Hydra.

    Each is a schema under `schema/`, and, where conf/ has no file of its name, a choice by itself.
    """
    store = ConfigStore.instance()
    for name, experiment in EXPERIMENTS.items():
        schema = experiment.load_config().Config
        store.store(group="schema", name=name, node=schema, package="_global_")
    for group, choices in GROUPS.items():
        files = {path.stem for path in configs.conf_folder().glob(f"{group}/*.yaml")}
        store.repo["schema"][group] = _Nodes(choices, without=set())
        store.repo[group] = _Nodes(choices, without=files)
    group, name = NO_CHANGES
    store.store(group=group, name=name, node={})


def split_words(words: list[str]) -> tuple[list[str], list[str]]:
    """Overrides and flags apart, whatever their order: Hydra's parser wants its overrides in one piece."""
    overrides: list[str] = []
    flags: list[str] = []
    rest = iter(words)
    for word in rest:
        if not word.startswith("-"):
            overrides.append(_home_expanded(word))
            continue
        flags.append(word)
        if word in VALUE_FLAGS:
            flags += [value for value in [next(rest, None)] if value is not None]
    return overrides, flags


def _home_expanded(word: str) -> str:
    """`key=~/folder` as the shell would have it, had it looked behind the `=`; Hydra's grammar has no place for a tilde."""
    key, sign, value = word.partition("=")
    return f"{key}={Path(value).expanduser()}" if sign and value.startswith("~/") else word


@contextlib.contextmanager
def config_loader(flags: list[str]) -> Iterator[ConfigLoader]:
    """Hydra's loader over conf/ and the folders that --config-dir names."""
    search_path = create_config_search_path(CONFIG_PATH)
    for flag, following in zip(flags, [*flags, "."][1:], strict=True):
        name, _, value = flag.partition("=")
        if name in ("--config-dir", "-cd"):
            search_path.prepend(
                "command-line", f"file://{Path(value or following).absolute()}", "schema"
            )
    GlobalHydra.instance().clear()
    try:
        yield Hydra.create_main_hydra2("sslcli", search_path).config_loader
    finally:
        GlobalHydra.instance().clear()


def compose(command: str, words: list[str]) -> DictConfig:
    """The config of a command, not run."""
    with hydra.initialize_config_module("sslcli.conf", version_base="1.3"):
        return hydra.compose(command, words)


def typed(composed: DictConfig) -> Any:
    """The one step from a composed DictConfig to the command's dataclass."""
    try:
        return OmegaConf.to_object(composed)
    except OmegaConfBaseException as reason:
        raise configs.explained(reason) from reason
