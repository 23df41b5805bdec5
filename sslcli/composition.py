"""Hydra's border: composes a command's config from conf/ and the words typed, and runs one job or a sweep of jobs.

With cli.py the only place that knows hydra. Below it nobody sees a DictConfig.
"""

from __future__ import annotations

import dataclasses
import os
import re
import sys
from pathlib import Path
from typing import Any

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from sslcli import config as configs
from sslcli.commands import EXPERIMENTS
from sslcli.commands.execution import start
from sslcli.commands.groups import groups, installed
from sslcli.console import Console
from sslcli.engine.run import new_folder
from sslcli.errors import SslcliError
from sslcli.guard import guarded

VALUE_FLAGS = ("--cfg", "-c", "--config-dir", "-cd", "--package", "-p", "--info", "-i")
CONFIG_PATH = "pkg://sslcli.conf"
# sslcli keeps a run's config, log and folder itself.
QUIET = [
    "hydra/job_logging=none",
    "hydra/hydra_logging=none",
    "hydra.output_subdir=null",
    "hydra.run.dir=.",
    "hydra.sweep.subdir=.",
]


def run_experiment(command: str, words: list[str], debug: bool) -> int:
    """Composes and runs; returns the exit status, for a sweep the highest of its jobs'."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # hydra raises its errors to here, where they are said in two lines
    table = groups(words)
    register(table)
    for word in words:
        if word.startswith("="):
            raise SslcliError(f"{word!r} has no key before its =", "give key=value, without spaces around the =")
        if word.startswith("data.") and command == "linear-eval" and not any(w.startswith("data=") for w in words):
            raise SslcliError(
                f"{word}: linear-eval has no data of its own unless chosen", f"choose them too: data=folder {word}"
            )
    statuses = [0]

    def job(composed: DictConfig) -> None:
        statuses.append(_run_job(command, composed, table, debug))

    sweeps = f"hydra.sweep.dir='${{runtime.outputs}}/{command}/sweeps/${{now:%Y-%m-%d_%H-%M-%S}}'"
    overrides, flags = split_words(words)
    sys.argv = [f"sslcli {command}", *overrides, *QUIET, sweeps, *flags]
    try:
        if "--help" in words or "-h" in words:
            from sslcli.help import show_help

            show_help(command, [word for word in words if word not in ("--help", "-h")], Console())
            return 0
        hydra.main(version_base="1.3", config_path=CONFIG_PATH, config_name=command)(job)()
    except (HydraException, OmegaConfBaseException) as reason:
        if debug:
            raise
        raise explained(reason, command, words) from reason
    return max(statuses)


def split_words(words: list[str]) -> tuple[list[str], list[str]]:
    """Overrides and flags apart, whatever their order: Hydra's parser wants its overrides in one piece."""
    overrides: list[str] = []
    flags: list[str] = []
    rest = iter(words)
    for word in rest:
        if not word.startswith("-"):
            overrides.append(_home_expanded(word))
            continue
        flags.append(word)
        if word in VALUE_FLAGS:
            flags += [value for value in [next(rest, None)] if value is not None]
    return overrides, flags


def _home_expanded(word: str) -> str:
    """`key=~/folder` as the shell would have it, had it looked behind the `=`; Hydra's grammar has no place for a tilde."""
    key, sign, value = word.partition("=")
    return f"{key}={Path(value).expanduser()}" if sign and value.startswith("~/") else word


def register(table: configs.Groups) -> None:
    """Makes the dataclasses known to Hydra: under `schema/`, so that they are no choices of their own; a method without a
    file in conf/, one that an installed package brings, is a choice by itself."""
    store = ConfigStore.instance()
    for name, experiment in EXPERIMENTS.items():
        store.store(group="schema", name=name, node=experiment.load().Config, package="_global_")
    for group, choices in table.items():
        for name, node in choices.items():
            store.store(group=f"schema/{group}", name=name, node=node)
    files = {path.stem for path in configs.conf_folder().glob("method/*.yaml")}
    for name in set(table["method"]) - files:
        store.store(group="method", name=name, node=table["method"][name])


def explained(reason: Exception, command: str, words: list[str]) -> SslcliError:
    """What Hydra or OmegaConf found wrong with the words typed, in two lines."""
    if isinstance(reason, MissingConfigException) and reason.missing_cfg_file and reason.options is not None:
        group, _, choice = str(reason.missing_cfg_file).rpartition("/")
        options = sorted({*reason.options, *installed(group)})
        return configs.unknown(group or "config", choice, options)
    cause = reason.__cause__
    if isinstance(reason, OverrideParseException):
        key, sign, value = str(reason.override).partition("=")
        fix = f"""quote the value for Hydra too: '{key}="{value}"'""" if sign else f"give it a value: {key}=…"
        return SslcliError(f"{reason.override!r} cannot be read as key=value", fix)
    if isinstance(cause, OmegaConfBaseException):
        if isinstance(cause, ConfigAttributeError | ConfigKeyError):
            return _unknown_key(str(cause.full_key), command, words)
        return configs.explained(cause)
    if isinstance(reason, OmegaConfBaseException):
        return configs.explained(reason)
    text = " ".join(str(reason).split())
    several = re.match(r"Ambiguous value for argument '([^']+)'", text)
    if several:
        key, _, values = several[1].partition("=")
        message = f"{several[1]} gives {key} several values"
        return SslcliError(message, f"one run for each of them: add -m; all of them as a list: {key}=[{values}]")
    unfit = re.match(r"In '([^']+)': .* Key '\w+' not in '(\w+)' full_key: (\S+)", text)
    if unfit:
        message = f"{unfit[1]} sets {unfit[3]}, which {unfit[2].removesuffix('Config')} does not have"
        return SslcliError(message, f"leave {unfit[3].partition('.')[0]}=… out, or use another command")
    overridden = re.search(r"Could not override '([^'@]+)'", text)
    if overridden:
        return _unknown_key(overridden[1], command, words)
    return SslcliError(text[:300], f"see `sslcli {command} --help`")


def compose(command: str, words: list[str]) -> DictConfig:
    """The config of a command, not run."""
    with hydra.initialize_config_module("sslcli.conf", version_base="1.3"):
        return hydra.compose(command, words)


def _unknown_key(key: str, command: str, words: list[str]) -> SslcliError:
    # With the groups as chosen: only their keys can have been meant.
    present = {field.name for field in dataclasses.fields(EXPERIMENTS[command].load().Config)} & groups().keys()
    choices = [word for word in words if re.match(r"[a-z/]+=\w+$", word) and word.partition("=")[0] in present]
    keys = _flat_keys(compose(command, choices))
    parent = key.rpartition(".")[0]
    siblings = [known for known in keys if known.rpartition(".")[0] == parent]
    meant = configs.unknown("key", key, siblings or keys)
    return SslcliError(meant.message, f"{meant.fix}; sslcli {command} --help tells all")


def _flat_keys(node: Any, prefix: str = "") -> list[str]:
    keys: list[str] = []
    for name in node:
        child = None if OmegaConf.is_missing(node, name) else node[name]
        keys += _flat_keys(child, f"{prefix}{name}.") if isinstance(child, DictConfig) else [f"{prefix}{name}"]
    return keys


def _run_job(command: str, composed: DictConfig, table: configs.Groups, debug: bool) -> int:
    """One job of a sweep, or the only one. Errors are said here: Hydra would print its own words about them."""
    console = Console()
    context = HydraConfig.get()

    def job() -> int:
        config = typed(composed)
        folder = None
        if context.mode is RunMode.MULTIRUN:
            name = f"{context.job.num:03d}-{configs.identity(command, config)[:8]}"
            folder = new_folder(Path(context.sweep.dir), name)
            console.say(f"job {context.job.num}: {' '.join(context.overrides.task)}")
        start(command, config, table, list(context.overrides.task), console, folder)
        return 0

    status = guarded(job, debug)
    if status >= 128:  # a signal stops the sweep, not only its job
        raise SystemExit(status)
    return status


def typed(composed: DictConfig) -> Any:
    """The one step from a composed DictConfig to the command's dataclass."""
    try:
        return OmegaConf.to_object(composed)
    except OmegaConfBaseException as reason:
        raise configs.explained(reason) from reason
