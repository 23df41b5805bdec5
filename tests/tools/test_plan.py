"""What `sslcli plan` says, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from doubles import MADE, Sslcli, require_refused
from PIL import Image

from sslcli.cli.experiment import composer
from sslcli.data.images import untracked
from sslcli.errors import SslcliError
from sslcli.experiments.pretrain_config import Config
from sslcli.experiments.stack_pretrain_config import FinetuneConfig, Pretraining
from sslcli.tools.plan.fit import largest_chunks, largest_fitting
from sslcli.tools.plan.machine import Machine, memory_bytes, size
from sslcli.tools.plan.needed import Plan
from sslcli.tools.plan.pretraining import pretraining
from sslcli.tools.plan.report import sentences
from sslcli.tools.plan.subjects import subjects_of

HERE = ["runtime.threads=1", "runtime.precision=fp32", "runtime.device=cpu"]
SMALL = [*HERE, "encoder.width=4", "method.projector.hidden=32"]
QUICK = [*HERE, "method=denoising_autoencoder", "encoder.widths=[24,12]", "data.limit=640"]
"""What is planned in a tenth of a second."""


def config_of(*words: str) -> Config:
    ((_, config),) = composer(debug=False)("pretrain", list(words))
    assert isinstance(config, Config)
    return config


def plan_of(machine: Machine = Machine(), *words: str) -> Plan:  # noqa: B008
    config = config_of(*QUICK, *words)
    return Plan(pretraining("pretrain", config, machine, untracked), machine)


@pytest.mark.parametrize(
    ("text", "size"),
    [("24GB", 24 * 10**9), ("512 MiB", 2**29), ("1.5gb", 1_500_000_000), ("80GiB", 80 * 2**30)],
)
def test_sizes_are_read_with_their_unit(text: str, size: int) -> None:
    assert memory_bytes(text) == size


@pytest.mark.parametrize("text", ["24", "GB", "-1GB", "0GB", "24 TB", "nanGB", "1e3GB", ""])
def test_other_sizes_are_refused(text: str) -> None:
    with pytest.raises(SslcliError, match="--memory must be") as caught:
        memory_bytes(text)
    assert "--memory 24GB" in caught.value.fix


@pytest.mark.parametrize("words", [(None, "0", "1"), (None, "x", "1"), (None, "inf", "1")])
def test_other_speeds_are_refused(words: tuple[None, str, str]) -> None:
    with pytest.raises(SslcliError, match="--device-tflops must be positive"):
        Machine.of(*words)


PEAKS: dict[str, Callable[[int], int]] = {
    "linear": lambda num: 1000 + 7 * num,
    "square": lambda num: 1000 + 7 * num + num * num // 3,
    "in steps": lambda num: 1000 + 7 * (num // 50) * 50,
    "flat": lambda num: 1000,
}


@pytest.mark.parametrize("first", [2, 100, 100_000])
@pytest.mark.parametrize("limit", [990, 1030, 5000, 10**6, 10**9])
@pytest.mark.parametrize("name", PEAKS)
def test_the_largest_number_that_fits_is_found(name: str, limit: int, first: int) -> None:
    peak, tried = PEAKS[name], []

    def noted(num: int) -> int:
        tried.append(num)
        return peak(num)

    found = largest_fitting(noted, limit, first, 100_000)
    fitting = [num for num in range(2, 100_001) if peak(num) <= limit]
    best = fitting[-1] if fitting else 0
    assert found in fitting or found == best == 0
    assert found >= 0.95 * best - 8
    assert len(tried) <= 12


def test_chunks_are_powers_of_two_and_not_many() -> None:
    assert largest_chunks(lambda chunk: 10 * chunk, 700, 1000) == 64
    assert largest_chunks(lambda chunk: 10 * chunk, 10_000, 1000) == 512
    assert largest_chunks(lambda chunk: 10 * chunk, 100, 1000) is None


def test_the_run_says_how_long_and_how_large_it_is(made: Path) -> None:
    said = (made / "log.txt").read_text()
    assert "4 steps of 16 pictures, 4 an epoch; " in said
    assert plan_of(Machine(), "batch_size=64").in_words.startswith("220 steps of 64 pictures, 10 ")


def test_what_is_on_disk_is_what_a_run_leaves(made: Path) -> None:
    """Made of two parts of the same settings: what the files hold, and zip's own bytes."""
    config = config_of(*MADE)
    plan = Plan(pretraining("pretrain", config, Machine(), untracked), Machine())
    files = [*made.rglob("*.pt"), made / "encoder.safetensors"]
    left = sum(file.stat().st_size for file in files)
    assert plan.on_disk * len([*made.rglob("*.pt")]) / 2 == pytest.approx(left, rel=0.1)


@pytest.mark.slow
def test_a_batch_that_fits_is_named_and_one_that_does_not_is_explained() -> None:
    memory = plan_of().needs(64).peak
    plan = plan_of(Machine(memory=memory), "batch_size=32")
    most = plan.largest_batch(memory)
    assert 60 <= most <= 64
    assert plan.needs(most).peak <= memory
    plan = plan_of(Machine(memory=memory), "batch_size=128")
    said = "\n".join(sentences(plan))
    assert f"batch_size=128 does not fit in {size(memory)}" in said
    assert "fits in" in said
    said = "\n".join(sentences(plan_of(Machine(memory=10**10))))
    assert "fits in 10 GB with any batch, up to batch_size=640" in said


def test_what_a_run_would_refuse_is_said_and_planned_all_the_same() -> None:
    said = "\n".join(sentences(plan_of(Machine(processes=3), "batch_size=700")))
    assert "batch_size=700 would be refused: there are 640 training pictures" in said
    assert "3 processes cannot share it evenly" in said


def test_processes_share_the_batch_and_send_their_gradients() -> None:
    alone, four = plan_of(), plan_of(Machine(processes=4))
    assert alone.sent == 0
    assert four.sent == 2 * 3 * four.step.gradients // 4
    assert four.step.peak < alone.step.peak
    assert four.step.held == alone.step.held


def test_a_bound_is_called_one() -> None:
    plan = plan_of(Machine(teraflops=400.0))
    (said,) = [one for one in sentences(plan) if "TFLOP/s" in one]
    assert said.startswith("a bound, not a forecast: ")
    assert "at least" in said


def test_the_command_trains_nothing_and_says_what_is_needed(sslcli: Sslcli) -> None:
    said = sslcli("plan", "pretrain", *SMALL, "data.limit=64", "batch_size=16")
    assert said.status == 0, said.err
    assert "plan of pretrain: SimCLR, ConvNet, 64 pictures of 28 x 28 px" in said.out
    assert "between two steps (cpu, fp32)" in said.out
    assert not Path("outputs").exists()


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["worth"], "worth has no plan"),
        (["pretrain", "bath_size=3"], "there is no key 'bath_size'"),
        (["pretrain", "--memory", "24"], "--memory must be"),
        (["pretrain", "--processes", "0"], "--processes must be at least 1"),
        (["finetune", "run=last", "--processes", "2"], "finetune trains in one process"),
        (["stack-pretrain", "encoder=convnet"], "a plain chain of layers"),
        (["pretrain", "-m", "seed=1,2"], "unrecognized arguments: -m"),
        (["pretrain", "--device-tflops", "9", "--measure"], "a GPU that is not here"),
        (["pretrain", "batch_size=1"], "batch_size must be at least 2"),
        (["pretrain", "data=folder", "data.root=nowhere"], "nowhere"),
    ],
)
def test_mistakes_are_told_in_two_lines(sslcli: Sslcli, words: list[str], error: str) -> None:
    require_refused(sslcli("plan", *words), error)


@pytest.mark.slow
def test_ten_real_steps_are_measured(sslcli: Sslcli) -> None:
    said = sslcli("plan", "pretrain", *SMALL, "data.limit=64", "batch_size=16", "--measure")
    assert said.status == 0, said.err
    assert "images/s" in said.out
    assert torch.get_num_threads() == 1


def test_pictures_in_a_folder_are_counted_and_none_is_opened(tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / f"{number}.png").write_bytes(b"no picture")
    data = ["data=folder", f"data.root={tmp_path}", "data.resolution=32"]
    words = ["data.limit=null", "batch_size=2"]
    subject = plan_of(Machine(), *data, *words).subject
    assert (subject.num_images, subject.shape, subject.cached) == (18, (32, 32, 3), 0)
    subject = plan_of(Machine(), *data, *words, "data.cache=disk", "data.channels=1").subject
    assert (subject.shape, subject.cached) == ((32, 32, 1), 20 * 32 * 32)
    # Several processes share the decoded pictures, which are then on disk.
    assert plan_of(Machine(processes=2), *data, *words).subject.cached == 20 * 3 * 32 * 32


def test_tiles_are_counted_and_not_their_pictures(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(20):
        noise = rng.integers(0, 256, (32, 64, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / f"{number}.png")
    data = ["data=folder", f"data.root={tmp_path}", "data.tile=32"]
    words = ["data.limit=null", "batch_size=2", "data.cache=disk", "data.channels=3"]
    subject = plan_of(Machine(), *data, *words).subject
    assert (subject.num_images, subject.shape) == (36, (32, 32, 3))
    assert subject.cached == 40 * 3 * 32 * 32


def test_the_encoder_that_is_planned_is_the_one_for_smaller_views() -> None:
    words = ["method=simclr", "encoder=vit", "encoder.depth=1", "encoder.width=24"]
    words += ["encoder.heads=2", "encoder.patch=7", "data.limit=64", "batch_size=16"]
    whole, halves = (
        Plan(
            pretraining("pretrain", config_of(*HERE, *words, *more), Machine(), untracked),
            Machine(),
        )
        for more in ([], ["method.views.size=14"])
    )
    rows = [plan.learner.encoder.pos_embed.shape[1] for plan in (whole, halves)]
    assert rows == [1 + 4 * 4, 1 + 2 * 2]
    assert halves.step.flops < whole.step.flops


STACK = [
    *HERE, "encoder.widths=[24,12]", "epochs=[3,5]", "depths=[1,2]", "data.limit=200", "seeds=[0,1]",
    "compare=[none,denoising,autoencoder]", "finetune.epochs=2", "optim=sgd", "optim.momentum=0.9",
]  # fmt: skip


@cache
def stack() -> Any:
    ((_, config),) = composer(debug=False)("stack-pretrain", list(STACK))
    return config


def stack_of(config: Any) -> list[Plan]:
    subjects = subjects_of("stack-pretrain", config, Machine(), untracked)
    return [Plan(subject, Machine()) for subject in subjects]


def test_every_layer_and_network_of_a_stack_is_planned() -> None:
    plans = stack_of(stack())
    told = [(plan.subject.title[21:], plan.subject.times, plan.num_steps) for plan in plans]
    assert told == [
        ("layer 1 of 2", 4, 3 * 10),
        ("layer 2 of 2", 4, 5 * 10),
        ("1 of 2 layers, with a classifier", 6, 2 * 10),
        ("2 of 2 layers, with a classifier", 6, 2 * 10),
    ]
    assert [plan.subject.encoders for plan in plans] == [1, 1, 0, 0]
    only_layers = stack_of(replace(stack(), finetune=FinetuneConfig(epochs=0)))
    no_layers = stack_of(replace(stack(), compare=[Pretraining.none]))
    assert [plan.subject.title for plan in only_layers] == [p.subject.title for p in plans[:2]]
    assert [plan.subject.title for plan in no_layers] == [p.subject.title for p in plans[2:]]


@pytest.mark.slow
def test_layers_below_take_memory_and_are_not_saved_again() -> None:
    """The second of 784 -> 24 -> 12: its checkpoint holds weights, momentum, and the mirror's bias."""
    _, second, *_ = stack_of(stack())
    layer, mirror_bias = 24 * 12 + 12, 24
    assert second.step.saved == pytest.approx(4 * 2 * (layer + mirror_bias), rel=0.05)
    assert second.step.held > 4 * (784 * 24 + 24) + second.step.saved


@pytest.mark.slow
def test_finetune_is_planned_from_a_run(sslcli: Sslcli, coloured: Path) -> None:
    said = sslcli("plan", "finetune", f"run={coloured}", "training.batch_size=40", "labels=0.5")
    assert said.status == 0, said.err
    assert "60 labelled pictures of 12 x 12 px" in said.out
    assert "steps of 40 pictures" in said.out
    assert not list(coloured.rglob("evaluations*"))
