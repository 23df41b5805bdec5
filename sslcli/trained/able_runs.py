"""Finds the runs whose method can do something beside training. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sslcli.choices import missing
from sslcli.errors import SslcliError
from sslcli.method import Decoding, Restorer, built_by
from sslcli.methods import METHODS
from sslcli.runs.find import resolve_run
from sslcli.runs.folder import read_facts
from sslcli.saved import group_to_config, read


@dataclass(frozen=True)
class Ability:
    """Names what a method can do: its protocol, and a verb with its object."""

    protocol: type
    words: str


RESTORES = Ability(Restorer, "restore pictures")
DECODES = Ability(Decoding, "decode codes to pictures")


def resolve_able_run(name: str, outputs: Path, ability: Ability) -> Path:
    """Returns the run that `name` names; `last`: the newest finished one that is able.

    Raises SslcliError, without loading it, where its method is not able.
    """
    run = resolve_run(
        name, outputs, f" that can {ability.words}", lambda run: _is_wanted(run, ability)
    )
    if not _is_able(run, ability):
        facts = read_facts(run)
        method = facts.get("choices", {}).get("method")
        if method and method not in METHODS:
            package = read(run / "config.yaml").packages.get("method")
            raise missing(METHODS, "method", str(method), package)
        reason = f"was trained by {method}" if method else f"is a run of {facts.get('command')}"
        raise unable(run, reason, ability)
    return run


def _is_wanted(run: Path, ability: Ability) -> bool:
    try:
        return read_facts(run).get("status") == "finished" and _is_able(run, ability)
    except SslcliError:  # damaged, or its method cannot be imported
        return False


def _is_able(run: Path, ability: Ability) -> bool:
    """Returns whether the run's method is able; its settings may decide that."""
    if ability is DECODES and stacked_kind(run) is not None:
        return True
    method = str(read_facts(run).get("choices", {}).get("method"))
    if method not in METHODS:
        return False
    try:
        config = group_to_config("method", read(run / "config.yaml"), {"method": METHODS})
    except SslcliError:  # damaged, or of another version: loading it says so
        return issubclass(built_by(METHODS[method]), ability.protocol)
    return issubclass(config.builds(), ability.protocol)


STACKS = "stack-pretrain"


def stacked_kind(run: Path) -> str | None:
    """Returns how the layers of the encoder that stack-pretrain wrote were trained.

    None where another command made the run, or no layer was trained.
    """
    if read_facts(run).get("command") != STACKS:
        return None
    kinds = [str(kind) for kind in read(run / "config.yaml").values["compare"]]
    return next((kind for kind in reversed(kinds) if kind != "none"), None)


def layer_phase(kind: str, seed: int, depth: int) -> str:
    """Returns the phase of stack-pretrain in which a layer, from 1, was trained."""
    return f"{kind}-{seed}/layer-{depth}"


def unable(run: Path, reason: str, ability: Ability) -> SslcliError:
    """Returns the error that names the methods which are able."""
    able = [
        name
        for name, config in METHODS.built_in.items()
        if issubclass(built_by(config), ability.protocol)
    ]
    able += [STACKS] if ability is DECODES else []
    return SslcliError(
        f"{run} {reason}: it cannot {ability.words}", f"name a run of {' or '.join(able)}"
    )
