"""The choices of the tables as nodes of Hydra's store, made when they are read."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_type_hints

from hydra.core.config_store import ConfigNode
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from sslcli.augment.augmentation_config import ViewConfig
from sslcli.choices import package_in
from sslcli.errors import SslcliError
from sslcli.method import MethodConfig
from sslcli.text import first_line

NO_CHANGES = "small_pictures"
"""A choice of views that changes no default, so that it needs no file."""
OF_LARGE_VIEWS = ("crop_scale", "crop_ratio", "crop_size", "normalize")
"""Settings of a preset of views that small views keep as they are.

They are normalised as the large ones are.
"""


def without_preset(choice: str, method: str) -> str:
    """Returns the choice that the method's preset is made of; any other as it is."""
    return choice.removesuffix(_of(method))


def _of(method: str) -> str:
    """Returns the end of the names of a method's presets, as in adamw_for_mae."""
    return f"_for_{method}"


class ChoiceNode(ConfigNode):
    """A choice of a table, whose package is imported when it is read."""

    def __init__(
        self, choice: str, choices: Mapping[str, type[Any]], package: str | None = None
    ) -> None:
        self.name, self.group, self.provider = f"{choice}.yaml", None, None
        self.package = package
        self._choice, self._choices = choice, choices
        self._node: DictConfig | None = None

    def __deepcopy__(self, memo: dict[int, Any]) -> ChoiceNode:
        """Copies no more than itself: Hydra copies all nodes for each look, and reads few.

        It copies the config of a node that it reads once more, so none is shared.
        """
        memo[id(self)] = copied = copy.copy(self)
        return copied

    @property
    def node(self) -> DictConfig:
        if self._node is None:
            self._node = self._make(self._choices[self._choice])
        return self._node

    @node.setter
    def node(self, node: DictConfig) -> None:
        self._node = node

    def _make(self, cls: type[Any]) -> DictConfig:
        try:
            made: DictConfig = OmegaConf.structured(cls)
        except OmegaConfBaseException as reason:
            package = package_in(self._choices, self._choice) or "sslcli"
            message = f"{self._choice} of {package} cannot be read: {reason.full_key}: "
            fix = "settings are int, float, bool, str, an Enum, a dataclass, or a list of these"
            raise SslcliError(message + first_line(reason), fix) from reason
        return made


class SmallViewsNode(ChoiceNode):
    """A preset of views for small ones, which keep their own crops; read when it is chosen."""

    def __init__(self, path: Path) -> None:
        super().__init__(path.stem, {})
        self._path = path

    @property
    def node(self) -> DictConfig:
        if self._node is None:
            found: Any = OmegaConf.load(self._path)
            self._node = OmegaConf.create({k: found[k] for k in found if k not in OF_LARGE_VIEWS})
        return self._node

    @node.setter
    def node(self, node: DictConfig) -> None:
        self._node = node


class MethodNode(ChoiceNode):
    """A method, with the encoder and optimizer that suit it, as a file would be.

    Its words (`MethodConfig.suits`) are weaker than experiment files and what is typed. A group's
    values are a preset of the choice that they are for, so they are gone where another is chosen.
    """

    def __init__(
        self, choice: str, choices: Mapping[str, type[MethodConfig]], repo: dict[str, Any]
    ) -> None:
        """`repo` is the store's, into which the node puts presets."""
        super().__init__(choice, choices, package="_global_")
        self._repo = repo

    def __deepcopy__(self, memo: dict[int, Any]) -> MethodNode:
        """Its presets go into the store that it was copied with."""
        memo[id(self)] = copied = copy.copy(self)
        copied._repo = copy.deepcopy(self._repo, memo)
        return copied

    def _make(self, cls: type[MethodConfig]) -> DictConfig:
        words = Words.of(cls)
        defaults: list[Any] = [f"/schema/method/{self._choice}@method"]
        if get_type_hints(cls).get("views") is ViewConfig:
            defaults.append({"/method/views@method.views": NO_CHANGES})
        if get_type_hints(cls).get("small_views") is ViewConfig:
            defaults.append({"/method/small_views@method.small_views": NO_CHANGES})
        for group, chosen in words.choices.items():
            values = words.values.pop(group, None)
            preset = chosen + _of(self._choice) if values else chosen
            if values:
                self._store(group, preset, [f"/{group}/{chosen}@_here_", "_self_"], values)
            defaults.append({f"override /{group}": preset})
        return OmegaConf.create({"defaults": [*defaults, "_self_"], **words.values})

    def _store(self, group: str, name: str, defaults: list[str], values: dict[str, Any]) -> None:
        node = OmegaConf.create({"defaults": defaults, **values})
        self._repo[group][f"{name}.yaml"] = ConfigNode(f"{name}.yaml", node, group, None, None)


@dataclasses.dataclass(frozen=True)
class Words:
    """The words of `MethodConfig.suits`, read as Hydra reads typed ones."""

    choices: dict[str, str]
    """By group."""
    values: dict[str, Any]
    """Nested as the config is."""

    @classmethod
    def of(cls, config: type[MethodConfig]) -> Words:
        choices: dict[str, str] = {}
        values: dict[str, Any] = {}
        _require_tuple(config.suits, config.__name__)
        for override in OverridesParser.create().parse_overrides(list(config.suits)):
            key, value = override.key_or_group, override.value()
            if key in ("encoder", "optim"):
                choices[key] = str(value)
                continue
            group = key.partition(".")[0]
            if "." in key and group not in ("method", *choices):
                message = f"{config.__name__}.suits has {key}={value} without a choice of {group}"
                raise SslcliError(message, f"put {group}=… before it; encoder and optim have some")
            *parents, last = key.split(".")
            below = values
            for parent in parents:
                below = below.setdefault(parent, {})
            below[last] = value
        return cls(choices, values)


def _require_tuple(suits: object, config: str) -> None:
    if isinstance(suits, str):
        message = f"{config}.suits must be a tuple of words, got {suits!r}"
        raise SslcliError(message, f"add a comma: suits = ({suits!r},)")
