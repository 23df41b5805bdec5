"""Training on shards and parquet files: resumed in the middle of an epoch it ends as if never stopped."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from doubles import CPU, PREPROCESSING, Killed, Onlooker, state, together
from tars import picture, sample, write_shard

from sslcli.data.batches import Batches
from sslcli.data.data_config import DataConfig
from sslcli.data.folder import Cache
from sslcli.data.parquet import ParquetConfig
from sslcli.data.shards import ShardsConfig
from sslcli.engine.minimize import Minimizer
from sslcli.engine.optim_config import SGDConfig
from sslcli.engine.train import Periods, train
from sslcli.generators import seed_generators
from sslcli.methods.simclr import SimCLRConfig
from sslcli.nets.encoder_config import ConvNetConfig
from sslcli.processes import rank
from sslcli.runs.checkpoint import Phase
from sslcli.runs.folder import Run, read_records

KINDS = ("shards", "parquet", "remote")


def config(kind: str, root: Path, workers: int) -> DataConfig:
    """Of remote shards, copies of three of four are kept, and two are mixed."""
    settings: dict[str, Any] = {
        "resolution": 16, "channels": 3, "cache": Cache.none, "workers": workers,
    }  # fmt: skip
    if kind == "parquet":
        return ParquetConfig(root=str(root / "parquet"), **settings)
    if kind == "shards":
        return ShardsConfig(root=str(root / "shards"), **settings)
    room = 3.5 * max(path.stat().st_size for path in (root / "shards").iterdir()) / 1e9
    away = {"root": f"file://{root}/shards/{{0..3}}.tar", "mixed": 2, "shard_cache": room}
    return ShardsConfig(**away, **settings)


CUT = 14
"""The step after which a training is killed: the fifth of the third epoch of five."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for number in range(4):
        samples = [sample(f"{row}", str(row % 2)) for row in range(18)]
        write_shard(folder / f"shards/{number}.tar", samples)
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    (folder / "parquet").mkdir()
    table = pyarrow.table({"image": [{"bytes": picture(), "path": None} for _ in range(72)]})
    parquet.write_table(table, folder / "parquet/a.parquet", row_group_size=10)
    return folder


def train_here(kind: str, root: Path, folder: Path, workers: int, stop_at: int | None) -> None:
    """Trains 20 steps from where `folder` stands, in each process of the group."""
    data = config(kind, root, workers)
    seed_generators(1)
    method = SimCLRConfig().build(ConvNetConfig(width=4).build(3, 16), PREPROCESSING)
    for module in method.modules().values():
        CPU.to_device(module)
    pictures = Batches(data.load().train, 12, 0, "cpu")
    assert pictures.steps_per_epoch == 5
    own = folder / str(rank())
    if not (own / "run.json").exists():
        own.mkdir(parents=True, exist_ok=True)
        Run.create(own, {}, {"status": "running"}).__exit__()
    with Run(own) as run, suppress(Killed):
        train(
            method, pictures, Minimizer.of(method, SGDConfig(lr=0.05), CPU, lambda step: 0.05), lambda step: {},
            Phase(run, "pretrain", 1, 0), Periods(20, 1, 1000, 4), CPU, Onlooker(stop_at=stop_at),
        )  # fmt: skip
    torch.save(state(method), own / "weights.pt")


def outcome(folder: Path) -> tuple[list[dict[str, Any]], dict[str, bytes]]:
    records = [
        {key: value for key, value in record.items() if key != "timing"}
        for record in read_records(folder)
    ]
    weights = torch.load(folder / "weights.pt")
    return records, {key: value.numpy().tobytes() for key, value in weights.items()}


@pytest.fixture(scope="module", params=KINDS)
def whole(request: pytest.FixtureRequest, data: Path, tmp_path_factory: Any) -> tuple[str, Path]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("XDG_CACHE_HOME", str(data / "cache"))
        folder = tmp_path_factory.mktemp("whole")
        train_here(request.param, data, folder, workers=1, stop_at=None)
    return request.param, folder


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_a_training_that_was_cut_ends_as_a_whole_one(
    whole: tuple[str, Path], data: Path, tmp_path: Path, workers: int, monkeypatch: Any
) -> None:
    kind, folder = whole
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    train_here(kind, data, tmp_path, workers, stop_at=CUT)
    assert len(read_records(tmp_path / "0")) < 20
    train_here(kind, data, tmp_path, workers, stop_at=None)
    assert outcome(tmp_path / "0") == outcome(folder / "0")


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.long
def test_two_processes_that_were_cut_end_as_two_that_were_not(
    kind: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    together(2, train_here, kind, data, tmp_path / "whole", 2, None)
    together(2, train_here, kind, data, tmp_path / "cut", 2, CUT)
    together(2, train_here, kind, data, tmp_path / "cut", 2, None)
    expected, found = outcome(tmp_path / "whole/0"), outcome(tmp_path / "cut/0")
    assert sum("loss" in record for record in expected[0]) == 20
    assert found == expected
    # The second process keeps no records; its weights are the first's, if not what its own
    # pictures made of the running statistics.
    second = outcome(tmp_path / "cut/1")[1]
    learned = [key for key in second if "running" not in key]
    assert {key: second[key] for key in learned} == {key: expected[1][key] for key in learned}
