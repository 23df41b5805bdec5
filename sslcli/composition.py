"""Hydra's border: composes a command's config from conf/ and the words typed, and runs one job or a sweep of jobs.

With cli.py the only place that knows hydra. Below it nobody sees a DictConfig.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hydra
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.config_loader import ConfigLoader
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from sslcli import config as configs
from sslcli.commands import EXPERIMENTS, sweeping
from sslcli.commands.execution import start
from sslcli.commands.groups import groups, installed
from sslcli.console import Console
from sslcli.errors import SslcliError
from sslcli.guard import guarded
from sslcli.processes import place

VALUE_FLAGS = ("--cfg", "-c", "--config-dir", "-cd", "--package", "-p", "--info", "-i")
SHOWING = ("--cfg", "-c", "--info", "-i", "--hydra-help")
"""Flags that show something and run nothing."""
CONFIG_PATH = "pkg://sslcli.conf"
# sslcli keeps a run's config, log and folder itself.
QUIET = [
    "hydra/job_logging=none",
    "hydra/hydra_logging=none",
    "hydra.output_subdir=null",
    "hydra.run.dir=.",
    "hydra.sweep.subdir=.",
]
SWEEPER_WORDS = {"hydra/sweeper=optuna": ["hydra.sweeper.max_failure_rate=1", "hydra.sweeper.sampler.seed=0"]}
"""What a sweeper needs to go on after a failed job, and to ask again for the same jobs when the sweep is gone on with."""


def run_experiment(command: str, words: list[str], debug: bool) -> int:
    """Composes and runs one job, or with -m a sweep of them; returns the exit status."""
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
    try:
        if "--help" in words or "-h" in words:
            from sslcli.help import show_help

            show_help(command, [word for word in words if word not in ("--help", "-h")], Console())
            return 0
        if set(sweeping.MULTIRUN) & set(words):
            return _sweep(command, words, debug)
        return _run(command, words, table, debug)
    except (HydraException, OmegaConfBaseException) as reason:
        if debug:
            raise
        raise explained(reason, command, words) from reason
    except ValueError as reason:
        if debug or not str(reason).startswith("Config group override"):
            raise
        null = next((word for word in words if word.endswith("=null")), words[0])
        group = null.partition("=")[0]
        raise SslcliError(f"{null}: {group} is chosen from a list", "leave it out, which means the same") from reason


def _run(command: str, words: list[str], table: configs.Groups, debug: bool) -> int:
    """One job, in this process. Errors are said here: Hydra would print its own words about them."""
    statuses = [0]

    def job(composed: DictConfig) -> None:
        def work() -> int:
            context = HydraConfig.get()
            if context.mode is RunMode.MULTIRUN:
                raise SslcliError("hydra.mode=MULTIRUN asks for a sweep", "leave it out, and add -m")
            start(command, typed(composed), table, list(context.overrides.task), Console())
            return 0

        statuses.append(guarded(work, debug))

    _hand_to_hydra(command, words, job)
    return max(statuses)


def _sweep(command: str, words: list[str], debug: bool) -> int:
    """Every job that is not finished, through Hydra's sweeper and launcher; returns the exit status."""
    console, trouble = Console(), None
    if place().size > 1:
        message = f"{place().size} processes were started together, and a sweep (-m) starts its own"
        raise SslcliError(message, "leave torchrun or srun out; hydra/launcher=submitit_slurm sends jobs to a cluster")
    overrides, flags = split_words(words)
    if set(SHOWING) & {flag.partition("=")[0] for flag in flags}:
        raise SslcliError("a flag that only shows something, and -m", "leave -m out, and give every key one value")
    with config_loader(flags) as loader:
        composed = loader.load_configuration(command, overrides, RunMode.MULTIRUN)
        planned = jobs_planned(composed)
        named = any(word.startswith("hydra.sweep.dir=") for word in words)
        chosen = Path(composed.hydra.sweep.dir) if named else None
        outputs = Path(composed.runtime.outputs).expanduser()
    sweep = sweeping.open_sweep(outputs, command, words, planned, chosen)
    words = [*_sweeper_words(overrides), *words]
    try:
        with sweeping.going(sweep, console):
            _hand_to_hydra(command, [*words, f"hydra.sweep.dir={sweeping.hydra_quoted(str(sweep))}"], sweep_job)
    except (HydraException, OmegaConfBaseException):
        sweeping.forget_unbegun(sweep)
        raise
    except SslcliError:
        raise
    except Exception as reason:  # whatever an installed launcher or sweeper raises
        if debug:
            raise
        trouble = f"Hydra's launcher or sweeper gave up: {reason}"
    sweeping.conclude(sweep, trouble, console)
    return 0


def sweep_job(composed: DictConfig) -> float | None:
    """A job of a sweep, as a launcher calls it, perhaps in another process or on another machine."""
    context = HydraConfig.get()
    words = list(context.overrides.task)
    folder = sweeping.run_job(
        Path(context.sweep.dir), context.job.num, str(context.job.config_name), words, lambda: typed(composed)
    )
    direction = context.sweeper.get("direction")
    return None if folder is None else sweeping.objective(folder, getattr(direction, "name", direction))


def jobs_planned(composed: DictConfig) -> list[list[str]]:
    """The words of every job, where Hydra's own sweeper makes them; a sweeper that searches knows them only one by one."""
    sweeper = composed.hydra.sweeper
    if not sweeper._target_.endswith(".BasicSweeper"):
        return []
    words = [*(f"{key}={value}" for key, value in (sweeper.params or {}).items()), *composed.hydra.overrides.task]
    return BasicSweeper.split_arguments(OverridesParser.create().parse_overrides(words), None)[0]


def _hand_to_hydra(command: str, words: list[str], job: Callable[[DictConfig], Any]) -> None:
    overrides, flags = split_words(words)
    sys.argv = [f"sslcli {command}", f"hydra.job.name=sslcli-{command}", *overrides, *QUIET, *flags]
    hydra.main(version_base="1.3", config_path=CONFIG_PATH, config_name=command)(job)()


def _sweeper_words(overrides: list[str]) -> list[str]:
    """What is to be added for the sweeper chosen, unless it was typed, or belongs to a sampler that another was typed for."""
    added = [word for name, more in SWEEPER_WORDS.items() if name in overrides for word in more]
    typed = {word.partition("=")[0] for word in overrides}
    replaced = "hydra.sweeper.sampler." if "hydra/sweeper/sampler" in typed else "="
    return [word for word in added if word.partition("=")[0] not in typed and not word.startswith(replaced)]


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
        missing = configs.unknown(group or "config", choice, options)
        extras = "; pip install 'sslcli[sweep]' brings joblib and optuna, 'sslcli[slurm]' submitit"
        return SslcliError(missing.message, missing.fix + extras * group.startswith("hydra/"))
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
        message = f"{unfit[1]} sets {unfit[3]}, which {unfit[2].removesuffix('Config') or command} does not have"
        return SslcliError(message, f"leave {unfit[3].partition('.')[0]}=… out, or use another command")
    overridden = re.search(r"Could not override '([^'@]+)'", text)
    if overridden:
        return _unknown_key(overridden[1], command, words)
    return SslcliError(text[:300], f"see `sslcli {command} --help`")


@contextlib.contextmanager
def config_loader(flags: list[str]) -> Iterator[ConfigLoader]:
    """Hydra's loader over conf/ and the folders that --config-dir names."""
    search_path = create_config_search_path(CONFIG_PATH)
    for flag, following in zip(flags, [*flags, "."][1:], strict=True):
        name, _, value = flag.partition("=")
        if name in ("--config-dir", "-cd"):
            search_path.prepend("command-line", f"file://{Path(value or following).absolute()}", "schema")
    GlobalHydra.instance().clear()
    try:
        yield Hydra.create_main_hydra2("sslcli", search_path).config_loader
    finally:
        GlobalHydra.instance().clear()


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


def typed(composed: DictConfig) -> Any:
    """The one step from a composed DictConfig to the command's dataclass."""
    try:
        return OmegaConf.to_object(composed)
    except OmegaConfBaseException as reason:
        raise configs.explained(reason) from reason
