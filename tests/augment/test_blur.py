"""The blur against torchvision's, each picture by its own width."""

from __future__ import annotations

import pytest
import torch
from torchvision.transforms.v2 import functional as tv

from sslcli.augment.blur import RandomBlur, gaussian_blur


@pytest.mark.parametrize(("channels", "size"), [(3, 3), (1, 3), (3, 9)])
def test_blur_equals_torchvisions(channels: int, size: int) -> None:
    torch.manual_seed(0)
    images = torch.rand(4, channels, 12, 12)
    sigma = torch.tensor([0.1, 0.7, 1.3, 2.0])
    blurred = gaussian_blur(images, sigma, size)
    for before, after, width in zip(images, blurred, sigma.tolist(), strict=True):
        torch.testing.assert_close(
            after, tv.gaussian_blur(before, [size, size], [width, width]), atol=1e-5, rtol=0
        )


@pytest.mark.parametrize(("kernel", "size"), [(0.1, 3), (0.25, 7), (0.5, 13), (1.0, 25)])
def test_the_kernel_is_a_part_of_the_side_made_odd(kernel: float, size: int) -> None:
    torch.manual_seed(0)
    images = torch.rand(2, 3, 24, 24)
    blurred = images.clone()
    RandomBlur(1.0, (2.0, 2.0), kernel).apply_(blurred, torch.tensor([2.0, 0.0]))
    expected = tv.gaussian_blur(images[0], [size, size], [2.0, 2.0])
    torch.testing.assert_close(blurred[0], expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(blurred[1], images[1], atol=0, rtol=0)


@pytest.mark.parametrize("side", [1, 2])
def test_the_kernel_is_no_wider_than_what_it_can_mirror(side: int) -> None:
    images = torch.rand(1, 1, side, side)
    blurred = images.clone()
    RandomBlur(1.0, (2.0, 2.0), 1.0).apply_(blurred, torch.tensor([2.0]))
    assert torch.equal(blurred, images) == (side == 1)
    torch.testing.assert_close(blurred.mean(), images.mean(), atol=0.2, rtol=0)


def test_widths_fill_their_range_and_the_probability_is_kept() -> None:
    torch.manual_seed(0)
    sigma = RandomBlur(0.3, (0.5, 1.5), 0.1).sample(20000)
    assert float((sigma > 0).float().mean()) == pytest.approx(0.3, abs=0.015)
    drawn = sigma[sigma > 0]
    quantiles = torch.quantile(drawn, torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0]))
    torch.testing.assert_close(quantiles, torch.linspace(0.5, 1.5, 5), atol=0.03, rtol=0)
    assert not RandomBlur(0.0, (0.5, 1.5), 0.1).sample(100).any()
