"""Several processes train as one: the same pictures, views, losses and weights (gloo, on the CPU)."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, fields
from datetime import timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import TINY, Outcome, facts, only_run
from torch import Tensor, nn

from sslcli.augment.masks_config import MaskConfig, MaskKind
from sslcli.data.batches import Batches
from sslcli.data.images import ImageSet
from sslcli.engine.device import Compute
from sslcli.engine.minimize import Minimizer
from sslcli.engine.optim_config import SGDConfig
from sslcli.engine.train import Periods, train
from sslcli.errors import RunFailed, SslcliError
from sslcli.experiments.pretrain import warn_of_own_statistics
from sslcli.generators import seed_generators
from sslcli.method import Method, Preprocessing
from sslcli.methods.context_encoder import ContextEncoderConfig
from sslcli.methods.denoising_autoencoder import DenoisingAutoencoderConfig
from sslcli.methods.simclr import SimCLR, SimCLRConfig
from sslcli.nets.encoder_config import ContextConfig, ConvNetConfig, MLPConfig
from sslcli.processes import (
    Launch,
    gathered,
    join,
    launched_as,
    leave,
    rank,
    rendezvous_address,
    size,
)
from sslcli.runs.checkpoint import Phase
from sslcli.runs.folder import Run, read_records

CPU = Compute(torch.device("cpu"), None)
SHAPE = Preprocessing(16, 3, (0.5,) * 3, (0.25,) * 3)
PROJECTED = "simclr, batch norm in the projector"
METHODS: dict[str, Callable[[], Method]] = {
    PROJECTED: lambda: SimCLRConfig().build(ConvNetConfig(width=4).build(3, 16), SHAPE),
    "simclr": lambda: SimCLRConfig(chunk_size=5, loss_block=7).build(
        ConvNetConfig(width=4).build(3, 16), SHAPE
    ),
    "denoising": lambda: DenoisingAutoencoderConfig().build(
        MLPConfig(widths=[20], batch_norm=False).build(3, 16), SHAPE
    ),
    "adversarial": lambda: ContextEncoderConfig(
        adversarial=True, masks=MaskConfig(kind=MaskKind.blocks), bottleneck=None
    ).build(ContextConfig(width=4).build(3, 16), SHAPE),
}


class Killed(Exception):
    pass


@dataclass
class Onlooker:
    stop_at: int | None = None

    def step(self, done: int) -> None:
        if done == self.stop_at:
            raise Killed

    def record(self, record: dict[str, Any]) -> None: ...


def together(num: int, work: Callable[..., None], *arguments: object) -> None:
    """Runs `work(*arguments)` in so many processes that are one group."""
    port = free_port()
    context = get_context("forkserver")  # which imports torch once, and not for every process
    context.set_forkserver_preload(
        ["torch", "torch.distributed", "sslcli.engine.train", "sslcli.engine.optim_config"]
    )
    processes = [
        context.Process(target=_member, args=(r, num, port, work, *arguments)) for r in range(num)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0] * num


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _member(
    rank_here: int, num: int, port: int, work: Callable[..., None], *arguments: object
) -> None:
    told = {"RANK": rank_here, "WORLD_SIZE": num, "LOCAL_RANK": rank_here, "MASTER_PORT": port}
    os.environ.update(
        {"MASTER_ADDR": "127.0.0.1", **{key: str(value) for key, value in told.items()}}
    )
    torch.set_num_threads(1)
    join("cpu")
    work(*arguments)
    leave()


def without_batch_statistics(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm1d | nn.BatchNorm2d):
            setattr(module, name, nn.GroupNorm(1, child.num_features))
        without_batch_statistics(child)


def train_here(name: str, folder: Path, stop_at: int | None = None) -> None:
    seed_generators(1)
    method = METHODS[name]()
    for part, module in method.modules().items():
        if (name, part) != (PROJECTED, "projector"):
            without_batch_statistics(module)
        CPU.to_device(module)
    images = np.random.default_rng(0).integers(0, 256, (50, 16, 16, 3), dtype=np.uint8)
    pictures = Batches(ImageSet(images), 12, 0, "cpu")
    own = folder / str(rank())
    own.mkdir(parents=True, exist_ok=True)
    if not (own / "run.json").exists():
        Run.create(own, {}, {"status": "running"}).__exit__()
    with Run(own) as run, suppress(Killed):
        train(
            method, pictures, Minimizer.of(method, SGDConfig(lr=0.05), CPU, lambda step: 0.05), lambda step: {},
            Phase(run, "pretrain", 1, 0), Periods(20, 1, 1000, 10), CPU, Onlooker(stop_at),
        )  # fmt: skip
    state = {
        f"{part}.{key}": v
        for part, m in method.modules().items()
        for key, v in m.state_dict().items()
    }
    torch.save(state, own / "weights.pt")


def losses(folder: Path) -> list[dict[str, float]]:
    kept = ("loss", "discriminator_loss", "rank_accuracy")
    return [
        {key: record[key] for key in kept if key in record}
        for record in read_records(folder)
        if "loss" in record
    ]


def all_methods(folder: Path) -> None:
    for name in METHODS:
        train_here(name, folder / name)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every method trained by 1, 2 and 4 processes."""
    folder = tmp_path_factory.mktemp("together")
    all_methods(folder / "1")
    for num in (2, 4):
        together(num, all_methods, folder / str(num))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("num", [2, 4])
@pytest.mark.parametrize("name", list(METHODS))
def test_losses_and_weights_are_those_of_one_process(trained: Path, name: str, num: int) -> None:
    alone, shared = losses(trained / "1" / name / "0"), losses(trained / str(num) / name / "0")
    assert len(alone) == len(shared) == 20
    if (
        name == PROJECTED
    ):  # which sees the pictures of all processes; its statistics make much of the last digit, step by step
        assert [found["loss"] for found in shared[:4]] == pytest.approx(
            [one["loss"] for one in alone[:4]], rel=1e-5
        )
        return
    for expected, found in zip(alone, shared, strict=True):
        assert found == pytest.approx(expected, rel=1e-5, abs=1e-5)
    expected_weights = torch.load(trained / "1" / name / "0/weights.pt")
    for member in range(num):
        found_weights = torch.load(trained / str(num) / name / f"{member}/weights.pt")
        for key, expected_weight in expected_weights.items():
            assert torch.allclose(found_weights[key], expected_weight, rtol=1e-4, atol=1e-5), key


@pytest.mark.slow
@pytest.mark.parametrize("name", list(METHODS))
def test_only_the_first_process_saves(trained: Path, name: str) -> None:
    assert (trained / "2" / name / "0/pretrain/last.pt").exists()
    assert not (trained / "2" / name / "1/pretrain/last.pt").exists()


@pytest.mark.slow
def test_a_run_of_two_goes_on_alone(trained: Path, tmp_path: Path) -> None:
    together(2, train_here, "simclr", tmp_path, 14)
    assert 10 <= len(losses(tmp_path / "0")) < 20
    train_here("simclr", tmp_path)
    for expected, found in zip(losses(trained / "1/simclr/0"), losses(tmp_path / "0"), strict=True):
        assert found == pytest.approx(expected, rel=1e-5, abs=1e-5)


def train_until_the_first_is_satisfied(folder: Path) -> None:
    """Which it is after its second evaluation; the others do not evaluate."""

    class Satisfied(SimCLR):
        def satisfied(self) -> bool:
            return len(evaluated) == 2

    seed_generators(1)
    evaluated: list[int] = []
    method = METHODS["simclr"]()
    assert isinstance(method, SimCLR)
    method = Satisfied(**{field.name: getattr(method, field.name) for field in fields(method)})
    for module in method.modules().values():
        without_batch_statistics(module)
    images = np.random.default_rng(0).integers(0, 256, (50, 16, 16, 3), dtype=np.uint8)

    def evaluate(step: int) -> dict[str, float]:
        evaluated.append(step)
        return {}

    with Run.create(folder / str(rank()), {}, {"status": "running"}) as run:
        train(
            method, Batches(ImageSet(images), 12, 0, "cpu"), Minimizer.of(method, SGDConfig(lr=0.05), CPU, lambda step: 0.05),
            evaluate, Phase(run, "pretrain", 1, 0), Periods(20, 5, 3, 10), CPU, Onlooker(),
        )  # fmt: skip
    expected = [3, 6] if rank() == 0 else []
    assert evaluated == expected
    assert read_records(run.folder)[-1]["step"] == 6


@pytest.mark.slow
def test_what_satisfies_the_first_ends_the_training_of_all(tmp_path: Path) -> None:
    for member in range(2):
        (tmp_path / str(member)).mkdir()
    together(2, train_until_the_first_is_satisfied, tmp_path)


def gradient_of_gathered(folder: Path) -> None:
    rows = torch.arange(12.0).view(6, 2)
    own = torch.cat([group.chunk(size())[rank()] for group in rows.chunk(3)]).requires_grad_()
    everyone = gathered(own, groups=3)
    assert torch.equal(everyone, rows)
    (everyone.T @ everyone).square().sum().backward()
    assert own.grad is not None
    torch.save(own.grad / size(), folder / f"{rank()}.pt")


def test_gathered_rows_have_the_gradient_of_the_whole(tmp_path: Path) -> None:
    together(2, gradient_of_gathered, tmp_path)
    rows = torch.arange(12.0).view(6, 2).requires_grad_()
    (expected,) = torch.autograd.grad((rows.T @ rows).square().sum(), rows)
    found: list[Tensor] = [torch.load(tmp_path / f"{member}.pt") for member in range(2)]
    assert torch.allclose(torch.stack(found, dim=1).view(6, 2), expected)


def test_torchrun_and_srun_say_where_a_process_stands() -> None:
    assert launched_as({}) == Launch(0, 1, 0)
    torchrun = {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1"}
    assert launched_as(torchrun) == Launch(3, 4, 1)
    srun = {"SLURM_PROCID": "5", "SLURM_STEP_NUM_TASKS": "8", "SLURM_LOCALID": "1"}
    assert launched_as(srun) == Launch(5, 8, 1)
    with pytest.raises(SslcliError, match="4 processes were started, and LOCAL_RANK is not set"):
        launched_as({"RANK": "3", "WORLD_SIZE": "4"})


def test_under_srun_processes_meet_on_the_first_machine_of_the_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scontrol = tmp_path / "scontrol"
    scontrol.write_text('#!/bin/sh\n[ "$*" = "show hostnames n[3-4]" ] && printf "n3\\nn4\\n"\n')
    scontrol.chmod(0o755)
    step = {"SLURM_STEP_NODELIST": "n[3-4]", "SLURM_JOB_ID": "7", "SLURM_STEP_ID": "1"}
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert rendezvous_address(step) == "tcp://n3:20113"
    assert rendezvous_address({**step, "SLURM_STEP_ID": "2"}) != rendezvous_address(step)
    assert rendezvous_address({**step, "MASTER_ADDR": "n9", "MASTER_PORT": "29500"}) == "env://"
    with pytest.raises(SslcliError, match="Slurm does not say where they meet"):
        rendezvous_address({**step, "SLURM_STEP_NODELIST": ""})


def test_a_process_does_not_wait_for_ever_for_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    as_second(monkeypatch)
    monkeypatch.setattr("sslcli.processes.RENDEZVOUS_TIMEOUT", timedelta(seconds=1))
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", str(free_port()))
    with pytest.raises(RunFailed, match=r"process 1 did not find the 1 others at 127\.0\.0\.1:"):
        join("cpu")


def test_a_port_that_is_taken_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        for key, value in {
            "WORLD_SIZE": "2",
            "RANK": "0",
            "LOCAL_RANK": "0",
            "MASTER_ADDR": "127.0.0.1",
        }.items():
            monkeypatch.setenv(key, value)
        monkeypatch.setenv("MASTER_PORT", str(taken.getsockname()[1]))
        with pytest.raises(RunFailed, match="did not find the 1 others") as caught:
            join("cpu")
    assert "port is free" in caught.value.fix


def test_a_batch_that_does_not_divide_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sslcli.data.batches.size", lambda: 4)
    with pytest.raises(SslcliError) as caught:
        Batches(ImageSet(np.zeros((50, 4, 4, 1), np.uint8)), 10, 0, "cpu")
    assert "a multiple of the 4 processes, got 10" in caught.value.message
    assert "12" in caught.value.fix


TOGETHER = [
    "-m",
    "torch.distributed.run",
    "--nproc-per-node=2",
    f"--master-port={29_000 + os.getpid() % 999}",
    "-m",
    "sslcli",
]


def torchrun(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    return subprocess.run(
        [sys.executable, *TOGETHER, *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.slow
def test_torchrun_makes_one_run_which_ends_as_that_of_one_process(
    sslcli: Callable[..., Outcome], tmp_path: Path
) -> None:
    tiny = [word for word in TINY if not word.startswith("encoder.width")]
    network = ["method=denoising_autoencoder", "encoder.widths=[16]", "encoder.batch_norm=false"]
    words = [*tiny, *network, "runtime.precision=fp32"]
    assert sslcli("pretrain", *words, "runtime.outputs=alone").status == 0
    done = torchrun(tmp_path, "pretrain", *words, "runtime.outputs=both")
    assert done.returncode == 0, done.stderr
    alone, both = only_run(tmp_path / "alone"), only_run(tmp_path / "both")
    assert done.stdout.count("run: ") == 1, "one of them speaks"
    assert facts(both)["status"] == "finished"
    assert [facts(run)["environment"]["processes"] for run in (alone, both)] == [1, 2]
    expected, found = (
        [record["loss"] for record in read_records(run) if "loss" in record]
        for run in (alone, both)
    )
    assert found == pytest.approx(expected, rel=1e-5)
    assert facts(both)["data"]["fingerprint"] == facts(alone)["data"]["fingerprint"]


@pytest.mark.parametrize("words", [["linear-eval", "run=last"], ["pretrain", "-m", "seed=0,1"]])
def test_what_is_for_one_process_is_refused(
    words: list[str], sslcli: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in {"WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0"}.items():
        monkeypatch.setenv(key, value)
    outcome = sslcli(*words)
    assert outcome.status == 2
    assert "2 processes were started together" in outcome.err


def as_second(monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in {"WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1"}.items():
        monkeypatch.setenv(key, value)


def test_the_others_find_the_data_named_from_where_the_command_was_typed(
    sslcli: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_second(monkeypatch)
    roots: list[str] = []
    monkeypatch.setattr(
        "sslcli.experiments.pretrain.run", lambda config, *_: roots.append(config.data.root)
    )
    outcome = sslcli("pretrain", "data=folder", "data.root=photos")
    assert outcome.status == 0, outcome.err
    assert roots == [str(tmp_path / "photos")]


def test_the_others_leave_a_finished_run_as_it_is(
    made: Path, sslcli: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    as_second(monkeypatch)
    monkeypatch.setattr("sslcli.cli.guard.RANK0_REPORTS_WITHIN", 0.0)
    outcome = sslcli("resume", str(made))
    assert outcome.status == 2
    assert "is finished" in outcome.err


class Heard:
    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        self.warnings.append(text)


@pytest.mark.parametrize(
    ("name", "parts"),
    [("simclr", "(encoder)"), ("adversarial", "(encoder, bottleneck, decoder, d")],
)
def test_statistics_that_are_not_shared_are_told_of_by_part(
    name: str, parts: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    method, heard = METHODS[name](), Heard()
    warn_of_own_statistics(method, heard)  # type: ignore[arg-type]
    assert heard.warnings == []
    monkeypatch.setattr("sslcli.processes.size", lambda: 2)
    warn_of_own_statistics(method, heard)  # type: ignore[arg-type]
    assert parts in heard.warnings[0]
    for module in method.modules().values():
        without_batch_statistics(module)
    heard.warnings.clear()
    warn_of_own_statistics(method, heard)  # type: ignore[arg-type]
    assert heard.warnings == []


def test_what_the_first_did_not_say_another_does(
    sslcli: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    as_second(monkeypatch)
    waited: list[float] = []
    monkeypatch.setattr("sslcli.cli.guard.time.sleep", waited.append)
    outcome = sslcli("pretrain", "method.temperature=-1")
    assert (outcome.status, len(waited)) == (2, 1)
    assert "method.temperature must be positive" in outcome.err
