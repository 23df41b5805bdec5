"""Files of many channels and of more than 8 bits are read whole, and written as they were."""

from __future__ import annotations

import io
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sslcli.data.deep_files import read_deep
from sslcli.data.deep_picture import upright
from sslcli.data.folder import FolderConfig
from sslcli.data.picture_file import read_picture, suffix_that_holds
from sslcli.data.scan import scan
from sslcli.data.stored_picture import TURNS
from sslcli.data.tile_sources import Sources, whole_pixels
from sslcli.data.tiled_tiff import TiledTiff
from sslcli.errors import SslcliError
from sslcli.threads import map_in_threads

tifffile = pytest.importorskip("tifffile")
RNG = np.random.default_rng(0)
BANDS = RNG.integers(0, 65536, (14, 15, 13), dtype=np.uint16)
KINDS = ("uint8", "uint16", "int16", "float32", "float64")


def tiff(array: np.ndarray[Any, Any], **options: Any) -> bytes:
    content = io.BytesIO()
    tifffile.imwrite(content, array, **options)
    return content.getvalue()


def as_kind(kind: str) -> np.ndarray[Any, Any]:
    return (BANDS // 2).astype(kind) if kind != "uint8" else (BANDS // 256).astype(kind)


def pixels(data: bytes) -> np.ndarray[Any, Any]:
    found = read_deep(data)
    assert found is not None
    return found.pixels


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("planes", [False, True])
def test_a_tiff_of_any_layout_gives_the_same_channels(kind: str, order: Any, planes: bool) -> None:
    values = as_kind(kind)
    given = np.moveaxis(values, -1, 0) if planes else values
    data = tiff(
        given,
        byteorder=order,
        photometric="minisblack",
        planarconfig="separate" if planes else "contig",
    )
    found = pixels(data)
    assert found.dtype == kind
    assert found.dtype.isnative
    np.testing.assert_array_equal(found, values)


@pytest.mark.parametrize("axes", ["CYX", "YXC"])
def test_named_axes_are_believed(axes: str) -> None:
    given = np.moveaxis(BANDS, -1, 0) if axes == "CYX" else BANDS
    data = tiff(given, metadata={"axes": axes}, photometric="minisblack", ome=True) if axes == "CYX" else tiff(
        given, photometric="minisblack", planarconfig="contig")  # fmt: skip
    np.testing.assert_array_equal(pixels(data), BANDS)


PAGES: dict[str, dict[str, Any]] = {
    "tiled": {"tile": (16, 16), "metadata": {"axes": "CYX"}},
    "strips": {"metadata": {"axes": "CYX"}},
    "microscope": {"tile": (16, 16), "metadata": {"axes": "CYX"}, "ome": True},
    "behind one directory": {"metadata": {"axes": "CYX"}, "truncate": True},
    "ImageJ's, behind one directory": {"imagej": True, "truncate": True},
}


@pytest.mark.parametrize("nodata", [None, "65535"])
def test_a_tile_that_is_left_out_has_the_value_of_no_data(tmp_path: Path, nodata: Any) -> None:
    values = np.arange(1, 4097, dtype=np.uint16).reshape(64, 64)
    tiles = iter([values[:32, :32], values[:32, 32:], None, values[32:, 32:]])
    form: dict[str, Any] = {"shape": (64, 64), "dtype": "uint16", "tile": (32, 32)}
    form["extratags"] = [(42113, "s", 0, nodata, True)] if nodata else []
    (tmp_path / "a.tif").write_bytes(tiff(tiles, **form))
    opened = TiledTiff.open(tmp_path / "a.tif")
    assert opened is not None
    found = opened.pixels((0, 0, 64, 64))
    np.testing.assert_array_equal(found, pixels((tmp_path / "a.tif").read_bytes()))
    assert (found[32:, :32] == int(nodata or 0)).all()


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_what_is_opaque_in_a_plane_of_its_own_is_no_white(compression: str | None) -> None:
    grey = as_kind("uint8")[..., 0]
    form: dict[str, Any] = {"photometric": "minisblack", "planarconfig": "separate"}
    form |= {"extrasamples": ["unassalpha"], "compression": compression, "metadata": None}
    np.testing.assert_array_equal(
        whole_pixels(tiff(np.stack([grey, np.full_like(grey, 255)]), **form))[..., 0], grey
    )


@pytest.mark.parametrize("kind", ["uint8", "uint16"])
@pytest.mark.parametrize("layout", PAGES)
@pytest.mark.parametrize("tile", [None, 14])
def test_all_pages_that_are_channels_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, layout: str, tile: int | None
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "a").mkdir()
    values = as_kind(kind)[:, :14, :5]
    pages = tiff(np.moveaxis(values, -1, 0), photometric="minisblack", **PAGES[layout])
    for number in range(3):
        (tmp_path / "a" / f"{number}.tif").write_bytes(pages)
    config = FolderConfig(
        root=str(tmp_path / "a"), resolution=14, tile=tile, tile_empty=1.0, val_fraction=0.4
    )
    splits = config.load()
    np.testing.assert_array_equal(splits.train.images[:][0], values)
    assert replace(config, depth=8).load().train.images.shape[3] == 5
    assert suffix_that_holds(tmp_path / "a" / "0.tif") == ".tif"


@pytest.mark.parametrize("kind", ["uint8", "uint16"])
@pytest.mark.parametrize("layout", [{}, {"tile": (16, 16)}, {"truncate": True}])
def test_pages_that_may_be_channels_or_frames_are_refused(
    tmp_path: Path, kind: str, layout: Any
) -> None:
    data = tiff(np.moveaxis(as_kind(kind), -1, 0), photometric="minisblack", **layout)
    with pytest.raises(ValueError, match="may be frames or channels"):
        read_deep(data)
    (tmp_path / "a.tif").write_bytes(data)
    with pytest.raises(ValueError, match="may be frames or channels"):
        Sources(scan(tmp_path)[0], 1).pixels(0, (0, 0, 8, 8))


@pytest.mark.parametrize("axes", ["ZYX", "QYXS"])
def test_of_frames_of_8_bits_the_first_is_read(tmp_path: Path, axes: str) -> None:
    frames = as_kind("uint8")[:, :, :12].reshape(14, 15, 4, 3).transpose(2, 0, 1, 3)
    frames = frames if axes == "QYXS" else frames[..., 0]
    colours = "rgb" if axes == "QYXS" else "minisblack"
    (tmp_path / "a").mkdir()
    for layout in ({}, {"tile": (16, 16)}, {"truncate": True}):
        data = tiff(frames, photometric=colours, metadata={"axes": axes}, **layout)
        assert read_deep(data) is None, "Pillow reads the first"
        (tmp_path / "a" / "a.tif").write_bytes(data)
        found = Sources(scan(tmp_path / "a")[0], 1).pixels(0, (1, 2, 9, 12))
        np.testing.assert_array_equal(found, frames[0].reshape(14, 15, -1)[2:12, 1:9])


def test_smaller_copies_of_a_page_are_no_channels(tmp_path: Path) -> None:
    grey = np.tile(as_kind("uint8")[:8, :8, 0], (8, 8))
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for step in (1, 2, 4):
            small = int(step > 1)
            file.write(grey[::step, ::step], tile=(16, 16), subfiletype=small, metadata=None)
    opened = TiledTiff.open(tmp_path / "a.tif")
    assert opened is not None, "it is read tile by tile"
    np.testing.assert_array_equal(opened.pixels((3, 5, 40, 50))[..., 0], grey[5:50, 3:40])
    assert read_deep((tmp_path / "a.tif").read_bytes()) is None


@pytest.mark.parametrize("kind", ["uint8", "uint16"])
def test_a_tiffs_fourth_channel_is_alpha_only_if_it_says_so(kind: str) -> None:
    values = as_kind(kind)[..., :4]
    options = {"photometric": "rgb", "planarconfig": "contig"}
    np.testing.assert_array_equal(
        pixels(tiff(values, extrasamples=["unspecified"], **options)), values
    )
    found = read_deep(tiff(values, extrasamples=["unassalpha"], **options))
    if kind == "uint8":
        assert found is None, "Pillow reads it"
        return
    assert found is not None
    assert found.alpha is not None
    np.testing.assert_array_equal(found.pixels, values[..., :3])
    np.testing.assert_array_equal(found.alpha, values[..., 3])
    share = values[..., 3:] / 65535
    expected = values[..., :3] * share + 65535 * (1 - share)
    assert np.abs(found.on_white - expected).max() <= 0.5


def test_alpha_that_was_multiplied_into_the_colours_is_taken_out_again() -> None:
    alpha = np.maximum(BANDS[..., 3:4], 256).astype(np.int64)
    colours = BANDS[..., :3].astype(np.int64)
    stored = np.dstack([(colours * alpha + 32767) // 65535, alpha]).astype(np.uint16)
    data = tiff(stored, photometric="rgb", planarconfig="contig", extrasamples=["assocalpha"])
    found = read_deep(data)
    assert found is not None
    assert found.alpha is not None
    np.testing.assert_array_equal(found.alpha, alpha[..., 0])
    # Stored to half a number of 65,535: enlarged, it is half of 65,535 / alpha away.
    assert (np.abs(found.pixels - colours) <= 0.5 * 65535 / alpha + 1).all()
    expected = colours * (alpha / 65535) + 65535 - alpha
    assert np.abs(found.on_white - expected).max() <= 2


def test_white_is_0_where_a_tiff_says_so() -> None:
    grey = BANDS[..., 0]
    np.testing.assert_array_equal(
        pixels(tiff(grey, photometric="miniswhite"))[..., 0], 65535 - grey
    )


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_turned_as_pillow_turns(orientation: int) -> None:
    grey = (BANDS[..., 0] // 256).astype(np.uint8)
    image = Image.fromarray(grey)
    turned = image.transpose(TURNS[orientation]) if orientation in TURNS else image
    np.testing.assert_array_equal(upright(grey, orientation), np.asarray(turned))
    data = tiff(BANDS, photometric="minisblack", planarconfig="contig",
                extratags=[(274, "H", 1, orientation, True)])  # fmt: skip
    np.testing.assert_array_equal(pixels(data), upright(BANDS, orientation))


def test_grey_and_rgb_of_8_bits_are_left_to_pillow() -> None:
    grey = (BANDS[..., 0] // 256).astype(np.uint8)
    for suffix in ("PNG", "TIFF", "BMP"):
        content = io.BytesIO()
        Image.fromarray(grey).save(content, suffix)
        assert read_deep(content.getvalue()) is None


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros((3, 8, 9)), "seems to begin with the channels"),
        (np.zeros((4, 8, 8, 3)), "data=arrays reads arrays of pictures"),
        (np.zeros((8, 8), bool), "no brightness"),
        (np.zeros((8, 8), complex), "no brightness"),
        (np.zeros((0, 8)), "it holds"),
        (np.zeros((100, 90, 65)), "may have 64"),
    ],
)
def test_a_npy_that_is_no_picture_is_refused(array: np.ndarray[Any, Any], said: str) -> None:
    content = io.BytesIO()
    np.save(content, array)
    with pytest.raises(ValueError, match=said):
        read_deep(content.getvalue())


@pytest.mark.parametrize("suffix", [".npy", ".tif"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("channels", [1, 2, 3, 13])
def test_what_is_read_and_saved_stays_the_same(
    tmp_path: Path, suffix: str, kind: str, channels: int
) -> None:
    values = as_kind(kind)[..., :channels]
    np.save(tmp_path / "a.npy", values)
    picture = read_picture(tmp_path / "a.npy")
    picture.save(tmp_path / f"b{suffix}", picture.pixels)
    again = read_picture(tmp_path / f"b{suffix}").pixels
    assert again.dtype == kind
    np.testing.assert_array_equal(again, values)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_16_bits_and_alpha_are_kept_in_png_and_tiff(tmp_path: Path, channels: int) -> None:
    values = BANDS[..., :channels]
    alpha = ["unassalpha"] if channels in (2, 4) else []
    photometric = "rgb" if channels > 2 else "minisblack"
    data = tiff(values, photometric=photometric, planarconfig="contig", extrasamples=alpha)
    (tmp_path / "a.tif").write_bytes(tiff(values[..., 0]) if channels == 1 else data)
    picture = read_picture(tmp_path / "a.tif")
    for name in ("b.png", "b.tif"):
        picture.require_savable(tmp_path / name)
        picture.save(tmp_path / name, picture.pixels)
        again = read_picture(tmp_path / name)
        np.testing.assert_array_equal(again.pixels, picture.pixels)
        assert (again.alpha is None) == (picture.alpha is None)
        if again.alpha is not None:
            np.testing.assert_array_equal(again.alpha, values[..., -1])
    with Image.open(tmp_path / "b.png") as image:
        assert image.size == (15, 14)


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".png"])
def test_what_a_format_cannot_hold_is_refused(tmp_path: Path, suffix: str) -> None:
    np.save(tmp_path / "a.npy", BANDS)
    with pytest.raises(SslcliError, match="cannot hold 13 channels of uint16"):
        read_picture(tmp_path / "a.npy").require_savable(tmp_path / f"a{suffix}")


def test_where_a_tiff_lies_on_earth_is_kept(tmp_path: Path) -> None:
    scale = (33550, "d", 3, (10.0, 10.0, 0.0), True)
    data = tiff(BANDS, photometric="minisblack", planarconfig="contig", extratags=[scale])
    (tmp_path / "a.tif").write_bytes(data)
    picture = read_picture(tmp_path / "a.tif")
    picture.save(tmp_path / "b.tif", picture.pixels)
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        assert file.pages[0].tags[33550].value == (10.0, 10.0, 0.0)


def dicom(values: np.ndarray[Any, Any], **tags: Any) -> bytes:
    pydicom = pytest.importorskip("pydicom")
    meta = pydicom.dataset.FileMetaDataset()
    meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    found = pydicom.dataset.FileDataset("a", {}, file_meta=meta, preamble=b"\0" * 128)
    found.Rows, found.Columns = values.shape
    layout = {"BitsAllocated": 16, "BitsStored": 12, "HighBit": 11, "PixelRepresentation": 0,
              "SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2"}  # fmt: skip
    for name, value in {**layout, **tags}.items():
        setattr(found, name, value)
    found.PixelData = values.astype("<u2").tobytes()
    content = io.BytesIO()
    found.save_as(content, enforce_file_format=True)
    return content.getvalue()


STORED = np.array([[0, 824, 1024, 1064, 1264, 4095]], dtype=np.uint16)


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({}, STORED[0] / 4095),
        ({"PhotometricInterpretation": "MONOCHROME1"}, 1 - STORED[0] / 4095),
        # PS3.3 C.11.2.1.2.1: (x - (c - 0.5)) / (w - 1) + 0.5, of Hounsfield units
        (
            {"RescaleSlope": 1, "RescaleIntercept": -1024, "WindowCenter": [40, 400], "WindowWidth": [400, 1500]},
            [((hu - 39.5) / 399 + 0.5) * (0 < (hu - 39.5) / 399 + 0.5 < 1) + (hu > 239) for hu in (-1024, -200, 0, 40, 240, 3071)],
        ),
    ],
)  # fmt: skip
def test_a_dicom_is_read_with_its_window(tags: dict[str, Any], expected: Any) -> None:
    found = read_deep(dicom(STORED, **tags))
    assert found is not None
    assert found.is_unit
    np.testing.assert_allclose(found.pixels[0, :, 0], expected, atol=1e-6)


def test_the_numbers_of_a_dicoms_palette_are_no_brightness() -> None:
    with pytest.raises(ValueError, match="PALETTE COLOR, which are no brightness"):
        read_deep(dicom(STORED, PhotometricInterpretation="PALETTE COLOR"))


def test_a_range_stands_for_a_dicoms_window() -> None:
    tags = {"RescaleSlope": 2, "RescaleIntercept": -1000, "WindowCenter": 40, "WindowWidth": 400}
    found = read_deep(dicom(STORED, **tags), (-1000.0, 1000.0))
    assert found is not None
    np.testing.assert_allclose(found.pixels[0, :, 0], (STORED[0] / 1000).clip(0, 1), atol=1e-6)


def test_headers_of_npy_files_are_parsed_by_one_thread_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    content = io.BytesIO()
    np.save(content, BANDS)
    data, load, inside, most = content.getvalue(), np.load, [0], [0]

    def watched(*given: Any, **options: Any) -> Any:
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        time.sleep(0.002)
        inside[0] -= 1
        return load(*given, **options)

    monkeypatch.setattr(np, "load", watched)
    found = [*map_in_threads(lambda _: pixels(data), 8, 4)]
    assert most == [1]
    assert all(np.array_equal(array, BANDS) for array in found)


@pytest.mark.parametrize("range_", [None, [0, 4000], [-1000, 3000]])
def test_tiles_of_a_dicom_have_the_values_of_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, range_: list[float] | None
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "a").mkdir()
    for number in range(4):
        values = np.random.default_rng(number).integers(0, 4096, (16, 16)).astype(np.uint16)
        window: dict[str, Any] = {
            "WindowCenter": 1000,
            "WindowWidth": 2000,
            "RescaleIntercept": -500,
        }
        (tmp_path / "a" / f"{number}.dcm").write_bytes(dicom(values, **window))
    found = []
    for tile in (None, 16):
        config = FolderConfig(root=str(tmp_path / "a"), resolution=16, range=range_, tile=tile)
        splits, pictures = config.load(), {}
        for part in (splits.train, splits.val):
            names = [Path(path).name.partition("#")[0] for path in part.paths or ()]
            pictures.update(zip(names, part.images[:], strict=True))
        found.append(np.stack([pictures[f"{number}.dcm"] for number in range(4)]))
    assert found[0].std() > 0.1
    np.testing.assert_array_equal(found[1], found[0])
