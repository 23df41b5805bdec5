"""The config groups and their choices: what `method=`, `encoder=`, … can be. Does not import torch."""

from __future__ import annotations

import re
from collections.abc import Iterable

from sslcli.config import Groups
from sslcli.data import DATA
from sslcli.engine.optim import OPTIMIZERS
from sslcli.engine.runtime import RuntimeConfig
from sslcli.methods import METHODS, load_plugin, plugins
from sslcli.nets.encoders import ENCODERS


def installed(group: str) -> list[str]:
    """Names of the choices that installed packages bring to a group, none of them imported."""
    return list(plugins()) if group == "method" else []


def groups(words: Iterable[str] = ()) -> Groups:
    """Every group's table. An installed package's method is imported only when one of the `words` names it: importing
    it may take seconds."""
    typed = {part for word in words for part in re.split(r"[=,]", word)}
    named = {name: load_plugin(point) for name, point in plugins().items() if name in typed}
    return {
        "method": {**METHODS, **named},
        "encoder": dict(ENCODERS),
        "data": dict(DATA),
        "optim": dict(OPTIMIZERS),
        "runtime": {"default": RuntimeConfig},
    }
