"""`sslcli rerun RUN`: runs a saved config again into a new folder, and says whether the result is identical."""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path
from typing import Any

import yaml

from sslcli.commands.arguments import add_outputs, parse
from sslcli.commands.encoder_files import WEIGHTS
from sslcli.commands.execution import saved_config, start
from sslcli.commands.groups import groups
from sslcli.console import Console
from sslcli.engine.run import new_folder, read_facts, read_records, resolve_run
from sslcli.errors import SslcliError


def main(arguments: list[str], console: Console) -> int:
    """Exit status 0 when the new run is identical, 1 when it differs."""
    parser = argparse.ArgumentParser(prog="sslcli rerun", description=__doc__)
    parser.add_argument(
        "run", help="the run's folder, the beginning of its name, or `last`: the newest that is finished"
    )
    add_outputs(parser)
    given = parse(parser, arguments)
    before = resolve_run(
        given.run, Path(given.outputs), " that is finished", lambda run: read_facts(run).get("status") == "finished"
    )
    facts = read_facts(before)
    if facts.get("status") != "finished":
        raise SslcliError(
            f"{before} is {facts.get('status')}, so there is nothing to compare with",
            f"first: sslcli resume '{before}'",
        )
    table = groups(str(choice) for choice in facts.get("choices", {}).values())
    command, config = saved_config(before, table)
    overrides = before / "overrides.yaml"
    typed = yaml.safe_load(overrides.read_text()) if overrides.exists() else []
    after = start(command, config, table, list(typed or []), console, new_folder(before.parent))
    return _verdict(before, after, console)


def _verdict(before: Path, after: Path, console: Console) -> int:
    difference = first_difference(read_records(before), read_records(after))
    same_weights = _digest(before) == _digest(after)
    if difference is None and same_weights:
        console.say(f"identical: every record and every weight of {after} equals {before}'s")
        return 0
    console.say(f"different: {difference or 'the records agree, the weights do not'}")
    changes = environment_changes(read_facts(before), read_facts(after))
    console.say("in the environment: " + ("; ".join(changes) if changes else "nothing recorded differs"))
    return 1


def first_difference(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> str | None:
    """The first record in which two runs differ, `timing` apart; None where they do not."""
    for old, new in zip(before, after, strict=False):
        for key in sorted((old.keys() | new.keys()) - {"timing"}):
            if old.get(key) != new.get(key):
                return f"at step {old['step']}, {key} was {old.get(key)} and is now {new.get(key)}"
    if len(before) != len(after):
        return f"{len(before)} records then, {len(after)} now"
    return None


def environment_changes(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """What differs in versions, device, source and data, a phrase each."""
    old, new = (_flat({"data": facts.get("data", {}), **facts.get("environment", {})}) for facts in (before, after))
    return [
        f"{key}: {old.get(key)} then, {new.get(key)} now"
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
    ]


def _flat(nested: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in nested.items():
        if key == "arguments":  # `pretrain …` then, `rerun …` now
            continue
        flat.update(_flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value})
    return flat


def _digest(folder: Path) -> str | None:
    path = folder / WEIGHTS
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else None
