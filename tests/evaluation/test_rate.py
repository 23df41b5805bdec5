"""What compressed pictures cost, and how near they come."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from doubles import pictures
from PIL import Image

from sslcli.evaluation.rate import (
    CODECS,
    QUALITIES,
    RatePoint,
    at_same_rate,
    jpeg_header,
    rate_point,
)

IMAGES = pictures().images[:6]
TRUTH = torch.from_numpy(IMAGES).permute(0, 3, 1, 2).float() / 255


def test_a_rate_is_bits_a_pixel_of_all_pictures() -> None:
    point = rate_point("x", TRUTH, TRUTH, 96, 192)
    assert (point.bits, point.file_bits) == (0.5, 1.0)  # of 6 x 16 x 16 pixels
    assert point.psnr == pytest.approx(100)
    assert point.ssim == pytest.approx(1)
    off = rate_point("x", (TRUTH + 0.1).clamp(0, 1), TRUTH.clamp(0, 0.9), 1, 1)
    assert off.psnr == pytest.approx(20, abs=0.01)


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_codecs_points_are_what_pillow_writes(name: str, channels: int) -> None:
    images = IMAGES[..., :channels]
    truth = TRUTH[:, :channels]
    curve = CODECS[name].curve(images, truth)
    assert [point.setting for point in curve] == [f"quality {q}" for q in QUALITIES]
    assert all(0 < point.bits < point.file_bits for point in curve)
    assert curve[0].psnr < curve[-1].psnr
    sizes, errors = 0, []
    for image in images:
        content = io.BytesIO()
        picture = Image.fromarray(image[..., 0] if channels == 1 else image)
        picture.save(content, {"JPEG": "JPEG", "WebP": "WEBP"}[name], quality=50)
        sizes += len(content.getvalue())
        with Image.open(content) as opened:
            again = np.asarray(opened.convert(picture.mode)).reshape(image.shape)
        error = ((again.astype(float) - image) / 255) ** 2
        errors.append(-10 * np.log10(error.mean()))
    at_50 = curve[QUALITIES.index(50)]
    assert at_50.file_bits == pytest.approx(8 * sizes / (6 * 256))
    assert at_50.psnr == pytest.approx(np.mean(errors), abs=1e-3)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_jpegs_header_is_all_but_its_scan(mode: str) -> None:
    """A flat picture's scan is a few bytes; the same tables stand before a full one's."""
    headers = []
    for pixels in (np.full((64, 64, 3), 128, np.uint8), np.tile(IMAGES[0], (4, 4, 1))):
        content = io.BytesIO()
        Image.fromarray(pixels).convert(mode).save(content, "JPEG", quality=50, subsampling=0)
        data = content.getvalue()
        headers.append(jpeg_header(data))
        scan = data[data.index(b"\xff\xda") :]
        length = int.from_bytes(scan[2:4], "big")
        assert len(data) - headers[-1] == len(scan) - 2 - length - 2
    assert headers[0] == headers[1]
    content = io.BytesIO()
    Image.fromarray(IMAGES[0]).save(content, "JPEG", progressive=True)
    with pytest.raises(ValueError, match=r"a JPEG of \d+ scans"):
        jpeg_header(content.getvalue())


def test_the_same_rate_lies_between_two_points_and_never_outside() -> None:
    curve = [RatePoint("", bits, 9, 10 * bits, bits / 10) for bits in (2.0, 1.0, 4.0)]
    assert at_same_rate(curve, 3) == pytest.approx((30, 0.3))
    assert at_same_rate(curve, 1) == pytest.approx((10, 0.1))
    assert at_same_rate(curve, 0.99) is None
    assert at_same_rate(curve, 4.01) is None
    without = [RatePoint("", bits, 9, 10 * bits, None) for bits in (1.0, 2.0)]
    found = at_same_rate(without, 1.5)
    assert found is not None
    assert found[0] == pytest.approx(15)
    assert np.isnan(found[1])
