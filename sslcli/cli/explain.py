"""Turns errors of Hydra and OmegaConf into two lines: what is wrong, and the fix."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from sslcli import config as configs
from sslcli.cli.compose import compose
from sslcli.cli.words import split_words
from sslcli.errors import SslcliError, unknown
from sslcli.experiments.groups import GROUPS
from sslcli.experiments.table import EXPERIMENTS
from sslcli.text import hydra_word, shell_quoted

KEY = r"[+~]{0,2}[\w./@:-]+"
"""A key as Hydra's grammar takes it, such as hydra/launcher or ++method.width."""


@contextmanager
def errors_explained(command: str, words: list[str], debug: bool) -> Iterator[None]:
    """Turns errors of Hydra and OmegaConf that arise inside into two lines."""
    # With this Hydra raises its errors instead of printing them.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        yield
    except (HydraException, OmegaConfBaseException) as reason:
        if debug:
            raise
        raise explained(reason, command, words) from reason
    except ValueError as reason:
        if debug or not str(reason).startswith("Config group override"):
            raise
        null = next((word for word in words if word.endswith("=null")), words[0])
        group = null.partition("=")[0]
        raise SslcliError(
            f"{null}: {group} is chosen from a list", "leave it out, which means the same"
        ) from reason


def explained(reason: Exception, command: str, words: list[str]) -> SslcliError:
    """Returns the error of Hydra or OmegaConf as one with a fix."""
    if (
        isinstance(reason, MissingConfigException)
        and reason.missing_cfg_file
        and reason.options is not None
    ):
        group, _, choice = str(reason.missing_cfg_file).rpartition("/")
        missing = unknown(group or "config", choice, sorted(reason.options))
        extras = "; pip install 'sslcli[sweep]' brings joblib and optuna, 'sslcli[slurm]' submitit"
        return SslcliError(missing.message, missing.fix + extras * group.startswith("hydra/"))
    cause = reason.__cause__
    if isinstance(reason, OverrideParseException):
        return _unread(str(reason.override))
    if isinstance(cause, OmegaConfBaseException):
        if isinstance(cause, ConfigAttributeError | ConfigKeyError):
            return _unknown_key(str(cause.full_key), command, words)
        return configs.explained(cause)
    if isinstance(reason, OmegaConfBaseException):
        return configs.explained(reason)
    text = " ".join(str(reason).split())
    if text.startswith(("Ambiguous value for argument", "Sweep parameters")):
        return _several_values(words)
    unfit = re.match(r"In '([^']+)': .* Key '\w+' not in '(\w+)' full_key: (\S+)", text)
    if unfit:
        owner = unfit[2].removesuffix("Config") or command
        return SslcliError(
            f"{unfit[1]} sets {unfit[3]}, which {owner} does not have",
            f"leave {unfit[3].partition('.')[0]}=… out, or use another command",
        )
    overridden = re.search(r"Could not override '([^'@]+)'", text)
    if overridden:
        return _unknown_key(overridden[1], command, words)
    return SslcliError(text[:300], f"see `sslcli {command} --help`")


def _unread(override: str) -> SslcliError:
    """Returns the error for a word that Hydra cannot read."""
    key, sign, value = override.partition("=")
    message = f"{override!r} cannot be read as key=value"
    if not re.fullmatch(KEY, key):
        return SslcliError(message, "a key is of letters, digits and dots; --help shows every key")
    if not sign:
        return SslcliError(message, f"give it a value: {key}=…")
    return SslcliError(message, f"quote the value for Hydra too: {hydra_word(key, value)}")


def _several_values(words: list[str]) -> SslcliError:
    """Returns the error for a key that was given several values, without -m."""
    parser = OverridesParser.create()
    overrides, _ = split_words(words)
    given = next(word for word in overrides if parser.parse_override(word).is_sweep_override())
    key, _, values = given.partition("=")
    fix = "one run for each of them: add -m"
    if not re.match(r"(range|interval|glob)\(", values):
        listed = re.sub(r"^choice\((.*)\)$", r"\1", values, flags=re.DOTALL)
        fix += f"; all of them as a list: {shell_quoted(f'{key}=[{listed}]')}"
    return SslcliError(f"{given} gives {key} several values", fix)


def _unknown_key(key: str, command: str, words: list[str]) -> SslcliError:
    # Composed with the choices that the user gave: only their keys can have been meant.
    present = {
        field.name for field in dataclasses.fields(EXPERIMENTS[command].load_config().Config)
    } & GROUPS.keys()
    choices = [
        word
        for word in words
        if re.match(r"[a-z/]+=\w+$", word) and word.partition("=")[0] in present
    ]
    keys = _flat_keys(compose(command, choices, split_words(words)[1]))
    parent = key.rpartition(".")[0]
    siblings = [known for known in keys if known.rpartition(".")[0] == parent]
    meant = unknown("key", key, siblings or keys)
    return SslcliError(meant.message, f"{meant.fix}; sslcli {command} --help tells all")


def _flat_keys(node: Any, prefix: str = "") -> list[str]:
    keys: list[str] = []
    for name in node:
        child = None if OmegaConf.is_missing(node, name) else node[name]
        keys += (
            _flat_keys(child, f"{prefix}{name}.")
            if isinstance(child, DictConfig)
            else [f"{prefix}{name}"]
        )
    return keys
