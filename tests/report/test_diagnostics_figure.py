"""The figure of what features are like, from values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sslcli.report.diagnostics import save_diagnostics


@pytest.mark.parametrize("spectrum", [[3.0, 1.0, 0.1], [3.0, 1e-12, 0.0], [0.0, 0.0], [2.0]])
def test_any_spectrum_is_drawn(tmp_path: Path, spectrum: list[float]) -> None:
    """A dead direction has no logarithm; warnings are errors."""
    save_diagnostics(tmp_path / "figure.png", spectrum, spectrum, [(1.0, 3.5), (2.0, 4.5)])
    with Image.open(tmp_path / "figure.png") as figure:
        assert len(np.unique(np.asarray(figure.convert("L")))) > 10


def test_without_a_history_there_is_no_panel_for_it(tmp_path: Path) -> None:
    widths = []
    for history in ([], [(1.0, 3.5)]):
        save_diagnostics(tmp_path / "figure.png", [2.0, 1.0], [1.0, 1.5], history)
        with Image.open(tmp_path / "figure.png") as figure:
            widths.append(figure.width)
    assert widths[0] * 3 == widths[1] * 2
