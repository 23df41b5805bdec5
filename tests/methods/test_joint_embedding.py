"""Methods that compare views: what their steps do beside the loss, and that the loss falls."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from sslcli.engine.minimize import Minimizer
from sslcli.engine.optim_config import AdamWConfig
from sslcli.errors import SslcliError
from sslcli.losses.queries import info_nce_with_queue
from sslcli.method import Method, MethodConfig, Progress
from sslcli.methods.barlow_twins import BarlowTwinsConfig
from sslcli.methods.byol import BYOL, BYOLConfig
from sslcli.methods.dino import DINO, DINOConfig
from sslcli.methods.lejepa import LeJEPAConfig
from sslcli.methods.moco import MoCo, MoCoConfig
from sslcli.methods.moco_v3 import MoCoV3Config
from sslcli.methods.nnclr import NNCLR, NNCLRConfig
from sslcli.methods.simclr import ContrastiveLoss, SimCLRConfig
from sslcli.methods.simsiam import SimSiamConfig
from sslcli.methods.swav import SwAV, SwAVConfig
from sslcli.nets.encoder_config import ConvNetConfig
from sslcli.nets.head_config import HeadConfig
from sslcli.nets.projector_config import ProjectorConfig
from sslcli.testing.trial import CPU, build_method, pictures, state

IMAGES = torch.from_numpy(pictures().images)


class Steps:
    """Takes steps of a method on the 24 pictures, each with views of its own."""

    def __init__(self, config: MethodConfig, rate: float = 3e-3) -> None:
        self.method: Method = build_method(config, ConvNetConfig(width=4))
        nn.ModuleDict(self.method.modules()).train()
        optim = AdamWConfig(lr=rate)
        self.minimize = Minimizer.of(self.method, optim, CPU, lambda _: rate)

    def take(self, step: int, num_steps: int = 100, steps_per_epoch: int = 10) -> float:
        torch.manual_seed(step)
        self.minimize.begin(step)
        views = self.method.views(IMAGES)
        progress = Progress(step, num_steps, steps_per_epoch)
        return self.method.train_step(views, self.minimize, progress)["loss"].item()


def mean(losses: list[float]) -> float:
    return sum(losses) / len(losses)


def test_barlow_twins_learns_in_120_steps() -> None:
    steps = Steps(BarlowTwinsConfig(projector=HeadConfig(hidden=32, out=8)))
    losses = [steps.take(step) for step in range(120)]
    assert mean(losses[-20:]) < 0.85 * mean(losses[:20])


def test_dclw_learns_in_60_steps() -> None:
    projector = ProjectorConfig(hidden=64, out=32)
    steps = Steps(SimCLRConfig(loss=ContrastiveLoss.dclw, projector=projector))
    losses = [steps.take(step) for step in range(60)]
    assert mean(losses[-10:]) < mean(losses[:10]) - 0.2


def test_moco_finds_keys_among_a_queue_that_keeps_still() -> None:
    steps = Steps(MoCoConfig(queue=64, momentum=1.0))
    moco = steps.method
    assert isinstance(moco, MoCo)
    for step in range(4):
        steps.take(step)
    rows = moco.queue.rows.clone()
    losses = []
    for step in range(60):
        moco.queue.rows.copy_(rows)
        losses.append(steps.take(step))
    assert mean(losses[-10:]) < mean(losses[:10]) - 0.05


def test_moco_enqueues_the_keys_of_both_views_after_the_loss() -> None:
    steps = Steps(MoCoConfig(queue=100))
    moco = steps.method
    assert isinstance(moco, MoCo)
    before = moco.queue.rows.clone()
    steps.take(0)
    assert int(moco.queue.position) == 48
    assert torch.equal(moco.queue.rows[48:], before[48:])
    assert (moco.queue.rows[:48] != before[:48]).any(dim=1).all()


def test_moco_one_way_compares_the_first_view_with_keys_of_the_second() -> None:
    steps = Steps(MoCoConfig(queue=100, symmetric=False))
    moco = steps.method
    assert isinstance(moco, MoCo)
    torch.manual_seed(0)
    first, second = moco.views(IMAGES).chunk(2)
    queries, keys = moco.projector(moco.encoder(first)), moco.slow(second)
    expected = info_nce_with_queue(queries, keys, moco.queue.rows.clone(), 0.2).item()
    assert steps.take(0) == pytest.approx(expected, rel=1e-5)
    assert int(moco.queue.position) == 24
    torch.testing.assert_close(moco.queue.rows[:24], torch.nn.functional.normalize(keys, dim=1))


def test_byols_target_follows_what_was_just_learned() -> None:
    steps = Steps(BYOLConfig(momentum=0.9))
    byol = steps.method
    assert isinstance(byol, BYOL)
    before = byol.target[1][0].weight.clone()
    steps.take(0)
    learned = byol.projector[0].weight
    torch.testing.assert_close(byol.target[1][0].weight, 0.9 * before + 0.1 * learned)


def test_byols_momentum_rises_to_one() -> None:
    steps = Steps(BYOLConfig(momentum=0.0))
    byol = steps.method
    assert isinstance(byol, BYOL)
    steps.take(50, num_steps=100)
    half = byol.target[1][0].weight.clone()
    steps.take(100, num_steps=100)
    torch.testing.assert_close(byol.target[1][0].weight, half)


def test_byol_predicts_the_other_view_and_not_its_own() -> None:
    steps = Steps(BYOLConfig())
    byol = steps.method
    assert isinstance(byol, BYOL)
    with torch.no_grad():
        views = byol.views(IMAGES)
        predicted = byol.predictor(byol.projector(byol.encoder(views)))
        z_a, z_b = byol.target(views).chunk(2)
        cosine = nn.CosineSimilarity()(predicted, torch.cat([z_b, z_a])).mean().item()
        loss = byol.train_step(views, lambda loss, *players: None, Progress(0, 1))["loss"].item()
    assert loss == pytest.approx(4 - 4 * cosine, abs=1e-5)


def test_simsiam_of_two_views_is_the_papers_loss() -> None:
    steps = Steps(SimSiamConfig())
    method = steps.method
    with torch.no_grad():
        views = method.views(IMAGES)
        z = method.projector(method.encoder(views))  # type: ignore[attr-defined]
        p_a, p_b = method.predictor(z).chunk(2)  # type: ignore[attr-defined]
        z_a, z_b = z.chunk(2)
        cosine = nn.CosineSimilarity()
        paper = -(cosine(p_a, z_b).mean() + cosine(p_b, z_a).mean()) / 2
        loss = method.train_step(views, lambda loss, *players: None, Progress(0, 1))["loss"]
    assert loss.item() == pytest.approx(paper.item(), abs=1e-5)


def test_simsiams_targets_get_no_gradient() -> None:
    """What reaches the projector through the predictor is all that reaches it."""
    method = Steps(SimSiamConfig()).method
    views = method.views(IMAGES)
    with torch.no_grad():
        for part in method.predictor:  # type: ignore[attr-defined]
            if isinstance(part, nn.Linear):
                part.weight.zero_()
    found: list[Tensor] = []

    def look(loss: Tensor, *players: str) -> None:
        weight = method.projector[0].weight  # type: ignore[attr-defined]
        found.extend(torch.autograd.grad(loss, [weight]))

    method.train_step(views, look, Progress(0, 1))
    assert not found[0].any()


def test_nnclr_looks_up_neighbours_before_it_enqueues() -> None:
    steps = Steps(NNCLRConfig(queue=64))
    method = steps.method
    assert isinstance(method, NNCLR)
    steps.take(0)
    assert int(method.queue.position) == 24, "the embeddings of one view"


@pytest.mark.parametrize("config", [SwAVConfig(frozen_epochs=1), DINOConfig(frozen_epochs=1)])
def test_prototypes_move_from_the_second_epoch_on(config: MethodConfig) -> None:
    steps = Steps(config)
    assert isinstance(steps.method, SwAV | DINO)
    weight = steps.method.prototypes.weight
    before = weight.clone()
    steps.take(9, steps_per_epoch=10)
    assert torch.equal(weight, before)
    steps.take(10, steps_per_epoch=10)
    assert not torch.equal(weight, before)


@pytest.mark.parametrize("config", [SwAVConfig(), DINOConfig()])
def test_small_views_are_smaller_and_can_be_left_out(config: SwAVConfig | DINOConfig) -> None:
    large, small = build_method(config, ConvNetConfig(width=4)).views(IMAGES)
    assert large.shape == (48, 3, 16, 16)
    assert small.shape == (96, 3, 8, 8)
    alone = build_method(type(config)(num_small_views=0), ConvNetConfig(width=4)).views(IMAGES)
    assert isinstance(alone, Tensor)
    assert alone.shape == (48, 3, 16, 16)


@pytest.mark.parametrize("method", [SwAVConfig, DINOConfig])
def test_small_views_have_the_scale_of_the_large_ones(
    method: type[SwAVConfig | DINOConfig],
) -> None:
    config = method()
    config.small_views = replace(config.small_views, normalize=False)
    with pytest.raises(SslcliError, match=r"small_views.normalize must be true"):
        build_method(config, ConvNetConfig(width=4))


def test_swavs_queue_changes_assignments_only_from_its_epoch_on() -> None:
    steps = Steps(SwAVConfig(queue_from=2, queue=64))
    method = steps.method
    assert isinstance(method, SwAV)
    scores = torch.randn(24, 300)
    early, late = (method.assign(scores, Progress(step, 100, 10)) for step in (19, 20))
    assert torch.allclose(early.sum(dim=1), torch.ones(24))
    assert torch.allclose(late.sum(dim=1), torch.ones(24))
    assert not torch.allclose(early, late)


def test_swavs_queue_is_used_once_it_is_full() -> None:
    """Before, a part of it is random directions, which are no pictures."""
    method = Steps(SwAVConfig(queue_from=0, queue=64)).method
    assert isinstance(method, SwAV)
    scores = torch.randn(24, 300)
    alone, with_queue = (method.assign(scores, Progress(step, 100, 10)) for step in (0, 3))
    second = method.assign(scores, Progress(2, 100, 10))  # 48 of 64 were put in
    assert torch.equal(alone, second)
    assert not torch.allclose(alone, with_queue)


def test_dinos_encoder_is_the_teachers() -> None:
    steps = Steps(DINOConfig())
    method = steps.method
    assert isinstance(method, DINO)
    before = state(method)
    steps.take(0)
    assert method.encoder is method.teacher[0]
    assert method.encoder is not method.student
    centre = method.centre.value
    assert not torch.equal(centre, before["centre.value"])


def test_dinos_encoder_has_the_statistics_of_what_it_was_fed() -> None:
    """The student's are of other weights, and of small crops."""
    steps = Steps(DINOConfig(momentum=1.0))
    method = steps.method
    assert isinstance(method, DINO)
    own, students = (
        next(module for module in encoder.modules() if isinstance(module, nn.BatchNorm2d))
        for encoder in (method.encoder, method.student)
    )
    assert own.running_mean is not None
    fed: list[Tensor] = []
    own.register_forward_pre_hook(lambda _, inputs: fed.append(inputs[0].mean(dim=(0, 2, 3))))
    expected = own.running_mean.clone()
    for step in range(3):
        steps.take(step)
    assert len(fed) == 3
    for mean_of_batch in fed:
        expected = expected.lerp(mean_of_batch, 0.1)
    assert torch.allclose(own.running_mean, expected, atol=1e-6)
    assert not torch.allclose(expected, students.running_mean)  # type: ignore[arg-type]


def test_lejepa_draws_the_same_directions_for_the_same_step() -> None:
    first, second = (Steps(LeJEPAConfig()) for _ in range(2))
    assert first.take(3) == second.take(3)


@pytest.mark.parametrize(
    ("config", "settings", "key"),
    [
        (BYOLConfig, {"momentum": 1.5}, "method.momentum"),
        (MoCoConfig, {"momentum": -0.1}, "method.momentum"),
        (MoCoConfig, {"queue": 0}, "method.queue"),
        (MoCoV3Config, {"temperature": 0.0}, "method.temperature"),
        (SimSiamConfig, {"num_views": 1}, "method.num_views"),
        (SwAVConfig, {"epsilon": 0.0}, "method.epsilon"),
        (DINOConfig, {"num_small_views": -1}, "method.num_small_views"),
        (LeJEPAConfig, {"regularization": 2.0}, "method.regularization"),
    ],
)
def test_settings_that_cannot_be_are_refused(
    config: type[MethodConfig], settings: dict[str, object], key: str
) -> None:
    with pytest.raises(SslcliError, match=key.replace(".", r"\.")) as caught:
        config(**settings)
    assert caught.value.fix
