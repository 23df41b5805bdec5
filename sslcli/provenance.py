"""Says which code a run stands on: versions, hashes of files, the commit."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterable, Mapping
from functools import cache, lru_cache
from importlib.metadata import Distribution, EntryPoint, distribution
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from sslcli.choices import Choices, name_in, package_of
from sslcli.config import conf_folder

Code = dict[str, str]
"""What is known of one package's code: `package` and `version`, and `files`, the hash of its
Python files, where there are any to compare."""

HERE = Path(__file__).parent
INIT = "sslcli/__init__.py"
READ_AT_ONCE = 2**20
"""Bytes of a file that are in memory while it is hashed."""


def commit() -> str | None:
    """Returns the checkout's commit, `-dirty` with changes; None outside one."""
    describe = ["git", "-C", str(HERE), "describe", "--always", "--dirty"]
    command = [*describe, "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


@cache
def own_code() -> Code:
    """Returns sslcli's own code, with hashes where it is an editable checkout.

    `conf` is the hash of conf/, from which configs were composed; a saved config has all values.
    Computed once a process, whose code stays as it was loaded.
    """
    installed = distribution("sslcli")
    code = {"package": "sslcli", "version": installed.version}
    located = Path(str(installed.locate_file(INIT)))
    listed = f"{INIT}," in (installed.read_text("RECORD") or "")
    if listed and located.exists() and located.samefile(HERE / "__init__.py"):
        return code
    conf = conf_folder()
    return {
        **code,
        "files": _hash_below(HERE, HERE.rglob("*.py")),
        "conf": _hash_below(conf, conf.rglob("*.yaml")),
    }


def package_code(table: Mapping[str, type[Any]], part: object) -> Code | None:
    """Returns the code of a config's package; None for a built-in one."""
    if not isinstance(table, Choices):
        return None
    name = name_in(table, part)
    return None if table.package(name) is None else _code_of(table.installed[name][0])


def _code_of(point: EntryPoint) -> Code:
    package = package_of(point)
    code = {"package": package.name, "version": package.version}
    module = find_spec(point.module)
    if module is None or not module.has_location or module.origin is None:
        return code  # compiled in, or made while the program runs
    assert point.dist is not None, "it was found through its distribution"
    files = _listed(point.dist)
    if Path(module.origin) not in files.values():  # an editable checkout lists no files
        files = _in_checkout(point.dist)
    return {**code, "files": hash_of(files)} if files else code


def _listed(package: Distribution) -> dict[str, Path]:
    """Returns the Python files that the package's installation lists, by name."""
    listed = {str(file): Path(str(file.locate())) for file in package.files or ()}
    return {name: path for name, path in listed.items() if path.suffix == ".py" and path.is_file()}


def _in_checkout(package: Distribution) -> dict[str, Path]:
    """Returns the Python files of all modules that an editable package brings, by name.

    Setuptools lists these modules. Of another builder's package those are known that entry points
    name; a single module's neighbours count with it.
    """
    listed = (package.read_text("top_level.txt") or "").split()
    modules = {*listed, *(point.module for point in package.entry_points)}
    checkout = _checkout(package)
    files: dict[str, Path] = {}
    for module in sorted(modules):
        files.update(_around(module, checkout, with_neighbours=not listed))
    return files


def _checkout(package: Distribution) -> Path | None:
    """Returns the folder from which pip installed an editable package."""
    url = urlsplit(str(json.loads(package.read_text("direct_url.json") or "{}").get("url", "")))
    return Path(unquote(url.path)).resolve() if url.scheme == "file" else None


def _around(module: str, checkout: Path | None, with_neighbours: bool) -> dict[str, Path]:
    """Returns the files of the outermost package around a module, or of the module.

    A namespace, which several distributions share, is no package; its part in the checkout counts.
    """
    parts = module.split(".")
    for length in range(1, len(parts) + 1):
        spec = find_spec(".".join(parts[:length]))
        if spec is None:
            break
        inside = spec.submodule_search_locations
        if spec.has_location and spec.origin is not None:
            origin = Path(spec.origin)
            if inside is not None:
                return _named_below(origin.parent)
            files = origin.parent.glob("*.py") if with_neighbours else [origin]
            return {file.name: file for file in files}
        if length == len(parts) and checkout is not None:
            own = [place for place in inside or () if checkout in Path(place).resolve().parents]
            return {name: file for place in own for name, file in _named_below(Path(place)).items()}
    return {}


def _named_below(folder: Path) -> dict[str, Path]:
    """Returns the Python files below a package's folder; a name begins with the folder's."""
    return {file.relative_to(folder.parent).as_posix(): file for file in folder.rglob("*.py")}


def _hash_below(folder: Path, files: Iterable[Path]) -> str:
    return hash_of({file.relative_to(folder).as_posix(): file for file in files})


def hash_of(files: Mapping[str, Path]) -> str:
    """Returns 16 hex digits that are equal for files of the same names and contents."""
    digest = hashlib.sha256()
    for name, path in sorted(files.items()):
        digest.update(f"{len(name)} {name} {_digest(path)}\n".encode())
    return digest.hexdigest()[:16]


def _digest(path: Path) -> str:
    found = path.stat()
    return _digest_of(path, found.st_size, found.st_mtime_ns)


@lru_cache(maxsize=2000)
def _digest_of(path: Path, size: int, modified: int) -> str:
    """Cached by `size` and `modified`, as a run that starts asks several times."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(READ_AT_ONCE):
            digest.update(piece)
    return digest.hexdigest()


def code_changes(before: Mapping[str, Code], after: Mapping[str, Code]) -> list[str]:
    """Describes each difference: `method: tiny 1.0 (1a2b) -> tiny 1.1 (3c4d)`.

    conf/ is left out: it changes no run that has begun.
    """
    return [
        f"{part}: {_described(before.get(part))} -> {_described(after.get(part))}"
        for part in dict.fromkeys([*before, *after])
        if _differs(before.get(part), after.get(part))
    ]


def file_changes(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Describes each file or folder of other content: `method.teacher: 1a2b -> 3c4d`."""
    return [
        f"{key}: {before.get(key)} -> {after.get(key)}"
        for key in dict.fromkeys([*before, *after])
        if before.get(key) != after.get(key)
    ]


def _differs(before: Code | None, after: Code | None) -> bool:
    if before is None or after is None:
        return before is not after
    if "files" in before and "files" in after:
        return before["files"] != after["files"]
    keys = () if before.get("package") == "sslcli" else ("package", "version")
    return any(before.get(key) != after.get(key) for key in keys)


def _described(code: Code | None) -> str:
    if code is None:
        return "sslcli's own"
    files = f" (files {code['files']})" if "files" in code else ""
    return f"{code.get('package')} {code.get('version')}{files}"
