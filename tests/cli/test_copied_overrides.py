"""Every override that is shown can be pasted: through bash and Hydra it is the value that was meant."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from doubles import double_of
from pasting import (
    NAMES,
    NOWHERE,
    by_hydra,
    change,
    command_in,
    fix_of,
    is_same,
    pasted,
    printed,
    refusal,
)

from sslcli.cli.experiment import run_experiment
from sslcli.data.amat import find_amat
from sslcli.data.parts import refuse_nested_parts
from sslcli.engine.runtime_config import RuntimeConfig
from sslcli.errors import SslcliError
from sslcli.experiments import linear_eval
from sslcli.experiments.linear_eval_config import Config as LinearEvalConfig
from sslcli.experiments.linear_eval_config import resolve
from sslcli.runs.folder import Run
from sslcli.tools import rerun


def test_the_baseline_to_make_is_of_the_same_run(make: Callable[[str], Path]) -> None:
    runs, shown = [make(name) for name in NAMES], []
    ceiling = make("ceiling")
    described = json.loads((ceiling / "encoder.json").read_text())
    described["config"]["width"] += 1
    (ceiling / "encoder.json").write_text(json.dumps(described))
    for run in runs:
        config = LinearEvalConfig(run=str(run), ceiling=str(ceiling), runtime=RuntimeConfig())
        with Run(run) as opened:
            shown.append(fix_of(linear_eval.run, config, opened, NOWHERE))
    for run, words in zip(runs, pasted([command_in(line) for line in shown]), strict=True):
        assert words[0] == "finetune"
        assert is_same(by_hydra(words[1]), run)
        assert by_hydra(words[2]) == "random"


def test_a_run_that_is_no_baseline_is_named(make: Callable[[str], Path]) -> None:
    shown = []
    for run in map(make, NAMES):
        here = str(run.absolute())
        config = LinearEvalConfig(run=here, ceiling=here, runtime=RuntimeConfig())
        shown.append(refusal(resolve, config).message)
    for name, words in zip(NAMES, pasted(shown), strict=True):
        assert is_same(by_hydra(words[0]), Path(name))


def of_parts_inside(folder: Path) -> tuple[str, Path]:
    inside = folder / folder.name
    names = [f"{folder.name}/{part}/1.png" for part in ("train", "test")]
    return fix_of(refuse_nested_parts, folder, names), inside


def of_several_training_files(folder: Path) -> tuple[str, Path]:
    folder.mkdir()
    for name in ("a_train.amat", "b_train.amat"):
        (folder / name).touch()
    return fix_of(find_amat, folder), folder / "a_train.amat"


@pytest.mark.parametrize("show", [of_parts_inside, of_several_training_files])
def test_a_fix_names_the_data(here: Path, show: Callable[[Path], tuple[str, Path]]) -> None:
    shown = [show(Path(name)) for name in NAMES]
    lines = [line.removeprefix("choose one: ") for line, _ in shown]
    for (word, *_), (_, meant) in zip(pasted(lines), shown, strict=True):
        assert word.startswith("data.root=")
        assert is_same(by_hydra(word), meant)


def test_data_without_a_choice_are_chosen() -> None:
    shown = [fix_of(run_experiment, "linear-eval", [f"data.root={name}"], False) for name in NAMES]
    lines = [line.removeprefix("choose it too: ") for line in shown]
    assert pasted(lines) == [["data=folder", f"data.root={name}"] for name in NAMES]


def test_a_value_that_hydra_cannot_read_is_quoted() -> None:
    values = [f"{name}(" for name in NAMES if name != "b\\"]  # Hydra reads `\\(` as a bracket
    shown = [fix_of(run_experiment, "pretrain", [f"epochs={value}"], False) for value in values]
    lines = [line.removeprefix("quote the value for Hydra too: ") for line in shown]
    assert [by_hydra(word) for (word,) in pasted(lines)] == values


@pytest.mark.parametrize(
    ("word", "values"),
    [
        ("seed='a  b',$HOME", ["a  b", "$HOME"]),
        ("seed=it,*", ["it", "*"]),
        ("seed=choice(1,2)", [1, 2]),
    ],
)
def test_several_values_are_listed(word: str, values: list[Any]) -> None:
    shown = fix_of(run_experiment, "pretrain", [word], False)
    (((listed),),) = pasted([shown.partition("as a list: ")[2]])
    assert by_hydra(listed) == values


@pytest.mark.parametrize("word", ["seed=range(1,3)", "method=glob(*)"])
def test_what_is_no_list_is_offered_as_none(word: str) -> None:
    refused = refusal(run_experiment, "pretrain", [word], False)
    assert refused.message == f"{word} gives {word.partition('=')[0]} several values"
    assert printed(refused) == "one run for each of them: add -m"


def test_another_choice_is_a_command_of_the_words_typed_then(make: Callable[[str], Path]) -> None:
    run = make("run")
    words = [f"runtime.outputs={name}" for name in NAMES if "\udcff" not in name]
    (run / "overrides.yaml").write_text(json.dumps(words, ensure_ascii=False), encoding="utf-8")
    shown = fix_of(rerun.main, ["run", "--set", "method=simclr"], NOWHERE)
    assert pasted([command_in(shown)]) == [["pretrain", *words, "method=simclr"]]


def test_a_set_without_a_value_names_the_key(make: Callable[[str], Path]) -> None:
    make("run")
    names = [name for name in NAMES if "=" not in name and not name.startswith("-")]
    shown = [fix_of(rerun.main, ["run", "--set", n], NOWHERE) for n in names]
    assert pasted(shown) == [["--set", f"{name}=…"] for name in names]


def test_what_rerun_set_is_written_as_it_would_be_typed(
    make: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Into overrides.yaml, which later commands are made of."""
    change(make("run"), status="finished")
    started: list[list[str]] = []

    def start(given: dict[str, Any]) -> Path:
        started.append(given["overrides"])
        raise SslcliError("it is enough to have started", "")

    monkeypatch.setattr(rerun, "start", double_of(rerun.start, start))
    names = [name for name in NAMES if name not in ("null", "~", "~root")]
    for name in names:
        refusal(rerun.main, ["run", "--set", f"runtime.outputs={name}"], NOWHERE)
    assert [by_hydra(words[-1]) for words in started] == names
