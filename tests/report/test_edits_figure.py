"""The figure of judged edits has every way, and shares that add up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from sslcli.report.edits import Fate, save_edit_curves


def fates(offset: float) -> list[Fate]:
    return [Fate(s, 0.4 * s + offset, 0.5 - 0.3 * s, 0.1, 1 - 0.4 * s) for s in (1.0, 0.5, 1.5)]


def test_every_way_is_drawn_in_the_order_of_its_strengths(
    tmp_path: Path, drawn: list[Figure]
) -> None:
    save_edit_curves(tmp_path / "judged.png", {"near": fates(0), "pixels": fates(0.05)}, "edits")
    with Image.open(tmp_path / "judged.png") as picture:
        assert picture.width > picture.height > 300
    left, right = drawn[0].axes
    lines = {line.get_label(): line for line in left.lines}
    assert {"near", "pixels"} <= lines.keys()
    np.testing.assert_allclose(lines["near"].get_xdata(), [0.8, 0.6, 0.4])
    np.testing.assert_allclose(lines["pixels"].get_ydata(), [25, 45, 65])
    rings = [line for line in left.lines if len(line.get_xdata()) == 1]
    assert [float(ring.get_xdata()[0]) for ring in rings] == pytest.approx([0.6, 0.6])
    assert len(right.collections) == 3
