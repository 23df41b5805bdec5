"""The context encoder: what it looks at, what it is held to, and how its two players take turns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from doubles import CPU, state
from torch import Tensor, nn
from torch.nn.functional import max_pool2d

from sslcli import losses
from sslcli.augment.masks_config import MaskConfig, MaskKind
from sslcli.engine.minimize import Minimizer
from sslcli.engine.optim_config import AdamWConfig
from sslcli.errors import SslcliError
from sslcli.generators import seed_generators
from sslcli.method import Preprocessing, Progress, Restorer
from sslcli.methods.context_encoder import ContextEncoder, ContextEncoderConfig
from sslcli.nets.context import ChannelwiseBottleneck, FullyConnectedBottleneck
from sslcli.nets.encoder_config import ContextConfig, ConvNetConfig, EncoderConfig, MLPConfig

START = Progress(0, 1)
CENTRE = MaskConfig(kind=MaskKind.centre)
SIZES = [16, 28, 30, 33, 35, 64]


def build(
    resolution: int = 32, encoder: EncoderConfig | None = None, **settings: Any
) -> ContextEncoder:
    seed_generators(1)
    config = ContextEncoderConfig(**{"bottleneck": 6, "discriminator_width": 2, **settings})
    network = (encoder or ContextConfig(width=2)).build(3, resolution)
    method = config.build(network, Preprocessing(resolution, 3, (0.5, 0.4, 0.3), (0.25,) * 3))
    assert isinstance(method, ContextEncoder)
    return method


def clean(resolution: int = 32, number: int = 4) -> Tensor:
    return torch.rand(number, 3, resolution, resolution, generator=torch.Generator().manual_seed(0))


def minimizer(method: ContextEncoder) -> Minimizer:
    minimize = Minimizer.of(method, AdamWConfig(), CPU, lambda _: 1e-3)
    minimize.begin(0)
    return minimize


def backward_only(loss: Tensor, player: str = "method") -> None:
    loss.backward()  # type: ignore[no-untyped-call]


def kept_outputs(module: nn.Module) -> list[Tensor]:
    """Where the module's outputs will lie, each with its gradient."""
    outputs: list[Tensor] = []

    def keep(_: nn.Module, given: Any, output: Tensor) -> None:
        output.retain_grad()
        outputs.append(output)

    module.register_forward_hook(keep)
    return outputs


kinds = pytest.mark.parametrize("kind", list(MaskKind))


@kinds
def test_what_is_under_the_hole_is_not_looked_at(kind: MaskKind) -> None:
    method = build(masks=MaskConfig(kind=kind))
    hidden = method.masks(4, 32, CPU.device)
    other = torch.where(hidden, torch.rand(4, 3, 32, 32), clean())
    for module in method.modules().values():
        module.eval()
    with torch.no_grad():
        one, two = (method.predict(pictures, hidden) for pictures in (clean(), other))
        filled, filled_other = (method.restore(pictures, hidden) for pictures in (clean(), other))
    assert torch.equal(one, two)
    assert torch.equal(filled, filled_other)
    assert torch.equal(filled.masked_fill(hidden, 0), clean().masked_fill(hidden, 0))
    seen = torch.where(hidden, clean(), 1 - clean())
    with torch.no_grad():
        assert not torch.equal(method.predict(seen, hidden), one)


@kinds
@pytest.mark.parametrize("adversarial", [False, True])
def test_the_loss_is_of_the_hole_and_its_band_alone(kind: MaskKind, adversarial: bool) -> None:
    method = build(64, masks=MaskConfig(kind=kind), adversarial=adversarial)
    torch.manual_seed(3)
    hidden = method.masks(4, 64, CPU.device)
    outputs = kept_outputs(method.decoder)
    torch.manual_seed(3)
    method.train_step(clean(64), backward_only, START)
    band = 2 if kind is MaskKind.centre else 0
    reached = max_pool2d(hidden.float(), 2 * band + 1, stride=1, padding=band) > 0
    (output,) = outputs
    assert output.grad is not None
    touched = (output.grad != 0).any(dim=1, keepdim=True)
    assert torch.equal(touched, reached)


def test_the_band_weighs_more_and_the_mean_is_weighted() -> None:
    method = build(32, masks=CENTRE, overlap_weight=7.0)
    hidden = method.masks(4, 32, CPU.device)
    weights = method.loss_weights(hidden, torch.float32)
    expected = torch.zeros(32, 32)
    expected[7:25, 7:25] = 7
    expected[8:24, 8:24] = 1
    assert torch.equal(weights, expected.expand(4, 1, 32, 32))
    outputs = kept_outputs(method.decoder)
    loss = method.train_step(clean(), backward_only, START)["loss"]
    squares = (outputs[0].detach().tanh() - (clean() * 2 - 1)).square()
    by_hand = (squares * expected).flatten(1).sum(dim=1) / (3 * expected.sum())
    assert loss.item() == pytest.approx(by_hand.mean().item(), rel=1e-5)


@pytest.mark.parametrize("kind", [MaskKind.blocks, MaskKind.regions])
def test_holes_anywhere_have_no_band(kind: MaskKind) -> None:
    method = build(64, masks=MaskConfig(kind=kind))
    hidden = method.masks(4, 64, CPU.device)
    assert torch.equal(method.loss_weights(hidden, torch.float32), hidden.float())


@pytest.mark.parametrize("resolution", SIZES)
def test_any_size_builds_and_the_discriminator_sees_hole_and_band(resolution: int) -> None:
    method = build(resolution, masks=CENTRE, adversarial=True)
    assert method.discriminator is not None
    hidden = method.masks(1, resolution, CPU.device)
    predicted = method.loss_weights(hidden, torch.float32)[0, 0] > 0
    rows, columns = (predicted.any(dim=dim).nonzero().flatten().tolist() for dim in (1, 0))
    assert method.patch == (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    shapes: list[torch.Size] = []
    method.discriminator.register_forward_pre_hook(lambda _, given: shapes.append(given[0].shape))
    metrics = method.train_step(clean(resolution), minimizer(method), START)
    assert all(value.isfinite() for value in metrics.values())
    assert set(shapes) == {torch.Size([4, 3, len(rows), len(columns)])}


def test_elsewhere_it_sees_whole_pictures_with_their_holes_filled() -> None:
    method = build(masks=MaskConfig(kind=MaskKind.blocks), adversarial=True)
    assert method.discriminator is not None
    shown: list[Tensor] = []
    method.discriminator.register_forward_pre_hook(
        lambda _, given: shown.append(given[0].detach().clone())
    )
    torch.manual_seed(3)
    hidden = method.masks(4, 32, CPU.device)
    torch.manual_seed(3)
    method.train_step(clean(), minimizer(method), START)
    real, made, again = shown
    assert torch.equal(real, clean() * 2 - 1)
    assert torch.equal(made.masked_fill(hidden, 0), real.masked_fill(hidden, 0))
    assert ((made != real) & hidden).any(dim=1, keepdim=True).equal(hidden)
    assert torch.equal(made, again)


def test_players_take_turns_and_each_moves_its_own_weights() -> None:
    method = build(masks=CENTRE, adversarial=True)
    engine, turns = minimizer(method), []

    def moved(act: Callable[[], None]) -> set[str]:
        """The parts whose weights the act changed."""
        before = {
            part: [p.detach().clone() for p in module.parameters()]
            for part, module in method.modules().items()
        }
        act()
        return {
            part
            for part, module in method.modules().items()
            if any(
                not torch.equal(a, b)
                for a, b in zip(before[part], module.parameters(), strict=True)
            )
        }

    def minimize(loss: Tensor, player: str = "method") -> None:
        turns.append((player, moved(lambda: engine(loss, player))))

    method.train_step(clean(), minimize, START)
    assert turns == [
        ("discriminator", {"discriminator"}),
        ("generator", {"encoder", "bottleneck", "decoder"}),
    ]


def test_the_generator_is_judged_by_the_discriminator_just_updated() -> None:
    method = build(masks=CENTRE, adversarial=True)
    discriminator = method.discriminator
    assert discriminator is not None
    weights: list[Tensor] = []
    outputs = kept_outputs(discriminator)
    discriminator.register_forward_hook(
        lambda *_: weights.append(
            torch.cat([p.detach().flatten() for p in discriminator.parameters()])
        )
    )
    metrics = method.train_step(clean(), minimizer(method), START)
    on_real, on_made, for_generator = weights
    assert torch.equal(on_real, on_made)
    assert not torch.equal(on_made, for_generator)
    assert torch.equal(
        for_generator, torch.cat([p.detach().flatten() for p in discriminator.parameters()])
    )
    real, made, again = (output.detach() for output in outputs)
    assert metrics["discriminator_loss"] == losses.discriminator_loss(real, made)
    assert metrics["adversarial"] == losses.generator_loss(again)
    assert metrics["loss"].item() == pytest.approx(
        0.999 * metrics["reconstruction"].item() + 0.001 * metrics["adversarial"].item()
    )
    right = (real > 0).sum() + (made <= 0).sum()
    assert metrics["discriminator_accuracy"].item() == pytest.approx(right.item() / 8)


def test_without_the_adversary_there_is_one_player() -> None:
    method = build()
    assert method.discriminator is None
    assert list(method.players()) == ["generator"]
    assert method.modules().keys() == {"encoder", "bottleneck", "decoder"}
    turns: list[str] = []
    metrics = method.train_step(clean(), lambda loss, player="method": turns.append(player), START)
    assert turns == ["generator"]
    assert metrics.keys() == {"loss"}


def test_each_players_optimizer_has_its_learning_rate() -> None:
    minimize = Minimizer.of(build(adversarial=True), AdamWConfig(), CPU, lambda _: 0.02)
    minimize.begin(0)
    optimizers = minimize.state()["optimizers"]
    for name, rate in (("generator", 0.02), ("discriminator", 0.002)):
        assert [group["lr"] for group in optimizers[name]["param_groups"]] == pytest.approx(
            [rate] * 2
        )


@pytest.mark.parametrize(
    ("units", "encoder", "kind"),
    [(512, ContextConfig(width=2), FullyConnectedBottleneck),
     (None, ContextConfig(width=2), ChannelwiseBottleneck),
     (6, ConvNetConfig(width=2), FullyConnectedBottleneck),
     (None, ConvNetConfig(width=2), ChannelwiseBottleneck)],
)  # fmt: skip
def test_bottlenecks_and_encoders(
    units: int | None, encoder: EncoderConfig, kind: type[nn.Module]
) -> None:
    method = build(28, encoder, bottleneck=units)
    assert type(method.bottleneck) is kind
    key, before = next(iter(state(method).items()))
    method.train_step(clean(28), minimizer(method), START)
    assert not torch.equal(state(method)[key], before), f"{key} did not move"


@pytest.mark.parametrize("encoder", [MLPConfig(widths=[8]), ContextConfig(width=2, bottleneck=8)])
def test_an_encoder_without_maps_is_refused(encoder: EncoderConfig) -> None:
    with pytest.raises(SslcliError) as caught:
        build(28, encoder)
    assert "this encoder's code is 8 numbers" in caught.value.message
    assert "encoder=context" in caught.value.fix


@pytest.mark.parametrize(
    ("settings", "field"),
    [({"bottleneck": 0}, "bottleneck"), ({"overlap": 0.3}, "overlap"), ({"overlap_weight": 0.0}, "overlap_weight"),
     ({"adversarial_weight": -1.0}, "adversarial_weight"), ({"discriminator_rate": 0.0}, "discriminator_rate"),
     ({"discriminator_width": 0}, "discriminator_width")],
)  # fmt: skip
def test_settings_out_of_range(settings: dict[str, Any], field: str) -> None:
    with pytest.raises(SslcliError, match=rf"^method\.{field} must be"):
        ContextEncoderConfig(**settings)


def test_pictures_too_small_for_holes() -> None:
    with pytest.raises(SslcliError, match=r"^data\.resolution must be at least 16"):
        build(15)


def test_a_picture_hidden_as_a_whole_is_refused() -> None:
    method = build()
    hidden = method.masks(4, 32, CPU.device)
    hidden[2] = True
    with pytest.raises(SslcliError, match="a whole picture is hidden"):
        method.restore(clean(), hidden)


def test_who_learned_to_fill_the_centre_fills_nothing_else() -> None:
    method = build(masks=MaskConfig(kind=MaskKind.centre))
    hidden = method.masks(4, 32, CPU.device)
    assert method.restore(clean(), hidden).shape == clean().shape
    hidden[1, 0, 2, 3] = True
    with pytest.raises(SslcliError, match="the centre of a picture alone") as caught:
        method.restore(clean(), hidden)
    assert "method.masks.kind=regions" in caught.value.fix


def test_holes_are_filled_with_the_mean_when_pictures_are_damaged() -> None:
    method = build()
    damaged, hidden = method.damage(clean())
    assert isinstance(method, Restorer)
    assert not method.uses_damaged_pixels()
    mean = torch.tensor([0.5, 0.4, 0.3]).view(3, 1, 1)
    assert torch.equal(damaged, torch.where(hidden, mean, clean()))
    assert len({tuple(mask.flatten().tolist()) for mask in hidden}) == 4, (
        "each picture has its own hole"
    )


def test_half_of_the_pictures_are_mirrored() -> None:
    images = torch.randint(0, 256, (200, 16, 16, 3), dtype=torch.uint8)
    pictures = images.permute(0, 3, 1, 2).float() / 255
    torch.manual_seed(0)
    views = build().views(images)
    mirrored = (views == pictures.flip(3)).flatten(1).all(dim=1)
    as_they_are = (views == pictures).flatten(1).all(dim=1)
    assert bool((mirrored ^ as_they_are).all())
    assert 70 < int(mirrored.sum()) < 130
    assert torch.equal(build(flip=False).views(images), pictures)
