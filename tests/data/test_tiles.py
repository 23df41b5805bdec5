"""Tiles: each pixel is in one, no pixel is changed, and tiles of a picture stay together."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from sslcli.data.folder import Cache, FolderConfig
from sslcli.data.images import ImageSet, Splits
from sslcli.data.scan import scan
from sslcli.data.tile_sources import Sources
from sslcli.data.tiles import TileRule
from sslcli.errors import SslcliError


def noise(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.parametrize("overlap", [0, 3, 9])
@pytest.mark.parametrize(("height", "width"), [(10, 10), (11, 40), (25, 33), (30, 20)])
def test_tiles_cover_every_pixel_and_none_leaves_the_picture(
    overlap: int, height: int, width: int
) -> None:
    covered = np.zeros((height, width), int)
    boxes = TileRule(10, overlap, 1.0, True).boxes(height, width)
    assert len(set(boxes)) == len(boxes)
    for left, top, right, bottom in boxes:
        assert (right - left, bottom - top) == (10, 10)
        assert right <= width
        assert bottom <= height
        covered[top:bottom, left:right] += 1
    assert covered.min() == 1 if overlap == 0 else covered.min() >= 1
    if overlap == 0 and height % 10 == width % 10 == 0:
        assert covered.max() == 1


def test_a_picture_smaller_than_a_tile_is_one_tile() -> None:
    assert TileRule(10, 0, 1.0, True).boxes(9, 40) == [(0, 0, 40, 9)]


def stored(folder: Path, name: str, pixels: NDArray[Any], **options: Any) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    if name.endswith(".tif"):
        tifffile.imwrite(path, pixels, **options)
    else:
        Image.fromarray(pixels).save(path, **options)
    return path


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.png", {}),
        ("a.tif", {}),
        ("a.tif", {"tile": (16, 32)}),
        ("a.tif", {"tile": (16, 16), "compression": "zlib", "predictor": True}),
        ("a.tif", {"tile": (16, 16), "byteorder": ">"}),
    ],
)
def test_the_pixels_of_a_tile_are_those_of_the_picture(
    tmp_path: Path, name: str, options: dict[str, Any]
) -> None:
    pixels = noise(50, 70)
    stored(tmp_path / "a", name, pixels, **options)
    sources = Sources(scan(tmp_path / "a")[0], None)
    assert sources.size(0) == (50, 70)
    for box in [(0, 0, 20, 20), (33, 17, 53, 37), (50, 30, 70, 50), (5, 0, 70, 50)]:
        left, top, right, bottom = box
        expected = pixels[top:bottom, left:right]
        assert np.array_equal(sources.pixels(0, box), expected)
        decoded = np.asarray(Image.open(io.BytesIO(sources.read(0, box))))
        assert np.array_equal(decoded, expected)


@pytest.mark.parametrize(("dtype", "channels"), [(np.uint16, 1), (np.uint16, 5), (np.float32, 2)])
def test_a_deep_tile_keeps_its_values(tmp_path: Path, dtype: Any, channels: int) -> None:
    pixels = (np.random.default_rng(0).random((40, 40, channels)) * 60000).astype(dtype)
    options: dict[str, Any] = {"photometric": "minisblack", "byteorder": ">"}
    if channels > 1:
        options["planarconfig"] = "contig"
    stored(tmp_path / "a", "a.tif", pixels, tile=(16, 16), **options)
    sources = Sources(scan(tmp_path / "a")[0], None)
    region = sources.pixels(0, (3, 5, 30, 35))
    for found in (region, np.load(io.BytesIO(sources.read(0, (3, 5, 30, 35))))):
        assert np.array_equal(found, pixels[5:35, 3:30])
        assert found.dtype == dtype


def test_of_a_tiled_tiff_only_what_is_wanted_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = noise(512, 512)
    stored(tmp_path / "a", "a.tif", pixels, tile=(64, 64))
    sources = Sources(scan(tmp_path / "a")[0], None)
    monkeypatch.setattr(sources, "_whole", lambda row: pytest.fail("read whole"))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)  # larger ones are no bombs here
    assert sources.size(0) == (512, 512)
    assert np.array_equal(sources.pixels(0, (60, 0, 124, 64)), pixels[0:64, 60:124])


def test_others_are_decoded_once_whatever_the_number_of_tiles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        stored(tmp_path / "a", f"{number}.png", noise(60, 60, number))
    decoded: list[int] = []
    listing = scan(tmp_path / "a")[0]
    read = type(listing).read
    monkeypatch.setattr(
        type(listing), "read", lambda one, row: decoded.append(row) or read(one, row)
    )
    sources = Sources(listing, 1)
    for row in range(4):
        for box in TileRule(20, 0, 1.0, True).boxes(60, 60):
            sources.pixels(row, box)
    assert decoded == [0, 1, 2, 3]
    assert len(sources._kept) <= 2


@pytest.mark.parametrize("content", [b"", b"no picture", b"II*\0\x08\0\0\0"])
def test_what_is_no_tiff_is_a_picture_that_cannot_be_read(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.tif").write_bytes(content)
    for number in range(3):
        stored(tmp_path, f"{number}.tif", noise(20, 20, number), tile=(16, 16))
    with pytest.raises(SslcliError, match=r"1 of 4 pictures could not be decoded.*a\.tif"):
        loaded(tmp_path)


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_a_picture_that_exif_turns_is_cut_as_it_is_seen(tmp_path: Path, name: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "a").mkdir()
    Image.fromarray(noise(30, 50)).save(tmp_path / "a" / name, exif=exif)
    sources = Sources(scan(tmp_path / "a")[0], None)
    assert sources.size(0) == (50, 30)
    seen = np.rot90(noise(30, 50), -1)
    assert np.array_equal(sources.pixels(0, (10, 20, 30, 50)), seen[20:50, 10:30])


def half_empty(seed: int) -> NDArray[np.uint8]:
    """40 x 80 pixels: on the left noise, on the right paper, which is nearly white."""
    pixels = noise(40, 80, seed)
    paper = np.random.default_rng(seed).integers(248, 254, (40, 40, 3))
    pixels[:, 40:] = paper
    return pixels


@pytest.fixture
def slides(tmp_path: Path) -> Path:
    for kind in ("healthy", "ill"):
        (tmp_path / "slides").mkdir(exist_ok=True)
        for number in range(4):
            stored(tmp_path / "slides" / kind, f"{number}.png", half_empty(number + len(kind)))
    return tmp_path / "slides"


def loaded(root: Path, **settings: Any) -> Splits:
    return FolderConfig(root=str(root), tile=20, val_fraction=0.3, **settings).load()


def sources_of(part: ImageSet) -> set[str]:
    assert part.paths is not None
    return {path.partition("#")[0] for path in part.paths}


@pytest.mark.parametrize("cache", [Cache.memory, Cache.disk])
def test_tiles_are_pictures_with_the_label_and_the_group_of_theirs(
    slides: Path, cache: Cache
) -> None:
    splits = loaded(slides, cache=cache)
    parts = [splits.train, splits.val]
    assert sum(map(len, parts)) == 8 * 4, "the empty half is left out"
    assert not sources_of(splits.train) & sources_of(splits.val)
    for part in parts:
        assert part.paths is not None
        assert part.labels is not None
        assert part.images.shape[1:] == (20, 20, 3)
        for image, path, label in zip(part.images[:], part.paths, part.labels, strict=True):
            file, _, place = path.partition("#x=")
            left, top = map(int, place.split(",y="))
            whole = np.asarray(Image.open(file))
            assert np.array_equal(image, whole[top : top + 20, left : left + 20])
            assert ("healthy", "ill")[label] == Path(file).parent.name
    said = "8 pictures are cut into 64 tiles of 20 pixels; 32 are left out as empty"
    assert any(warning.startswith(said) for warning in splits.warnings)
    again = loaded(slides, cache=cache)
    assert again.fingerprint == splits.fingerprint


def test_empty_tiles_are_kept_where_it_is_asked(slides: Path) -> None:
    splits = loaded(slides, tile_empty=1.0)
    assert len(splits.train) + len(splits.val) == 64


def test_other_tiles_are_other_data_and_a_changed_picture_is_looked_at_anew(slides: Path) -> None:
    before = loaded(slides)
    assert loaded(slides, tile_overlap=10).fingerprint != before.fingerprint
    stored(slides / "ill", "0.png", noise(40, 80, 99))
    after = loaded(slides)
    assert len(after.train) + len(after.val) == 8 * 4 + 4


def test_a_broken_picture_is_named_and_costs_one_tile(slides: Path) -> None:
    (slides / "ill" / "0.png").write_bytes(b"no picture")
    with pytest.raises(SslcliError, match="1 of 29 pictures could not be decoded"):
        loaded(slides)
    splits = loaded(slides, max_bad=0.1)
    assert sum(map(len, (splits.train, splits.val))) == 28
    assert any("ill/0.png#x=0,y=0" in warning for warning in splits.warnings)


def test_groups_that_are_named_hold_for_tiles(slides: Path) -> None:
    splits = loaded(slides, groups=r"(\d)\.png$")
    numbers = [
        {Path(path).name for path in sources_of(part)} for part in (splits.train, splits.val)
    ]
    assert not numbers[0] & numbers[1]


def test_one_picture_is_not_split_unless_it_is_asked(tmp_path: Path) -> None:
    stored(tmp_path / "one", "a.png", noise(60, 60))
    with pytest.raises(SslcliError, match="there is one training picture") as refused:
        loaded(tmp_path / "one")
    assert "data.tile_apart=false" in refused.value.fix
    splits = loaded(tmp_path / "one", tile_apart=False)
    assert (len(splits.train), len(splits.val)) == (6, 3)


def test_what_would_be_slow_or_leave_nothing_is_refused(slides: Path, tmp_path: Path) -> None:
    with pytest.raises(SslcliError, match="cache=none would decode a whole picture"):
        loaded(slides, cache=Cache.none)
    for number in range(3):
        stored(tmp_path / "blank", f"{number}.png", np.full((40, 40, 3), 250, np.uint8))
    with pytest.raises(SslcliError, match="all 12 tiles of train are empty"):
        loaded(tmp_path / "blank")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tile": 4}, "data.tile must be at least 8"),
        ({"tile": 16, "tile_overlap": 16}, "data.tile_overlap must be at least 0 and below"),
        ({"tile": 16, "tile_empty": 0.0}, "data.tile_empty must be above 0"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SslcliError, match=message):
        FolderConfig(root="x", **settings)


def test_a_tile_that_the_file_has_lost_is_named(tmp_path: Path) -> None:
    for number in range(3):
        stored(tmp_path / "cut", f"{number}.tif", noise(64, 64, number), tile=(32, 32))
    path = tmp_path / "cut" / "1.tif"
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(SslcliError, match=r"9 of 48 pictures .*1\.tif#x=20,y=20: the file ends"):
        loaded(tmp_path / "cut")


def test_a_tile_of_12_bits_is_empty_only_where_it_has_one_colour(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 4096, (32, 64)).astype(np.uint16)
    pixels[:, 32:] = rng.integers(4000, 4040, (32, 32))
    stored(tmp_path / "a", "a.tif", pixels, photometric="minisblack")
    sources = Sources(scan(tmp_path / "a")[0], None)
    assert sources.empty_part(0, (0, 0, 32, 32)) < 0.2
    assert sources.empty_part(0, (32, 0, 64, 32)) == 1.0
