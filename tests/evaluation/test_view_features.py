"""Features of a method's own views, as the monitor and `diagnose` take them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from doubles import CPU
from torch import Tensor, nn

from sslcli.data.images import ImageSet
from sslcli.errors import RunFailed
from sslcli.evaluation.diagnostics import alignment, lidar
from sslcli.evaluation.monitor import Monitor
from sslcli.evaluation.view_features import view_features
from sslcli.method import Method, Preprocessing
from sslcli.methods.denoising_autoencoder import DenoisingAutoencoderConfig
from sslcli.methods.simclr import SimCLRConfig
from sslcli.nets.encoder_config import ConvNetConfig

SHAPE = Preprocessing(8, 1, (0.5,), (0.25,))
IMAGES = np.random.default_rng(0).integers(0, 256, (300, 8, 8, 1), dtype=np.uint8)


def build(config: Any) -> Method:
    torch.manual_seed(0)
    method: Method = config.build(ConvNetConfig(width=4).build(1, 8), SHAPE)
    return method


@dataclass
class Brighter(Method):
    """Views are the pictures and the pictures made brighter by 1, so that it is seen which is which."""

    encoder: Any
    preprocessing: Preprocessing

    def views(self, images: Tensor) -> Tensor:
        pictures = images.permute(0, 3, 1, 2).float()
        return torch.cat([pictures, pictures + 1])


def test_every_draw_gives_views_of_the_same_pictures_in_order() -> None:
    method = Brighter(nn.Flatten(), SHAPE)
    h = view_features(method, IMAGES, CPU.device, num_draws=2)  # more than one batch
    assert h is not None
    assert h.shape == (4, 300, 64)
    pixels = torch.from_numpy(IMAGES).flatten(1).float()
    for view, more in enumerate([0, 1, 0, 1]):
        assert torch.equal(h[view], pixels + more)


def test_of_views_of_several_sizes_those_of_the_first_are_taken() -> None:
    class Cropped(Brighter):
        def views(self, images: Tensor) -> list[Tensor]:  # type: ignore[override]
            views = super().views(images)
            return [views, views[:, :, :4, :4]]

    plain, cropped = (
        view_features(kind(nn.Flatten(), SHAPE), IMAGES[:20], CPU.device)
        for kind in (Brighter, Cropped)
    )
    assert plain is not None
    assert cropped is not None
    assert torch.equal(plain, cropped)


def test_views_are_random_and_the_same_again_and_leave_no_trace() -> None:
    method = build(SimCLRConfig())
    method.encoder.train()
    before = {name: value.clone() for name, value in method.encoder.state_dict().items()}
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    first = view_features(method, IMAGES[:20], CPU.device, num_draws=2)
    assert torch.equal(torch.rand(3), expected)
    second = view_features(method, IMAGES[:20], CPU.device, num_draws=2)
    assert first is not None
    assert second is not None
    assert torch.equal(first, second)
    assert first.shape == (4, 20, 32)
    assert len({tuple(h.flatten().tolist()) for h in first}) == 4  # each draw has its own
    assert all(module.training for module in method.encoder.modules())
    assert not first.requires_grad
    assert all(
        torch.equal(value, before[name]) for name, value in method.encoder.state_dict().items()
    )


def test_a_method_without_two_views_has_none() -> None:
    assert view_features(build(DenoisingAutoencoderConfig()), IMAGES[:20], CPU.device) is None


def test_broken_features_of_views_stop_the_run() -> None:
    method = build(SimCLRConfig())
    next(method.encoder.parameters()).data.fill_(float("nan"))
    with pytest.raises(RunFailed, match="not finite"):
        view_features(method, IMAGES[:20], CPU.device)


def test_the_monitor_looks_at_all_classes_of_sorted_pictures() -> None:
    """Of pictures in class folders the first 512 may all be of one class."""
    method = build(SimCLRConfig())
    val = ImageSet(np.concatenate([IMAGES[:1].repeat(600, 0), IMAGES[1:2].repeat(600, 0)]))
    monitor = Monitor(method.encoder, SHAPE, val, val, 0, 10, CPU.device, lambda words: None)
    assert monitor(1)["feature_std"] > 1e-3


def test_the_monitor_measures_alignment_where_there_are_views() -> None:
    method = build(SimCLRConfig())
    pictures = ImageSet(IMAGES[:40])

    def measured(**views: Any) -> dict[str, float]:
        monitor = Monitor(
            method.encoder,
            SHAPE,
            pictures,
            pictures,
            0,
            10,
            CPU.device,
            lambda words: None,
            **views,
        )
        return monitor(1)

    plain = measured()
    assert plain.keys() == {
        "feature_std",
        "effective_rank",
        "collapsed",
        "dead_dimensions",
        "uniformity",
    }
    h = view_features(method, IMAGES[:40], CPU.device)
    assert h is not None
    assert measured(view_features=lambda num: h)["alignment"] == alignment(h[0], h[1])


def test_lidar_is_measured_where_knn_is_of_more_views() -> None:
    method = build(SimCLRConfig())
    pictures = ImageSet(IMAGES[:40])
    asked: list[int] = []

    def views(num_draws: int) -> Tensor | None:
        asked.append(num_draws)
        return view_features(method, IMAGES[:40], CPU.device, num_draws)

    arguments = (pictures, pictures, 4, 10, CPU.device, lambda words: None, views)
    monitor = Monitor(method.encoder, SHAPE, *arguments)
    found = {step: monitor(step) for step in (2, 4, 10)}
    assert [step for step, values in found.items() if "lidar" in values] == [4, 10]
    assert asked == [1, 5, 5]
    h = views(5)
    assert h is not None
    assert found[4]["lidar"] == lidar(h)
    assert found[4]["alignment"] == found[2]["alignment"], "of the same first two views"


def test_features_too_large_for_lidar_do_not_stop_the_run() -> None:
    method = build(SimCLRConfig())
    pictures = ImageSet(IMAGES[:40])
    h = torch.randn(2, 4, 32, generator=torch.Generator().manual_seed(0)) * 1e8
    with pytest.raises(RuntimeError, match="positive-definite"):
        lidar(h)
    arguments = (pictures, pictures, 1, 1, CPU.device, lambda words: None, lambda num: h)
    values = Monitor(method.encoder, SHAPE, *arguments)(1)
    assert "lidar" not in values
    assert values["alignment"] > 0
