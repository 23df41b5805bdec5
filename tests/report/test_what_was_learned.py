"""The figures of attention and of prototypes, and the sheet of an MAE of pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from doubles import CPU, build_method, contains, double_of, pictures, pixels
from torch import Tensor

from sslcli.data.images import ImageSet
from sslcli.method import Clusterer, MethodConfig
from sslcli.methods.dino import DINO, DINOConfig
from sslcli.methods.simclr import SimCLRConfig
from sslcli.methods.swav import SwAVConfig
from sslcli.nets.encoder_config import ConvNetConfig
from sslcli.nets.vit import VisionTransformer
from sslcli.nets.vit_config import ViTConfig
from sslcli.report import attention, prototypes
from sslcli.report.attention import Attending, save_attention
from sslcli.report.prototypes import save_prototypes

VIT = ViTConfig(width=24, depth=2, heads=3)


def magnified(picture: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return picture.repeat(5, axis=0).repeat(5, axis=1)


def test_attention_stands_beside_the_picture_scaled_to_its_largest_weight(tmp_path: Path) -> None:
    method, val = build_method(SimCLRConfig(), VIT), pictures()
    encoder = method.encoder
    assert isinstance(encoder, Attending)
    assert isinstance(encoder, VisionTransformer)
    save_attention(tmp_path / "attention.png", method, val, CPU)
    assert encoder.training
    sheet = pixels(tmp_path / "attention.png")
    assert contains(sheet, magnified(val.images[0]))
    given = torch.tensor(val.images[:1]).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        weights = encoder.eval().attention(method.preprocessing.normalized(given))[0, 2]
    grey = (weights / weights.max() * 255).round().byte().numpy()
    cell = np.broadcast_to(grey.repeat(4, 0).repeat(4, 1)[..., None], (16, 16, 3))
    assert contains(sheet, magnified(cell))


def test_attention_that_is_nowhere_is_black(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: dict[str, Any] = {}
    shown = double_of(attention.save_grid, lambda given: drawn.update(given["columns"]))
    monkeypatch.setattr(attention, "save_grid", shown)
    monkeypatch.setattr(
        VisionTransformer, "attention", lambda _, given: torch.zeros(len(given), 2, 4, 4)
    )
    save_attention(tmp_path / "attention.png", build_method(SimCLRConfig(), VIT), pictures(), CPU)
    assert list(drawn) == ["picture", "head 1", "head 2"]
    assert drawn["head 1"].shape == drawn["picture"].shape == (12, 16, 16, 3)
    assert not drawn["head 2"].any()


def test_a_convnet_attends_to_nothing_and_simclr_has_no_prototypes() -> None:
    method = build_method(SimCLRConfig(), ConvNetConfig(width=2))
    assert not isinstance(method.encoder, Attending)
    assert not isinstance(method, Clusterer)


def test_the_pictures_nearest_to_the_commonest_prototypes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Picture n's brightness is n; prototypes 2 and 4 are some picture's highest, 4 most pictures'."""
    drawn: dict[str, Any] = {}
    shown = double_of(prototypes.save_strips, drawn.update)
    monkeypatch.setattr(prototypes, "save_strips", shown)
    images = np.broadcast_to(np.arange(20, dtype=np.uint8)[:, None, None, None], (20, 16, 16, 3))
    method = build_method(SwAVConfig(num_prototypes=4), ConvNetConfig(width=2))

    def scores(given: Tensor) -> Tensor:
        value = (given[:, 0, 0, 0] * method.preprocessing.std[0] + 0.5) * 255
        dark = torch.where(value < 5.5, 50 - value, -value)
        return torch.stack([-value - 90, dark, -value - 90, value], dim=1)

    monkeypatch.setattr(method, "prototype_scores", scores, raising=False)
    save_prototypes(tmp_path / "prototypes.png", method, ImageSet(images.copy()), CPU)
    assert drawn["row_names"] == ["prototype 4 (70.0 %)", "prototype 2 (30.0 %)"]
    assert "2 of 4 are some picture's highest" in drawn["title"]
    found = drawn["strips"][:, :, 0, 0, 0]
    assert found[0].tolist() == list(range(19, 9, -1))
    assert found[1].tolist() == list(range(10))


@pytest.mark.parametrize("config", [SwAVConfig(num_prototypes=5), DINOConfig(num_prototypes=40)])
@pytest.mark.parametrize("number", [24, 1])
def test_prototypes_are_drawn(tmp_path: Path, config: MethodConfig, number: int) -> None:
    method = build_method(config, ConvNetConfig(width=2))
    val = ImageSet(pictures().images[:number])
    before = {name: part.training for name, part in method.modules().items()}
    save_prototypes(tmp_path / "prototypes.png", method, val, CPU)
    assert min(pixels(tmp_path / "prototypes.png").shape[:2]) > 50
    assert {name: part.training for name, part in method.modules().items()} == before


def test_dinos_scores_are_centred() -> None:
    method = build_method(DINOConfig(num_prototypes=6), ConvNetConfig(width=2))
    assert isinstance(method, DINO)
    given = torch.randn(4, 3, 16, 16)
    for part in method.modules().values():
        part.eval()
    before = method.prototype_scores(given)
    method.centre.follow(torch.ones(4, 6), 0.5)
    torch.testing.assert_close(before - method.prototype_scores(given), torch.full((4, 6), 0.5))
