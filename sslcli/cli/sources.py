"""Reads conf/ and --config-dir for Hydra, and keeps text as it is written.

YAML reads 2024_01, 1.10, 1e5 and yes as numbers and booleans, whose text differs from what the file
says. Such a plain scalar stays text (`root: 2024_01`); a field of a numeric type still converts it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from hydra._internal.core_plugins import file_config_source, importlib_resources_config_source
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult
from omegaconf import OmegaConf
from omegaconf._utils import get_yaml_loader

from sslcli.choices import Choices
from sslcli.config import conf_folder
from sslcli.errors import SslcliError
from sslcli.experiments.groups import GROUPS

NUMBERS = {f"tag:yaml.org,2002:{kind}" for kind in ("int", "float", "bool")}


class FileConfigSource(file_config_source.FileConfigSource):
    """Reads a folder of --config-dir."""

    def load_config(self, config_path: str) -> ConfigResult:
        return _with_text(super().load_config(config_path), Path(self.path), config_path)


class ImportlibResourcesConfigSource(
    importlib_resources_config_source.ImportlibResourcesConfigSource
):
    """Reads conf/ and Hydra's own configs."""

    def load_config(self, config_path: str) -> ConfigResult:
        result = super().load_config(config_path)
        if self.path != "sslcli.conf":
            return result
        _require_own(config_path)
        return _with_text(result, conf_folder(), config_path)


def use_own_sources() -> None:
    """Replaces Hydra's sources by these, which it finds by their class names."""
    Plugins.instance()
    types = SourcesRegistry.instance().types
    types["file"] = FileConfigSource
    types["pkg"] = ImportlibResourcesConfigSource


def _require_own(config_path: str) -> None:
    """Raises SslcliError where a package brings a choice of a file's name too."""
    group, _, name = config_path.removesuffix(".yaml").rpartition("/")
    table = GROUPS.get(group)
    if isinstance(table, Choices) and name in table.installed:
        table[name]


def _with_text(result: ConfigResult, folder: Path, config_path: str) -> ConfigResult:
    path = folder / f"{config_path.removesuffix('.yaml')}.yaml"
    if config_path.startswith("experiment/") and not result.header.get("package"):
        message = f"{path} lacks its first line, so that it would set keys of `experiment`"
        raise SslcliError(message, "let it begin with the line: # @package _global_")
    root = yaml.compose(path.read_text(encoding="utf-8"), Loader=get_yaml_loader())
    if isinstance(root, yaml.MappingNode) and OmegaConf.is_dict(result.config):
        _keep_text(root, result.config)
    return result


def _keep_text(node: yaml.Node, values: Any) -> None:
    if isinstance(node, yaml.MappingNode):
        entries = [(key.value, child) for key, child in node.value]
    else:
        entries = list(enumerate(node.value))
    for key, child in entries:
        if key not in values if isinstance(node, yaml.MappingNode) else False:
            continue
        if isinstance(child, yaml.ScalarNode):
            written = child.value
            if child.tag in NUMBERS and child.style is None and str(values[key]) != written:
                values[key] = written
        else:
            _keep_text(child, values[key])
