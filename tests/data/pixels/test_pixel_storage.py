"""Pixels in memory, on disk or in their files are the same."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from doubles import CPU, Killed, Onlooker, same, state
from photos import config, contents, fill

from sslcli.data import folder, statistics
from sslcli.data.batches import Batches
from sslcli.data.folder import Cache
from sslcli.data.images import LazySubset
from sslcli.data.statistics import channel_moments
from sslcli.engine.minimize import Minimizer
from sslcli.engine.optim_config import SGDConfig
from sslcli.engine.train import Periods, train
from sslcli.errors import RunFailed
from sslcli.generators import seed_generators
from sslcli.method import Preprocessing
from sslcli.methods.simclr import SimCLRConfig
from sslcli.nets.encoders import ENCODERS
from sslcli.runs.checkpoint import Phase
from sslcli.runs.folder import Run


@pytest.mark.parametrize("channels", [None, 1, 3])
@pytest.mark.parametrize("mode", ["RGB", "L", "both"])
def test_everything_is_the_same_wherever_the_pixels_are(
    photos: Path, mode: str, channels: int | None
) -> None:
    if mode != "RGB":
        for name in ("cat", "dog"):
            for part in ("train", "test"):
                fill(photos / part / name, 3 if mode == "both" else 20, "L")
    (photos / "train/cat/010.jpg").write_text("x")
    settings = {"channels": channels, "max_bad": 0.1}
    in_memory, *others = (
        config(photos, cache, workers=workers, **settings).load()
        for cache, workers in (
            (Cache.memory, 1),
            (Cache.disk, 3),
            (Cache.disk, 1),
            (Cache.none, 2),
            (Cache.none, 1),
        )
    )
    assert in_memory.train.channels == channels or {"RGB": 3, "L": 1, "both": 3}[mode]
    made_grey = channels == 1 and mode != "L"
    assert len(in_memory.warnings) == 1 + made_grey
    for other in others:
        assert isinstance(other.train.images, LazySubset)
        assert contents(other) == contents(in_memory)
        assert other.warnings == in_memory.warnings
        assert channel_moments(other.train) == channel_moments(in_memory.train)


def test_a_picture_whose_header_is_whole_is_found_broken_when_it_is_asked_for(photos: Path) -> None:
    broken = photos / "train/cat/007.jpg"
    broken.write_bytes(broken.read_bytes()[:-200])
    splits = config(photos, Cache.none).load()
    assert len(splits.train) + len(splits.val) == 40
    part = splits.train if str(broken) in (splits.train.paths or ()) else splits.val
    row = (part.paths or ()).index(str(broken))
    others = np.delete(np.arange(len(part)), row)
    assert len(part.images[others]) == len(part) - 1
    with pytest.raises(
        RunFailed, match=r"train/cat/007\.jpg could not be decoded: .*truncated"
    ) as caught:
        part.images[np.array([0, row])]
    assert "data.cache=disk" in caught.value.fix
    on_disk = config(photos, Cache.disk, max_bad=0.1).load()
    assert "train/cat/007.jpg" in on_disk.warnings[0]


def test_memory_is_chosen_for_what_is_decoded_in_seconds_and_fills_a_quarter_of_it_at_most(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = sum(path.stat().st_size for path in photos.rglob("*.*"))
    limits = {"QUICK_FILES": 48, "QUICK_BYTES": size, "memory_bytes": lambda: 4 * 48 * 8 * 8 * 3}
    lower = {
        "QUICK_FILES": 47,
        "QUICK_BYTES": size - 1,
        "memory_bytes": lambda: 4 * 48 * 8 * 8 * 3 - 1,
    }
    for name, limit in limits.items():
        monkeypatch.setattr(folder, name, limit)
    assert isinstance(config(photos, Cache.auto).load().train.images, np.ndarray)
    for name, limit in {
        **lower,
        "size": lambda: 2,
    }.items():  # several processes share what is on disk
        with monkeypatch.context() as patched:
            patched.setattr(folder, name, limit)
            assert isinstance(config(photos, Cache.auto).load().train.images, LazySubset), name


def test_memory_is_that_of_this_machine() -> None:
    assert 2**27 < folder.memory_bytes() < 2**50


def test_parts_of_pictures_that_are_not_in_memory_are_chosen_without_decoding(photos: Path) -> None:
    in_memory, in_files = (
        config(photos, cache).load().train for cache in (Cache.memory, Cache.none)
    )
    chosen = np.array([5, 1, 30, 5])
    for path in in_files.paths or ():
        Path(path).rename(f"{path}.away")
    twice = in_files.subset(chosen).subset(np.array([2, 0]))
    for path in in_files.paths or ():
        Path(f"{path}.away").rename(path)
    np.testing.assert_array_equal(twice.images[:], in_memory.images[chosen[[2, 0]]])
    np.testing.assert_array_equal(
        in_files.subset(chosen).images[1:3], in_memory.images[chosen[1:3]]
    )
    assert twice.fingerprint == in_memory.subset(chosen).subset(np.array([2, 0])).fingerprint


def test_statistics_are_of_a_sample_where_pictures_come_from_files(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statistics, "NUM_SAMPLED", 8)
    in_memory, in_files = (
        config(photos, cache).load().train for cache in (Cache.memory, Cache.none)
    )
    assert channel_moments(in_memory) == channel_moments(in_files)
    sample = in_memory.images[np.linspace(0, len(in_memory) - 1, 8).round().astype(np.int64)] / 255
    mean, deviation = channel_moments(in_memory)
    np.testing.assert_allclose(mean, sample.mean((0, 1, 2)))
    np.testing.assert_allclose(deviation, sample.std((0, 1, 2)))


def test_statistics_are_of_a_sample_of_labelled_and_unlabelled_files(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    splits = config(photos, Cache.none).load()
    assert splits.pretraining is splits.train, "nothing is joined where nothing is unlabelled"
    rows, half = np.arange(len(splits.train)), len(splits.train) // 2
    parts = [splits.train.subset(rows[:half]), splits.train.subset(rows[half:])]
    joined = replace(splits, train=parts[0], unlabelled=parts[1]).pretraining
    assert joined.paths == splits.train.paths
    monkeypatch.setattr(statistics, "NUM_SAMPLED", 8)
    assert channel_moments(joined) == channel_moments(splits.train)
    arrays = [replace(part, images=part.images[:], paths=None) for part in parts]
    mixed = replace(splits, train=parts[0], unlabelled=arrays[1]).pretraining
    assert mixed.paths is None


def trained(
    photos: Path, place: Path, cache: Cache, workers: int, kill_after: int | None
) -> dict[str, torch.Tensor]:
    """SimCLR's weights after two epochs, resumed where the process was killed."""
    part = config(photos, cache, workers=workers).load().train
    place.mkdir()
    Run.create(place, {}, {"status": "running"}).__exit__()
    for after in [kill_after, None] if kill_after else [None]:
        seed_generators(0)
        encoder = ENCODERS["convnet"](width=4).build(3, 8)
        method = SimCLRConfig().build(encoder, Preprocessing(8, 3, *channel_moments(part)))
        pictures = Batches(part, 8, 0, "cpu")
        minimize = Minimizer.of(method, SGDConfig(lr=0.1), CPU, lambda step: 0.1)
        with Run(place) as run, suppress(Killed):
            train(
                method, pictures, minimize, lambda step: {}, Phase(run, "pretrain", 1, 0),
                Periods(2 * pictures.steps_per_epoch, 1, 100, 2), CPU, Onlooker(stop_at=after),
            )  # fmt: skip
    return state(method)


def test_training_gives_the_same_weights_wherever_the_pixels_are(
    photos: Path, tmp_path: Path
) -> None:
    ways = [(Cache.memory, 1, None), (Cache.disk, 2, 5), (Cache.none, 1, None), (Cache.none, 3, 5)]
    first, *others = (trained(photos, tmp_path / str(i), *way) for i, way in enumerate(ways))
    for way, weights in zip(ways[1:], others, strict=True):
        assert same(weights, first), way
