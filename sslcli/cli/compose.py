"""Composes a command's config from conf/ and the overrides, with Hydra."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from sslcli import config as configs
from sslcli.cli.nodes import NO_CHANGES, ChoiceNode, MethodNode, SmallViewsNode
from sslcli.cli.sources import use_own_sources
from sslcli.errors import unknown
from sslcli.experiments.groups import GROUPS
from sslcli.experiments.table import EXPERIMENTS
from sslcli.methods import METHODS

CONFIG_PATH = "pkg://sslcli.conf"


def register() -> None:
    """Registers the dataclasses of all tables with Hydra.

    Each is a schema under `schema/`, and also a choice where conf/ has no file of its name.
    """
    use_own_sources()
    store = ConfigStore.instance()
    commands = {name: experiment.load_config().Config for name, experiment in EXPERIMENTS.items()}
    store.repo["schema"] = {
        f"{name}.yaml": ChoiceNode(name, commands, package="_global_") for name in commands
    }
    for group, choices in GROUPS.items():
        files = {path.name for path in configs.conf_folder().glob(f"{group}/*.yaml")}
        nodes = {f"{name}.yaml": ChoiceNode(name, choices) for name in choices}
        store.repo["schema"][group] = nodes
        store.repo[group] = {file: node for file, node in nodes.items() if file not in files}
    store.repo["method"] = {
        file: MethodNode(file.removesuffix(".yaml"), METHODS, store.repo)
        for file in store.repo["method"]
    }
    presets = configs.conf_folder().glob("method/views/*.yaml")
    store.repo["method"]["small_views"] = {path.name: SmallViewsNode(path) for path in presets}
    for group in ("method/views", "method/small_views"):
        store.store(group=group, name=NO_CHANGES, node={})


@contextlib.contextmanager
def config_loader(flags: Sequence[str]) -> Iterator[ConfigLoaderImpl]:
    """Yields Hydra's loader over conf/ and the folders of --config-dir."""
    search_path = create_config_search_path(CONFIG_PATH)
    for flag, following in zip(flags, [*flags, "."][1:], strict=True):
        name, _, value = flag.partition("=")
        if name in ("--config-dir", "-cd"):
            search_path.prepend(
                "command-line", f"file://{Path(value or following).absolute()}", "schema"
            )
    GlobalHydra.instance().clear()
    try:
        loader = Hydra.create_main_hydra2("sslcli", search_path).config_loader
        assert isinstance(loader, ConfigLoaderImpl)
        yield loader
    finally:
        GlobalHydra.instance().clear()


def compose(command: str, words: list[str], flags: Sequence[str] = ()) -> DictConfig:
    """Returns a command's composed config, without running it."""
    with config_loader(flags) as loader:
        composed = loader.load_configuration(command, words, RunMode.RUN)
    with open_dict(composed):
        del composed["hydra"]
    return composed


def composed_to_dataclass(composed: DictConfig) -> Any:
    """Returns the composed config as the command's dataclass.

    Raises SslcliError for a key that the dataclass does not have (`++` lets Hydra take any), for a
    value of another type, and for a number that is not finite.
    """
    _require_known_keys(composed)
    return configs.to_object(composed)


def _require_known_keys(node: DictConfig, prefix: str = "") -> None:
    cls = OmegaConf.get_type(node)
    known = None
    if cls is not None and dataclasses.is_dataclass(cls):
        known = [f"{prefix}{field.name}" for field in dataclasses.fields(cls)]
    for name in map(str, node):
        key = f"{prefix}{name}"
        if known is not None and key not in known:
            raise unknown("key", key, known)
        child = None if OmegaConf.is_missing(node, name) else node[name]
        if isinstance(child, DictConfig):
            _require_known_keys(child, f"{key}.")
