"""Every file in conf/ composes, and what it composes is what it names."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hydra.core.global_hydra import GlobalHydra

from sslcli.commands.groups import groups
from sslcli.composition import compose, register, typed
from sslcli.config import conf_folder, name_in

GROUPS = ("method", "encoder", "data", "optim", "runtime")
FILES = sorted(path.relative_to(conf_folder()) for path in conf_folder().rglob("*.yaml"))
REQUIRED = {"encoder/timm": ["encoder.model=resnet10t"], "experiment/imagenet_simclr": ["data.root=somewhere"]}


@pytest.fixture(autouse=True)
def hydra_is_fresh() -> None:
    GlobalHydra.instance().clear()
    register(groups())


@pytest.mark.parametrize("path", [path for path in FILES if len(path.parts) > 1], ids=str)
def test_every_choice_composes_and_is_typed(path: Path) -> None:
    group, choice = str(path.parent), path.stem
    config = typed(compose("pretrain", [f"{group}={choice}", *REQUIRED.get(f"{group}/{choice}", [])]))
    if group in GROUPS:
        assert name_in(groups()[group], getattr(config, group)) == choice


@pytest.mark.parametrize("group", GROUPS)
def test_every_entry_of_a_table_has_its_file(group: str) -> None:
    assert {path.stem for path in (conf_folder() / group).glob("*.yaml")} == set(groups()[group])


def test_every_command_has_its_file() -> None:
    from sslcli.commands import EXPERIMENTS

    assert {path.stem for path in FILES if len(path.parts) == 1} == set(EXPERIMENTS)


@pytest.mark.parametrize("path", [path for path in FILES if path.parts[0] == "experiment"], ids=str)
def test_a_recipe_opens_with_its_command_source_and_whether_it_was_run(path: Path) -> None:
    text = (conf_folder() / path).read_text()
    assert f"experiment={path.stem}" in text
    assert "Published:" in text
    assert "run here" in text.lower()
    config = typed(compose("pretrain", [f"experiment={path.stem}", *REQUIRED.get(f"experiment/{path.stem}", [])]))
    torch.manual_seed(0)
    assert config.encoder.build(3, 32).width > 0
    assert config.optim.peak_learning_rate(config.batch_size) > config.optim.lr
