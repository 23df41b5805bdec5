"""Typed text stays text, whatever characters it has, from the shell to the config and back."""

from __future__ import annotations

import random
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode
from omegaconf import OmegaConf, open_dict

from sslcli.cli.compose import composed_to_dataclass, config_loader, register
from sslcli.cli.words import QUOTED, split_words, text_fields
from sslcli.data.folder import FolderConfig
from sslcli.errors import SslcliError
from sslcli.experiments.groups import GROUPS
from sslcli.experiments.label_curve_config import Config as LabelCurveConfig
from sslcli.experiments.linear_eval_config import Config as LinearEvalConfig
from sslcli.saved import read, to_config, to_yaml, with_values
from sslcli.text import hydra_quoted, hydra_word, shell_quoted

PARTS = [
    "2024", "_", "01", "1.10", "1e5", "0x1F", "1:30", "2024-01-02", "null", "true", "yes", "off", "nan",
    "~", "'", '"', ",", "{", "}", "[", "]", "(", ")", "=", "$", "${", "\\", " ", "  ", "\t", ":", "#",
    "@", "%", "-", "+", "*", "?", "!", "&", ";", "|", "<", ">", "`", "/", "a", "Ä", "画", "🙂", "e\u0301",
]  # fmt: skip
NUM_WORDS = 2000
PARSER = OverridesParser.create()


def words(number: int, seed: int) -> list[str]:
    rng = random.Random(seed)
    return ["".join(rng.choices(PARTS, k=rng.randint(1, 6))) for _ in range(number)]


def is_protected_by_hand(word: str) -> bool:
    """A whole word in quotes is taken for quoted by the user; `null` is the absent value."""
    return word == "null" or re.fullmatch(QUOTED, word, re.DOTALL) is not None


def through_hydra(override: str) -> Any:
    return OmegaConf.create({"value": PARSER.parse_override(override).value()}).value


@pytest.mark.parametrize("key", ["data.root", "run", "runtime.outputs", "encoder.model"])
def test_what_is_typed_is_what_the_config_holds(key: str) -> None:
    assert key in text_fields(())
    for word in words(NUM_WORDS // 4, seed=hash(key) % 7):
        if not is_protected_by_hand(word):
            (override,), _ = split_words([f"{key}={word}"])
            assert through_hydra(override) == word


def test_elements_of_a_list_of_texts_are_texts() -> None:
    for first, second in zip(words(500, 1), words(500, 2), strict=True):
        pair = [first, second]
        if any(is_protected_by_hand(word) or set(word) & set(",[]'\" \t") for word in pair):
            pair = [hydra_quoted(word) for word in pair]
        (override,), _ = split_words([f"runs=[{','.join(pair)}]"])
        assert list(through_hydra(override)) == [first, second]


def test_a_sweep_gives_every_job_its_own_text() -> None:
    for first, second in zip(words(300, 3), words(300, 4), strict=True):
        pair = [hydra_quoted(w) if set(w) & set(",[]'\"") else w for w in (first, second)]
        if any(word == "null" for word in pair) or first == second:
            continue
        overrides, _ = split_words(["-m", f"data.root={','.join(pair)}"])
        jobs = BasicSweeper.split_arguments(PARSER.parse_overrides(overrides), None)[0]
        assert [through_hydra(job) for (job,) in jobs] == [first, second]


@pytest.mark.parametrize("written", ["2024_01,1.10", "choice(2024_01,1.10)"])
def test_numbers_in_a_sweep_of_texts_stay_as_they_are_typed(written: str) -> None:
    overrides, _ = split_words([f"data.root={written}", "-m"])
    jobs = BasicSweeper.split_arguments(PARSER.parse_overrides(overrides), None)[0]
    assert [through_hydra(job) for (job,) in jobs] == ["2024_01", "1.10"]


def test_what_is_no_text_is_left_to_hydra() -> None:
    given = ["epochs=3", "optim.lr=1e-3", "encoder.widths=[8,4]", "method=simclr", "seed=0,1", "-m"]
    assert split_words(given) == (given[:-1], ["-m"])


def test_through_the_whole_composition() -> None:
    register()
    with config_loader([]) as loader:
        for word in ["2024_01", "1.10", "1e5", 'it\'s, "x" {y} = ${z} \\', "~", "true", " a "]:
            overrides, _ = split_words(["data=folder", f"data.root={word}"])
            composed = loader.load_configuration("pretrain", overrides, RunMode.RUN)
            with open_dict(composed):
                del composed["hydra"]
            assert composed_to_dataclass(composed).data.root == word


@pytest.mark.parametrize("style", ["{}", "'{}'"])
def test_an_experiment_file_keeps_text(tmp_path: Path, style: str) -> None:
    register()
    (tmp_path / "experiment").mkdir()
    for word in ["2024_01", "1.10", "1e5", "0x1F", "1:30", "yes", "2024-01-02"]:
        text = (
            f"# @package _global_\ndefaults:\n  - override /data: folder\ndata:\n  root: {style}\n"
        )
        rest = "epochs: 1_0\noptim:\n  lr: 1e-3\nmethod:\n  projector:\n    batch_norm: off\n"
        (tmp_path / "experiment/mine.yaml").write_text(text.format(word) + rest)
        with config_loader([f"--config-dir={tmp_path}"]) as loader:
            composed = loader.load_configuration("pretrain", ["experiment=mine"], RunMode.RUN)
        with open_dict(composed):
            del composed["hydra"]
        config = composed_to_dataclass(composed)
        assert config.data.root == word
        assert (config.epochs, config.optim.lr) == (10, 1e-3)
        assert config.method.projector.batch_norm is False


def test_an_experiment_file_without_its_first_line_is_said_to_lack_it(tmp_path: Path) -> None:
    register()
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment/mine.yaml").write_text("epochs: 3\n")
    with (
        config_loader([f"--config-dir={tmp_path}"]) as loader,
        pytest.raises(SslcliError, match="lacks its first line") as refused,
    ):
        loader.load_configuration("pretrain", ["experiment=mine"], RunMode.RUN)
    assert "# @package _global_" in refused.value.fix


def linear_eval(root: str) -> LinearEvalConfig:
    runtime = GROUPS["runtime"]["default"]()
    return LinearEvalConfig(run=root, data=FolderConfig(root=root), runtime=runtime)


@pytest.mark.slow
def test_a_saved_config_keeps_text_and_rerun_sets_it(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    for word in words(300, 5):
        path.write_text(to_yaml("linear-eval", linear_eval(word), GROUPS), encoding="utf-8")
        saved = read(path)
        found = to_config(LinearEvalConfig, saved, GROUPS)
        assert (found.run, found.data.root) == (word, word)  # type: ignore[union-attr]
        if word != "null":
            changed = to_config(LinearEvalConfig, with_values(saved, {"data.root": word}), GROUPS)
            assert changed.data.root == word  # type: ignore[union-attr]


def test_a_copied_command_means_the_same_in_a_shell_and_through_hydra() -> None:
    some = [word for word in words(400, 6) if "\0" not in word]
    line = "printf '%s\\0' " + " ".join(hydra_word("run", word) for word in some)
    out = subprocess.run(["bash", "-c", line], capture_output=True, check=True).stdout
    for word, argument in zip(some, out.decode().split("\0")[:-1], strict=True):
        (override,), _ = split_words([argument])
        assert through_hydra(override) == word
    line = "printf '%s\\0' " + " ".join(map(shell_quoted, some))
    out = subprocess.run(["bash", "-c", line], capture_output=True, check=True).stdout
    assert out.decode().split("\0")[:-1] == some


def test_the_fields_are_those_that_hold_text() -> None:
    fields = text_fields(())
    assert {"data.root", "run", "runs", "ceiling", "encoder.model", "runtime.outputs"} <= set(
        fields
    )
    assert fields["runs"].is_list
    assert "labels" not in fields
    assert LabelCurveConfig.__dataclass_fields__["runs"].type == "list[str]"


def test_braces_that_the_shell_expanded_are_refused_as_the_last_alone_would_count() -> None:
    typed = ["data=shards", "data.root=a-0.tar", "data.root=a-1.tar", "epochs=1"]
    with pytest.raises(
        SslcliError, match=r"several times: data\.root=a-0\.tar, data\.root=a-1\.tar"
    ):
        split_words(typed)
    split_words(["data.root=a-{0..1}.tar", "data.val=b.tar", "data.root=a-0.tar"])
