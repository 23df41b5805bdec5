"""Says what of a run's config is as its method suggests it."""

from __future__ import annotations

from typing import Any

from sslcli.config import flat, values_of
from sslcli.experiments.groups import GROUPS
from sslcli.saved import choices_of
from sslcli.text import as_word


def suited(config: Any) -> list[str]:
    """Returns those of the method's `suits` that hold in the config."""
    held = {**choices_of(config, GROUPS), **flat(values_of(config))}
    return [word for word in config.method.suits if _holds(word, held)]


def _holds(word: str, held: dict[str, Any]) -> bool:
    key, _, text = word.partition("=")
    value = held.get(key)
    if isinstance(value, float):
        return float(text) == value
    return key in held and text.replace(" ", "") == as_word(value)
