"""Composes words for `sslcli inspect` without Hydra, which takes longer than all the rest of a test."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from sslcli.config import to_dataclass
from sslcli.data import DATA
from sslcli.tools.table import Compose


def composed_plainly(command: str, words: list[str]) -> list[tuple[str, Any]]:
    """Gives what Hydra gives for words without its grammar; `test_a_runs_words_mean_what_they_mean_in_a_run` holds it to Hydra."""
    assert command == "pretrain"
    kind, *rest = [word.partition("=")[2] for word in words if word.startswith("data=")]
    assert not rest
    values = dict(word.removeprefix("data.").split("=", 1) for word in words[1:])
    typed = {key: _value(key, text) for key, text in values.items()}
    return [("", SimpleNamespace(data=to_dataclass(DATA[kind], typed, "data")))]


def _value(key: str, text: str) -> Any:
    quoted = text.startswith("'") and text.endswith("'")
    if key in ("root", "label", "groups"):
        return text[1:-1] if quoted else text
    return yaml.safe_load(text)


@pytest.fixture
def plainly(monkeypatch: pytest.MonkeyPatch) -> Compose:
    monkeypatch.setattr("sslcli.cli.experiment.composer", lambda debug: composed_plainly)
    return composed_plainly
