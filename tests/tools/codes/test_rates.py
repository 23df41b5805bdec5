"""`diagnose` of a run that decodes codes: their rate beside that of JPEG and WebP."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from doubles import Sslcli, pictures
from PIL import Image

from sslcli.evaluation.rate import CODECS
from sslcli.runs.diagnostics import read_diagnostics
from sslcli.tools.diagnose.rate import measure_rates
from sslcli.trained.coder import load_coder


@pytest.mark.slow
def test_rates_are_written_drawn_and_printed(sslcli: Sslcli, run: Path) -> None:
    outcome = sslcli("diagnose", str(run), "--device", "cpu")
    assert outcome.status == 0, outcome.err
    assert "compression of" in outcome.out
    assert all(name in outcome.out for name in CODECS)
    found = json.loads((run / "diagnostics" / "rate.json").read_text())
    assert list(found["curves"]) == ["codes", *CODECS]
    assert "weights" in found["protocol"]["not_counted"]
    with Image.open(run / "diagnostics" / "rate.png") as figure:
        assert figure.width > 2 * figure.height
    assert read_diagnostics(run) is not None


def test_the_codes_rates_are_those_of_a_file(run: Path) -> None:
    rates = measure_rates(load_coder(run), pictures(), pictures())
    codes = rates.curves["codes"]
    assert [point.setting for point in codes] == ["32 bits", "8 bits", "6 bits", "4 bits"]
    assert [point.bits for point in codes] == sorted((p.bits for p in codes), reverse=True)
    assert all(point.file_bits > point.bits for point in codes)
    assert codes[1].bits <= 1.5 * 5 * 8 / 256  # 5 numbers of 8 bits, of few pictures: tables count
    assert codes[0].psnr == pytest.approx(exact_psnr(run), abs=1e-3)
    assert codes[1].psnr == pytest.approx(exact_psnr(run), abs=0.3)


def exact_psnr(run: Path) -> float:
    coder = load_coder(run)
    images = pictures().images[:]
    decoded = coder.decode(coder.encode_images(images)).permute(0, 2, 3, 1).numpy()
    errors = np.square(decoded - images / 255).reshape(len(images), -1).mean(axis=1)
    return float((-10 * np.log10(errors)).mean())
