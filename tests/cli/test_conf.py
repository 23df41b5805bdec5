"""Every file in conf/ composes, and what it composes is what it names."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from hydra.core.global_hydra import GlobalHydra

from sslcli.choices import name_in
from sslcli.cli.compose import compose, composed_to_dataclass, register
from sslcli.config import conf_folder
from sslcli.engine.optim_config import Scaling
from sslcli.experiments.groups import GROUPS
from sslcli.experiments.table import EXPERIMENTS
from sslcli.nets.encoder_config import Activation

FILES = sorted(path.relative_to(conf_folder()) for path in conf_folder().rglob("*.yaml"))
RECIPES = [path for path in FILES if path.parts[0] == "experiment"]
PRESETS = {"encoder/sigmoid_mlp": "mlp", "optim/plain_sgd": "sgd", "optim/adam": "adamw"}
"""Files that are a choice of settings, and of what."""
REQUIRED = {
    "encoder/timm": ["encoder.model=resnet10t"],
    "data/folder": ["data.root=photos"],
    "data/arrays": ["data.root=file.npz"],
    "data/amat": ["data.root=rotated"],
    "data/table": ["data.root=pictures.csv"],
    "data/shards": ["data.root=train.tar"],
    "data/parquet": ["data.root=train.parquet"],
    "method/distillation": ["method.teacher=run"],
}


@pytest.fixture(autouse=True)
def hydra_is_fresh() -> None:
    GlobalHydra.instance().clear()
    register()


def own_command(recipe: Path) -> tuple[str, list[str]]:
    """The command, and its words, of the first line of a recipe that says how to run it."""
    found = re.search(
        rf"^#   sslcli ([\w-]+) (experiment={recipe.stem}\b.*)$",
        (conf_folder() / recipe).read_text(),
        re.M,
    )
    assert found, f"{recipe} has no line `#   sslcli <command> experiment={recipe.stem}`"
    words = re.split(r"\s{2,}", found[2])[0].split()  # behind two spaces: what is meant
    return found[1], [word for word in words if word != "-m"]


def composed(command: str, *words: str) -> Any:
    GlobalHydra.instance().clear()
    return composed_to_dataclass(compose(command, list(words)))


@pytest.mark.parametrize("path", [path for path in FILES if len(path.parts) > 1], ids=str)
def test_every_choice_composes_and_is_typed(path: Path) -> None:
    group, choice = str(path.parent), path.stem
    own = ("pretrain", [f"{group}={choice}", *REQUIRED.get(f"{group}/{choice}", [])])
    command, words = own_command(path) if group == "experiment" else own
    config = composed(command, *words)
    if group in GROUPS:
        assert name_in(GROUPS[group], getattr(config, group)) == PRESETS.get(
            f"{group}/{choice}", choice
        )


@pytest.mark.parametrize(
    ("group", "choice"), [(group, choice) for group in GROUPS for choice in GROUPS[group]]
)
def test_every_entry_of_a_table_is_a_choice(group: str, choice: str) -> None:
    words = [f"{group}={choice}", *REQUIRED.get(f"{group}/{choice}", [])]
    assert name_in(GROUPS[group], getattr(composed("pretrain", *words), group)) == choice


@pytest.mark.parametrize("path", FILES, ids=str)
def test_every_file_holds_a_value_or_a_choice(path: Path) -> None:
    content = yaml.safe_load((conf_folder() / path).read_text())
    chosen = [entry for entry in content.pop("defaults", []) if not _is_schema(entry)]
    assert content or chosen, f"{path} holds nothing that the table does not"


def _is_schema(entry: object) -> bool:
    return entry == "_self_" or (isinstance(entry, str) and entry.startswith("/schema/"))


def test_every_command_has_its_file() -> None:
    assert {path.stem for path in FILES if len(path.parts) == 1} == set(EXPERIMENTS)


@pytest.mark.parametrize("path", RECIPES, ids=str)
def test_a_recipe_opens_with_its_command_source_and_whether_it_was_run(path: Path) -> None:
    head = (conf_folder() / path).read_text().partition("defaults:")[0]
    assert "Published:" in head
    assert "run here" in head.lower()
    assert "Differs:" in head
    command, words = own_command(path)
    assert command in EXPERIMENTS
    assert words[0] == f"experiment={path.stem}"


@pytest.mark.parametrize("path", RECIPES, ids=str)
def test_what_a_recipe_names_can_be_built(path: Path) -> None:
    command, words = own_command(path)
    config = composed(command, *words)
    torch.manual_seed(0)
    assert config.encoder.build(3, config.data.resolution or 28).width > 0
    peak = config.optim.peak_learning_rate(config.batch_size)
    assert peak > 0
    of_twice = config.optim.peak_learning_rate(2 * config.batch_size)
    assert (of_twice != peak) == (config.optim.scaling is not Scaling.none)


def test_a_recipe_wins_over_the_method_it_chooses_and_the_words_typed_win_over_both() -> None:
    method = composed("pretrain", "method=denoising_autoencoder")
    recipe = composed("pretrain", "experiment=mnist_denoising_autoencoder")
    assert (choice("encoder", method), choice("optim", method)) == (
        "mlp",
        "adamw",
    )  # what the method's file sets ...
    assert method.encoder.activation is Activation.relu
    assert (choice("encoder", recipe), choice("optim", recipe)) == (
        "mlp",
        "sgd",
    )  # ... and the recipe's in its place
    assert (recipe.encoder.activation, recipe.encoder.widths) == (Activation.sigmoid, [500])
    assert recipe.optim.momentum == 0

    assert (
        choice("encoder", composed("pretrain", "method=denoising_autoencoder", "encoder=convnet"))
        == "convnet"
    )
    for order in (1, -1):  # whatever the order of the words
        words = [
            "experiment=mnist_denoising_autoencoder",
            "optim=lars",
            "encoder.widths=[7]",
            "data=svhn",
            "epochs=3",
        ]
        typed_over = composed("pretrain", *words[::order])
        assert (choice("optim", typed_over), choice("data", typed_over)) == ("lars", "svhn")
        assert (typed_over.encoder.widths, typed_over.epochs) == ([7], 3)
        assert typed_over.encoder.activation is Activation.sigmoid
        assert typed_over.method.corruption.masking == 0.3


def choice(group: str, config: Any) -> str:
    return name_in(GROUPS[group], getattr(config, group))


@pytest.mark.parametrize("method", ["simsiam", "mae"])
def test_a_preset_of_views_serves_methods_with_views_and_changes_nothing_else(method: str) -> None:
    plain = composed("pretrain", f"method={method}").method
    found = composed("pretrain", f"method={method}", "method/views=microscopy").method
    assert (plain.views.rotate90, found.views.rotate90) == (0.0, 0.75)
    assert found.views.crop_scale == [0.2, 1.0]
    found.views = plain.views
    assert found == plain


def test_a_preset_of_small_views_leaves_their_crops() -> None:
    words = ("method=dino", "method/small_views=microscopy")
    plain, found = composed("pretrain", words[0]).method, composed("pretrain", *words).method
    assert found.views == plain.views
    assert found.small_views.rotate90 == 0.75
    for name in ("crop_scale", "crop_ratio", "crop_size", "normalize"):
        assert getattr(found.small_views, name) == getattr(plain.small_views, name)
