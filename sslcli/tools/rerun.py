"""`sslcli rerun` runs a saved config again and compares the results bit for bit.

The new run gets a folder of its own. --set changes settings; --only needs a config.yaml alone.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from sslcli.config import flat, identity, values_of
from sslcli.console import Console
from sslcli.engine.runtime_config import RuntimeConfig
from sslcli.errors import SslcliError
from sslcli.experiments.groups import GROUPS
from sslcli.files import expanded
from sslcli.input_files import file_hashes
from sslcli.jobs.job import config_of, resolved, start
from sslcli.nets.description import WEIGHTS
from sslcli.provenance import code_changes, file_changes
from sslcli.runs.find import new_folder, resolve_run
from sslcli.runs.folder import read_facts, read_records
from sslcli.saved import Saved, read, with_values
from sslcli.text import as_word, hydra_override, shell_line, shell_path, shell_quoted
from sslcli.tools.arguments import add_outputs, parse
from sslcli.trained.data import moved, require_present

OUTPUTS, DATA_ROOT = "runtime.outputs", "data.root"


def main(arguments: list[str], console: Console) -> int:
    """Returns 1 where the new run differs; 0 where it is identical or not compared."""
    given = parse(_parser(), arguments)
    if (given.run is None) == (given.only is None):
        raise SslcliError("rerun needs a run, or --only and a config.yaml", "sslcli rerun last")
    before = None if given.run is None else _run_named(given.run, given.outputs)
    saved = read(expanded(given.only) if before is None else before / "config.yaml")
    overrides = _overrides(before)
    changes = _changes(given.set, saved, overrides)
    # A config from elsewhere must not choose the folder for runs here.
    values = changes if before is not None else {OUTPUTS: given.outputs, **changes}
    config = config_of(saved)
    changed = resolved(saved.command, config_of(with_values(saved, values)))
    if before is not None:
        changed = _with_data_where_they_are(changed, before, DATA_ROOT in changes)
    recorded = {} if before is None else read_facts(before).get("files", {})
    comparable = _same_experiment(saved.command, config, changed, recorded)
    if before is not None and comparable:
        _require_finished(before)

    for line in differences(config, changed):
        console.say(line)
    if before is None:
        console.say("there is no run beside the config: the result is compared with none")
    elif not comparable:
        console.say(f"another experiment than {before}: the results are not compared")
    overrides += _as_overrides(changes, changed)
    if before is not None:
        runtime = _runtime_of(before, changed.runtime, changes)
        if runtime.precision is not changed.runtime.precision:
            console.say(f"in {runtime.precision.value}, as before: `auto` is another here")
        changed = replace(changed, runtime=runtime)
    here = None if before is None or OUTPUTS in changes else new_folder(before.parent)
    after = start(saved.command, changed, overrides, console, here)
    return _verdict(before, after, console) if before is not None and comparable else 0


def _runtime_of(run: Path, runtime: RuntimeConfig, changes: Mapping[str, Any]) -> RuntimeConfig:
    """Returns the settings with what they leave open, and no change names, as the run had it.

    Results depend on the number of threads in their last digits, on the precision by more.
    """
    from sslcli.engine.device import kept_precision

    recorded, kept = read_facts(run), {}
    if runtime.threads == 0 and "runtime.threads" not in changes:
        kept["threads"] = recorded.get("threads", 0)
    if "runtime.precision" not in changes:
        kept["precision"] = kept_precision(runtime, recorded.get("environment", {}))
    return replace(runtime, **kept)


def _with_data_where_they_are(config: Any, run: Path, named: bool) -> Any:
    """Returns the config with its data where `resume --data-root` noted them.

    That is unless --set has `named` the place. Raises SslcliError where they are not there.
    """
    data = getattr(config, "data", None)
    if data is None:
        return config
    data = data if named else moved(data, read_facts(run).get("data_root"))
    fix = f"say where they are now: sslcli rerun {shell_path(run)} --set {DATA_ROOT}=FOLDER"
    require_present(data, fix)
    return replace(config, data=data)


def _same_experiment(command: str, before: Any, after: Any, files: dict[str, str]) -> bool:
    """Tells whether two configs train alike; `files`: the hashes that the run recorded.

    A path that stays counts as the same file: other content there is a difference to be told.
    """
    old, new, now = flat(values_of(before)), flat(values_of(after)), file_hashes(after)
    hashes = {key: files[key] if old[key] == new[key] else now.get(key, "") for key in files}
    return identity(command, before, files) == identity(command, after, hashes)


def _parser() -> argparse.ArgumentParser:
    usage = "sslcli rerun (RUN | --only CONFIG.yaml) [--set KEY=VALUE ...] [--outputs FOLDER]"
    parser = argparse.ArgumentParser(prog="sslcli rerun", usage=usage, description=__doc__)
    parser.add_argument(
        "run",
        nargs="?",
        help="the run's folder, the beginning of its name, or `last`: the newest that is finished",
    )
    parser.add_argument(
        "--only", metavar="CONFIG.yaml", help="run this saved config; its run need not be there"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="another value for a setting, as in seed=3; may be repeated",
    )
    add_outputs(parser)
    return parser


def _run_named(name: str, outputs: str) -> Path:
    def finished(run: Path) -> bool:
        return read_facts(run).get("status") == "finished"

    return resolve_run(name, Path(outputs), " that is finished", finished)


def _require_finished(run: Path) -> None:
    status = read_facts(run).get("status")
    if status != "finished":
        message = f"{run} is {status}, so there is nothing to compare with"
        raise SslcliError(message, f"first: sslcli resume {shell_path(run)}")


def _overrides(run: Path | None) -> list[str]:
    """Returns the overrides of a run; none for a config alone."""
    path = None if run is None else run / "overrides.yaml"
    if path is None or not path.exists():
        return []
    try:
        return [str(word) for word in yaml.safe_load(path.read_text(encoding="utf-8")) or []]
    except (yaml.YAMLError, ValueError, TypeError):
        raise SslcliError(f"{path} is damaged", "remove it: config.yaml says it all") from None


def _changes(words: list[str], saved: Saved, overrides: list[str]) -> dict[str, str]:
    """Returns the values of --set by key.

    Raises SslcliError for a group's choice: its settings are not in the saved config.
    """
    changes = {}
    for word in words:
        key, sign, value = word.partition("=")
        if not sign:
            raise SslcliError(f"--set {word!r} gives no value", f"--set {shell_quoted(key)}=…")
        if key in GROUPS and key in saved.values:
            others = [old for old in overrides if old.partition("=")[0].partition(".")[0] != key]
            message = (
                f"--set {word}: {key} is a choice with settings of its own, "
                "which the saved config does not have"
            )
            command = shell_line([saved.command, *others, word])
            raise SslcliError(message, f"start a new run: sslcli {command}")
        changes[key] = value
    return changes


def _as_overrides(changes: dict[str, str], changed: Any) -> list[str]:
    """Returns the changes as Hydra reads them; --set takes a text as it is."""
    values = flat(values_of(changed))
    return [
        hydra_override(key, word) if isinstance(values.get(key), str) else f"{key}={word}"
        for key, word in changes.items()
    ]


def differences(before: Any, after: Any) -> list[str]:
    """Returns the settings in which two configs of a class differ, as `seed: 0 -> 3`."""
    old, new = flat(values_of(before)), flat(values_of(after))
    return [
        f"{key}: {as_word(old[key])} -> {as_word(new[key])}" for key in old if old[key] != new[key]
    ]


def _verdict(before: Path, after: Path, console: Console) -> int:
    records, weights = read_records(before), _digest(before)
    old, new = read_facts(before), read_facts(after)
    metrics: dict[str, Any] = old.get("metrics", {})
    difference = first_difference(records, read_records(after)) or metric_difference(
        metrics, new.get("metrics", {})
    )
    changed = code_changes(old["code"], new["code"]) if "code" in old else []
    changed += file_changes(old.get("files", {}), new.get("files", {})) if "code" in old else []
    changed += file_changes(old["encoders"], new["encoders"]) if "encoders" in old else []
    if difference is None and weights == _digest(after):
        compared = {"record": records, "final metric": metrics, "weight": weights}
        kinds = " and every ".join(kind for kind, values in compared.items() if values)
        console.say(f"identical: every {kinds} of {after} equals {before}'s")
        if changed:
            console.say(f"although something has changed since: {'; '.join(changed)}")
        return 0
    console.say(f"different: {difference or 'the records agree, the weights do not'}")
    changes = [*changed, *environment_changes(old, new)]
    console.say(
        "in the environment: " + ("; ".join(changes) if changes else "nothing recorded differs")
    )
    return 1


def first_difference(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> str | None:
    """Describes the first difference of records, `timing` excepted; None if equal."""
    for old, new in zip(before, after, strict=False):
        for key in sorted((old.keys() | new.keys()) - {"timing"}):
            if old.get(key) != new.get(key):
                return f"at step {old['step']}, {key} was {old.get(key)} and is now {new.get(key)}"
    if len(before) != len(after):
        return f"{len(before)} records then, {len(after)} now"
    return None


def metric_difference(before: dict[str, Any], after: dict[str, Any]) -> str | None:
    """Describes the first difference between two runs' final metrics; None if equal."""
    for key in sorted(before.keys() | after.keys()):
        if before.get(key) != after.get(key):
            return f"at the end, {key} was {before.get(key)} and is now {after.get(key)}"
    return None


def environment_changes(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Describes each difference in versions, device, commit, conf/ and data."""

    def recorded(facts: dict[str, Any]) -> dict[str, Any]:
        keys = ("data", "data_before", "code_before")
        data: dict[str, Any] = {key: facts[key] for key in keys if key in facts}
        if "code" in before:
            data["conf"] = facts.get("code", {}).get("sslcli", {}).get("conf")
        # The arguments were `pretrain …` then, and are `rerun …` now.
        environment = {
            key: value for key, value in facts.get("environment", {}).items() if key != "arguments"
        }
        return flat({**data, **environment})

    old, new = recorded(before), recorded(after)
    return [
        f"{key}: {old.get(key)} then, {new.get(key)} now"
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
    ]


def _digest(folder: Path) -> str | None:
    path = folder / WEIGHTS
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else None
