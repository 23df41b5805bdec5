"""The whole augmentation against a slow composition through torchvision, and what a caller relies on."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as tv

from sslcli.augment import blocks
from sslcli.augment.augmentation import Augmentation, Parameters
from sslcli.augment.augmentation_config import ViewConfig

OFF = ViewConfig(
    crop_scale=[1.0, 1.0],
    crop_ratio=[1.0, 1.0],
    flip=0.0,
    jitter=0.0,
    grayscale=0.0,
    solarize=0.0,
    normalize=False,
)


def everything(channels: int) -> Augmentation:
    config = ViewConfig(
        crop_scale=[0.08, 1.0], blur=0.5, blur_kernel=0.2, solarize=0.3, solarize_threshold=0.4
    )
    return config.build((0.4, 0.5, 0.6)[:channels], (0.2, 0.3, 0.25)[:channels])


def smooth_pictures(num_images: int, side: int, channels: int) -> Tensor:
    """(N, S, S, C) uint8: waves, so that neighbouring pixels are alike as in photographs."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:side, :side][..., None] / side
    phase, speed = rng.uniform(0, 6, (2, num_images, 1, 1, channels))
    return torch.from_numpy((np.sin(phase + speed * (x + 2 * y)) * 127 + 128).astype(np.uint8))


def slow_view(image: Tensor, parameters: Parameters, i: int) -> Tensor:
    """Row i of the parameters of `everything`, done by torchvision to one (S, S, C) uint8 picture."""
    side, _, channels = image.shape
    view = tv.to_dtype(image.permute(2, 0, 1), torch.float32, scale=True)
    view = tv.resized_crop(view, *parameters.boxes[i].tolist(), size=[side, side], antialias=True)
    if parameters.flipped[i]:
        view = tv.horizontal_flip(view)
    adjustments = [tv.adjust_brightness, tv.adjust_contrast, tv.adjust_saturation, tv.adjust_hue]
    for which in parameters.order[i].tolist():
        if which < parameters.order.shape[1]:
            view = adjustments[which](view, float(parameters.factors[i, which]))
    if parameters.gray[i] and channels == 3:
        view = tv.rgb_to_grayscale(view, 3)
    if parameters.sigma[i] > 0:
        view = tv.gaussian_blur(
            view, [5, 5], [float(parameters.sigma[i])] * 2
        )  # 0.2 of 20 pixels, made odd
    if parameters.solarized[i]:
        view = tv.solarize(view, 0.4)
    return tv.normalize(view, [0.4, 0.5, 0.6][:channels], [0.2, 0.3, 0.25][:channels])


@pytest.mark.parametrize("channels", [1, 3])
def test_views_equal_a_slow_composition_through_torchvision(channels: int) -> None:
    torch.manual_seed(0)
    images = smooth_pictures(40, 20, channels)
    augment = everything(channels)
    parameters = augment.sample(80, channels, 20)
    views = augment.apply(images, parameters)
    for i in range(80):
        expected = slow_view(images[i % 40], parameters, i)
        # A value within rounding of solarise's threshold may fall on either side of it.
        differs = (views[i] - expected).abs() > 5e-5
        assert int(differs.sum()) <= (1 if parameters.solarized[i] else 0), i


def test_a_call_draws_and_applies() -> None:
    images = smooth_pictures(6, 16, 3)
    augment = everything(3)
    torch.manual_seed(3)
    views = augment(images, num_views=2)
    torch.manual_seed(3)
    torch.testing.assert_close(
        views, augment.apply(images, augment.sample(12, 3, 16)), atol=0, rtol=0
    )
    assert views.shape == (12, 3, 16, 16)
    assert views.dtype == torch.float32
    assert views.is_contiguous(memory_format=torch.channels_last)
    torch.manual_seed(4)
    assert not torch.equal(views, augment(images, num_views=2))


def test_every_picture_and_every_view_is_changed_its_own_way() -> None:
    torch.manual_seed(0)
    images = smooth_pictures(1, 16, 3).expand(64, 16, 16, 3)
    views = ViewConfig().build((0.5,) * 3, (0.2,) * 3)(images, num_views=2)
    assert len(views.flatten(1).unique(dim=0)) == 128


@pytest.mark.parametrize("channels", [1, 3])
def test_with_everything_off_a_view_is_the_picture(channels: int) -> None:
    images = smooth_pictures(4, 12, channels)
    views = OFF.build((0.3,) * channels, (2.0,) * channels)(images, num_views=2)
    torch.testing.assert_close(
        views, images.permute(0, 3, 1, 2).repeat(2, 1, 1, 1) / 255, atol=0, rtol=0
    )


def test_rows_of_parameters_apply_to_rows_of_images() -> None:
    """What a process does in a run of several: its pictures, with its rows of what was drawn for all."""
    torch.manual_seed(0)
    images = smooth_pictures(12, 16, 3)
    augment = everything(3)
    parameters = augment.sample(12, 3, 16)
    whole = augment.apply(images, parameters)
    parts = [augment.apply(images[some], parameters[some]) for some in (slice(0, 5), slice(5, 12))]
    torch.testing.assert_close(torch.cat(parts), whole, atol=0, rtol=0)
    rows = torch.tensor([7, 2, 2])
    torch.testing.assert_close(
        augment.apply(images[rows], parameters[rows]), whole[rows], atol=0, rtol=0
    )


def test_working_in_chunks_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    images = smooth_pictures(11, 16, 3)
    augment = everything(3)
    parameters = augment.sample(22, 3, 16)
    whole = augment.apply(images, parameters)
    monkeypatch.setattr(blocks, "CPU_MOST", 5000)
    torch.testing.assert_close(augment.apply(images, parameters), whole, atol=0, rtol=0)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_change_nothing_and_each_has_one_torch_thread(
    monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    torch.manual_seed(0)
    images = smooth_pictures(11, 16, 3)
    augment = everything(3)
    parameters = augment.sample(22, 3, 16)
    whole = augment.apply(images, parameters)
    monkeypatch.setattr(blocks, "LEAST", 1000)
    usual = torch.get_num_threads()
    seen: list[tuple[int, bool]] = []
    try:
        torch.set_num_threads(threads)
        made = augment.apply(images, parameters)
        here = threading.current_thread()
        blocks.in_blocks(
            lambda rows: seen.append((torch.get_num_threads(), threading.current_thread() is here)),
            6,
            6000,
            "cpu",
        )
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(usual)
    torch.testing.assert_close(made, whole, atol=0, rtol=0)
    assert seen == [(1, threads == 1)] * threads


def test_images_are_left_as_they_were() -> None:
    images = smooth_pictures(4, 16, 3)
    before = images.clone()
    everything(3)(images, num_views=2)
    assert torch.equal(images, before)


@pytest.mark.parametrize("channels", [1, 3])
def test_nothing_waits_for_the_device(channels: int) -> None:
    """The meta device holds no values, so reading one, or leaving a tensor behind on the CPU, is an error."""
    images = torch.empty(16, 12, 12, channels, dtype=torch.uint8, device="meta")
    views = everything(channels)(images, num_views=2)
    assert views.shape == (32, channels, 12, 12)
    assert views.device.type == "meta"


def test_probabilities_are_kept() -> None:
    torch.manual_seed(0)
    config = ViewConfig(flip=0.3, grayscale=0.7, solarize=0.1)
    parameters = config.build((0.5,) * 3, (0.2,) * 3).sample(20000, 3, 16)
    for drawn, probability in (
        (parameters.flipped, 0.3),
        (parameters.gray, 0.7),
        (parameters.solarized, 0.1),
    ):
        assert float(drawn.float().mean()) == pytest.approx(probability, abs=0.015)
