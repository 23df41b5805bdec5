"""Pictures of any channels and depth are shown as grey or RGB, and what is shown is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sslcli.evaluation.restoration_monitor import as_images
from sslcli.report.display import AS_THEY_ARE, Display
from sslcli.report.figures import save_views
from sslcli.report.pictures import save_grid

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("channels", [1, 3])
def test_grey_and_rgb_of_8_bits_are_shown_as_they_are(channels: int) -> None:
    images = RNG.integers(0, 20, (5, 4, 4, channels), dtype=np.uint8)
    display = Display.of(images, None)
    assert display == AS_THEY_ARE
    assert display.words == ""
    assert display(images) is images
    pictures = torch.tensor(images).permute(0, 3, 1, 2) / 255
    np.testing.assert_array_equal(display.of_pictures(pictures), as_images(pictures))


def test_the_named_channels_are_red_green_and_blue_in_this_order() -> None:
    images = np.zeros((6, 4, 4, 13), np.uint16)
    images[:3] = 65535  # all wide: nothing is stretched
    images[3:, ..., 3], images[3:, ..., 2], images[3:, ..., 1] = 65535, 32768, 0
    images[1, ..., 1:4] = 0
    images[0, 0, 0, 1:4] = [65535, 0, 0]
    images[0, 0, 1, 1:4] = [0, 0, 65535]
    display = Display.of(images, (3, 2, 1))
    shown = display(images)
    assert shown.shape == (6, 4, 4, 3)
    assert shown[5, 2, 2].tolist() == [255, 128, 0]
    assert shown[0, 0, 0].tolist() == [0, 0, 255]
    assert display.words.startswith("channels 3, 2, 1 (from 0) as red, green, blue")


def test_channels_of_a_narrow_range_are_stretched_each_and_it_is_said() -> None:
    images = np.zeros((50, 8, 8, 4), np.uint16)
    images[..., 0] = RNG.integers(300, 400, (50, 8, 8))
    images[..., 1] = RNG.integers(0, 65536, (50, 8, 8))
    images[..., 2] = 7
    display = Display.of(images, None)
    shown = display(images)
    assert shown[..., 0].min() == 0
    assert shown[..., 0].max() == 255
    assert np.abs(shown[..., 1] - images[..., 1] / 257).max() <= 0.51, "wide: as it is"
    assert (shown[..., 2] == 0).all()
    assert "stretched: black 1 %, white 99 %" in display.words
    pictures = torch.tensor(images / np.float32(65535)).permute(0, 3, 1, 2)
    assert np.abs(display.of_pictures(pictures).astype(int) - shown).max() <= 1


@pytest.mark.parametrize(("channels", "drawn"), [(1, 1), (2, 3), (3, 3), (5, 3)])
@pytest.mark.parametrize("kind", ["uint8", "uint16", "float32"])
def test_sheets_of_any_channels_are_drawn(
    tmp_path: Path, channels: int, drawn: int, kind: str
) -> None:
    images: Any = RNG.integers(0, 256, (3, 8, 8, channels)).astype(kind)
    images = images / np.float32(255) if kind == "float32" else images
    display = Display.of(images, None)
    assert display(images).shape == (3, 8, 8, drawn)
    assert display(images).dtype == np.uint8
    if channels == 2:
        assert (display(images)[..., 2] == 0).all()
    views = [torch.rand(3, channels, 8, 8)]
    zeros, ones = (0.0,) * channels, (1.0,) * channels
    save_views(tmp_path / "views.png", images, views, zeros, ones, display)
    save_grid(tmp_path / "grid.png", {"a": display(images)}, display.words)
    assert (tmp_path / "views.png").stat().st_size > 1000
