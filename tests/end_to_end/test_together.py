"""Several processes train as one: the same pictures, views, losses and weights (gloo, on the CPU)."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch
from doubles import (
    CPU,
    PREPROCESSING,
    TEACHER,
    TINY,
    Killed,
    Onlooker,
    Sslcli,
    facts,
    only_run,
    state,
    together,
    without_batch_statistics,
)
from torch import Tensor, nn

from sslcli.augment.masks_config import MaskConfig, MaskKind
from sslcli.data.batches import Batches
from sslcli.data.images import ImageSet
from sslcli.engine.minimize import Minimizer
from sslcli.engine.optim_config import SGDConfig
from sslcli.engine.replicas import Replicas
from sslcli.engine.runtime_config import Parallel
from sslcli.engine.shards import Shards
from sslcli.engine.train import Periods, train
from sslcli.generators import seed_generators
from sslcli.method import Method
from sslcli.methods.byol import BYOLConfig
from sslcli.methods.context_encoder import ContextEncoderConfig
from sslcli.methods.denoising_autoencoder import DenoisingAutoencoderConfig
from sslcli.methods.distillation import DistillationConfig
from sslcli.methods.mae import MAEConfig
from sslcli.methods.simclr import SimCLR, SimCLRConfig
from sslcli.nets.encoder_config import Activation, ContextConfig, ConvNetConfig, MLPConfig
from sslcli.nets.vit_config import ViTConfig
from sslcli.processes import rank
from sslcli.runs.checkpoint import Phase
from sslcli.runs.folder import Run, read_records

REPLICATE, SHARD = Parallel.replicate, Parallel.shard
WAYS = [(2, REPLICATE), (4, REPLICATE), (2, SHARD), (4, SHARD)]
PROJECTED = "simclr, batch norm in the projector"
CONTRACTIVE = "contractive"
"""Not with weights that are shared out: it is refused there (test_replicas.py)."""

METHODS: dict[str, Callable[[], Method]] = {
    PROJECTED: lambda: SimCLRConfig().build(ConvNetConfig(width=4).build(3, 16), PREPROCESSING),
    "simclr": lambda: SimCLRConfig(chunk_size=5, loss_block=7).build(
        ConvNetConfig(width=4).build(3, 16), PREPROCESSING
    ),
    "denoising": lambda: DenoisingAutoencoderConfig().build(
        MLPConfig(widths=[20], batch_norm=False).build(3, 16), PREPROCESSING
    ),
    "variational": lambda: DenoisingAutoencoderConfig(kl=1.0).build(
        MLPConfig(widths=[20], bottleneck=4, batch_norm=False).build(3, 16), PREPROCESSING
    ),
    CONTRACTIVE: lambda: DenoisingAutoencoderConfig(contractive=0.1).build(
        MLPConfig(widths=[20], bottleneck=4, batch_norm=False).build(3, 16), PREPROCESSING
    ),
    "sparse": lambda: DenoisingAutoencoderConfig(sparse=3.0).build(
        MLPConfig(widths=[20], activation=Activation.sigmoid, batch_norm=False).build(3, 16),
        PREPROCESSING,
    ),
    "distillation": lambda: DistillationConfig(teacher=str(TEACHER), queue=30).build(
        ConvNetConfig(width=4).build(3, 16), PREPROCESSING
    ),
    "moving average": lambda: BYOLConfig().build(
        ConvNetConfig(width=4).build(3, 16), PREPROCESSING
    ),
    "tokens": lambda: MAEConfig(decoder_width=32, decoder_depth=1).build(
        ViTConfig(width=16, depth=1, heads=2).build(3, 16), PREPROCESSING
    ),
    "adversarial": lambda: ContextEncoderConfig(
        adversarial=True, masks=MaskConfig(kind=MaskKind.blocks), bottleneck=None
    ).build(ContextConfig(width=4).build(3, 16), PREPROCESSING),
}
NOTED = (0, 19)
"""Steps whose gradients are compared: the first and the last."""
RATES = {"denoising": 1e-3, "variational": 1e-4, CONTRACTIVE: 1e-4, "sparse": 1e-3}
"""Learning rates other than 0.05, with which sums over 768 pixels, and exponentials, run away."""


BY_THEN = {"simclr": 5e-5, "moving average": 5e-5, "distillation": 5e-5}
"""How far apart the last step's gradients of these convnets may be, 1e-5 elsewhere: in 19 updates the weights have come apart
by roundings. Measured: 2.0e-5, 1.1e-5 and 8.5e-6 (elsewhere 5.4e-6); in the first step, of the same weights, 3.3e-6 at most."""


class Noting(Minimizer):
    """Notes the averaged gradients of every player in the steps NOTED, whole."""

    def watch(self, learner: Method) -> None:
        self.learner, self.noted = learner, list[dict[str, Tensor]]()

    def begin(self, step: int) -> None:
        super().begin(step)
        self.noting = step in NOTED

    def __call__(self, loss: Tensor, *players: str) -> None:
        super().__call__(loss, *players)
        if self.noting:  # the gradients are there until the player's next update
            modules = self.learner.players()
            trained = nn.ModuleDict(
                {name: nn.ModuleList(modules[name]) for name in players or ("method",)}
            )
            found = {name: p.grad for name, p in trained.named_parameters() if p.grad is not None}
            self.noted.append(copy.deepcopy(self.replicas.whole(found)))


def train_here(
    name: str, folder: Path, parallel: Parallel = REPLICATE, stop_at: int | None = None
) -> None:
    seed_generators(1)
    method, rate = METHODS[name](), RATES.get(name, 0.05)
    for part, module in method.modules().items():
        if (name, part) != (PROJECTED, "projector"):
            without_batch_statistics(module)
        CPU.to_device(module)
    images = np.random.default_rng(0).integers(0, 256, (50, 16, 16, 3), dtype=np.uint8)
    pictures = Batches(ImageSet(images), 12, 0, "cpu")
    own = folder / str(rank())
    own.mkdir(parents=True, exist_ok=True)
    replicas, learner = Replicas(), method
    if parallel is SHARD:
        shards = replicas = Shards(method, large=1)
        learner = shards.learner
    if not (own / "run.json").exists():
        Run.create(own, {}, {"status": "running"}).__exit__()
    minimize = Noting.of(
        learner, SGDConfig(lr=rate, clip_norm=10.0), CPU, lambda step: rate, replicas=replicas
    )
    minimize.watch(learner)
    with Run(own) as run, suppress(Killed):
        train(
            learner, pictures, minimize,
            lambda step: seen(method), Phase(run, "pretrain", 1, 0), Periods(20, 1, 8, 10), CPU, Onlooker(stop_at=stop_at),
        )  # fmt: skip
    replicas.show()
    torch.save(state(method), own / "weights.pt")
    torch.save(minimize.noted, own / "gradients.pt")


def seen(method: Method) -> dict[str, float]:
    """What an evaluation sees of the weights."""
    return {"length": float(sum(p.detach().square().sum() for p in method.encoder.parameters()))}


def losses(folder: Path) -> list[dict[str, float]]:
    kept = ("loss", "discriminator_loss", "rank_accuracy", "kl", "contractive", "sparse")
    return [
        {key: record[key] for key in kept if key in record}
        for record in read_records(folder)
        if "loss" in record
    ]


def all_methods(folder: Path, parallel: Parallel = REPLICATE) -> None:
    for name in METHODS:
        if (name, parallel) != (CONTRACTIVE, SHARD):
            train_here(name, folder / name, parallel)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every method trained by 1, 2 and 4 processes, which hold all weights or their part."""
    folder = tmp_path_factory.mktemp("together")
    all_methods(folder / "1")
    for num, parallel in WAYS:
        together(num, all_methods, folder / f"{num} {parallel.value}", parallel)
    return folder


TRAINED = [
    (name, num, parallel)
    for name in METHODS
    for num, parallel in WAYS
    if (name, parallel) != (CONTRACTIVE, SHARD)
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "num", "parallel"), TRAINED)
def test_losses_and_weights_are_those_of_one_process(
    trained: Path, name: str, num: int, parallel: Parallel
) -> None:
    many = trained / f"{num} {parallel.value}" / name
    alone, shared = losses(trained / "1" / name / "0"), losses(many / "0")
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
    for member in range(num if parallel is REPLICATE else 1):  # else the first alone has all
        found_weights = torch.load(many / f"{member}/weights.pt")
        for key, expected_weight in expected_weights.items():
            assert torch.allclose(found_weights[key], expected_weight, rtol=1e-4, atol=1e-5), key


@pytest.mark.slow
@pytest.mark.parametrize(("name", "num", "parallel"), TRAINED)
def test_gradients_are_those_of_one_process(
    trained: Path, name: str, num: int, parallel: Parallel
) -> None:
    """Of the first step and the last, after the average, relative to each tensor's largest."""
    alone = torch.load(trained / "1" / name / "0/gradients.pt")
    shared = torch.load(trained / f"{num} {parallel.value}" / name / "0/gradients.pt")
    players = len(alone) // len(NOTED)
    assert len(shared) == len(alone) == players * len(NOTED) > 0
    for number, (expected, found) in enumerate(zip(alone, shared, strict=True)):
        last = number >= players
        if last and name == PROJECTED:  # as above: by then nothing is alike
            continue
        bound = BY_THEN.get(name, 1e-5) if last else 1e-5
        assert found.keys() == expected.keys() != set()
        for key, gradient in expected.items():
            largest = gradient.abs().max()
            assert largest > 0, key
            assert (found[key] - gradient).abs().max() <= bound * largest, key


@pytest.mark.slow
@pytest.mark.parametrize("name", list(METHODS))
def test_only_the_first_process_saves(trained: Path, name: str) -> None:
    for way in ("2 replicate", "2 shard")[: 1 if name == CONTRACTIVE else 2]:
        assert (trained / way / name / "0/pretrain/last.pt").exists()
        assert not (trained / way / name / "1/pretrain/last.pt").exists()


@pytest.mark.slow
@pytest.mark.parametrize("parallel", [REPLICATE, SHARD])
def test_a_run_of_two_goes_on_alone(trained: Path, tmp_path: Path, parallel: Parallel) -> None:
    together(2, train_here, "simclr", tmp_path, parallel, 14)
    assert 10 <= len(losses(tmp_path / "0")) < 20
    train_here("simclr", tmp_path)
    for expected, found in zip(losses(trained / "1/simclr/0"), losses(tmp_path / "0"), strict=True):
        assert found == pytest.approx(expected, rel=1e-5, abs=1e-5)


@pytest.mark.slow
def test_a_run_of_one_goes_on_in_four_parts(trained: Path, tmp_path: Path) -> None:
    train_here("moving average", tmp_path, stop_at=14)
    assert 10 <= len(losses(tmp_path / "0")) < 20
    together(4, train_here, "moving average", tmp_path, SHARD)
    alone = losses(trained / "1/moving average/0")
    for expected, found in zip(alone, losses(tmp_path / "0"), strict=True):
        assert found == pytest.approx(expected, rel=1e-5, abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["moving average", "tokens"])
def test_evaluations_see_the_weights_of_their_step(trained: Path, name: str) -> None:
    alone, *others = (
        [
            record["length"]
            for record in read_records(trained / way / name / "0")
            if "length" in record
        ]
        for way in ("1", "2 replicate", "2 shard", "4 shard")
    )
    assert len(set(alone)) == 3, "steps 8, 16 and 20"
    for found in others:
        assert found == pytest.approx(alone, rel=1e-5)


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
    sslcli: Sslcli, tmp_path: Path
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
