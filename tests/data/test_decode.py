"""Every odd kind of picture that people have."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from photos import decoded_files
from PIL import Image

from sslcli.data.decode import DecodeOptions, decode
from sslcli.data.resize import centre_square
from sslcli.data.stored_picture import plain_pixels, seen_size
from sslcli.tools.inspect.picture_facts import look_at_bytes

RNG = np.random.default_rng(0)


def pixels(path: Path, resolution: int) -> np.ndarray:
    return np.asarray(decode(path, resolution))


def smooth(height: int, width: int) -> np.ndarray:
    rows, columns = np.mgrid[0:height, 0:width]
    return np.stack([rows * 255 // height, columns * 255 // width, 0 * rows + 90], -1).astype(
        np.uint8
    )


@pytest.mark.parametrize("ending", ["png", "bmp", "tif", "tiff"])
def test_a_lossless_picture_of_the_right_size_keeps_its_pixels(tmp_path: Path, ending: str) -> None:
    image = RNG.integers(0, 256, (16, 16, 3), dtype=np.uint8)
    Image.fromarray(image).save(tmp_path / f"a.{ending}")
    np.testing.assert_array_equal(pixels(tmp_path / f"a.{ending}", 16), image)


@pytest.mark.parametrize("ending", ["jpg", "webp"])
def test_a_lossy_picture_keeps_its_looks(tmp_path: Path, ending: str) -> None:
    image = smooth(32, 32)
    Image.fromarray(image).save(tmp_path / f"a.{ending}", quality=95)
    assert np.abs(pixels(tmp_path / f"a.{ending}", 32).astype(int) - image).mean() < 4


def test_grey_stays_grey(tmp_path: Path) -> None:
    image = RNG.integers(0, 256, (8, 8), dtype=np.uint8)
    Image.fromarray(image).save(tmp_path / "a.png")
    np.testing.assert_array_equal(pixels(tmp_path / "a.png", 8), image)


def test_black_and_white_is_0_and_255(tmp_path: Path) -> None:
    image = np.eye(8, dtype=bool)
    Image.fromarray(image).save(tmp_path / "a.png")
    np.testing.assert_array_equal(pixels(tmp_path / "a.png", 8), image * np.uint8(255))


@pytest.mark.parametrize(("alpha", "expected"), [(255, (10, 20, 30)), (0, (255, 255, 255))])
def test_transparent_colour_lies_on_white(
    tmp_path: Path, alpha: int, expected: tuple[int, ...]
) -> None:
    Image.new("RGBA", (8, 8), (10, 20, 30, alpha)).save(tmp_path / "a.png")
    assert (pixels(tmp_path / "a.png", 8) == expected).all()


def test_half_transparent_grey_is_grey_and_half_white(tmp_path: Path) -> None:
    Image.new("LA", (8, 8), (55, 128)).save(tmp_path / "a.png")
    result = pixels(tmp_path / "a.png", 8)
    assert result.shape == (8, 8)
    assert (np.abs(result.astype(int) - 155) <= 1).all()


@pytest.mark.parametrize("transparency", [1, b"\xff\x00"])
def test_a_palette_with_a_transparent_colour_lies_on_white(
    tmp_path: Path, transparency: object
) -> None:
    image = Image.fromarray(np.repeat([[0, 1]], 4, 0).repeat(2, 1).astype(np.uint8), "L")
    image = image.convert("P")
    image.putpalette([200, 0, 0, 0, 200, 0])
    image.save(tmp_path / "a.png", transparency=transparency)
    result = pixels(tmp_path / "a.png", 4)
    assert (result[:, :2] == (200, 0, 0)).all()
    assert (result[:, 2:] == 255).all()


def test_a_cmyk_jpeg_has_its_colours(tmp_path: Path) -> None:
    Image.new("RGB", (16, 16), (255, 0, 0)).convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    assert (np.abs(pixels(tmp_path / "a.jpg", 16).astype(int) - (255, 0, 0)) < 10).all()


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_16_bits_are_scaled_not_cut_off(tmp_path: Path, ending: str) -> None:
    image = np.linspace(0, 65535, 64).reshape(8, 8).astype(np.uint16)
    Image.fromarray(image).save(tmp_path / f"a.{ending}")
    np.testing.assert_array_equal(
        pixels(tmp_path / f"a.{ending}", 8), np.rint(image / 257).astype(np.uint8)
    )


@pytest.mark.parametrize(
    ("dtype", "reason"), [(np.float32, "floating-point"), (np.int32, "32-bit")]
)
def test_pixels_of_unknown_range_are_refused(tmp_path: Path, dtype: type, reason: str) -> None:
    Image.fromarray(np.full((8, 8), 100_000, dtype=dtype)).save(tmp_path / "a.tif")
    with pytest.raises(ValueError, match=reason):
        decode(tmp_path / "a.tif", 8)


def test_a_rotated_photograph_is_turned_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to see it upright
    stored = np.zeros((32, 32, 3), dtype=np.uint8)
    stored[:, :16] = 255  # the left half
    Image.fromarray(stored).save(tmp_path / "a.jpg", exif=exif, quality=95)
    upright = pixels(tmp_path / "a.jpg", 32)
    assert upright[:12].min() > 200
    assert upright[20:].max() < 50


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_size_that_is_read_from_the_header_is_that_of_the_pixels(
    tmp_path: Path, suffix: str, orientation: int
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(np.zeros((8, 20, 3), np.uint8)).save(path, exif=exif)
    height, width, _ = plain_pixels(path.read_bytes()).shape
    with Image.open(path) as image:
        assert seen_size(image) == (width, height)
    facts = look_at_bytes(path.read_bytes()).facts
    assert (facts["width"], facts["height"]) == (width, height)
    assert facts["turned"] == (orientation > 1)


def test_broken_exif_does_not_lose_the_picture(tmp_path: Path) -> None:
    Image.fromarray(smooth(16, 16)).save(
        tmp_path / "a.jpg", exif=b"Exif\x00\x00II*\x00\xff\xff\xff"
    )
    assert pixels(tmp_path / "a.jpg", 16).shape == (16, 16, 3)


def test_an_animation_gives_its_first_frame(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert (pixels(tmp_path / "a.gif", 8) == (255, 0, 0)).all()


@pytest.mark.parametrize("size", [(3000, 1), (1, 3000), (2, 2000), (1, 1)])
def test_any_shape_becomes_a_square(tmp_path: Path, size: tuple[int, int]) -> None:
    Image.new("RGB", size, (1, 2, 3)).save(tmp_path / "a.png")
    result = pixels(tmp_path / "a.png", 32)
    assert result.shape == (32, 32, 3)
    assert (result == (1, 2, 3)).all()


def test_the_middle_is_what_is_cut(tmp_path: Path) -> None:
    image = np.zeros((20, 60, 3), dtype=np.uint8)
    image[:, 20:40] = 255
    Image.fromarray(image).save(tmp_path / "a.png")
    assert (pixels(tmp_path / "a.png", 20) == 255).all()
    Image.fromarray(image.transpose(1, 0, 2)).save(tmp_path / "b.png")
    assert (pixels(tmp_path / "b.png", 20) == 255).all()


def test_shrinking_does_not_alias() -> None:
    stripes = np.zeros((64, 64), dtype=np.uint8)
    stripes[:, ::2] = 255
    small = np.asarray(centre_square(Image.fromarray(stripes), 16))
    assert (
        np.abs(small[:, 2:-2].astype(int) - 127) <= 8
    ).all()  # sampling every 4th column gives 0 or 255


def test_a_large_jpeg_decoded_at_a_fraction_looks_as_if_decoded_whole(tmp_path: Path) -> None:
    image = Image.fromarray(smooth(600, 900))
    image.save(tmp_path / "a.jpg", quality=95)
    whole = np.asarray(centre_square(image, 32)).astype(int)
    assert np.abs(pixels(tmp_path / "a.jpg", 32) - whole).max() < 8


BROKEN = {
    "truncated.jpg": "truncated",
    "truncated.png": "",
    "empty.png": "not a picture that can be read",
    "text.jpg": "not a picture that can be read",
    "gone.png": "No such file",
}


@pytest.fixture
def broken(tmp_path: Path) -> list[str]:
    noise = Image.fromarray(RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8))
    for name in ("truncated.jpg", "truncated.png"):
        noise.save(tmp_path / name)
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:1500])
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.jpg").write_text("this is no picture")
    return [str(tmp_path / name) for name in BROKEN]


def test_broken_files_are_told_from_good_ones_with_the_reason(
    tmp_path: Path, broken: list[str]
) -> None:
    Image.new("L", (8, 8), 7).save(tmp_path / "good.png")
    decoded = decoded_files([*broken, str(tmp_path / "good.png")], DecodeOptions(8, None, 2))
    assert sorted(decoded.bad) == list(range(len(broken)))
    for reason, expected in zip(decoded.bad.values(), BROKEN.values(), strict=True):
        assert expected in reason
    assert decoded.images.shape == (6, 8, 8, 1)
    assert (decoded.images[-1] == 7).all()


def test_a_decompression_bomb_warning_is_kept_from_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("L", (40, 40), 7).save(tmp_path / "large.png")
    Image.new("L", (80, 80), 7).save(tmp_path / "larger.png")
    monkeypatch.setattr(
        Image, "MAX_IMAGE_PIXELS", 1000
    )  # a warning above, an error above twice that
    paths = [str(tmp_path / "large.png"), str(tmp_path / "larger.png")]
    decoded = decoded_files(paths, DecodeOptions(8, None, 1))
    assert list(decoded.bad) == [1]


@pytest.fixture
def mixed(tmp_path: Path) -> list[str]:
    for index in range(70):
        mode = "L" if index % 2 else "RGB"
        Image.new(mode, (9 + index, 12), "white" if index % 3 else "black").save(
            tmp_path / f"{index:02}.png"
        )
    return [str(path) for path in sorted(tmp_path.iterdir())]


def test_the_result_is_the_same_for_any_number_of_workers(mixed: list[str]) -> None:
    results = [
        decoded_files(mixed, DecodeOptions(8, None, workers)).images for workers in (1, 2, 7)
    ]
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])
    assert [int(image.max()) for image in results[0]] == [255 if i % 3 else 0 for i in range(70)]


def test_channels_are_one_only_where_all_are_grey_or_it_is_asked_for(mixed: list[str]) -> None:
    assert decoded_files(mixed, DecodeOptions(8, None, 2)).images.shape == (70, 8, 8, 3)
    assert decoded_files(mixed, DecodeOptions(8, 1, 2)).images.shape == (70, 8, 8, 1)
    assert decoded_files(mixed[1::2], DecodeOptions(8, None, 2)).images.shape == (
        35,
        8,
        8,
        1,
    )
    assert decoded_files(mixed[1::2], DecodeOptions(8, 3, 2)).images.shape == (
        35,
        8,
        8,
        3,
    )
