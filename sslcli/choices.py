"""Tables of choices: names built in, and names that installed packages add."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import itertools
import sys
from collections.abc import Collection, Iterator, Mapping
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar, cast, get_origin, get_type_hints

from sslcli.errors import SslcliError, unknown
from sslcli.text import first_line

T = TypeVar("T")


class Package(NamedTuple):
    """An installed distribution, as pip names it."""

    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


class Misfit(Exception):
    """Says in what a choice breaks its contract; `answerable` adds which choice it is."""

    def __init__(self, message: str, fix: str) -> None:
        super().__init__(message)
        self.fix = fix


class Choices(Mapping[str, type[T]], Generic[T]):
    """Maps a name to its config class; a package's class is imported on look-up.

    `kind` names the table in messages ("method"). Installed packages add classes through the
    entry point group `entry_group`; each must be a subclass of `base`. `presets`: the names of
    files in conf/ that are choices too, and classes of no own.
    """

    def __init__(
        self,
        kind: str,
        base: type[T],
        built_in: dict[str, type[T]],
        entry_group: str,
        presets: Collection[str] = (),
    ) -> None:
        self.kind = kind
        self.built_in = built_in
        self.presets = presets
        self._base = base
        self._entry_group = entry_group

    @cached_property
    def installed(self) -> dict[str, list[EntryPoint]]:
        """The entry points of installed packages, by name; none is imported.

        Several of one name, or one that has a built-in's name, are refused when it is looked up.
        """
        points: dict[str, list[EntryPoint]] = {}
        for point in entry_points(group=self._entry_group):
            points.setdefault(point.name, []).append(point)
        return points

    def __getitem__(self, name: str) -> type[T]:
        """Raises SslcliError where several bring the name, or its class is unusable."""
        points = self.installed.get(name, [])
        if len(points) + self._is_own(name) > 1:
            raise self._clash(name, points)
        return self._imported(points[0]) if points else self.built_in[name]

    def __iter__(self) -> Iterator[str]:
        return iter({**self.built_in, **self.installed})

    def __len__(self) -> int:
        return len({**self.built_in, **self.installed})

    def __contains__(self, name: object) -> bool:
        return name in self.built_in or name in self.installed

    def _is_own(self, name: str) -> bool:
        return name in self.built_in or name in self.presets

    def package(self, name: str) -> Package | None:
        """Returns the package that brings a choice; None for one that is built in."""
        return None if name in self.built_in else package_of(self.installed[name][0])

    def is_imported(self, name: str, cls: type[Any]) -> bool:
        """Tells whether the name stands for this class, which was imported before."""
        modules = ((sys.modules.get(point.module), point.attr) for point in self.installed[name])
        return any(getattr(module, attr, None) is cls for module, attr in modules)

    def _imported(self, point: EntryPoint) -> type[T]:
        package = package_of(point)
        named = f"the {self.kind} {point.name!r} of {package}"
        try:
            config = point.load()
            is_config = isinstance(config, type) and issubclass(config, self._base)
            lost = _lost_settings(config) if is_config else []
        except KeyboardInterrupt:
            raise
        except BaseException as reason:  # a package may raise anything, SystemExit too
            message = f"{named} cannot be imported: {_told(reason)}"
            fix = f"repair it, or remove it: pip uninstall {package.name}; debug=true shows where"
            raise SslcliError(message, fix) from reason
        if not is_config:
            base = f"{self._base.__module__}.{self._base.__qualname__}"
            raise SslcliError(
                f"{named} is not a {self._base.__name__}: {point.value}",
                f"its entry point must name a class derived from {base}",
            )
        if lost:
            raise SslcliError(
                f"{named} has settings that do not count: {', '.join(lost)}",
                f"put @dataclass(kw_only=True) above class {config.__name__}, "
                "and write each as name: type = setting(default, meaning)",
            )
        return cast("type[T]", config)

    def _clash(self, name: str, points: list[EntryPoint]) -> SslcliError:
        packages = [package_of(point) for point in points]
        bringing = ["sslcli itself"] if self._is_own(name) else []
        bringing += map(str, packages)
        return SslcliError(
            f"{' and '.join(bringing)} bring {self.kind}s of one name, {name}",
            f"remove one: pip uninstall {packages[-1].name}; or rename its entry point",
        )


def _lost_settings(config: type[Any]) -> list[str]:
    """Returns what looks like a setting of a config class and is none.

    It stands in a class that is no dataclass, or lacks a type. Raises what reading the types does.
    """
    hints = get_type_hints(config)
    known = getattr(config, "__dataclass_fields__", {})
    typed = [
        name
        for name in inspect.get_annotations(config)
        if name not in known and get_origin(hints[name]) is not ClassVar
    ]
    values = [name for name, value in vars(config).items() if isinstance(value, dataclasses.Field)]
    return list(dict.fromkeys([*typed, *values]))


def _told(reason: BaseException) -> str:
    kind, said = type(reason).__name__, first_line(reason)
    return kind if said == kind else f"{kind}: {said}"


@contextlib.contextmanager
def answerable(table: Mapping[str, type[Any]], part: object) -> Iterator[None]:
    """Names a choice and its package where its code fails inside the block.

    What is built in raises as it is, but for a Misfit; so do errors of the system.
    """
    try:
        yield
    except (SslcliError, OSError, MemoryError):
        raise
    except Misfit as misfit:
        raise SslcliError(f"{_named(table, part)}: {misfit}", misfit.fix) from misfit
    except Exception as reason:
        if package_of_part(table, part) is None:
            raise
        fix = "debug=true shows where; repair it, or tell its authors"
        raise SslcliError(f"{_named(table, part)} failed: {_told(reason)}", fix) from reason


def package_of_part(table: Mapping[str, type[Any]], part: object) -> str | None:
    """Returns the package that brings a config's class, with version.

    None for a class that is built in, or stands in no table.
    """
    name = _find_name(table, part)
    return None if name is None else package_in(table, name)


def _named(table: Mapping[str, type[Any]], part: object) -> str:
    name, package = _find_name(table, part), package_of_part(table, part)
    if name is None:
        return type(part).__name__
    kind = f"the {table.kind} " if isinstance(table, Choices) else ""
    return f"{kind}{name!r}" + ("" if package is None else f" of {package}")


def package_of(point: EntryPoint) -> Package:
    """Returns the package that brings an entry point."""
    assert point.dist is not None, "it was found through its distribution"
    return Package(point.dist.metadata["Name"], point.dist.version)


def package_in(table: Mapping[str, type[Any]], name: str) -> str | None:
    """Returns the package that brings a choice, with version; None for a built-in."""
    package = table.package(name) if isinstance(table, Choices) else None
    return None if package is None else str(package)


def missing(
    table: Mapping[str, type[Any]], kind: str, name: str, package: str | None
) -> SslcliError:
    """Returns the error for a saved choice that the table lacks.

    `package`: the name and version of the package that brought it then, where one did.
    """
    if package is None:
        return unknown(kind, name, table)
    message = f"there is no {kind} {name!r} any more: it came from the package {package}"
    distribution, _, version = package.partition(" ")
    return SslcliError(message, f"install that again: pip install {distribution}=={version}")


def name_in(table: Mapping[str, type[Any]], part: object) -> str:
    """Returns the name under which a table holds the part's type; imports nothing."""
    name = _find_name(table, part)
    assert name is not None, f"{type(part).__name__} stands in no table"
    return name


def _find_name(table: Mapping[str, type[Any]], part: object) -> str | None:
    cls = type(part)
    if not isinstance(table, Choices):
        return next((name for name, known in table.items() if known is cls), None)
    for name, known in table.built_in.items():
        if known is cls:
            return name
    value = f"{cls.__module__}:{cls.__qualname__}"
    by_name = (
        name
        for name, points in table.installed.items()
        if any(point.value == value for point in points)
    )
    # A package may name a class by another module than the one that defines it.
    again = (name for name in table.installed if table.is_imported(name, cls))
    return next(itertools.chain(by_name, again), None)
