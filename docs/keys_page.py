"""An MkDocs hook: writes keys.md, the page of every key, from the configs, so it is never stale.

mkdocs.yml names this file under `hooks`; `tests/test_docs.py` compares the page with `--help`.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import yaml

from sslcli.experiments.groups import GROUPS

# The only lines that know where the package keeps its tables.
from sslcli.experiments.table import EXPERIMENTS

SUMMARIES = {name: experiment.summary for name, experiment in EXPERIMENTS.items()}
CONFIGS = {name: experiment.load_config().Config for name, experiment in EXPERIMENTS.items()}

CONF = Path(__file__).parent.parent / "conf"
INTRODUCTION = """\
# Every key

This page is made from the program's configs whenever the site is built. On the command line
`sslcli <command> --help` prints the same, for the choices that you type with it:

```
sslcli pretrain --help
sslcli pretrain method=denoising_autoencoder encoder=convnet --help
```

A key follows the command as `key=value`. A list is written `[1,2]`, no value is written `null`;
quote what your shell would read as its own. A default of *required* means that you must give a
value.

**Changes results** says whether the key belongs to what is learned or measured. *No*: the key says
where and how a run computes, and runs that differ only in such keys count as the same experiment.
Another device or another precision can still change the numbers.
"""


def on_files(files: Any, config: Any) -> Any:
    """Adds the page to the site's files; MkDocs calls this."""
    from mkdocs.structure.files import File

    files.append(File.generated(config, "keys.md", content=page()))
    return files


@dataclasses.dataclass(frozen=True)
class Key:
    """A row of a table."""

    name: str
    default: str
    meaning: str
    changes_results: bool


def page() -> str:
    """Returns the whole page as Markdown."""
    parts = [INTRODUCTION, "\n## Experiments\n"]
    parts += [_experiment(name) for name in CONFIGS]
    for group, choices in GROUPS.items():
        parts.append(f"\n## {group}\n")
        parts += [_choice(group, name, choices[name]) for name in choices]
        parts += [_preset(path) for path in _presets(group)]
    parts += ["\n## method/views\n", VIEWS, *(_preset(path) for path in _files("method/views"))]
    parts += ["\n## experiment\n", RECIPES, _recipes()]
    return "\n".join(parts)


VIEWS = """
What `method=simclr` does to a picture, as one word. `small_pictures` is the default: its values are
those of [method=simclr](#method-simclr).
"""
RECIPES = """
Recipes set many keys at once. Each file in `conf/experiment/` says where its settings come from and
how it differs from the source.
"""


def keys(cls: type, prefix: str = "", counts: bool = True, values: Any = None) -> Iterator[Key]:
    """Yields the keys of a config class, nested ones too; groups are left out.

    `values` is an instance whose values are the defaults, where they are not the class's own.
    """
    for field in dataclasses.fields(cls):
        name = f"{prefix}{field.name}"
        counting = counts and bool(field.metadata.get("changes_results", True))
        default = field.default
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        if values is not None:
            default = getattr(values, field.name)
        if dataclasses.is_dataclass(default):
            yield from keys(type(default), f"{name}.", counting, default)
        elif name not in GROUPS:
            yield Key(name, shown(default), str(field.metadata.get("meaning", "")), counting)


def shown(value: Any) -> str:
    """Writes a value as it is typed on the command line."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{','.join(map(shown, value))}]"
    if isinstance(value, Enum):
        return value.name
    return "required" if value == "???" else str(value).replace(" ", "")


def _experiment(command: str) -> str:
    content = _content(CONF / f"{command}.yaml")
    chosen = _chosen(content)
    groups_of_it = [
        field.name for field in dataclasses.fields(CONFIGS[command]) if field.name in GROUPS
    ]
    rows = "".join(
        f"| [`{group}`](#{group}) | {_choice_link(group, chosen.get(group))} |\n"
        for group in groups_of_it
    )
    own = {key.name: key for key in keys(CONFIGS[command])}
    own |= {key.name: key for key in _changed(content, own)}
    text = f"""
### sslcli {command} {{ #{command} }}

{SUMMARIES[command][0].upper()}{SUMMARIES[command][1:]}.

| group | choice where none is typed |
|---|---|
{rows}
{_table(list(own.values()))}"""
    pairs = [(group, choice) for group, choice in chosen.items() if choice]
    of_groups = {key.name: key for group, choice in pairs for key in _keys_of_choice(group, choice)}
    changed = _changed(content, of_groups)
    if changed:
        text += f"\nOf its groups' keys these begin with another value here:\n\n{_table(changed)}"
    return text


def _choice_link(group: str, choice: str | None) -> str:
    if choice is None:
        return "that of the run" if group == "data" else "none"
    return f"[`{group}={choice}`](#{group}-{choice})"


def _choice(group: str, name: str, cls: type) -> str:
    text = f"\n### {group}={name} {{ #{group}-{name} }}\n\n{inspect.cleandoc(cls.__doc__ or '')}\n"
    words = getattr(cls, "suits", ())
    if words:
        text += f"\nWhere you choose nothing else, it also chooses `{' '.join(words)}`.\n"
    return f"{text}\n{_table(list(keys(cls, f'{group}.')))}"


def _preset(path: Path) -> str:
    """A file that is a choice of settings of another choice."""
    group, name = str(path.parent.relative_to(CONF)), path.stem
    content = _content(path)
    prefix = group.replace("/", ".")
    base = _base(content)
    known = {key.name: key for key in _keys_of_choice(group, name)}
    changed = _changed(content, known, f"{prefix}.")
    text = f"\n### {group}={name} {{ #{group.replace('/', '-')}-{name} }}\n\n{_comment(path)}\n"
    if base:
        text += f"\nIt is [`{group}={base}`](#{group}-{base}) with these values:\n"
    return f"{text}\n{_table(changed)}" if changed else text


def _keys_of_choice(group: str, choice: str) -> list[Key]:
    """The keys of a choice, with the values of its file where it is a preset."""
    if group == "method/views":
        return list(keys(GROUPS["method"]["simclr"], "method."))
    if choice in GROUPS.get(group, {}):
        return list(keys(GROUPS[group][choice], f"{group}."))
    base = _base(_content(CONF / group / f"{choice}.yaml"))
    return list(keys(GROUPS[group][base], f"{group}.")) if base else []


def _changed(content: dict[str, Any], known: dict[str, Key], prefix: str = "") -> list[Key]:
    """The keys that a file sets, as rows."""
    flat = dict(_flat(content, prefix))
    return [
        dataclasses.replace(known[name], default=shown(_typed(value, known[name].default)))
        for name, value in flat.items()
        if name in known
    ]


def _typed(value: Any, like: str) -> Any:
    """A value of a file; YAML takes 2e-3 for a word, and 1 may be meant as 1.0."""
    if isinstance(value, str) and re.fullmatch(r"[-+]?[\d.]+e[-+]?\d+", value):
        return float(value)
    if isinstance(value, int) and not isinstance(value, bool) and re.fullmatch(r"-?\d+\.\d+", like):
        return float(value)
    return value


def _recipes() -> str:
    lines = ["| recipe | what it is | as typed |", "|---|---|---|"]
    for path in _files("experiment"):
        command = re.search(
            rf"^#   (sslcli .*?experiment={path.stem}.*?)(\s\s.*)?$", path.read_text(), re.M
        )
        assert command, path
        lines.append(f"| `{path.stem}` | {_cell(_comment(path))} | `{command[1]}` |")
    return "\n".join(lines) + "\n"


def _table(rows: list[Key]) -> str:
    lines = ["| key | default | meaning | changes results |", "|---|---|---|---|"]
    for key in rows:
        default = "*required*" if key.default == "required" else f"`{key.default}`"
        changes = "yes" if key.changes_results else "no"
        lines.append(f"| `{key.name}` | {default} | {_cell(key.meaning)} | {changes} |")
    return "\n".join(lines) + "\n" if rows else "It has no keys.\n"


def _cell(text: str) -> str:
    """Text in a table: signs that Markdown would read are escaped."""
    return re.sub(r"([|*_])", r"\\\1", text).replace("<", "&lt;")


def _flat(content: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in content.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        elif name != "defaults":
            yield f"{prefix}{name}", value


def _files(group: str) -> list[Path]:
    return sorted((CONF / group).glob("*.yaml"))


def _presets(group: str) -> list[Path]:
    return [path for path in _files(group) if path.stem not in GROUPS[group]]


def _content(path: Path) -> dict[str, Any]:
    """Reads a file of conf/; a choice that needs no file has none."""
    return (yaml.safe_load(path.read_text()) or {}) if path.exists() else {}


def _defaults(content: dict[str, Any]) -> list[Any]:
    return list(content.get("defaults", []))


def _chosen(content: dict[str, Any]) -> dict[str, str | None]:
    """The choice of every group in a command's file."""
    entries = [entry for entry in _defaults(content) if isinstance(entry, dict)]
    return {group: choice for entry in entries for group, choice in entry.items()}


def _base(content: dict[str, Any]) -> str:
    """The choice that a preset's file starts from."""
    found = [re.match(r"/schema/\w+/(\w+)@", str(entry)) for entry in _defaults(content)]
    return next((match[1] for match in found if match), "")


def _comment(path: Path) -> str:
    """The first sentence or two of a file's comment, which say what it is."""
    comments = [line[1:].strip() for line in path.read_text().splitlines() if line.startswith("#")]
    words = ""
    for line in comments:
        if line.startswith("@package"):
            continue
        if not line or line.startswith("sslcli") or words.endswith("."):
            break
        words += f" {line}"
    return words.strip()
