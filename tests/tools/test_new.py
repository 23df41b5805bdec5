"""`sslcli new method NAME`: the package that it writes works, and nothing is overwritten."""

from __future__ import annotations

import ast
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
from doubles import Sslcli

from sslcli.errors import SslcliError
from sslcli.method import MethodConfig
from sslcli.nets.encoder_config import ConvNetConfig
from sslcli.testing.promises import PROMISES
from sslcli.testing.trial import Trial
from sslcli.tools.new.main import write_package


def load(path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, path.stem, module)
    spec.loader.exec_module(module)
    return module


def test_it_says_what_to_do_next(sslcli: Sslcli, tmp_path: Path) -> None:
    outcome = sslcli("new", "method", "my_try")
    assert outcome.status == 0, outcome.err
    for line in ("pip install -e sslcli-my-try", "sslcli pretrain method=my_try"):
        assert line in outcome.out
    written = {path.name for path in (tmp_path / "sslcli-my-try").iterdir()}
    assert written == {"pyproject.toml", "sslcli_my_try.py", "test_my_try.py"}


def test_the_method_keeps_its_promises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "written"
    write_package(folder, "my_try")
    entry = '[project.entry-points."sslcli.methods"]\nmy_try = "sslcli_my_try:MyTryConfig"\n'
    assert entry in (folder / "pyproject.toml").read_text()
    config = load(folder / "sslcli_my_try.py", monkeypatch).MyTryConfig()
    assert isinstance(config, MethodConfig)
    for promise in ("loss_falls", "players_weights_move", "views_are_pictures"):
        (tmp_path / promise).mkdir()
        PROMISES[promise](Trial(config, ConvNetConfig(width=4)), tmp_path / promise)
    tests = ast.parse((folder / "test_my_try.py").read_text())
    assert len(tests.body) == 3, "two imports and one line"


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    write_package(folder, "first")  # an empty folder may be there
    before = {path.name: path.read_text() for path in folder.iterdir()}
    for taken in (folder, folder / "pyproject.toml"):
        with pytest.raises(SslcliError, match="is there already"):
            write_package(taken, "second")
    assert {path.name: path.read_text() for path in folder.iterdir()} == before


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("simclr", "there is a method 'simclr' already"),
        ("My-Method", "the name must be of small letters, digits and _, got 'My-Method'"),
        ("class", "the name must be"),
        ("9lives", "the name must be"),
    ],
)
def test_a_name_that_cannot_be(sslcli: Sslcli, tmp_path: Path, name: str, said: str) -> None:
    outcome = sslcli("new", "method", name)
    assert outcome.status == 2
    assert said in outcome.err
    assert not list(tmp_path.iterdir())
