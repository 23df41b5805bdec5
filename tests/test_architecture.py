"""Imports go only downward, between rooms and between files. CONTRIBUTING.md names the rooms."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

PACKAGE = Path(__file__).parent.parent / "sslcli"

FLOORS = (
    {"__main__"},
    {"cli"},
    {"tools"},
    {"jobs"},
    {"experiments"},
    {"testing"},
    {"__init__"},
    {"trained"},
    {"report"},
    {"evaluation"},
    {"engine", "methods"},
    {"trackers"},
    {"runs", "data"},
    {"augment", "nets"},
    {"losses", "archives"},
)
"""From top to bottom. A room may import the rooms below it, never one beside it."""
GROUND = {
    "abilities", "choices", "config", "console", "errors", "files", "generators", "input_files", "lazy", "method", "processes",
    "preprocessing", "provenance", "saved", "screen", "seeding", "settings", "squeezed", "system", "terminal", "text", "threads",
    "transfer",
}  # fmt: skip
FORBIDDEN = {
    ("engine", "data"): "the loop knows no pictures",
    ("methods", "data"): "a method is given tensors",
    ("methods", "runs"): "a method does not know where it is written down",
    ("runs", "nets"): "a run folder knows no network",
    ("report", "engine.train"): "figures never train",
    ("evaluation", "engine.train"): "evaluations never train",
}
ONLY_IN = {
    "rich": {"console", "screen"},
    "hydra": {"cli"},
    "omegaconf": {"config", "cli"},
    "argparse": {"tools"},
    **{name: {"system"} for name in ("fcntl", "resource", "termios", "pwd", "grp", "msvcrt")},
}
SLOW = {
    "torch", "torchvision", "timm", "matplotlib", "PIL", "tensorboard", "pandas", "pyarrow",
    "mlflow", "wandb", "trackio", "plotly", "tifffile", "pydicom", "sklearn", "skimage", "scipy", "onnx", "onnxruntime", "safetensors",
}  # fmt: skip


class Import(NamedTuple):
    name: str
    deferred: bool
    """Inside a function, or through a room's lazy exports."""


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


FILES = {name_of(path): path for path in modules()}


def file_of(dotted: str) -> str | None:
    """The file that `sslcli.a.b` or `sslcli.a.b.name` lies in."""
    inside = dotted.removeprefix("sslcli").removeprefix(".")
    for candidate in (inside, inside.rpartition(".")[0]):
        for name in (candidate, f"{candidate}.__init__".lstrip(".")):
            if name in FILES:
                return name
    return None


@cache
def lazy_exports(room: str) -> dict[str, str]:
    """The names that a room's `__init__` exports lazily, and the files that hold them."""
    path = PACKAGE / room.replace(".", "/") / "__init__.py"
    for node in ast.parse(path.read_text()).body if path.exists() else []:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "HOME":
            home = ast.literal_eval(node.value)
            return {name: f"{room}.{module}".lstrip(".") for name, module in home.items()}
    return {}


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@cache
def imports(path: Path) -> tuple[Import, ...]:
    return tuple(_imports(path))


def _imports(path: Path) -> Iterator[Import]:
    """What a file imports at run time; typing-only imports are left out."""
    tree = tree_of(path)
    rooms: dict[str, str] = {}
    waiting: list[tuple[ast.AST, bool]] = [(tree, False)]
    while waiting:
        node, deferred = waiting.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            waiting += [(child, deferred) for child in node.orelse]
            continue
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, deferred) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                yield Import(f"{node.module}.{alias.name}", deferred)
                if node.module == "sslcli" and lazy_exports(alias.name):
                    rooms[alias.asname or alias.name] = alias.name
        inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        waiting += [(child, deferred or inside) for child in ast.iter_child_nodes(node)]
    for node in ast.walk(tree) if rooms else ():
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            home = lazy_exports(rooms.get(node.value.id, "")) if node.value.id in rooms else {}
            if node.attr in home:
                yield Import(f"sslcli.{home[node.attr]}", True)


@cache
def arrows(name: str) -> list[tuple[str, bool]]:
    """The files of the package that a file imports, and whether it does so only when asked."""
    of_package = [
        (file_of(imported.name), imported.deferred)
        for imported in imports(FILES[name])
        if imported.name.split(".")[0] == "sslcli"
    ]
    return [(target, deferred) for target, deferred in of_package if target not in (None, name)]


def test_no_export_is_named_like_its_file() -> None:
    """Importing the file would put the module in the place of what is exported."""
    rooms = {room_of(name) for name in FILES if name.endswith("__init__")} - {"__init__"}
    for room in rooms:
        for name in lazy_exports(room):
            assert f"{room}.{name}" not in FILES, (
                f"sslcli.{room} exports {name}, as a file is named"
            )


def room_of(name: str) -> str:
    return name.split(".")[0]


def floor_of(room: str) -> int:
    if room in GROUND:
        return len(FLOORS)
    return next(floor for floor, rooms in enumerate(FLOORS) if room in rooms)


def test_every_file_has_a_room() -> None:
    known = {room for floor in FLOORS for room in floor} | GROUND
    assert {room_of(name) for name in FILES} <= known


@pytest.mark.parametrize("name", FILES)
def test_no_arrow_goes_upward(name: str) -> None:
    here = room_of(name)
    for target, _ in arrows(name):
        there = room_of(target)
        if there == here or there in GROUND:
            continue
        assert floor_of(here) < floor_of(there), f"{name} must not import {target}"
        for (above, below), reason in FORBIDDEN.items():
            reached = target == below or target.startswith(f"{below}.")
            assert not (here == above and reached), f"{name} must not import {target}: {reason}"


def test_there_is_no_circle_between_files() -> None:
    below = {name: {target for target, _ in arrows(name)} for name in FILES}
    left = dict(below)
    while left:
        free = [name for name, targets in left.items() if not targets & left.keys()]
        assert free, f"these files import each other in a circle: {sorted(circle(left))}"
        for name in free:
            del left[name]


def circle(graph: dict[str, set[str]]) -> list[str]:
    """One circle of a graph in which every file imports another of it."""
    way = [next(iter(graph))]
    while True:
        following = next(target for target in sorted(graph[way[-1]]) if target in graph)
        if following in way:
            return way[way.index(following) :]
        way.append(following)


def quick_modules() -> list[str]:
    """Help, errors and completion import these: configs, tables, and every tool's own module."""
    from sslcli.tools.table import TOOLS

    names = [name for name in FILES if name.endswith(("_config", "table", "groups"))]
    names += [name for name in FILES if room_of(name) == "cli"]
    return [*names, *(f"tools.{tool.module}" for tool in TOOLS.values())]


@pytest.mark.parametrize("start", quick_modules())
def test_nothing_slow_is_imported_at_once(start: str) -> None:
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        for imported in imports(FILES[name]):
            package = imported.name.split(".")[0]
            slow = package in SLOW and not imported.deferred
            assert not slow, f"sslcli.{name} imports {imported.name} at once, and {start} needs it"
        for target, deferred in arrows(name):
            parents = {f"{target[:at]}.__init__" for at, c in enumerate(target) if c == "."}
            waiting += [] if deferred else [target, *(parents & FILES.keys())]
    assert seen


@pytest.mark.parametrize("name", FILES)
def test_a_library_stays_in_its_room(name: str) -> None:
    for imported in imports(FILES[name]):
        rooms = ONLY_IN.get(imported.name.split(".")[0])
        assert rooms is None or room_of(name) in rooms, f"{imported.name} lives only in {rooms}"


LACKING = re.compile(
    r"\bSIG(?!INT|TERM|_)[A-Z]+\d?\b|\bos\.(pread|pwrite|sysconf|fork|getuid|kill|O_NONBLOCK|O_CLOEXEC)\b"
)


def test_what_windows_lacks_is_asked_for_in_one_file() -> None:
    """sched_getaffinity stands behind a question each time."""
    found = {
        (name, ast.unparse(node))
        for name, path in FILES.items()
        if name != "system"
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Attribute) and LACKING.search(ast.unparse(node))
    }
    assert not found, f"ask {found} of system.py"


def test_few_imports_hide_in_functions() -> None:
    """A tool may import its own slow files after it has read its words."""
    hidden = {
        (name, target)
        for name in FILES
        for target, deferred in arrows(name)
        if deferred and target not in {f"{room}.{file}" for room, file in by_exports(name)}
        if not (name.startswith("tools.") and target.startswith(name.rpartition(".")[0] + "."))
    }
    assert len(hidden) <= 20, sorted(hidden)


def by_exports(name: str) -> Iterator[tuple[str, str]]:
    """Files that are reached through a room's lazy exports, which stand at the top of the file."""
    for imported in imports(FILES[name]):
        room, _, rest = imported.name.removeprefix("sslcli.").partition(".")
        if rest and f"{room}.{rest}" in lazy_exports(room).values():
            yield room, rest


def test_no_room_holds_too_much() -> None:
    lines: dict[str, int] = {}
    for name, path in FILES.items():
        room = room_of(name)
        lines[room] = lines.get(room, 0) + len(path.read_text().splitlines())
    largest = max(lines, key=lines.__getitem__)
    assert lines[largest] <= 0.2 * sum(lines.values()), (largest, lines)


def test_the_wheel_holds_every_folder_of_the_package() -> None:
    settings = (PACKAGE.parent / "pyproject.toml").read_text()
    listed, *_ = re.findall(r"^packages = \[(.*?)\]", settings, flags=re.DOTALL | re.MULTILINE)
    folders = [path.parent.relative_to(PACKAGE.parent) for path in PACKAGE.rglob("__init__.py")]
    names = {".".join(folder.parts) for folder in folders}
    assert set(re.findall(r'"(.*?)"', listed)) == {*names, "sslcli.conf"}


def test_no_room_for_everything() -> None:
    names = {"utils", "util", "helpers", "helper", "misc", "common"}
    assert not {path.stem for path in modules()} & names


@pytest.mark.parametrize("name", FILES)
def test_files_and_functions_stay_small(name: str) -> None:
    assert len(FILES[name].read_text().splitlines()) <= 300
    for node in ast.walk(tree_of(FILES[name])):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno is not None
            assert node.end_lineno - node.lineno < 70, f"{node.name} is too long to be followed"
            taken = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            given = [argument for argument in taken if argument.arg not in ("self", "cls")]
            assert len(given) <= 8, f"{node.name} takes {len(given)} arguments"


TESTS = Path(__file__).parent
CLOCKS = {"time", "time_ns", "perf_counter", "perf_counter_ns", "process_time", "process_time_ns"}
"""Functions of `time`. Not `monotonic`: a test may wait for what another process does, until a deadline."""


def test_what_tests_share_stands_in_doubles() -> None:
    """Or beside it, in a file of one subject; not in another test's file, nor in a conftest, which pytest alone imports."""
    for path in TESTS.rglob("*.py"):
        for imported in imports(path):
            shared = [
                p for p in imported.name.split(".") if p.startswith("test_") or p == "conftest"
            ]
            assert not shared, f"{path} imports {imported.name}: move it to tests/doubles.py"


def test_test_files_stay_small() -> None:
    """A subject that needs more has several files, or a folder with fixtures of its own."""
    lines = {str(path): len(path.read_text().splitlines()) for path in TESTS.rglob("*.py")}
    assert not {path: number for path, number in lines.items() if number > 400}


def test_the_folders_of_tests_mirror_those_of_the_package() -> None:
    rooms = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    folders = {path.name for path in TESTS.iterdir() if any(path.glob("test_*.py"))}
    assert folders - rooms == {"end_to_end"}
    assert rooms - folders == set()


def test_no_test_depends_on_the_clock() -> None:
    """It would fail on a busy machine, or at some hours, without a reason in the code."""
    for path in TESTS.rglob("*.py"):
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.ImportFrom) and node.module == "time":
                read = {alias.name for alias in node.names} & CLOCKS
            elif isinstance(node, ast.Call) and ast.unparse(node.func).startswith("time."):
                read = {ast.unparse(node.func).removeprefix("time.")} & CLOCKS
            else:
                continue
            assert not read, f"{path}:{node.lineno} reads {read}: give it fixed seeds and times"
