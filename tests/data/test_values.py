"""Arrays of any channels and depth: nothing is cut, swapped or misread, and what is in doubt is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sslcli.data.arrays import ArraysConfig
from sslcli.data.batches import Batches
from sslcli.data.folder import FolderConfig
from sslcli.data.images import ImageSet, JoinedPixels, Splits, dtype_of
from sslcli.data.resize import resized
from sslcli.data.statistics import channel_moments
from sslcli.data.values import Layout, outward
from sslcli.errors import SslcliError
from sslcli.method import as_pictures

RNG = np.random.default_rng(0)
BANDS = RNG.integers(0, 65536, (12, 8, 8, 13), dtype=np.uint16)


def load(folder: Path, images: np.ndarray[Any, Any], **settings: Any) -> Splits:
    np.savez(folder / "a.npz", x_train=images, x_val=images[:2])
    return ArraysConfig(root=str(folder / "a.npz"), **settings).load()


def refusal(folder: Path, images: np.ndarray[Any, Any], **settings: Any) -> SslcliError:
    with pytest.raises(SslcliError) as caught:
        load(folder, images, **settings)
    return caught.value


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 13, 64])
@pytest.mark.parametrize("kind", ["uint8", "uint16", "float32"])
def test_values_stay_what_they_are(tmp_path: Path, kind: str, channels: int) -> None:
    images = RNG.integers(0, 256, (6, 32, 32, channels)).astype(kind)
    images = images / np.float32(255) if kind == "float32" else images
    splits = load(tmp_path, images, alpha=False if channels in (2, 4) else None)
    found = splits.train.images[:]
    assert found.dtype == kind
    np.testing.assert_array_equal(found, images)
    assert splits.range == {"uint8": None, "uint16": (0.0, 65535.0), "float32": (0.0, 1.0)}[kind]


@pytest.mark.parametrize("kind", [">u2", "<u2", ">f4"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("place", ["npz", "npy", "folder"])
def test_byte_order_and_memory_order_change_nothing(
    tmp_path: Path, kind: str, order: Any, place: str
) -> None:
    values = BANDS.astype(np.float32) / 65535 if "f" in kind else BANDS
    images = np.asarray(values.astype(kind), order=order)
    root = tmp_path / {"npz": "a.npz", "npy": "a.npy", "folder": ""}[place]
    if place == "npz":
        np.savez(root, x_train=images)
    else:
        np.save(root if place == "npy" else tmp_path / "x_train.npy", images)
    splits = ArraysConfig(root=str(root)).load()
    rows = np.concatenate([splits.train.images[:], splits.val.images[:]])
    assert rows.dtype == values.dtype
    assert {row.tobytes() for row in rows} == {row.tobytes() for row in values}
    assert any("Fortran" in line for line in splits.warnings) == (order == "F" and place != "npz")


def test_pictures_of_a_npy_stay_on_the_disk(tmp_path: Path) -> None:
    np.save(tmp_path / "x_train.npy", BANDS)
    np.save(tmp_path / "y_train.npy", np.arange(12) % 2)
    splits = ArraysConfig(root=str(tmp_path)).load()
    assert not isinstance(splits.train.images, np.ndarray)
    assert splits.train.labels is not None
    batches = Batches(splits.train, 4, 0, "cpu")
    chosen = batches.indices(0).numpy()
    np.testing.assert_array_equal(batches.at(0).numpy(), splits.train.images[chosen])


def test_a_file_cut_off_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "x_train.npy", BANDS)
    whole = (tmp_path / "x_train.npy").read_bytes()
    (tmp_path / "x_train.npy").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SslcliError, match=r"x_train.npy cannot be read"):
        ArraysConfig(root=str(tmp_path)).load()


@pytest.mark.parametrize("shape", [(6, 13, 32, 32), (6, 3, 20, 30), (6, 5, 40, 24)])
def test_channels_that_come_first_are_asked_for(tmp_path: Path, shape: tuple[int, ...]) -> None:
    images = RNG.integers(0, 65536, shape, dtype=np.uint16)
    error = refusal(tmp_path, images)
    assert "the channels are first" in error.message
    assert "data.layout=channels_first" in error.fix
    square = min(shape[2:])
    splits = load(tmp_path, images, layout=Layout.channels_first, resolution=square)
    assert splits.train.images.shape == (6, square, square, shape[1])
    if shape[2] == shape[3]:
        np.testing.assert_array_equal(splits.train.images[:], np.moveaxis(images, 1, -1))


def test_floats_outside_a_range_of_0_to_1_are_cut_to_it(tmp_path: Path) -> None:
    images = RNG.random((6, 8, 8, 2)).astype(np.float32) * 2 - np.float32(0.5)
    images[4:] = images[4:].clip(0, 1)
    splits = load(tmp_path, images, range=[0, 1])
    np.testing.assert_array_equal(splits.train.images[:], images.clip(0, 1))
    np.testing.assert_array_equal(splits.val.images[:], images[:2].clip(0, 1))
    assert sum("lie outside data.range=[0,1], and are cut to it" in x for x in splits.warnings) == 2
    for number, picture in enumerate(images):
        np.save(tmp_path / f"{number}.npy", picture)
    found = FolderConfig(root=str(tmp_path), resolution=8, range=[0, 1], val_fraction=0.4).load()
    assert found.train.paths is not None
    for path, pixels in zip(found.train.paths, found.train.images[:], strict=True):
        np.testing.assert_array_equal(pixels, images[int(Path(path).stem)].clip(0, 1))


def test_more_than_64_channels_are_refused(tmp_path: Path) -> None:
    assert "at most 64" in refusal(tmp_path, np.zeros((4, 80, 80, 65), np.uint16)).message


def test_a_fourth_channel_is_alpha_only_in_8_bits_and_it_is_said(tmp_path: Path) -> None:
    images = RNG.integers(0, 256, (6, 8, 8, 4), dtype=np.uint8)
    splits = load(tmp_path, images)
    assert splits.train.channels == 3
    assert sum("data.alpha=false keeps them all" in line for line in splits.warnings) == 2
    assert not any("alpha" in line for line in load(tmp_path, images, alpha=True).warnings)
    np.testing.assert_array_equal(load(tmp_path, images, alpha=False).train.images[:], images)
    deep = images.astype(np.uint16) * 257
    np.testing.assert_array_equal(load(tmp_path, deep).train.images[:], deep)
    on_white = load(tmp_path, deep, alpha=True).train.images[:]
    assert np.abs(on_white / 257 - splits.train.images[:]).max() <= 0.51
    assert "uint8 or uint16 of 2 or 4 channels" in refusal(tmp_path, BANDS, alpha=True).message


@pytest.mark.parametrize(
    ("images", "message", "fix"),
    [
        (np.float32([[-3, 2.5]]), "must be in [0, 1], as floating-point numbers, got from -3 to 2.5", "data.range=[-3,2.5]"),
        (np.float32([[0, 255]]), "got from 0 to 255", "data.range=[0,255]"),
        (np.int16([[-1024, 3071]]), "are int16 from -1024 to 3071", "data.range=[-1024,3071]"),
        (np.float64([[0, 1]]), "are float64 from 0 to 1", "data.range=[0,1]"),
        (np.uint32([[0, 1]]), "must be uint8, uint16, float32, or float16", "float32"),
        (np.float32([[0, np.nan]]), "2 values of 2 pictures are NaN or infinite, the first in picture 1", "nan_to_num"),
        (np.float32([[0, np.inf]]), "NaN or infinite", "nan_to_num"),
    ],
)  # fmt: skip
def test_values_without_a_meaning_are_refused(
    tmp_path: Path, images: np.ndarray[Any, Any], message: str, fix: str
) -> None:
    pictures = np.zeros((4, 2, 2), images.dtype)
    pictures[1:3, :1] = images
    error = refusal(tmp_path, pictures)
    assert message in error.message
    assert fix in error.fix


@pytest.mark.parametrize("kind", ["int16", "uint16", "float64", "float32", "uint8"])
@pytest.mark.parametrize("place", ["npz", "folder"])
def test_a_range_says_what_is_black_and_white(tmp_path: Path, kind: str, place: str) -> None:
    stored = RNG.integers(0, 200, (12, 8, 8, 5)).astype(kind)
    np.savez(tmp_path / "a.npz", x_train=stored)
    np.save(tmp_path / "x_train.npy", stored)
    root = tmp_path / "a.npz" if place == "npz" else tmp_path
    splits = ArraysConfig(root=str(root), range=[50, 150]).load()
    found = np.concatenate([splits.train.images[:], splits.val.images[:]])
    assert found.dtype == np.float32
    expected = ((stored.astype(float) - 50) / 100).clip(0, 1).astype(np.float32)
    assert {one.tobytes() for one in found} == {one.tobytes() for one in expected}
    assert splits.range == (50.0, 150.0)
    (said,) = splits.warnings
    outside = 100 * ((stored < 50) | (stored > 150)).mean()
    assert f"{outside:.2g} % of the values lie outside data.range=[50,150]" in said


@pytest.mark.parametrize("typed", [[4095.0], [2.0, 1.0], [0.0, 0.0], [0.0, 1.0, 2.0]])
def test_a_range_has_two_ends(typed: list[float]) -> None:
    with pytest.raises(
        SslcliError, match=r"data.range must be the values that mean black and white"
    ):
        ArraysConfig(root="a", range=typed)


def test_a_range_that_holds_no_value_is_refused(tmp_path: Path) -> None:
    error = refusal(tmp_path, np.full((4, 4, 4), 9, np.uint8), range=[100, 200])
    assert "no value" in error.message
    assert error.fix == "data.range=[9,10]"


def test_12_bits_in_16_are_pointed_out(tmp_path: Path) -> None:
    words = "data.range=[0,4095]"
    assert sum(words in line for line in load(tmp_path, BANDS // 16).warnings) == 2
    assert not any(words in line for line in load(tmp_path, BANDS).warnings)
    assert not any(words in line for line in load(tmp_path, BANDS // 16, range=[0, 4095]).warnings)


def test_parts_of_two_depths_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x_train=BANDS, x_test=(BANDS // 256).astype(np.uint8))
    with pytest.raises(
        SslcliError, match=r"the test pictures .* are uint8, the train pictures uint16"
    ):
        ArraysConfig(root=str(tmp_path / "a.npz")).load()


@pytest.mark.parametrize(
    ("ends", "words"),
    [((0, 4095), "[0,4095]"), ((-0.123456, 12345.6), "[-0.1235,12346]"), ((3, 3), "[3,4]"), ((0, 1e-9), "[0,1e-09]")],
)  # fmt: skip
def test_the_words_for_a_range_hold_all_values(ends: tuple[float, float], words: str) -> None:
    assert outward(*ends) == words
    low, high = map(float, words.strip("[]").split(","))
    assert low <= ends[0] <= ends[1] <= high


@pytest.mark.parametrize("kind", ["uint8", "uint16", "float32"])
def test_statistics_are_those_of_all_values(kind: str) -> None:
    full = {"uint8": 255, "uint16": 65535, "float32": 1}[kind]
    images = (RNG.random((600, 6, 6, 3)) * full).astype(kind)
    images[..., 1] = images[0, 0, 0, 1]
    mean, std = channel_moments(ImageSet(images))
    exact = images.astype(np.float64) / full
    np.testing.assert_allclose(mean, exact.mean(axis=(0, 1, 2)), rtol=1e-9)
    np.testing.assert_allclose(std, [exact[..., 0].std(), 1.0, exact[..., 2].std()], rtol=1e-9)


def test_pictures_of_another_depth_are_other_data() -> None:
    grey = np.zeros((3, 4, 4, 1), np.uint8)
    prints = {ImageSet(grey.astype(kind)).fingerprint for kind in ("uint8", "uint16", "float32")}
    assert len(prints) == 3


def test_joined_pictures_keep_their_depth() -> None:
    joined = JoinedPixels((BANDS[:5], BANDS[5:]))
    assert dtype_of(joined) == np.uint16
    np.testing.assert_array_equal(joined[:], BANDS)


def test_all_depths_mean_the_same_brightness() -> None:
    images = RNG.integers(0, 256, (2, 4, 4, 3), dtype=np.uint8)
    deep, floats = images.astype(np.uint16) * np.uint16(257), images / np.float32(255)
    as_8, as_16, as_float = (as_pictures(torch.tensor(x)) for x in (images, deep, floats))
    torch.testing.assert_close(as_16, as_8, rtol=0, atol=1e-7)
    torch.testing.assert_close(as_float, as_8, rtol=0, atol=0)
    back = (as_pictures(torch.tensor(BANDS)) * 65535).round().permute(0, 2, 3, 1).numpy()
    np.testing.assert_array_equal(back, BANDS)


@pytest.mark.parametrize("side", [5, 11, 16, 40])
def test_other_channels_are_resized_as_pillow_resizes_rgb(side: int) -> None:
    """Within what Pillow's rounding between its two passes makes of 8 bits; none is cut to 0 or 255."""
    picture = RNG.integers(80, 176, (16, 22, 3), dtype=np.uint8)
    expected = resized(picture, side).astype(int)
    more = resized(np.dstack([picture, picture]), side)
    assert more.dtype == np.uint8
    np.testing.assert_array_equal(more[..., :3], more[..., 3:])
    assert np.abs(more[..., :3].astype(int) - expected).max() <= 2
    deep = resized(picture.astype(np.uint16) * np.uint16(257), side)
    assert np.abs(deep / 257 - expected).max() <= 2
    floats = resized(picture / np.float32(255), side)
    assert floats.dtype == np.float32
    assert 0 <= floats.min() <= floats.max() <= 1
    np.testing.assert_allclose(floats, deep / 65535, atol=1e-5)


def test_shown_channels_must_be_there(tmp_path: Path) -> None:
    assert load(tmp_path, BANDS, shown=[3, 2, 1]).shown == (3, 2, 1)
    assert "channels from 0 to 12" in refusal(tmp_path, BANDS, shown=[13, 2, 1]).fix
    with pytest.raises(SslcliError, match=r"data.shown must be one or three channels"):
        ArraysConfig(root="a", shown=[1, 2])
