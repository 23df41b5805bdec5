"""Imports go only downward. The rooms are those of CONTRIBUTING.md."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "sslcli"

ANYONE = {"errors", "settings", "seeding", "processes"}
LEAVES = {"losses", "nets", "augment"}
# A room -> what it may import, itself and ANYONE apart. `data.images` is the type that all rooms exchange.
MAY_IMPORT = {
    **{room: set[str]() for room in (*ANYONE, *LEAVES)},
    "guard": {"console"},
    "method": LEAVES,
    "methods": {"method", *LEAVES},
    "data": set(),
    "engine": {"method", *LEAVES},
    "evaluation": {"method", "data.images", *LEAVES},
    "report": {"method", "data.images"},
    "config": set(),
    "console": set(),
    "commands": {"config", "console", "engine", "methods", "data", "evaluation", "report", "method", *LEAVES},
    "composition": {"config", "console", "commands", "engine", "guard", "help"},
    "help": {"config", "console", "commands", "composition"},
    "cli": {"commands", "composition", "console", "guard", "help"},
    "__init__": {"commands"},
    "__main__": {"cli"},
}
ONLY_IN = {"rich": {"console"}, "hydra": {"composition", "help"}, "omegaconf": {"config", "composition", "help"}}
SLOW = {"torch", "torchvision", "timm", "matplotlib", "PIL", "tensorboard"}


def modules() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


def imports(path: Path, *, top_level_only: bool = False) -> set[str]:
    """Dotted names that a file imports at run time."""
    found: set[str] = set()
    waiting: list[ast.AST] = [ast.parse(path.read_text())]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) and top_level_only:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= (
                {f"{node.module}.{alias.name}" for alias in node.names} if node.module == "sslcli" else {node.module}
            )
        waiting += ast.iter_child_nodes(node)
    return found


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_imports_go_only_downward(path: Path) -> None:
    room = name_of(path).split(".")[0]
    allowed = MAY_IMPORT[room] | ANYONE | {room}
    for imported in imports(path):
        package, _, inside = imported.partition(".")
        if package == "sslcli" and inside and inside != "conf":
            assert inside.split(".")[0] in allowed or inside in allowed, f"{name_of(path)} must not import {inside}"
        if package in ONLY_IN:
            assert room in ONLY_IN[package], f"{package} lives only in {ONLY_IN[package]}"


def test_configs_import_nothing_slow() -> None:
    """From the command line's tables everything that is imported at once is quick, so that help and errors answer at once."""
    by_name = {name_of(path).removesuffix(".__init__"): path for path in modules()}
    seen: set[str] = set()
    waiting = [
        "cli",
        "composition",
        "help",
        "commands.groups",
        "commands.pretrain",
        "commands.linear_eval",
        "commands.execution",
    ]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        for imported in imports(by_name[name], top_level_only=True):
            assert imported.split(".")[0] not in SLOW, f"sslcli.{name} imports {imported} at once"
            inside = imported.removeprefix("sslcli.")
            waiting += [inside] if imported.startswith("sslcli.") and inside in by_name else []
    assert "methods.simclr" in seen


def test_no_room_for_everything() -> None:
    assert not {path.stem for path in modules()} & {"utils", "util", "helpers", "helper", "misc", "common"}


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_files_and_functions_stay_small(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 300
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno is not None
            assert node.end_lineno - node.lineno < 80, f"{node.name} is too long to be followed"
