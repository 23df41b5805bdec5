"""A method that reads labels says so by its type: they are counted, and never passed over in silence."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from doubles import TINY, TINY_WITHOUT_LIMIT, Sslcli, facts, only_run
from torch import Tensor, nn

from sslcli.experiments import linear_eval
from sslcli.method import LabelReader, MethodConfig, Preprocessing, as_pictures
from sslcli.methods import METHODS
from sslcli.nets.encoder import Encoder


@dataclass(kw_only=True)
class SupervisedConfig(MethodConfig):
    def build(self, encoder: Encoder, preprocessing: Preprocessing) -> Supervised:
        plain = preprocessing.without_normalization()
        return Supervised(encoder, plain, nn.Linear(encoder.width, 10))


@dataclass
class Supervised(LabelReader):
    """A classifier, as the plainest method that reads labels; two views, so that alignment is measured."""

    encoder: Encoder
    preprocessing: Preprocessing
    head: nn.Module

    def views_of(self, images: Tensor) -> Tensor:
        return torch.cat([as_pictures(images)] * 2)

    def train_step(self, views: tuple[Tensor, Tensor], minimize: Any, progress: Any) -> Any:
        pictures, labels = views
        logits = self.head(self.encoder(pictures))
        loss = nn.functional.cross_entropy(logits, torch.cat([labels, labels]))
        minimize(loss)
        return {"loss": loss.detach()}


@pytest.fixture(autouse=True)
def supervised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METHODS.built_in, "supervised", SupervisedConfig)
    monkeypatch.setattr("sslcli.experiments.figures.save_curves", lambda *_: None)
    monkeypatch.setattr(linear_eval, "save_confusion", lambda *_: None)


def test_its_labels_are_counted_and_told_of(sslcli: Sslcli, tmp_path: Path) -> None:
    outcome = sslcli("pretrain", "method=supervised", *TINY, "knn_every=0")
    assert outcome.status == 0, outcome.err
    assert "Supervised learns from 64 labels" in outcome.out
    run = only_run(tmp_path / "outputs")
    assert facts(run)["derived"]["labels"] == 64
    assert facts(run)["metrics"]["alignment"] == pytest.approx(0, abs=1e-6)
    assert json.loads((run / "encoder.json").read_text())["labels"] == 64
    assert (run / "figures/views.png").exists()
    probed = sslcli("linear-eval", "run=last", "baselines=false", "runtime.threads=1")
    assert probed.status == 0, probed.err
    assert "trained on 64 labels in" in probed.out
    refused = sslcli("finetune", "run=last", "labels=0.1")
    assert refused.status == 2
    assert "learned from 64 labels, which would not be counted" in refused.err


def test_without_labels_it_does_not_start(sslcli: Sslcli, tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (40, 16, 16), dtype=np.uint8)
    np.savez(tmp_path / "plain.npz", x_train=images)
    words = ["method=supervised", "data=arrays", "data.root=plain.npz", *TINY_WITHOUT_LIMIT]
    outcome = sslcli("pretrain", *words)
    assert outcome.status == 2
    assert "Supervised, which learns from them, needs labels" in outcome.err
    assert not list((tmp_path / "outputs").rglob("last.pt"))


def test_others_count_none(made: Path) -> None:
    assert facts(made)["derived"]["labels"] == 0
