"""Pictures that are not square: what is stored of them, and what an encoder is fed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from sslcli.data.batches import Batches, LabelledBatches
from sslcli.data.folder import Cache, FolderConfig
from sslcli.data.images import ImageSet, Splits
from sslcli.data.resize import Framing, at_resolution, letterboxed, resized
from sslcli.data.shape import Shape
from sslcli.errors import SslcliError
from sslcli.preprocessing import Squeezed


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def smooth(height: int, width: int, channels: int = 3) -> NDArray[np.uint8]:
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / (7 + c)) + np.cos(y / (9 + c)) for c in range(channels)]
    return (np.stack(waves, axis=2) * 60 + 128).astype(np.uint8)


@pytest.mark.parametrize(("height", "width"), [(30, 60), (60, 30), (20, 60), (33, 33)])
@pytest.mark.parametrize("fill", [0.0, 0.5, 1.0])
def test_padding_keeps_all_of_a_picture_in_the_middle_of_its_borders(
    height: int, width: int, fill: float
) -> None:
    picture = smooth(height, width)
    padded = resized(picture, 60, Framing(Shape.pad, fill))
    scale = 60 / max(height, width)
    high, wide = round(height * scale), round(width * scale)
    top, left = (60 - high) // 2, (60 - wide) // 2
    whole = Image.fromarray(picture).resize((wide, high), Image.Resampling.BICUBIC)
    inside = padded[top : top + high, left : left + wide]
    assert np.abs(inside.astype(int) - np.asarray(whole)).max() <= 1
    border = np.ones((60, 60), bool)
    border[top : top + high, left : left + wide] = False
    assert (padded[border] == round(255 * fill)).all()


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
@pytest.mark.parametrize("channels", [1, 5])
def test_padding_of_other_depths_is_that_of_8_bits(dtype: Any, channels: int) -> None:
    unit = smooth(20, 40, channels) / np.float32(255)
    full = 65535 if dtype == np.uint16 else 1
    padded = resized((unit * full).astype(dtype), 24, Framing(Shape.pad, 0.25))
    plain = resized(smooth(20, 40, channels), 24, Framing(Shape.pad, 0.25)) / 255
    assert padded.dtype == dtype
    assert np.abs(padded / full - plain).max() < 0.006
    assert np.abs(padded[0] / full - 0.25).max() < 1e-4


def test_what_was_done_before_is_done_still() -> None:
    picture = smooth(31, 50)
    middle = Image.fromarray(picture).resize(
        (16, 16), Image.Resampling.BICUBIC, box=(9.5, 0, 40.5, 31), reducing_gap=2.0
    )
    assert np.array_equal(resized(picture, 16), np.asarray(middle))
    assert Framing().name == ""


SIZES = [(40, 80), (80, 40), (50, 50), (40, 120), (60, 64), (44, 40)]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    (tmp_path / "photos").mkdir()
    for number, (height, width) in enumerate(SIZES):
        Image.fromarray(smooth(height, width) // (number + 1)).save(
            tmp_path / "photos" / f"{number}.png"
        )
    return tmp_path / "photos"


def loaded(root: Path, shape: Shape, **settings: Any) -> Splits:
    return FolderConfig(
        root=str(root), resolution=32, val_fraction=0.4, shape=shape, **settings
    ).load()


def numbers(part: ImageSet) -> list[int]:
    assert part.paths is not None
    return [int(Path(path).stem) for path in part.paths]


@pytest.mark.parametrize("cache", list(Cache))
def test_a_shape_is_kept_apart_from_another_wherever_pixels_are(photos: Path, cache: Cache) -> None:
    if cache is Cache.auto:
        return
    found = {shape: loaded(photos, shape, cache=cache).train for shape in Shape}
    for shape, part in found.items():
        for image, number in zip(part.images[:], numbers(part), strict=True):
            picture = np.asarray(Image.open(photos / f"{number}.png"))
            assert np.array_equal(image, resized(picture, 32, Framing(shape)))
    again = loaded(photos, Shape.square, cache=cache).train
    assert np.array_equal(again.images[:], found[Shape.square].images[:])
    white = loaded(photos, Shape.pad, cache=cache, fill=1.0).train
    assert not np.array_equal(white.images[:], found[Shape.pad].images[:])


def test_each_squeezed_picture_has_its_own_shape_also_where_one_is_broken(photos: Path) -> None:
    (photos / "1.png").write_bytes(b"no picture")
    splits = loaded(photos, Shape.cover, max_bad=0.5)
    seen = 0
    for part in (splits.train, splits.val, splits.train.subset(np.array([1, 0]))):
        assert part.aspects is not None
        for aspect, number in zip(part.aspects, numbers(part), strict=True):
            height, width = SIZES[number]
            assert aspect == width / height
            seen += 1
    assert seen == 7
    assert loaded(photos, Shape.square, max_bad=0.5).train.aspects is None


def test_what_evaluates_is_fed_the_middle_square_unsqueezed(photos: Path) -> None:
    squeezed, square = (loaded(photos, shape).train for shape in (Shape.cover, Shape.square))
    fitted = at_resolution(squeezed, 32)
    assert fitted.aspects is None
    assert fitted.fingerprint == squeezed.fingerprint
    close = np.abs(fitted.images[:].astype(int) - square.images[:])
    assert close.mean() < 1
    assert np.abs(squeezed.images[:].astype(int) - square.images[:]).mean() > 4
    some = fitted.subset(np.array([2, 0]))
    assert np.array_equal(some.images[:], fitted.images[:][[2, 0]])


def test_pretraining_on_unlabelled_pictures_too_keeps_their_shapes() -> None:
    def part(*aspects: float) -> ImageSet:
        images = np.zeros((len(aspects), 8, 8, 3), np.uint8)
        return ImageSet(images, aspects=np.array(aspects))

    splits = Splits(part(1.0, 2.0), part(1.0), None, unlabelled=part(3.0))
    assert splits.pretraining.aspects is not None
    assert splits.pretraining.aspects.tolist() == [1.0, 2.0, 3.0]


def test_a_batch_holds_the_shapes_of_its_pictures() -> None:
    images = np.arange(12, dtype=np.uint8).repeat(4 * 4 * 3).reshape(12, 4, 4, 3)
    data = ImageSet(images, np.arange(12), aspects=np.arange(12) + 1.0)
    batch = Batches(data, 5, 0, "cpu").at(1)
    assert isinstance(batch, Squeezed)
    assert torch.equal(batch.images[:, 0, 0, 0].double() + 1, batch.aspects)
    labelled, labels = LabelledBatches(data, 5, 0, "cpu").at(0)
    assert isinstance(labelled, Squeezed)
    assert torch.equal(labelled.aspects, labels + 1.0)


def test_each_process_knows_the_shapes_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    images = np.arange(12, dtype=np.uint8).repeat(4 * 4 * 3).reshape(12, 4, 4, 3)
    data = ImageSet(images, aspects=np.arange(12) + 1.0)
    whole = Batches(data, 6, 0, "cpu").at(1)
    monkeypatch.setattr("sslcli.data.batches.size", lambda: 2)
    monkeypatch.setattr("sslcli.data.batches.rank", lambda: 1)
    own = Batches(data, 6, 0, "cpu").at(1)
    assert isinstance(own, Squeezed)
    assert isinstance(whole, Squeezed)
    assert torch.equal(own.images, whole.images[3:])
    assert torch.equal(own.aspects, whole.aspects)


def test_a_squeezed_picture_is_shown_in_its_own_shape() -> None:
    pictures = np.zeros((2, 8, 8, 1), np.uint8)
    wide, high = letterboxed(pictures, np.array([2.0, 0.5]))[..., 0]
    assert (wide[2:6] == 0).all()
    assert (wide[:2] == 255).all()
    assert (wide[6:] == 255).all()
    assert np.array_equal(high, wide.T)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"fill": 1.5}, "data.fill must be from 0 to 1"),
        ({"tile": 16, "shape": Shape.cover}, "data.shape=cover of tiles"),
    ],
)
def test_settings_that_cannot_be_honoured_are_refused(
    settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(SslcliError, match=message):
        FolderConfig(root="x", **settings)


@pytest.mark.parametrize(
    "settings", [{"shape": Shape.pad}, {"shape": Shape.cover}, {"tile": 16}], ids=str
)
def test_what_needs_middle_squares_is_refused_others(settings: dict[str, Any]) -> None:
    FolderConfig(root="x").require_middle_squares("masks")
    with pytest.raises(SslcliError, match="masks lie on the middle squares"):
        FolderConfig(root="x", **settings).require_middle_squares("masks")
