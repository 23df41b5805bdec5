"""Makes random views of a batch of pictures on its device.

N images, V views, C channels, S pixels a side.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from sslcli.augment.blur import RandomBlur
from sslcli.augment.colour import ColourJitter, grayscale_, solarize_
from sslcli.augment.crop import RandomCrop, resized_crop
from sslcli.processes import own_rows

CPU_CHUNK, CHUNK = 2**21, 2**26
"""About how many numbers are worked on at a time.

On a CPU: 8 MiB, near its cache and well worth several threads. Elsewhere so many that no batch but
a very large one is cut; several copies of them are in memory, whatever the batch.
"""


@dataclass(frozen=True)
class Parameters:
    """Holds what is done to each picture, one row a picture, on the CPU.

    Indexing takes the rows of some pictures.

    `boxes` (N, 4): top, left, height, width. `order`, `factors` (N, A): see ColourJitter. `sigma`
    (N,): 0 for no blur. The others (N,) bool.
    """

    boxes: Tensor
    flipped: Tensor
    order: Tensor
    factors: Tensor
    gray: Tensor
    sigma: Tensor
    solarized: Tensor

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, rows: slice | Tensor) -> Parameters:
        return Parameters(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})


@dataclass(frozen=True)
class Augmentation:
    """Crops, flips, jitters, greys, blurs, solarises and normalises each picture.

    Each gets its own way, in this order. `flip`, `grayscale` and `solarize` are probabilities;
    `normalization` is the channels' (mean, std).

    Everything is drawn from the CPU's generator, then moved: a seed gives the same views on every
    device, and which pictures an operation is for is known without asking the device, so nothing
    waits for it.
    """

    crop: RandomCrop
    flip: float
    jitter: ColourJitter
    grayscale: float
    blur: RandomBlur
    solarize: float
    solarize_threshold: float
    normalization: tuple[tuple[float, ...], tuple[float, ...]] | None

    def __call__(self, images: Tensor, num_views: int = 1) -> Tensor:
        """Makes views (V·N, C, S, S) float32, channels-last, of (N, S, S, C) uint8.

        They come view by view, first the N of view a.
        """
        num_images, resolution, _, channels = images.shape
        parameters = own_rows(
            lambda num: self.sample(num, channels, resolution), num_images, groups=num_views
        )
        return self.apply(images, parameters)

    def sample(self, num_images: int, channels: int, resolution: int) -> Parameters:
        """Draws the parameters of so many pictures, whatever their pixels are."""
        boxes = self.crop.sample(num_images, resolution)
        flipped = torch.rand(num_images) < self.flip
        order, factors = self.jitter.sample(num_images, channels)
        gray = torch.rand(num_images) < self.grayscale
        sigma = self.blur.sample(num_images)
        solarized = torch.rand(num_images) < self.solarize
        return Parameters(boxes, flipped, order, factors, gray, sigma, solarized)

    def apply(self, images: Tensor, parameters: Parameters) -> Tensor:
        """Makes the views with given parameters: V·N rows, row i for image i mod N."""
        num_images, side, _, channels = images.shape
        num_views, left_over = divmod(len(parameters), num_images)
        assert left_over == 0, f"{len(parameters)} rows of parameters for {num_images} images"
        views = torch.empty(
            num_views, num_images, side, side, channels, device=images.device
        ).movedim(4, 2)
        rows = torch.arange(num_views * num_images).view(num_views, num_images)
        num_chunks = math.ceil(
            views.numel() / (CPU_CHUNK if images.device.type == "cpu" else CHUNK)
        )
        for chunk in torch.arange(num_images).chunk(num_chunks):
            some = slice(int(chunk[0]), int(chunk[-1]) + 1)
            made = self._apply(images[some], parameters[rows[:, some].flatten()])
            views[:, some] = made.view(num_views, len(chunk), channels, side, side)
        return views.flatten(0, 1)

    def _apply(self, images: Tensor, parameters: Parameters) -> Tensor:
        """Makes the views all at once, and not channels-last."""
        device = images.device
        boxes = parameters.boxes.to(device, non_blocking=True)
        views = resized_crop(images, boxes, parameters.flipped.to(device, non_blocking=True))
        pixels = self.jitter.apply(views.flatten(2), parameters.order, parameters.factors)
        grayscale_(pixels, parameters.gray)
        views = pixels.view_as(views)
        self.blur.apply_(views, parameters.sigma)
        solarize_(views, parameters.solarized, self.solarize_threshold)
        if self.normalization is not None:
            mean, std = (
                torch.tensor(self.normalization).view(2, -1, 1, 1).to(device, non_blocking=True)
            )
            views.sub_(mean).mul_(1 / std)
        return views
