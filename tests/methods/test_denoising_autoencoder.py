"""The denoising autoencoder: what it is shown, what it is held to, and what it makes of pictures."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from doubles import CPU, PREPROCESSING, pictures, train_in
from torch import Tensor, nn

from sslcli.augment.corruption_config import CorruptionConfig
from sslcli.data.batches import Batches
from sslcli.data.images import ImageSet
from sslcli.engine.optim_config import AdamWConfig
from sslcli.errors import SslcliError
from sslcli.evaluation.features import features
from sslcli.generators import seed_generators
from sslcli.method import Progress, Restorer
from sslcli.methods.denoising_autoencoder import (
    DenoisingAutoencoder,
    DenoisingAutoencoderConfig,
    Reconstruction,
)
from sslcli.nets.encoder import Encoder
from sslcli.nets.encoder_config import (
    Activation,
    ConvNetConfig,
    ConvStackConfig,
    EncoderConfig,
    MLPConfig,
)

NONE = CorruptionConfig()
SMALL = MLPConfig(widths=[12], activation=Activation.sigmoid, batch_norm=False)
START = Progress(0, 1)


class Recorder(Encoder):
    """Keeps what it is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.width, self.code_shape = 5, (5,)
        self.linear = nn.Linear(3 * 16 * 16, 5)
        self.seen: list[Tensor] = []

    def forward(self, pictures: Tensor) -> Tensor:
        self.seen.append(pictures.detach().clone())
        codes: Tensor = self.linear(pictures.flatten(1))
        return codes


@dataclass
class Judge:
    """In place of a `Reconstruction`: keeps what is compared."""

    targets: list[Tensor] = field(default_factory=list)
    weights: list[Tensor | None] = field(default_factory=list)

    def loss(self, outputs: Tensor, target: Tensor, weights: Tensor | None) -> Tensor:
        self.targets.append(target.clone())
        self.weights.append(weights)
        return (outputs - target).square().mean()


def build(
    config: DenoisingAutoencoderConfig, encoder: EncoderConfig | Encoder = SMALL
) -> DenoisingAutoencoder:
    seed_generators(1)
    network = encoder if isinstance(encoder, Encoder) else encoder.build(3, 16)
    method = config.build(network, PREPROCESSING)
    assert isinstance(method, DenoisingAutoencoder)
    return method


def corrupted_by(**levels: float) -> DenoisingAutoencoderConfig:
    return DenoisingAutoencoderConfig(corruption=CorruptionConfig(**levels))


def clean(number: int = 8) -> Tensor:
    return torch.from_numpy(pictures().images[:number]).permute(0, 3, 1, 2).float() / 255


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("reconstruction", list(Reconstruction))
def test_without_corruption_it_is_a_plain_autoencoder(
    tmp_path: Path, tied: bool, reconstruction: Reconstruction
) -> None:
    config = DenoisingAutoencoderConfig(corruption=NONE, tied=tied, reconstruction=reconstruction)
    method, batches = build(config), Batches(pictures(), 8, 0, "cpu")
    parts = [*method.encoder.parameters(), *method.decoder.parameters()]
    by_hand = [nn.Parameter(value.detach().clone()) for value in parts]
    encode, encode_bias = by_hand[:2]
    decode_bias = by_hand[-1]
    assert len(by_hand) == (3 if tied else 4)
    optimizer = AdamWConfig(lr=3e-3).build([nn.ParameterList(by_hand)])
    for step in range(5):
        x = batches.at(step).permute(0, 3, 1, 2).float() / 255
        y = torch.sigmoid(F.linear(x.flatten(1), encode, encode_bias))
        z = F.linear(y, encode.t() if tied else by_hand[2], decode_bias).view(x.shape)
        if reconstruction is Reconstruction.cross_entropy:
            loss = F.binary_cross_entropy_with_logits(z, x, reduction="sum") / len(x)
        else:
            loss = (z - x).square().sum() / len(x)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    before = [value.detach().clone() for value in parts]
    train_in(tmp_path / "run", method, batches, 5)
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(parts, by_hand, strict=True))
    assert not any(torch.equal(mine, old) for mine, old in zip(parts, before, strict=True))


def test_every_step_is_corrupted_anew_and_held_to_the_clean_pictures(tmp_path: Path) -> None:
    same = ImageSet(
        pictures().images[:1].repeat(8, 0)
    )  # whatever the order, batches of the same pictures
    judge = Judge()
    method = replace(build(DenoisingAutoencoderConfig(), Recorder()), reconstruction=judge)
    train_in(tmp_path / "run", method, Batches(same, 8, 0, "cpu"), 3)
    assert isinstance(method.encoder, Recorder)
    seen = method.encoder.seen
    assert len(seen) == 3
    assert all(torch.equal(target, clean(1).expand_as(target)) for target in judge.targets)
    for corrupted in seen:
        masked = (corrupted == 0).float().mean()
        noise = (corrupted - clean(1))[corrupted != 0]
        assert masked == pytest.approx(0.25, abs=0.03)
        assert noise.std() == pytest.approx(0.3, abs=0.02)
        assert not torch.equal(corrupted[0], corrupted[1])
    assert not torch.equal(seen[0], seen[1])
    assert not torch.equal(seen[1], seen[2])


def test_evaluation_sees_clean_pictures() -> None:
    method = build(DenoisingAutoencoderConfig(), Recorder())
    found = [
        features(method.encoder, pictures().images, method.preprocessing, CPU.device)
        for _ in range(2)
    ]
    assert torch.equal(*found)
    assert isinstance(method.encoder, Recorder)
    assert torch.equal(method.encoder.seen[0], clean(24))


@pytest.mark.parametrize("kind", ["masking", "salt_and_pepper", "blocks"])
@pytest.mark.parametrize("reconstruction", list(Reconstruction))
def test_emphasis_weighs_what_was_corrupted(kind: str, reconstruction: Reconstruction) -> None:
    levels = {kind: 0.3}
    config = DenoisingAutoencoderConfig(
        corruption=CorruptionConfig(**levels),
        reconstruction=reconstruction,
        corrupted_weight=3.0,
        kept_weight=0.5,
    )
    method, x = build(config), clean(2)
    torch.manual_seed(5)
    corrupted, changed = method.corruption(x)
    outputs = method.decoder(method.encoder.code(corrupted)).detach()
    expected = 0.0
    for output, target, was_changed in zip(
        outputs.flatten().tolist(), x.flatten().tolist(), changed.flatten().tolist(), strict=True
    ):
        if reconstruction is Reconstruction.squared_error:
            error = (output - target) ** 2
        else:
            probability = torch.tensor(output).double().sigmoid()
            error = -float(target * probability.log() + (1 - target) * (1 - probability).log())
        expected += (3.0 if was_changed else 0.5) * error / len(x)
    losses: list[float] = []
    torch.manual_seed(5)
    method.train_step(x, lambda loss, player="method": losses.append(loss.item()), START)
    assert losses == [pytest.approx(expected, rel=1e-4)]
    plain = replace(method, corrupted_weight=1.0, kept_weight=1.0)
    torch.manual_seed(5)
    plain.train_step(x, lambda loss, player="method": losses.append(loss.item()), START)
    assert losses[1] != pytest.approx(losses[0], rel=1e-2)


@pytest.mark.parametrize("levels", [{}, {"gaussian": 0.3}, {"gaussian": 0.3, "masking": 0.25}])
def test_emphasis_of_nothing_or_of_everything_is_refused(levels: dict[str, float]) -> None:
    with pytest.raises(SslcliError) as caught:
        DenoisingAutoencoderConfig(corruption=CorruptionConfig(**levels), corrupted_weight=2.0)
    assert "method.kept_weight must be equal to method.corrupted_weight" in caught.value.message
    assert "without gaussian" in caught.value.fix
    DenoisingAutoencoderConfig(
        corruption=CorruptionConfig(**levels), corrupted_weight=2.0, kept_weight=2.0
    )


@pytest.mark.parametrize("weights", [(-1.0, 1.0), (1.0, -1.0), (0.0, 0.0)])
def test_weights_that_mean_nothing_are_refused(weights: tuple[float, float]) -> None:
    with pytest.raises(SslcliError, match=r"^method\.(corrupted|kept)_weight must be"):
        DenoisingAutoencoderConfig(
            corruption=CorruptionConfig(masking=0.5),
            corrupted_weight=weights[0],
            kept_weight=weights[1],
        )


@pytest.mark.parametrize("encoder", [MLPConfig(widths=[12, 6]), ConvStackConfig(widths=[4, 6])])
def test_a_tied_decoder_has_the_encoders_weights_and_biases_of_its_own(
    encoder: EncoderConfig,
) -> None:
    tied = build(DenoisingAutoencoderConfig(tied=True), encoder)
    assert all(parameter.ndim == 1 for parameter in tied.decoder.parameters())
    assert not {id(p) for p in tied.encoder.parameters()} & {
        id(p) for p in tied.decoder.parameters()
    }
    codes = torch.rand(2, *tied.encoder.code_shape)
    before = tied.decode(codes)
    with torch.no_grad():
        for parameter in tied.encoder.parameters():
            parameter.mul_(2)
    assert not torch.equal(tied.decode(codes), before)
    free = build(DenoisingAutoencoderConfig(), encoder)
    assert any(parameter.ndim > 1 for parameter in free.decoder.parameters())


def test_an_encoder_without_layers_cannot_be_tied() -> None:
    with pytest.raises(SslcliError, match=r"^method\.tied"):
        build(DenoisingAutoencoderConfig(tied=True), ConvNetConfig(width=2))


@pytest.mark.parametrize("reconstruction", list(Reconstruction))
def test_what_is_restored_is_in_0_to_1(reconstruction: Reconstruction) -> None:
    method = build(DenoisingAutoencoderConfig(reconstruction=reconstruction))
    with torch.no_grad():
        for parameter in method.decoder.parameters():
            parameter.mul_(30)
        damaged, hidden = method.damage(clean())
        restored = method.restore(damaged, hidden)
        decoded = method.decode(method.encoder.code(clean()))
    for found in (restored, decoded):
        assert found.shape == (8, 3, 16, 16)
        assert 0 <= found.min() < 0.1
        assert 0.9 < found.max() <= 1
    assert isinstance(method, Restorer)
    assert hidden.all()
    assert hidden.shape == (8, 1, 16, 16)
    assert damaged.min() < 0, "noise is not clipped"


@pytest.mark.parametrize(
    ("levels", "reads"),
    [({}, True), ({"gaussian": 0.3}, True), ({"salt_and_pepper": 0.3}, True),
     ({"masking": 0.3}, False), ({"blocks": 0.3}, False), ({"gaussian": 0.3, "masking": 0.25}, False)],
)  # fmt: skip
def test_hidden_pixels_are_looked_at_unless_training_blanked_some(
    levels: dict[str, float], reads: bool
) -> None:
    method = build(corrupted_by(**levels))
    assert method.uses_damaged_pixels() is reads
    hidden = torch.zeros(8, 1, 16, 16, dtype=torch.bool)
    hidden[:, :, 4:9, 6:12] = True
    hidden[3] = True  # nothing is left to go by but what is hidden
    other = torch.where(hidden, 1 - clean(), clean())
    with torch.no_grad():
        one, two = method.restore(clean(), hidden), method.restore(other, hidden)
        blanked = method.decode(method.encoder.code(clean().masked_fill(hidden, 0)))
    same = [torch.equal(a, b) for a, b in zip(one, two, strict=True)]
    assert same == [not reads and picture != 3 for picture in range(8)]
    as_blank = [torch.equal(a, b) for a, b in zip(one, blanked, strict=True)]
    assert as_blank == same
