"""The command line as a person meets it: help, mistakes, completion."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from doubles import Sslcli, make_run, require_two_lines

from sslcli.experiments.table import EXPERIMENTS
from sslcli.tools.table import TOOLS


@pytest.mark.parametrize("words", [[], ["--help"]])
def test_help_needs_nothing_but_python(words: list[str], tmp_path: Path) -> None:
    """So it answers at once: it imports no torch, no hydra, and no other package."""
    program = (
        "import sys; before = set(sys.modules); from sslcli.cli.main import dispatch; dispatch(sys.argv[1:], False)\n"
        "packages = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "assert packages - sys.stdlib_module_names == {'sslcli'}, packages - sys.stdlib_module_names"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *words], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert "usage: sslcli <command>" in done.stdout
    assert "pretrain" in done.stdout


def test_a_commands_help_shows_groups_choices_and_keys(sslcli: Sslcli) -> None:
    out = sslcli("pretrain", "--help").out
    for words in (
        "method=simclr",
        "resnet18",
        "method.temperature=0.2",
        "runtime.device=auto",
        "epochs=22",
        "passes over",
    ):
        assert words in out
    assert "encoder.widths=" in sslcli("pretrain", "encoder=mlp", "--help").out
    assert "run=null" in sslcli("linear-eval", "--help").out
    assert "compare=[denoising] " in sslcli("stack-pretrain", "--help").out


MISTAKES = [
    (["pretrian"], "there is no command 'pretrian'", "did you mean pretrain?"),
    (["pretrain", "method=simcrl"], "there is no method 'simcrl'", "did you mean simclr?"),
    (["pretrain", "encoder=resnet"], "there is no encoder 'resnet'", "resnet18"),
    (["pretrain", "epocs=3"], "there is no key 'epocs'", "did you mean epochs?"),
    (
        ["pretrain", "method.temprature=3"],
        "there is no key 'method.temprature'",
        "did you mean method.temperature?",
    ),
    (
        ["pretrain", "method.views.blurr=1"],
        "there is no key 'method.views.blurr'",
        "did you mean method.views.blur?",
    ),
    (["pretrain", "epochs=abc"], "epochs", "--help"),
    (["pretrain", "optim.scaling=lin"], "lin", "--help"),
    (
        ["pretrain", "method.temperature=-1.0"],
        "method.temperature must be positive, got -1.0",
        "try 0.1 to 1.0",
    ),
    (["pretrain", "epochs=0"], "epochs must be at least 1, got 0", "22"),
    (
        ["pretrain", "batch_size=100000"],
        "batch_size must be at most the 9000 training pictures, got 100000",
        "try 9000",
    ),
    (["pretrain", "data=folder", "data.root=nowhere"], "nowhere", "data.root"),
    (["pretrain", "data=cifar10", "data.root=empty"], "empty", "data.download=true"),
    (
        ["pretrain", "runtime.precision=fp16", "runtime.device=cpu"],
        "fp16 needs cuda",
        "bf16 or fp32",
    ),
    (["pretrain", "foo"], "'foo' cannot be read as key=value", "foo=…"),
    (["pretrain", "epochs=a(b"], "'epochs=a(b' cannot be read", "epochs"),
    (
        ["pretrain", "++method.temprature=0.1"],
        "there is no key 'method.temprature'",
        "method.temperature",
    ),
    (["pretrain", "+foo=1"], "there is no key 'foo'", "there is:"),
    (["pretrain", "optim.lr=inf"], "optim.lr must be a finite number, got inf", "--help"),
    (["pretrain", "optim.lr=nan"], "optim.lr must be", ""),
    (["pretrain", "save_every=inf"], "save_every must be a finite number", ""),
    (["pretrain", "runtime.threads=100000"], "runtime.threads must be", "0"),
    (["pretrain", "-m", "method=glob(*)", "--cfg", "job"], "a flag that only shows", "-m"),
    (["pretrain", "=3"], "has no key", "key=value"),
    (["pretrain", "seed=0,1"], "seed=0,1 gives seed several values", "add -m"),
    (["pretrain", "seed=0,1", "--help"], "seed=0,1 gives seed several values", "add -m"),
    (
        ["pretrain", "encoder=resnet18", "encoder.stm=small"],
        "no key 'encoder.stm'",
        "did you mean encoder.stem?",
    ),
    (["linear-eval", "run=x", "data.root=y"], "no data of its own", "data=folder"),
    (["linear-eval"], "run is required", "run=…"),
    (["pretrain", "data=folder"], "data.root is required", "data.root=…"),
    (["linear-eval", "run=last", "data=arrays"], "data.root is required", "data.root=…"),
    (["linear-eval", "method=simclr"], "there is no key 'method'", "there is"),
    (["stack-pretrain", "method=simclr", "encoder=mlp"], "there is no key 'method'", "there is"),
    (
        ["inpaint", "method=simclr"],
        "inpaint sets method.adversarial, which SimCLR does not have",
        "leave method=… out",
    ),
    (["linear-eval", "run=last"], "there is no run with an encoder under", "sslcli pretrain"),
    (["linear-eval", "run=x", "labels=0"], "labels must be positive", "0.01"),
    (["resume"], "required: run", "usage: sslcli resume"),
    (["resume", "last"], "there is no run to resume", "sslcli pretrain"),
    (["rerun", "nothing"], "no run is named 'nothing'", "sslcli runs"),
    (["runs", "nowhere"], "there is no folder", "sslcli pretrain"),
    (["list", "cats"], "cats", "usage: sslcli list"),
]


@pytest.mark.parametrize(
    ("words", "wrong", "fix"),
    MISTAKES,
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_two_lines_and_status_2(
    sslcli: Sslcli, words: list[str], wrong: str, fix: str
) -> None:
    outcome = sslcli(*words)
    assert outcome.status == 2
    error, advice = outcome.err.strip().splitlines()
    assert error.startswith("error: ")
    assert wrong in error
    assert advice.startswith("fix:   ")
    assert fix in advice


def test_debug_shows_the_traceback(sslcli: Sslcli) -> None:
    outcome = sslcli("pretrain", "method.temperature=-1", "debug=true")
    assert outcome.status == 2
    assert "Traceback" in outcome.err
    assert "method.temperature must be positive" in outcome.err


def test_cfg_job_shows_the_config_and_runs_nothing(sslcli: Sslcli, tmp_path: Path) -> None:
    out = sslcli("pretrain", "--cfg", "job", "epochs=7").out
    assert "epochs: 7" in out
    assert not list(tmp_path.iterdir())


def test_a_tilde_is_the_home_folder(
    sslcli: Sslcli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    outcome = sslcli("pretrain", "data=folder", "data.root=~/photos")
    assert outcome.status == 2
    assert f"{tmp_path}/photos" in outcome.err


def test_a_users_own_config_folder(sslcli: Sslcli, tmp_path: Path) -> None:
    (tmp_path / "mine" / "method").mkdir(parents=True)
    text = "defaults:\n  - /schema/method/simclr@_here_\n  - _self_\ntemperature: 0.77\n"
    (tmp_path / "mine" / "method" / "warm.yaml").write_text(text)
    assert (
        "temperature: 0.77"
        in sslcli("pretrain", "--config-dir", "mine", "method=warm", "--cfg", "job").out
    )
    assert (
        "method.temperature=0.77"
        in sslcli("pretrain", "--config-dir=mine", "method=warm", "--help").out
    )


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "sslcli ",
            [*EXPERIMENTS, *TOOLS],
        ),
        ("sslcli lin", ["linear-eval"]),
        (
            "sslcli pretrain encoder=res",
            ["encoder=resnet18", "encoder=resnet34", "encoder=resnet50"],
        ),
        ("sslcli pretrain method.t", ["method.temperature="]),
        (
            "sslcli pretrain epochs=2 method/views=simclr_",
            ["method/views=simclr_cifar", "method/views=simclr_imagenet"],
        ),
        ("sslcli linear-eval kn", ["knn_k=", "knn_temperature="]),
        ("sslcli plan fi", ["finetune"]),
        ("sslcli plan finetune training.b", ["training.batch_size="]),
        ("sslcli plan pretrain --memory 24GB epochs=2 batch", ["batch_size="]),
    ],
)
def test_completion(sslcli: Sslcli, line: str, expected: list[str]) -> None:
    assert sslcli("completion", "query", line).out.split() == expected


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(sslcli: Sslcli, shell: str) -> None:
    assert "sslcli completion query" in sslcli("completion", shell).out


def test_bash_completes(sslcli: Sslcli, tmp_path: Path) -> None:
    """In a real bash: the script is sourced, and Tab's function called as bash calls it."""
    script = tmp_path / "completion.bash"
    script.write_text(sslcli("completion", "bash").out)
    program = f"""
source '{script}'
sslcli() {{ '{sys.executable}' -m sslcli "$@"; }}
compopt() {{ :; }}
COMP_LINE='sslcli pretrain encoder=resnet1' COMP_POINT=31 COMP_WORDS=(sslcli pretrain encoder = resnet1) COMP_CWORD=4
_sslcli
echo "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["resnet18"]


def test_lists(sslcli: Sslcli) -> None:
    assert "simclr" in sslcli("list", "methods").out
    assert "fashion_sample" in sslcli("list", "data").out
    assert "resnet50" in sslcli("list", "encoders").out
    assert "cifar10_simclr" in sslcli("list", "experiments").out


@pytest.mark.usefixtures("hangup")
@pytest.mark.parametrize("words", [["list", "methods"], ["--help"]], ids=" ".join)
def test_a_reader_that_closes_the_pipe_ends_the_command_as_usual(
    command_line: Callable[..., int], monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    """As `sslcli list methods | head -1` does: 128 + SIGPIPE, and not a word."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as closed:
        monkeypatch.setattr(sys, "stdout", closed)
        assert command_line(*words) == 141


def test_closed_streams_and_other_encodings_print_what_they_can(
    command_line: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_run(tmp_path / "outputs/ü")
    with monkeypatch.context() as patched:
        for stream in ("stdout", "stderr"):
            patched.setattr(sys, stream, None)
        assert command_line("runs") == 0
        assert command_line("pretrian") == 2
        for opened in (sys.stdout, sys.stderr):
            opened.close()
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))
    assert command_line("runs") == 0
    assert b"\\xfc " in written.getvalue()


@pytest.mark.parametrize(
    "words",
    [
        ("resume", "~nobody-here/x"),
        ("compare", "~nobody-here/x", "y"),
        ("inspect", "~nobody-here/x"),
        ("pretrain", "runtime.outputs=~nobody-here/x"),
        ("pretrain", "-m", "seed=0,1", "runtime.outputs=~nobody-here/x"),
        ("pretrain", "data=folder", "data.root=~nobody-here/x"),
    ],
)
def test_a_home_that_is_not_there_is_said_so(
    sslcli: Sslcli, tmp_path: Path, words: tuple[str, ...]
) -> None:
    outcome = sslcli(*words)
    assert outcome.status == 2
    assert "whole path" in require_two_lines(outcome, "'~nobody-here/x' begins with the home of")
    assert not list(tmp_path.iterdir())
