"""The denoising autoencoder whose codes are drawn, contracted, or seldom on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from doubles import PREPROCESSING, pictures, train_in
from torch import Tensor

from sslcli import losses, nets
from sslcli.augment.corruption_config import CorruptionConfig
from sslcli.config import identity
from sslcli.data.batches import Batches
from sslcli.errors import SslcliError
from sslcli.generators import seed_generators
from sslcli.method import Progress
from sslcli.methods.denoising_autoencoder import (
    DenoisingAutoencoder,
    DenoisingAutoencoderConfig,
)
from sslcli.nets.encoder_config import Activation, ConvNetConfig, EncoderConfig, MLPConfig

CLEAN = DenoisingAutoencoderConfig(corruption=CorruptionConfig())
BOTTLENECK = MLPConfig(widths=[12], bottleneck=4, batch_norm=False)
PLACES = ConvNetConfig(width=2, bottleneck=3, bottleneck_places=True)
SIGMOID = MLPConfig(widths=[12], activation=Activation.sigmoid, batch_norm=False)


def build(config: DenoisingAutoencoderConfig, encoder: EncoderConfig) -> DenoisingAutoencoder:
    seed_generators(1)
    method = config.build(encoder.build(3, 16), PREPROCESSING)
    assert isinstance(method, DenoisingAutoencoder)
    return method


def clean(number: int = 8) -> Tensor:
    return torch.from_numpy(pictures().images[:number]).permute(0, 3, 1, 2).float() / 255


def step(method: DenoisingAutoencoder, seed: int = 5) -> tuple[float, dict[str, Tensor]]:
    """The loss that one step minimises, and what it reports."""
    minimised: list[Tensor] = []
    torch.manual_seed(seed)
    metrics = method.train_step(
        clean(), lambda loss, *_: minimised.append(loss.detach()), Progress(0, 1)
    )
    (loss,) = minimised
    return float(loss), metrics


def test_a_variational_autoencoder_minimises_the_bound_of_drawn_codes() -> None:
    method, x = build(replace(CLEAN, kl=0.5), BOTTLENECK), clean()
    assert isinstance(method.encoder, nets.Bottleneck)
    assert method.log_variance is not None
    torch.manual_seed(5)
    hidden = method.encoder.encoder(x)
    mean, log_variance = method.encoder.linear(hidden), method.log_variance(hidden)
    drawn = mean + torch.exp(log_variance / 2) * torch.randn(8, 4)
    fit = losses.cross_entropy(method.decoder(drawn), x)
    divergence = losses.normal_divergence(mean, log_variance)
    loss, metrics = step(method)
    assert loss == pytest.approx(float((fit + 0.5 * divergence).detach()), rel=1e-6)
    assert float(metrics["kl"]) == pytest.approx(float(divergence.detach()), rel=1e-6)
    assert step(method, seed=6)[0] != pytest.approx(loss, rel=1e-4), "codes are drawn anew"


@pytest.mark.parametrize("encoder", [BOTTLENECK, PLACES])
def test_in_evaluation_codes_are_means(encoder: EncoderConfig) -> None:
    method = build(replace(CLEAN, kl=1.0), encoder)
    assert method.encoder.code(clean()).shape[1:] == method.encoder.code_shape
    assert step(method)[1]["kl"] > 0
    method.encoder.eval()
    method.decoder.eval()
    code = method.encoder.code(clean())
    assert torch.equal(code.flatten(1), method.encoder(clean()))
    hidden = torch.ones(8, 1, 16, 16, dtype=torch.bool)
    assert torch.equal(method.restore(clean(), hidden), method.restore(clean(), hidden))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "weight", "encoder"),
    [("kl", 50.0, BOTTLENECK), ("contractive", 5.0, BOTTLENECK), ("sparse", 30.0, SIGMOID)],
)
def test_codes_are_held_to_it_the_more_it_weighs(
    tmp_path: Path, name: str, weight: float, encoder: EncoderConfig
) -> None:
    held = []
    for number, value in enumerate((weight, 1e-6)):
        method = build(replace(CLEAN, **{name: value}), encoder)
        train_in(tmp_path / str(number), method, Batches(pictures(), 8, 0, "cpu"), 25)
        held.append(float(step(method)[1][name]))
    assert 0 < held[0] < 0.8 * held[1]


@pytest.mark.slow
def test_contraction_is_the_jacobians_norm_and_leaves_the_views_constant() -> None:
    method, x = build(replace(CLEAN, contractive=1.0), BOTTLENECK), clean()
    rows = torch.autograd.functional.jacobian(
        lambda one: method.encoder.code(one).sum(dim=0), x, vectorize=True
    )
    exact = float(rows.square().sum()) / len(x)
    drawn = [float(step(method, seed)[1]["contractive"]) for seed in range(200)]
    assert sum(drawn) / len(drawn) == pytest.approx(exact, rel=0.15)
    assert not x.requires_grad


def test_sparse_codes_are_held_to_the_mean_that_is_asked_for() -> None:
    method = build(replace(CLEAN, sparse=1.0, sparse_mean=0.2), SIGMOID)
    expected = losses.mean_activity(method.encoder.code(clean()), 0.2)
    assert float(step(method)[1]["sparse"]) == pytest.approx(float(expected.detach()))


def test_runs_of_before_are_the_same_runs() -> None:
    plain = identity("pretrain", DenoisingAutoencoderConfig())
    assert plain == identity("pretrain", replace(DenoisingAutoencoderConfig(), kl=0.0))
    for changed in ({"kl": 1.0}, {"contractive": 1.0}, {"sparse": 1.0}, {"sparse_mean": 0.1}):
        assert identity("pretrain", replace(DenoisingAutoencoderConfig(), **changed)) != plain


@pytest.mark.parametrize(
    ("weights", "encoder", "fix"),
    [
        ({"kl": 1.0}, ConvNetConfig(width=2), "encoder.bottleneck=32"),
        ({"kl": 1.0}, SIGMOID, "encoder.bottleneck=32"),
        ({"sparse": 1.0}, BOTTLENECK, "encoder=sigmoid_mlp, without encoder.bottleneck"),
        ({"sparse": 1.0}, ConvNetConfig(width=2), "encoder=sigmoid_mlp, without"),
    ],
)
def test_an_encoder_that_cannot_honour_it_is_refused(
    weights: dict[str, float], encoder: EncoderConfig, fix: str
) -> None:
    with pytest.raises(SslcliError, match=rf"^method\.{next(iter(weights))}: ") as caught:
        build(replace(CLEAN, **weights), encoder)
    assert caught.value.fix.startswith(fix)


@pytest.mark.parametrize(
    "weights", [{"kl": -1.0}, {"contractive": -1.0}, {"sparse": -1.0}, {"sparse_mean": 1.0}]
)
def test_weights_without_meaning_are_refused(weights: dict[str, float]) -> None:
    with pytest.raises(SslcliError, match=rf"^method\.{next(iter(weights))} must be"):
        replace(CLEAN, **weights)
