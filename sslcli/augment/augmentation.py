"""Makes random views of a batch of pictures on its device.

N images, V views, C channels, S pixels a side.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from sslcli.augment.blocks import in_blocks
from sslcli.augment.blur import RandomBlur
from sslcli.augment.colour import ColourJitter, grayscale_, solarize_
from sslcli.augment.crop import RandomCrop, resized_crop
from sslcli.augment.operation import Operation
from sslcli.preprocessing import Squeezed
from sslcli.processes import own_rows
from sslcli.transfer import sent


@dataclass(frozen=True)
class Parameters:
    """Holds what is done to each picture, one row a picture, on the CPU.

    Indexing takes the rows of some pictures.

    `boxes` (N, 4): top, left, height, width. `order`, `factors` (N, A): see ColourJitter. `sigma`
    (N,): 0 for no blur. `further`: of each further operation, (N, ...). The others (N,) bool.
    """

    boxes: Tensor
    flipped: Tensor
    order: Tensor
    factors: Tensor
    gray: Tensor
    sigma: Tensor
    solarized: Tensor
    further: tuple[Tensor, ...] = ()

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, rows: slice | Tensor) -> Parameters:
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        further = tuple(drawn[rows] for drawn in values.pop("further"))
        return Parameters(**{name: value[rows] for name, value in values.items()}, further=further)


@dataclass(frozen=True)
class Augmentation:
    """Crops, flips, jitters, greys, blurs, solarises and normalises each picture.

    Each gets its own way, in this order; `before_colours` are done before the jitter, and
    `after_colours` before the normalisation. `flip`, `grayscale` and `solarize` are probabilities;
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
    before_colours: tuple[Operation, ...] = ()
    after_colours: tuple[Operation, ...] = ()

    def __call__(self, images: Tensor | Squeezed, num_views: int = 1) -> Tensor:
        """(N, S, S, C) pixels -> (V·N, C, s, s) float32, channels-last, view by view.

        First N of view a. s is S, or smaller where the crops are.
        """
        aspects = images.aspects.repeat(num_views) if isinstance(images, Squeezed) else None
        pictures = images.images if isinstance(images, Squeezed) else images
        num_images, resolution, _, channels = pictures.shape
        parameters = own_rows(
            lambda num: self.sample(num, channels, resolution, aspects), num_images, num_views
        )
        return self.apply(pictures, parameters)

    def sample(
        self, num_images: int, channels: int, resolution: int, aspects: Tensor | None = None
    ) -> Parameters:
        """Draws the parameters of so many pictures, whatever their pixels are.

        `aspects` (N,): width over height of pictures that were squeezed to squares.
        """
        boxes = self.crop.sample(num_images, resolution, aspects)
        flipped = torch.rand(num_images) < self.flip
        order, factors = self.jitter.sample(num_images, channels)
        gray = torch.rand(num_images) < self.grayscale
        sigma = self.blur.sample(num_images)
        solarized = torch.rand(num_images) < self.solarize
        side = self.crop.side(resolution)  # last, so that the draws above stay what they were
        operations = (*self.before_colours, *self.after_colours)
        further = tuple(operation.sample(num_images, channels, side) for operation in operations)
        return Parameters(boxes, flipped, order, factors, gray, sigma, solarized, further)

    def apply(self, images: Tensor, parameters: Parameters) -> Tensor:
        """The same with given parameters: V·N rows, row i for image i mod N."""
        num_images, resolution, _, channels = images.shape
        side = self.crop.side(resolution)
        num_views, left_over = divmod(len(parameters), num_images)
        assert left_over == 0, f"{len(parameters)} rows of parameters for {num_images} images"
        views = torch.empty(
            num_views, num_images, side, side, channels, device=images.device
        ).movedim(4, 2)
        rows = torch.arange(num_views * num_images).view(num_views, num_images)

        def work(block: Tensor) -> None:
            some = slice(int(block[0]), int(block[-1]) + 1)
            made = self._apply(images[some], parameters[rows[:, some].flatten()])
            views[:, some] = made.view(num_views, len(block), channels, side, side)

        in_blocks(work, num_images, views.numel(), images.device.type)
        return views.flatten(0, 1)

    def _apply(self, images: Tensor, parameters: Parameters) -> Tensor:
        """Makes the views all at once, and not channels-last."""
        device = images.device
        boxes = sent(parameters.boxes, device)
        flipped = sent(parameters.flipped, device)
        views = resized_crop(images, boxes, flipped, self.crop.side(images.shape[1]))
        before = len(self.before_colours)
        for operation, drawn in zip(self.before_colours, parameters.further[:before], strict=True):
            operation.apply_(views, drawn)
        pixels = self.jitter.apply(views.flatten(2), parameters.order, parameters.factors)
        grayscale_(pixels, parameters.gray)
        views = pixels.view_as(views)
        self.blur.apply_(views, parameters.sigma)
        solarize_(views, parameters.solarized, self.solarize_threshold)
        for operation, drawn in zip(self.after_colours, parameters.further[before:], strict=True):
            operation.apply_(views, drawn)
        if self.normalization is not None:
            mean, std = sent(torch.tensor(self.normalization), device).view(2, -1, 1, 1)
            views.sub_(mean).mul_(1 / std)
        return views
