"""A method whose views have several sizes: the sheet shows all, and what is measured takes the first."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from doubles import TINY, Sslcli, facts, only_run, pixels
from torch import Tensor, nn

from sslcli.augment.augmentation import Augmentation
from sslcli.augment.augmentation_config import ViewConfig
from sslcli.method import Method, MethodConfig, Preprocessing
from sslcli.methods import METHODS
from sslcli.nets.encoder import Encoder
from sslcli.processes import gathered
from sslcli.settings import part, setting


@dataclass(kw_only=True)
class CropsConfig(MethodConfig):
    """Two large views, and small ones."""

    num_small: int = setting(4, "small views")
    views: ViewConfig = part(ViewConfig, "of the large views")
    small_views: ViewConfig = part(
        lambda: ViewConfig(crop_scale=[0.1, 0.4], crop_size=0.43), "of the small views"
    )

    def build(self, encoder: Encoder, preprocessing: Preprocessing) -> Crops:
        mean, std = preprocessing.mean, preprocessing.std
        large, small = self.views.build(mean, std), self.small_views.build(mean, std)
        head = nn.Linear(encoder.width, 8)
        return Crops(encoder, preprocessing, head, large, small, self.num_small)


@dataclass
class Crops(Method):
    encoder: Encoder
    preprocessing: Preprocessing
    head: nn.Module
    large: Augmentation
    small: Augmentation
    num_small: int

    def views(self, images: Tensor) -> list[Tensor]:
        return [self.large(images, num_views=2), self.small(images, num_views=self.num_small)]

    def train_step(self, views: list[Tensor], minimize: Any, progress: Any) -> dict[str, Tensor]:
        h = gathered(self.encoder.in_chunks(views, None), groups=2 + self.num_small)
        z = self.head(h).unflatten(0, (2 + self.num_small, -1))
        loss = (z - z.mean(dim=0)).square().mean()
        minimize(loss)
        return {"loss": loss.detach()}


@pytest.fixture(autouse=True)
def crops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METHODS.built_in, "crops", CropsConfig)
    monkeypatch.setattr("sslcli.experiments.figures.save_curves", lambda *_: None)


def test_it_trains_and_is_diagnosed(sslcli: Sslcli, tmp_path: Path) -> None:
    outcome = sslcli("pretrain", "method=crops", *TINY, "epochs=1", "knn_every=0")
    assert outcome.status == 0, outcome.err
    run = only_run(tmp_path / "outputs")
    assert facts(run)["metrics"]["alignment"] > 0
    sheet = pixels(run / "figures/views.png")
    assert sheet.shape[1] > 6 * 84, "an original and six views in a row"
    diagnosed = sslcli("diagnose", "last")
    assert diagnosed.status == 0, diagnosed.err
    assert "10 views of each of" in (run / "diagnostics/diagnostics.json").read_text()


def test_a_setting_of_the_small_views_is_named_by_its_own_key(sslcli: Sslcli) -> None:
    outcome = sslcli("pretrain", "method=crops", "method.small_views.flip=3")
    assert outcome.status == 2
    assert "error: method.small_views.flip must be a probability, got 3.0" in outcome.err
