"""Tables of choices: names built in, and names that installed packages add."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator, Mapping
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

from sslcli.errors import SslcliError

T = TypeVar("T")


class Choices(Mapping[str, type[T]], Generic[T]):
    """Maps a name to its config class; a package's class is imported on look-up.

    `kind` names the table in messages ("method"). Installed packages add classes through the entry
    point group `entry_group`; each must be a subclass of `base`.
    """

    def __init__(
        self, kind: str, base: type[T], built_in: dict[str, type[T]], entry_group: str
    ) -> None:
        self.kind = kind
        self.built_in = built_in
        self._base = base
        self._entry_group = entry_group

    @cached_property
    def installed(self) -> dict[str, EntryPoint]:
        """Returns the entry points of installed packages, by name; imports none."""
        points = entry_points(group=self._entry_group)
        return {point.name: point for point in points if point.name not in self.built_in}

    def __getitem__(self, name: str) -> type[T]:
        """Raises SslcliError for a class that cannot be imported, or has another base."""
        if name in self.built_in:
            return self.built_in[name]
        return self._imported(self.installed[name])

    def __iter__(self) -> Iterator[str]:
        return iter({**self.built_in, **self.installed})

    def __len__(self) -> int:
        return len(self.built_in) + len(self.installed)

    def __contains__(self, name: object) -> bool:
        return name in self.built_in or name in self.installed

    def is_imported(self, name: str, cls: type[Any]) -> bool:
        """Tells whether the name stands for this class, which was imported before."""
        module = sys.modules.get(self.installed[name].module)
        return getattr(module, self.installed[name].attr, None) is cls

    def _imported(self, point: EntryPoint) -> type[T]:
        named = f"the installed {self.kind} {point.name!r} ({point.value})"
        try:
            config = point.load()
        except (ImportError, AttributeError) as reason:
            message = f"{named} cannot be imported: {reason}"
            raise SslcliError(message, "repair or uninstall the package that brings it") from reason
        if not (isinstance(config, type) and issubclass(config, self._base)):
            base = f"{self._base.__module__}.{self._base.__qualname__}"
            raise SslcliError(
                f"{named} is not a {self._base.__name__}",
                f"its entry point must name a dataclass derived from {base}",
            )
        return config


def name_in(table: Mapping[str, type[Any]], part: object) -> str:
    """Returns the name under which a table holds the part's type; imports nothing."""
    cls = type(part)
    if not isinstance(table, Choices):
        return next(name for name, known in table.items() if known is cls)
    for name, known in table.built_in.items():
        if known is cls:
            return name
    value = f"{cls.__module__}:{cls.__qualname__}"
    by_name = (name for name, point in table.installed.items() if point.value == value)
    # A package may name a class by another module than the one that defines it.
    again = (name for name in table.installed if table.is_imported(name, cls))
    return next(itertools.chain(by_name, again))
