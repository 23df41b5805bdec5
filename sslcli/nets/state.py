"""Loads a saved state, and names what does not fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

MOST_NAMED = 8
"""Keys that one message names of a kind; of more it gives the number."""


def load_state(module: nn.Module, state: Mapping[str, Any]) -> None:
    """Loads the state. Raises ValueError, in one line, where it does not fit."""
    expected = module.state_dict()
    shapes = {
        key: f"{key} has shape {_shape(state[key])} for {_shape(value)}"
        for key, value in expected.items()
        if key in state and _shape(state[key]) != _shape(value)
    }
    problems = {
        "it lacks": [key for key in expected if key not in state],
        "it also has": [key for key in state if key not in expected],
        "in it": list(shapes.values()),
    }
    said = [f"{problem} {_named(keys)}" for problem, keys in problems.items() if keys]
    if said:
        raise ValueError("; ".join(said))
    module.load_state_dict(state)


def _shape(value: object) -> str:
    return str(tuple(value.shape)) if isinstance(value, Tensor) else type(value).__name__


def _named(keys: list[str]) -> str:
    more = len(keys) - MOST_NAMED
    return ", ".join(keys[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
