"""One layer of a stack: what it learns from, and what it leaves as it is."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from doubles import pictures, train_in
from torch import Tensor

from sslcli.augment.corruption_config import CorruptionConfig
from sslcli.data.batches import Batches
from sslcli.method import Progress
from sslcli.methods.denoising_autoencoder import Reconstruction
from sslcli.methods.stacked_layer import StackedLayer
from sslcli.nets.encoder_config import ConvStackConfig, LayeredConfig, MLPConfig
from sslcli.nets.layered import LayeredEncoder

BOTH: list[LayeredConfig] = [MLPConfig(widths=[12, 8, 6]), ConvStackConfig(widths=[4, 6, 8])]
both = pytest.mark.parametrize("config", BOTH, ids=lambda config: type(config).__name__)


def build(
    config: LayeredConfig, depth: int, masking: float = 0.25, tied: bool = False
) -> StackedLayer:
    torch.manual_seed(1)
    encoder = config.build(3, 16)
    assert isinstance(encoder, LayeredEncoder)
    encoder.eval()
    corruption = CorruptionConfig(masking=masking).build()
    return StackedLayer.of(encoder, depth, corruption, Reconstruction.squared_error, tied)


def layers(learner: StackedLayer) -> list[dict[str, Tensor]]:
    """The state of every layer, batch norm's statistics included."""
    return [
        {key: value.clone() for key, value in layer.state_dict().items()}
        for layer in learner.encoder.layers
    ]


@both
@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_one_layer_learns_and_the_others_stay(
    tmp_path: Path, config: LayeredConfig, tied: bool, depth: int
) -> None:
    learner = build(config, depth, tied=tied)
    before = layers(learner)
    train_in(tmp_path / "run", learner, Batches(pictures(), 8, 0, "cpu"), 3)
    after = layers(learner)
    assert [layer.training for layer in learner.encoder.layers] == [
        index == depth - 1 for index in range(3)
    ]
    for index in range(3):
        same = [torch.equal(before[index][key], after[index][key]) for key in before[index]]
        assert not any(same) if index == depth - 1 else all(same), f"layer {index + 1}"


@both
def test_its_codes_are_those_of_the_clean_pictures(config: LayeredConfig) -> None:
    learner = build(config, 3)
    images = torch.from_numpy(pictures().images)
    codes = learner.views(images)
    assert torch.equal(codes, learner.views(images))
    assert not codes.requires_grad
    with torch.no_grad():
        expected = learner.encoder.up_to(2).code(images.permute(0, 3, 1, 2).float() / 255)
    assert torch.equal(codes, expected)


@both
def test_codes_are_corrupted_anew_at_every_step_and_the_clean_ones_are_the_target(
    config: LayeredConfig,
) -> None:
    learner = build(config, 2)
    codes = learner.views(torch.from_numpy(pictures().images)) + 1  # no code is 0 of itself
    shown: list[Tensor] = []
    learner.layer.register_forward_pre_hook(lambda _, given: shown.append(given[0].clone()))
    made: list[Tensor] = []
    learner.mirror.register_forward_hook(lambda _, given, output: made.append(output.detach()))
    for _ in range(2):
        loss = learner.train_step(codes, lambda loss, player="method": None, Progress(0, 1))["loss"]
        assert loss.item() == pytest.approx(
            (made[-1] - codes).square().sum().item() / len(codes), rel=1e-5
        )
    for corrupted in shown:
        masked = corrupted == 0
        assert torch.equal(corrupted, codes.masked_fill(masked, 0))
        assert masked.float().mean().item() == pytest.approx(0.25, abs=0.12)
    assert not torch.equal(shown[0], shown[1])


@both
def test_a_layer_learns_what_is_below_it(tmp_path: Path, config: LayeredConfig) -> None:
    records = train_in(tmp_path / "run", build(config, 2), Batches(pictures(), 8, 0, "cpu"), 60)
    losses = [record["loss"] for record in records if "loss" in record]
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])


def test_a_tied_mirror_brings_no_weights_of_its_own() -> None:
    tied, free = build(BOTH[0], 2, tied=True), build(BOTH[0], 2)
    assert [tuple(p.shape) for p in tied.mirror.parameters()] == [(12,)]
    assert [tuple(p.shape) for p in free.mirror.parameters()] == [(12, 8), (12,)]
    assert tied.players() == {"method": [tied.layer, tied.mirror]}
    assert not tied.satisfied()
