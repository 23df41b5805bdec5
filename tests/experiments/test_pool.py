"""The features of a vit are chosen where it is evaluated: the class token, or the mean of the patches'."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from doubles import PREPROCESSING, Sslcli, only_run, require_two_lines

from sslcli.errors import SslcliError
from sslcli.experiments.given import compared_encoder
from sslcli.nets.description import WEIGHTS
from sslcli.nets.encoder_config import ConvNetConfig, EncoderConfig
from sslcli.nets.vit import VisionTransformer
from sslcli.nets.vit_config import Pool, ViTConfig
from sslcli.runs.evaluations import read_evaluations
from sslcli.runs.results import read_results
from sslcli.trained.encoder import load_trained, write_encoder
from sslcli.trained.encoder_files import read_encoder

FEW = ["l2=[1e-1]", "baselines=false", "runtime.threads=1"]


def write(folder: Path, config: EncoderConfig) -> None:
    write_encoder(folder, config.build(3, 16), config, PREPROCESSING, 0)


def test_its_features_are_the_chosen_ones_of_the_same_weights(tmp_path: Path) -> None:
    write(tmp_path, ViTConfig(width=24, depth=1, heads=2, pool=Pool.mean))
    pictures = torch.rand(3, 3, 16, 16)
    of_class, of_patches, by_place, as_trained = (
        load_trained(read_encoder(tmp_path, pool=pool)) for pool in (*Pool, None)
    )
    assert isinstance(of_class, VisionTransformer)
    tokens = of_class.tokens(pictures)
    torch.testing.assert_close(of_class(pictures), tokens[:, 0])
    torch.testing.assert_close(of_patches(pictures), tokens[:, 1:].mean(dim=1))
    assert torch.equal(by_place(pictures), of_class.code(pictures).flatten(1))  # 4 x 4 patches
    assert torch.equal(as_trained(pictures), of_patches(pictures))


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (ConvNetConfig(width=2), "is a convnet, which has no class token"),
        (ViTConfig(width=24, depth=1, heads=2, bottleneck=4), "is a vit with a bottleneck"),
    ],
)
def test_an_encoder_without_the_choice_is_refused(
    tmp_path: Path, config: EncoderConfig, said: str
) -> None:
    write(tmp_path, config)
    with pytest.raises(SslcliError, match=said):
        read_encoder(tmp_path, pool=Pool.cls)


def test_an_encoder_beside_it_is_pooled_alike_where_it_can(tmp_path: Path) -> None:
    vit = ViTConfig(width=24, depth=1, heads=2, pool=Pool.mean)
    for name, config in {"vit": vit, "convnet": ConvNetConfig(width=2)}.items():
        (tmp_path / name).mkdir()
        write(tmp_path / name, config)
    images = np.zeros((1, 16, 16, 3), dtype=np.uint8)
    session: Any = SimpleNamespace(splits=SimpleNamespace(train=SimpleNamespace(images=images)))

    def beside(name: str, pool: Pool | None) -> EncoderConfig:
        like, weights = read_encoder(tmp_path / "vit", pool=pool), str(tmp_path / name / WEIGHTS)
        return compared_encoder(weights, like, session, 0, name, pool).config

    assert beside("vit", Pool.cls) == replace(vit, pool=Pool.cls)
    assert beside("vit", None) == vit
    assert beside("convnet", Pool.cls) == ConvNetConfig(width=2)


@pytest.mark.slow
def test_every_evaluation_takes_it_and_says_which(
    sslcli: Sslcli, coloured: Path, tmp_path: Path
) -> None:
    refused = ["linear-eval run=last pool=cls", "finetune run=last pool=mean"]
    refused += ["label-curve pool=cls", "embed last --pool cls"]
    for words in refused:
        require_two_lines(sslcli(*words.split()), "is a convnet, which has no class token")
    assert not (tmp_path / "outputs/linear-eval").exists()

    vit = ViTConfig(width=24, depth=1, heads=2)
    network = vit.build(3, 12)
    shape = read_encoder(coloured).preprocessing
    write_encoder(coloured, network, vit, shape, 0)
    for words in (["pool=cls"], []):
        outcome = sslcli("linear-eval", f"run={coloured}", *words, *FEW)
        assert outcome.status == 0, outcome.err
    chosen, plain = read_evaluations(coloured)[0][-2:]
    assert chosen.settings["pool"] == "cls"
    assert "pool" not in plain.settings
    assert Path(chosen.run).parent.name == "simclr-arrays-cls"
    details = read_results(Path(chosen.run)).protocol.details
    assert "encoder output, the class token," in str(details["features"])

    short = ["training.epochs=1", "training.steps=1", "training.batch_size=8", "runtime.threads=1"]
    assert sslcli("finetune", f"run={coloured}", "init=random", *short).status == 0
    words = (f"run={coloured}", f"ceiling={only_run(tmp_path / 'outputs/finetune')}", *FEW)
    assert sslcli("linear-eval", *words).status == 0
    require_two_lines(sslcli("linear-eval", *words, "pool=cls"), "trained another network")

    assert sslcli("embed", str(coloured), "--pool", "cls", "--device", "cpu").status == 0
    with np.load(coloured / "embeddings/test-pca-cls/features.npz") as content:
        assert "with pool=cls" in json.loads(str(content["protocol"]))["features"]
        assert content["features"].shape[1] == 24
