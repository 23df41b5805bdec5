"""Prints a command's help, and proposes completions.

Help lists the groups with their choices, and the keys with their defaults and meanings.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from enum import Enum
from typing import Any

from hydra._internal.core_plugins.bash_completion import BashCompletion
from hydra.core.object_type import ObjectType
from hydra.types import RunMode
from omegaconf import DictConfig, ListConfig, OmegaConf

from sslcli.cli.compose import config_loader, register
from sslcli.cli.nodes import without_preset
from sslcli.cli.words import split_words
from sslcli.console import Console
from sslcli.experiments.table import EXPERIMENTS
from sslcli.method import MethodConfig
from sslcli.text import as_word
from sslcli.tools.table import TOOLS

FLAGS = [
    ("-m", "a sweep: one run for every combination of key=a,b,c"),
    ("--cfg job", "show the composed config, do not run"),
    ("--config-dir DIR", "also look for configs in DIR"),
    ("--hydra-help", "Hydra's own flags"),
]


def show_help(command: str, words: list[str], console: Console) -> None:
    """Prints a command's help, with the keys of the choices in the overrides."""
    overrides, flags = split_words(words)
    with config_loader(flags) as loader:
        composed = loader.load_configuration(command, overrides, RunMode.RUN)
        choices = composed.hydra.runtime.choices
        own = [group for group in choices if not group.startswith("hydra/")]
        chosen = {group.split("@")[0]: choices[group] for group in own}
        found = loader.repository.get_group_options  # the loader's own copies all, each time
        options = {group: {*found(group, ObjectType.CONFIG)} for group in chosen}
        keys = list(_keys(composed))
        config: Any = OmegaConf.get_type(composed.method) if "method" in chosen else MethodConfig
    console.say(
        f"sslcli {command}: {EXPERIMENTS[command].summary}\n\n"
        f"usage: sslcli {command} [key=value ...] [flags]\n"
    )
    method = chosen.get("method") or ""
    shown = {
        f"{group}={without_preset(choice or '', method)}": " ".join(
            sorted({without_preset(option, method) for option in options[group]})
        )
        for group, choice in sorted(chosen.items())
    }
    console.columns("groups", shown.items())
    if config.suits:
        chosen_words = " ".join(config.suits)
        console.columns("chosen where you choose nothing else", [(method, chosen_words)])
    console.columns("keys", keys)
    console.columns("flags", FLAGS)


def completions(line: str) -> list[str]:
    """Proposes the next words of a shell's line that begins with `sslcli`.

    Hydra proposes keys, groups and values.
    """
    words = line.split(" ")
    if len(words) <= 2:
        start = words[1] if len(words) > 1 else ""
        return [name for name in [*EXPERIMENTS, *TOOLS] if name.startswith(start)]
    command, rest = words[1], words[2:]
    tool = TOOLS.get(command)
    if tool is not None and tool.commands:
        command, rest = rest[0], rest[1:]
        if not rest:
            return [name for name in tool.commands if name.startswith(command)]
        # Its own flags and their values are no words of Hydra's.
        rest = [*(word for word in rest[:-1] if "=" in word and word[0] != "-"), rest[-1]]
    elif tool is not None and tool.composes:
        command = "pretrain"
    if command not in EXPERIMENTS:
        return []
    overrides, flags = split_words(rest)
    register()
    with config_loader(flags) as loader:
        proposed: list[str] = BashCompletion(loader)._query(command, " ".join(overrides))
    return [word for word in proposed if not word.startswith(("hydra", "schema"))]


def _keys(node: DictConfig, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yields `key=default` and the key's meaning, a class's own keys before inherited."""
    cls = OmegaConf.get_type(node)
    if not dataclasses.is_dataclass(cls):
        return
    own = vars(cls).get("__annotations__", {})
    for field in sorted(dataclasses.fields(cls), key=lambda field: field.name not in own):
        key = f"{prefix}{field.name}"
        meaning = str(field.metadata.get("meaning", ""))
        value: Any = "???" if OmegaConf.is_missing(node, field.name) else node[field.name]
        if isinstance(value, DictConfig):
            yield from _keys(value, f"{key}.")
        else:
            yield f"{key}={_word(value)}", meaning


def _word(value: Any) -> str:
    if isinstance(value, ListConfig):
        return f"[{','.join(map(_word, value))}]"
    return as_word(value.name if isinstance(value, Enum) else value).replace(" ", "")
