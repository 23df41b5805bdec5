"""Exports the names of a package's modules, which are imported on first use.

Configs build parts through these names (`nets.ConvNet(…)`), so reading a config imports no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def exports(room: str, home: Mapping[str, str]) -> Callable[[str], Any]:
    """Returns the `__getattr__` of the package `room`; `home` maps names to modules."""

    def get(name: str) -> Any:
        if name not in home:
            raise AttributeError(f"{room} has no {name!r}; it has {', '.join(sorted(home))}")
        return getattr(import_module(f"{room}.{home[name]}"), name)

    return get
