"""What suits a method is chosen where nothing else is: by files, sweeps, or what is typed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from doubles import Sslcli, facts, only_run
from hydra.core.global_hydra import GlobalHydra

from sslcli.cli.compose import compose, composed_to_dataclass, register
from sslcli.engine.optim_config import AdamWConfig, LARSConfig, SGDConfig
from sslcli.experiments.groups import GROUPS
from sslcli.experiments.pretrain_config import Config
from sslcli.experiments.suited import suited
from sslcli.methods import METHODS
from sslcli.methods.simclr import SimCLRConfig
from sslcli.nets.encoder_config import CONVNET_WITH_PLACES, ConvNetConfig, MLPConfig
from sslcli.saved import read, to_config, to_yaml


@dataclass(kw_only=True)
class ToyConfig(SimCLRConfig):
    """A method with wishes of its own."""

    suits = (
        "encoder=mlp",
        "encoder.widths=[24,8]",
        "optim=adamw",
        "optim.lr=3e-3",
        "optim.betas=[0.8,0.95]",
        "epochs=2",
        "batch_size=16",
    )


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METHODS.built_in, "toy", ToyConfig)
    register()


def composed(*words: str) -> Config:
    GlobalHydra.instance().clear()
    config = composed_to_dataclass(compose("pretrain", list(words)))
    assert isinstance(config, Config)
    return config


def test_one_word_brings_all_that_suits() -> None:
    config = composed("method=toy")
    assert config.encoder == MLPConfig(widths=[24, 8])
    assert config.optim == AdamWConfig(lr=3e-3, betas=[0.8, 0.95])
    assert (config.epochs, config.batch_size, config.method.temperature) == (2, 16, 0.2)
    assert suited(config) == list(ToyConfig.suits)


def test_what_is_typed_wins_and_takes_no_value_that_was_meant_for_another_choice() -> None:
    assert composed("method=toy", "optim=lars").optim == LARSConfig()
    assert composed("optim=adamw", "method=toy").optim == AdamWConfig()
    assert composed("optim.lr=0.5", "method=toy").optim == AdamWConfig(lr=0.5, betas=[0.8, 0.95])
    typed = composed("epochs=9", "method=toy", "encoder=convnet", "encoder.width=4")
    assert (typed.epochs, typed.batch_size, typed.encoder) == (9, 16, ConvNetConfig(width=4))
    held = suited(typed)
    assert held == ["optim=adamw", "optim.lr=3e-3", "optim.betas=[0.8,0.95]", "batch_size=16"]


def test_a_setting_of_the_method_itself_may_suit_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ToyConfig, "suits", ("method.temperature=0.3",))
    register()
    assert composed("method=toy").method.temperature == 0.3
    assert suited(composed("method=toy")) == ["method.temperature=0.3"]
    assert composed("method.temperature=0.4", "method=toy").method.temperature == 0.4
    assert ToyConfig().temperature == 0.2


def test_experiment_files_and_views_win_too() -> None:
    recipe = composed("experiment=temperature_sweep", "method=toy")
    assert (recipe.epochs, recipe.optim.lr) == (11, 3e-3)
    assert composed("method=toy", "method/views=simclr_cifar").method.views.solarize == 0
    assert composed("experiment=cifar10_simclr").optim.lr == 1.0


def test_other_methods_have_what_they_had() -> None:
    before = composed("method=toy")
    config = composed()
    assert (config.optim, config.encoder, config.epochs) == (SGDConfig(), ConvNetConfig(grid=4), 22)
    assert suited(config) == list(CONVNET_WITH_PLACES)
    assert before == composed("method=toy")


def test_a_saved_config_is_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = composed("method=toy")
    (tmp_path / "config.yaml").write_text(to_yaml("pretrain", config, GROUPS))
    monkeypatch.setattr(ToyConfig, "suits", ("optim=lars", "epochs=77"))
    assert to_config(Config, read(tmp_path / "config.yaml"), GROUPS) == config


def test_help_shows_it_and_a_run_says_and_records_it(
    sslcli: Sslcli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sslcli.experiments.figures.save_curves", lambda *_: None)
    monkeypatch.setattr("sslcli.experiments.figures.save_contact_sheet", lambda *_: None)
    shown = " ".join(sslcli("pretrain", "method=toy", "--help").out.split())
    assert " ".join(ToyConfig.suits) in shown
    assert "encoder=mlp " in shown
    assert "optim.lr=0.003 " in shown
    assert "_for_toy" not in shown
    words = ["method=toy", "data.limit=64", "knn_every=0", "optim.lr=1e-3", "runtime.threads=1"]
    outcome = sslcli("pretrain", *words)
    assert outcome.status == 0, outcome.err
    held = [word for word in ToyConfig.suits if word != "optim.lr=3e-3"]
    assert f"as suits SimCLR: {' '.join(held)}" in " ".join(outcome.out.split())
    run = only_run(tmp_path / "outputs")
    assert facts(run)["derived"]["suited"] == held
    assert facts(run)["choices"]["optim"] == "adamw"


def test_a_preset_of_a_users_own_builds_on_it(sslcli: Sslcli, tmp_path: Path) -> None:
    presets = tmp_path / "presets/method"
    presets.mkdir(parents=True)
    (presets / "my_toy.yaml").write_text(
        "# @package _global_\ndefaults:\n  - /method/toy\n  - _self_\nepochs: 5\n"
        "method:\n  temperature: 0.7\n"
    )
    out = sslcli("pretrain", "method=my_toy", f"--config-dir={tmp_path}/presets", "--cfg", "job")
    for line in ("epochs: 5", "temperature: 0.7", "lr: 0.003", "- 24"):
        assert line in out.out, out.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("optim=adamv",), "there is no optim 'adamv'"),
        (
            ("optim=adamw", "optim.lrr=1"),
            "optim/adamw_for_toy sets optim.lrr, which AdamW does not",
        ),
        (("epoch=1",), "method/toy sets epoch"),
        (("optim.lr=1",), "ToyConfig.suits has optim.lr=1 without a choice of optim"),
    ],
)
def test_a_wrong_wish_is_answered(
    sslcli: Sslcli, monkeypatch: pytest.MonkeyPatch, words: Any, said: str
) -> None:
    monkeypatch.setattr(ToyConfig, "suits", words)
    outcome = sslcli("pretrain", "method=toy", "--cfg", "job")
    assert outcome.status == 2
    assert said in outcome.err
