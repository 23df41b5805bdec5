"""The figures of a method that restores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from doubles import (
    CPU,
    build_method,
    double_of,
    pictures,
)
from PIL import Image

from sslcli.data.images import ImageSet
from sslcli.evaluation.restoration_monitor import (
    as_images,
    pictures_of,
)
from sslcli.method import MethodConfig
from sslcli.methods.context_encoder import ContextEncoderConfig
from sslcli.methods.denoising_autoencoder import DenoisingAutoencoder, DenoisingAutoencoderConfig
from sslcli.nets.encoder_config import (
    ContextConfig,
    ConvNetConfig,
    ConvStackConfig,
    EncoderConfig,
    MLPConfig,
)
from sslcli.report import restorations
from sslcli.report.restorations import first_filters, save_restorations

DENOISING = DenoisingAutoencoderConfig()
FILLING = ContextEncoderConfig(bottleneck=4)

CASES: list[tuple[MethodConfig, EncoderConfig, set[str]]] = [
    (DENOISING, MLPConfig(widths=[8]), {"restorations", "filters", "traversals", "interpolations"}),
    (
        DENOISING,
        ConvStackConfig(widths=[4, 6]),
        {"restorations", "filters", "traversals", "interpolations"},
    ),
    (DENOISING, ConvNetConfig(width=2), {"restorations", "traversals", "interpolations"}),
    (
        DENOISING,
        ConvNetConfig(width=2, bottleneck=3),
        {"restorations", "traversals", "interpolations"},
    ),
    (FILLING, ContextConfig(width=2), {"restorations"}),
]


@pytest.mark.parametrize(("config", "encoder", "names"), CASES)
@pytest.mark.parametrize("number", [24, 1])
def test_figures(
    tmp_path: Path, config: MethodConfig, encoder: EncoderConfig, names: set[str], number: int
) -> None:
    """Of one picture, which spans no directions and has no other to go to, there are no ways through the code."""
    method, val = build_method(config, encoder), ImageSet(pictures().images[:number])
    save_restorations(tmp_path, method, val, CPU)
    wanted = names if number > 1 else names - {"traversals", "interpolations"}
    assert {path.stem for path in tmp_path.iterdir()} == wanted
    for path in tmp_path.iterdir():
        with Image.open(path) as figure:
            assert min(figure.size) > 50
    assert all(module.training for module in method.modules().values())


def test_the_ways_through_the_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: dict[str, Any] = {}
    strips_drawn = double_of(
        restorations.save_strips, lambda given: drawn.update({given["path"].stem: given})
    )
    monkeypatch.setattr(restorations, "save_strips", strips_drawn)
    method = build_method(DENOISING, MLPConfig(widths=[8], batch_norm=False))
    assert isinstance(method, DenoisingAutoencoder)
    save_restorations(tmp_path, method, pictures(), CPU)
    strips, names = drawn["traversals"]["strips"], drawn["traversals"]["row_names"]
    assert strips.shape == (6, 9, 16, 16, 3)
    shares = [int(name.partition("(")[2].partition(" %")[0]) for name in names]
    assert shares == sorted(shares, reverse=True)
    assert 0 < sum(shares) <= 101
    with torch.no_grad():
        codes = method.encoder.code(pictures_of(pictures().images, CPU.device))
        middle, ends = (
            as_images(method.decode(given))
            for given in (codes.mean(dim=0, keepdim=True), codes[:12])
        )
    for strip in strips:
        assert np.abs(strip[4].astype(int) - middle[0]).max() <= 1
    assert (strips[0][0] != strips[0][8]).any()
    strips, names = drawn["interpolations"]["strips"], drawn["interpolations"]["row_names"]
    assert len(strips) == len(names) == 6
    for row in range(6):
        assert np.abs(strips[row][0].astype(int) - ends[row]).max() <= 1
        assert np.abs(strips[row][8].astype(int) - ends[6 + row]).max() <= 1
    same = ImageSet(np.zeros((4, 16, 16, 3), np.uint8))
    save_restorations(tmp_path, method, same, CPU)
    assert all("(0 % of variance)" in name for name in drawn["traversals"]["row_names"])


@pytest.mark.parametrize("channels", [1, 3])
def test_first_filters_are_the_weights_that_look_at_pixels(channels: int) -> None:
    shape = torch.Size([channels, 16, 16])
    dense = build_method(DENOISING, MLPConfig(widths=[8, 4]), channels=channels).encoder
    found = first_filters(dense, shape)
    assert found is not None
    weight = dense.layers[0].linear.weight.detach().numpy()  # type: ignore[union-attr,index]
    assert found.shape == (8, 16, 16, channels)
    assert np.array_equal(
        found[5, 2, 9, channels - 1], weight[5, (channels - 1) * 256 + 2 * 16 + 9]
    )
    stack = build_method(DENOISING, ConvStackConfig(widths=[4, 6]), channels=channels).encoder
    found = first_filters(stack, shape)
    assert found is not None
    assert found.shape == (4, 5, 5, channels)
    kernels = stack.layers[0].convolution.weight.detach()  # type: ignore[union-attr,index]
    assert np.array_equal(found, kernels.permute(0, 2, 3, 1).numpy())
    for small in (ConvNetConfig(width=2), ContextConfig(width=2)):
        assert (
            first_filters(build_method(DENOISING, small, channels=channels).encoder, shape) is None
        )
