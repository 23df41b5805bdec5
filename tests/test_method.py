"""What a method is told of its progress, how its views are told apart, and what its config says of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from doubles import make_run

from sslcli.errors import SslcliError
from sslcli.method import (
    Method,
    MethodConfig,
    Progress,
    Restorer,
    built_by,
    views_by_size,
    views_one_by_one,
)
from sslcli.methods import METHODS
from sslcli.methods.denoising_autoencoder import DenoisingAutoencoder, DenoisingAutoencoderConfig
from sslcli.methods.simclr import SimCLRConfig
from sslcli.trained.able_runs import RESTORES, resolve_able_run


def test_progress_knows_the_epoch() -> None:
    places = [Progress(step, 12, 4) for step in range(12)]
    assert [place.epoch for place in places] == [0] * 4 + [1] * 4 + [2] * 4
    assert [place.fraction for place in places[::3]] == [0.0, 0.25, 0.5, 0.75]


def test_a_cosine_leads_from_its_start_towards_its_end() -> None:
    """BYOL's tau (Grill et al. 2020, section 3.3): 1 - (1 - base) (cos(pi k / K) + 1) / 2."""
    taus = [Progress(step, 50).cosine(0.996, 1.0) for step in range(50)]
    papers = [1 - (1 - 0.996) * (math.cos(math.pi * k / 50) + 1) / 2 for k in range(50)]
    assert taus == pytest.approx(papers, rel=1e-12)
    assert taus[0] == 0.996
    assert Progress(5, 10).cosine(4.0, 0.0) == pytest.approx(2.0)


def test_views_are_told_apart_by_size_and_one_by_one() -> None:
    large, small = torch.randn(4, 1, 8, 8), torch.randn(6, 1, 5, 5)
    assert [len(size) for size in views_by_size([large, small])] == [4, 6]
    assert views_by_size(large)[0] is large
    views = views_one_by_one([large, small], 2)
    assert [tuple(view.shape) for view in views] == [(2, 1, 8, 8)] * 2 + [(2, 1, 5, 5)] * 3
    assert torch.equal(views[1], large[2:])


@dataclass
class Filling(Method):
    """A Restorer, by its methods."""

    encoder: Any
    preprocessing: Any

    def uses_damaged_pixels(self) -> bool:
        return False

    def damage(self, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return pictures, pictures[:, :1] > 0

    def restore(self, damaged: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        return damaged


@dataclass(kw_only=True)
class SometimesConfig(MethodConfig):
    """Restores pictures only where a setting says so, as an MAE whose targets are pixels does."""

    pixels: bool = True

    def build(self, encoder: Any, preprocessing: Any) -> Filling:
        return Filling(encoder, preprocessing)

    def builds(self) -> type[Method]:
        return Filling if self.pixels else Method


def test_a_config_tells_the_class_of_its_method_without_building_it() -> None:
    assert built_by(SometimesConfig) is Filling
    assert built_by(MethodConfig) is Method
    assert [SometimesConfig(pixels=on).builds() for on in (True, False)] == [Filling, Method]
    assert DenoisingAutoencoderConfig().builds() is DenoisingAutoencoder
    assert issubclass(Filling, Restorer)
    assert not issubclass(SimCLRConfig().builds(), Restorer)


def test_whether_a_run_restores_may_depend_on_a_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(METHODS.built_in, "sometimes", SometimesConfig)
    for name, on in (("able", "true"), ("unable", "false")):
        run = make_run(tmp_path / name, method="sometimes")
        header = (run / "config.yaml").read_text().partition("method:\n  temp")[0]
        (run / "config.yaml").write_text(f"{header}method:\n  pixels: {on}\n")
    assert resolve_able_run(str(tmp_path / "able"), tmp_path, RESTORES) == tmp_path / "able"
    with pytest.raises(SslcliError, match="was trained by sometimes: it cannot restore pictures"):
        resolve_able_run(str(tmp_path / "unable"), tmp_path, RESTORES)
