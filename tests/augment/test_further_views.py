"""The further changes of views: each equals torchvision's for the same parameters, for any C."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms import v2 as transforms
from torchvision.transforms.v2 import functional as tv

from sslcli.augment import blocks
from sslcli.augment.augmentation import Augmentation
from sslcli.augment.augmentation_config import ViewConfig
from sslcli.augment.operation import Operation
from sslcli.augment.picture_noise import draw_seeds, normal, uniform
from sslcli.augment.spoils import AutoContrast, ChannelDrop, Erasing, Noise
from sslcli.augment.turns import QuarterTurns, VerticalFlip, Warp, blur_matrix, displacement

CHANNELS = pytest.mark.parametrize("channels", [1, 3, 5])
EVERY: list[Operation] = [
    VerticalFlip(0.5),
    ChannelDrop(0.3),
    QuarterTurns(0.5),
    Warp(30.0, 0.0, 50.0, 5.0),
    Warp(0.0, 0.5, 50.0, 5.0),
    Warp(30.0, 0.5, 50.0, 5.0),
    AutoContrast(0.5),
    Noise(0.5, (0.02, 0.1)),
    Erasing(0.5, (0.02, 0.33), (0.3, 3.3)),
]


def some_views(channels: int, num: int = 16, side: int = 20) -> Tensor:
    torch.manual_seed(0)
    return torch.rand(num, channels, side, side) * 0.6 + 0.2


def applied(operation: Operation, views: Tensor, drawn: Tensor) -> Tensor:
    changed = views.clone()
    operation.apply_(changed, drawn)
    return changed


@CHANNELS
def test_a_vertical_flip_is_torchvisions(channels: int) -> None:
    views, operation = some_views(channels), VerticalFlip(0.5)
    drawn = operation.sample(16, 3, 20)
    expected = [
        tv.vertical_flip(view) if flip else view for view, flip in zip(views, drawn, strict=True)
    ]
    assert torch.equal(applied(operation, views, drawn), torch.stack(expected))
    assert 0 < int(drawn.sum()) < 16


@CHANNELS
def test_a_quarter_turn_is_torchvisions(channels: int) -> None:
    views, operation = some_views(channels), QuarterTurns(0.75)
    drawn = operation.sample(16, 3, 20)
    expected = [
        tv.rotate(view, 90.0 * int(turns)) for view, turns in zip(views, drawn, strict=True)
    ]
    assert torch.equal(applied(operation, views, drawn), torch.stack(expected))
    assert set(drawn.tolist()) == {0, 1, 2, 3}


def with_mirrored_border(view: Tensor) -> Tensor:
    return tv.pad(view, [view.shape[-1]] * 4, padding_mode="symmetric")


@CHANNELS
def test_a_rotation_is_torchvisions_of_the_view_with_a_mirrored_border(channels: int) -> None:
    views, operation = some_views(channels), Warp(180.0, 0.0, 50.0, 5.0)
    drawn = operation.sample(16, 3, 20)
    turned = applied(operation, views, drawn)
    for i, view in enumerate(views):
        wide = tv.rotate(with_mirrored_border(view), float(drawn[i, 0]), InterpolationMode.BILINEAR)
        torch.testing.assert_close(turned[i], wide[:, 20:40, 20:40], atol=2e-5, rtol=0)
    assert float(drawn[:, 0].abs().max()) > 90


@CHANNELS
def test_bending_is_torchvisions_of_the_view_with_a_mirrored_border(channels: int) -> None:
    views, operation = some_views(channels), Warp(0.0, 1.0, 80.0, 4.0)
    drawn = operation.sample(16, 3, 20)
    bent = applied(operation, views, drawn)
    field = displacement(drawn[:, 2], 20, 80.0, 4.0)
    for i, view in enumerate(views):
        wide_field = torch.zeros(1, 60, 60, 2)
        wide_field[0, 20:40, 20:40] = field[i] / 3  # in halves of a side of 60
        wide = tv.elastic(with_mirrored_border(view), wide_field, InterpolationMode.BILINEAR)
        torch.testing.assert_close(bent[i], wide[:, 20:40, 20:40], atol=2e-5, rtol=0)
    assert float((bent - views).abs().mean()) > 0.02


def test_the_field_of_bending_is_torchvisions_of_the_same_noise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seeds = draw_seeds(1)
    noise = uniform(seeds, 2 * 30 * 30).view(2, 1, 1, 30, 30)
    drawn = iter(noise)
    monkeypatch.setattr(torch, "rand", lambda *shape: next(drawn))
    theirs = transforms.ElasticTransform(alpha=50.0, sigma=3.0).make_params(
        [torch.empty(3, 30, 30)]
    )["displacement"]
    torch.testing.assert_close(displacement(seeds, 30, 50.0, 3.0), theirs, atol=1e-5, rtol=0)


@pytest.mark.parametrize("side", [1, 2, 5])
def test_a_blur_wider_than_the_view_keeps_what_is_alike_everywhere(side: int) -> None:
    matrix = blur_matrix(side, 5.0, torch.device("cpu"))
    torch.testing.assert_close(matrix.sum(1), torch.ones(side))


@CHANNELS
def test_autocontrast_is_torchvisions(channels: int) -> None:
    views, operation = some_views(channels), AutoContrast(0.5)
    views[:4, 0] = 0.3  # a flat channel
    drawn = operation.sample(16, 3, 20)
    expected = [
        torch.cat([tv.autocontrast(channel.unsqueeze(0)) for channel in view]) if chosen else view
        for view, chosen in zip(views, drawn, strict=True)
    ]
    torch.testing.assert_close(
        applied(operation, views, drawn), torch.stack(expected), atol=1e-6, rtol=0
    )
    assert 0 < int(drawn[:4].sum()) < 4


@CHANNELS
def test_noise_is_torchvisions_with_the_same_deviates(
    channels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    views, operation = some_views(channels), Noise(0.7, (0.1, 0.4))
    drawn = operation.sample(16, 3, 20)
    noisy = applied(operation, views, drawn)
    for i, view in enumerate(views):
        deviates = normal(drawn[i : i + 1, 1], view.numel()).view_as(view)
        monkeypatch.setattr(torch, "randn_like", lambda _, same=deviates: same)
        expected = tv.gaussian_noise(view, sigma=float(drawn[i, 0]), clip=True)
        torch.testing.assert_close(noisy[i], expected, atol=1e-6, rtol=0)
    assert bool((noisy == 1).any() and (noisy == 0).any())


@CHANNELS
def test_erasing_is_torchvisions_with_the_mean_colour(channels: int) -> None:
    views, operation = some_views(channels), Erasing(0.7, (0.02, 0.33), (0.3, 3.3))
    drawn = operation.sample(16, 3, 20)
    erased = applied(operation, views, drawn)
    for i, view in enumerate(views):
        top, left, height, width = drawn[i].tolist()
        mean = view.mean((1, 2)).view(-1, 1, 1)
        expected = tv.erase(view, top, left, height, width, mean) if height else view
        torch.testing.assert_close(erased[i], expected, atol=1e-6, rtol=0)
    assert 4 < int((drawn[:, 2] > 0).sum()) < 16


def test_erased_rectangles_are_distributed_as_torchvisions() -> None:
    torch.manual_seed(0)
    ours = Erasing(1.0, (0.02, 0.33), (0.3, 3.3)).sample(20000, 3, 32).float()
    transform = transforms.RandomErasing(p=1.0)
    found = [transform.make_params([torch.empty(1, 32, 32)]) for _ in range(2000)]
    names = ("i", "j", "h", "w")
    theirs = torch.tensor([[float(one[name]) for name in names] for one in found])
    # 4 standard errors of the smaller sample's mean and of its mean square.
    for power in (1, 2):
        a, b = ours**power, theirs**power
        gap = (a.mean(0) - b.mean(0)).abs()
        assert bool((gap < 4 * b.std(0) / math.sqrt(2000)).all()), gap


def test_random_numbers_are_uniform_and_normal_and_independent() -> None:
    torch.manual_seed(0)
    seeds = draw_seeds(200)
    flat, bell = uniform(seeds, 5000), normal(seeds, 5000)
    assert float(flat.min()) > 0
    assert float(flat.max()) < 1
    bins = torch.histc(flat, 100, 0, 1) / flat.numel() * 100
    assert float((bins - 1).abs().max()) < 0.05
    # Moments of a million deviates: 4 standard errors.
    for power, moment, spread in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs(float((bell**power).mean()) - moment) < 4 * math.sqrt(spread / 1e6)
    for a, b in ((bell[:, 1:], bell[:, :-1]), (bell[1:], bell[:-1]), (bell[:, 9:], bell[:, :-9])):
        assert abs(float((a * b).mean())) < 4e-3
    assert len(bell.flatten(1).unique(dim=0)) == 200


@pytest.mark.parametrize("operation", EVERY, ids=lambda operation: type(operation).__name__)
def test_nothing_waits_for_the_device_and_what_is_not_chosen_stays(operation: Operation) -> None:
    drawn = operation.sample(40, 3, 16)
    views = some_views(3, 40, 16)
    changed = applied(operation, views, drawn)
    same = (changed == views).flatten(1).all(1)
    columns = {
        Noise: drawn[..., :1],
        Erasing: drawn[..., 2:3],
        Warp: drawn[..., :2],
        ChannelDrop: drawn.logical_not(),
    }
    chosen = columns.get(type(operation), drawn.view(40, -1)).any(1)
    assert bool(same[~chosen].all())
    assert not bool(same[chosen].any())
    assert changed.isfinite().all()
    assert float(changed.min()) >= 0
    assert float(changed.max()) <= 1
    operation.apply_(views.to("meta"), drawn)


def everything() -> ViewConfig:
    return ViewConfig(
        vertical_flip=0.5,
        rotate90=0.5,
        rotation=30.0,
        elastic=0.5,
        autocontrast=0.5,
        noise=0.5,
        erasing=0.5,
    )


def built(config: ViewConfig, channels: int = 3) -> Augmentation:
    return config.build((0.5,) * channels, (0.25,) * channels)


def test_what_is_off_draws_nothing_and_what_is_on_draws_last() -> None:
    images = torch.randint(0, 256, (6, 16, 16, 3), dtype=torch.uint8)
    torch.manual_seed(1)
    plain = built(ViewConfig()).sample(6, 3, 16)
    after_plain = torch.rand(3)
    torch.manual_seed(1)
    more = built(everything()).sample(6, 3, 16)
    for name in ("boxes", "flipped", "order", "factors", "gray", "sigma", "solarized"):
        assert torch.equal(getattr(plain, name), getattr(more, name)), name
    assert plain.further == ()
    assert len(more.further) == 6
    torch.manual_seed(1)
    built(ViewConfig())(images)
    assert torch.equal(torch.rand(3), after_plain)


@CHANNELS
def test_all_together_give_the_same_for_any_cut(
    channels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = torch.randint(0, 256, (9, 16, 16, channels), dtype=torch.uint8)
    config = everything()
    if channels > 3:  # colours are those of grey and of colour pictures
        config.jitter = config.grayscale = 0.0
    augmentation = built(config, channels)
    torch.manual_seed(2)
    parameters = augmentation.sample(18, channels, 16)
    whole = augmentation.apply(images, parameters)
    rows = torch.tensor([7, 2, 2])
    some = augmentation.apply(images[rows], parameters[torch.cat([rows, rows + 9])])
    torch.testing.assert_close(some, whole[torch.cat([rows, rows + 9])], atol=1e-6, rtol=0)
    monkeypatch.setattr(blocks, "CPU_MOST", 3000)
    torch.testing.assert_close(augmentation.apply(images, parameters), whole, atol=1e-6, rtol=0)
    assert whole.isfinite().all()


def test_small_crops_take_them_too() -> None:
    images = torch.randint(0, 256, (4, 28, 28, 3), dtype=torch.uint8)
    config = everything()
    config.crop_size = 0.25
    assert built(config)(images, num_views=2).shape == (8, 3, 7, 7)


def test_probabilities_are_kept() -> None:
    torch.manual_seed(0)
    config = ViewConfig(
        vertical_flip=0.3, rotate90=0.6, elastic=0.2, autocontrast=0.4, noise=0.7, erasing=0.1
    )
    flip, turns, warp, contrast, noise, erased = built(config).sample(20000, 3, 32).further
    found = [flip, turns > 0, warp[:, 1], contrast, noise[:, 0] > 0, erased[:, 2] > 0]
    for drawn, probability in zip(found, (0.3, 0.6, 0.2, 0.4, 0.7, 0.1), strict=True):
        assert float(drawn.float().mean()) == pytest.approx(probability, abs=0.015)
    assert [int((turns == k).sum()) for k in (1, 2, 3)] == pytest.approx([4000] * 3, rel=0.06)


def test_channels_are_dropped_and_one_is_always_kept() -> None:
    torch.manual_seed(0)
    kept = ChannelDrop(0.3).sample(20000, 5, 16)
    assert float(kept.float().mean()) == pytest.approx(0.7 + 0.3**5 / 5, abs=0.01)
    assert bool(ChannelDrop(1.0).sample(100, 3, 16).sum(dim=1).eq(1).all())
    views = torch.rand(20000, 5, 1, 1) + 0.1
    dropped = views.clone()
    ChannelDrop(0.3).apply_(dropped, kept)
    assert torch.equal(dropped, torch.where(kept[..., None, None], views, 0.0))
