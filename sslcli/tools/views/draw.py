"""Draws a sheet of views, and tells what becomes of the pictures in them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from sslcli.augment.recorded import Recorded, recorded
from sslcli.data.images import ImageSet
from sslcli.data.resize import at_resolution
from sslcli.data.statistics import channel_moments
from sslcli.data.values_config import ValuesConfig
from sslcli.experiments.figures import shown_pictures, sound_views
from sslcli.generators import seed_generators
from sslcli.method import Method, views_one_by_one
from sslcli.preprocessing import Preprocessing, Squeezed
from sslcli.report.display import Display
from sslcli.report.figures import save_views
from sslcli.seeding import derive_seed
from sslcli.text import printable, shell_path
from sslcli.trained.data import load_few
from sslcli.trained.method import PHASE, build_method

if TYPE_CHECKING:
    from sslcli.console import Console

FLAT = 2 / 255
"""The deviation of a view's values up to which nothing is seen in it."""


class Made(NamedTuple):
    """Holds the views of one variant: V tensors (N, C, H, W) in [0, 1], and what made them."""

    name: str
    views: list[Tensor]
    augmentations: list[Recorded]


def draw(variants: list[tuple[str, Any]], num: int, path: Path, console: Console) -> None:
    """Writes the sheet of all variants' views of `num` pictures, and prints a table of each."""
    config = variants[0][1]
    pictures = load_few(config.data, num, console.track)
    mean, std = channel_moments(pictures)
    shape = Preprocessing(pictures.resolution, pictures.channels, mean, std)
    made = [_made(name, config, shape, _images(pictures, config)) for name, config in variants]
    views = [view for variant in made for view in variant.views]
    names = [name for variant in made for name in _headings(variant, len(made) > 1)]
    plain = shape.without_normalization()
    path.parent.mkdir(parents=True, exist_ok=True)
    shown = config.data.shown if isinstance(config.data, ValuesConfig) else None
    display = Display.of(pictures.images, None if shown is None else tuple(shown))
    save_views(
        path,
        shown_pictures(_images(pictures, config)),
        views,
        plain.mean,
        plain.std,
        display,
        names,
    )
    for variant in made:
        _tell(variant, pictures, console)
    console.say(f"views: {shell_path(path)}")


def _images(pictures: ImageSet, config: Any) -> Tensor | Squeezed:
    """Returns the pictures as training would be given them."""
    if not config.method.draws_crops():
        pictures = at_resolution(pictures, pictures.resolution)
    images = torch.tensor(pictures.images[:])
    if pictures.aspects is None:
        return images
    return Squeezed(images, torch.tensor(pictures.aspects))


def _made(name: str, config: Any, shape: Preprocessing, images: Tensor | Squeezed) -> Made:
    """Makes the views that the first step of a run would make of these pictures."""
    augmentations: list[Recorded] = []
    built = build_method(config.method, config.encoder, shape, config.seed)
    method: Method = recorded(built, augmentations)
    seed_generators(derive_seed(config.seed, PHASE, 0))
    views = views_one_by_one(sound_views(method, images), len(images))
    if method.views_are_normalized:
        views = [method.preprocessing.pictures(view) for view in views]
    return Made(name, [view.float() for view in views], augmentations)


def _headings(variant: Made, several: bool) -> list[str]:
    """Returns a heading for each view; the first names the variant where there are several."""
    numbers = [f"view {number + 1}" for number in range(len(variant.views))]
    if several:
        values = " ".join(word.partition("=")[2] for word in variant.name.split(" "))
        numbers[0] = values
    return numbers


def _tell(variant: Made, pictures: ImageSet, console: Console) -> None:
    """Prints for each picture how much of it is left, and how much values change."""
    outcomes = [outcome for part in variant.augmentations for outcome in part.outcomes]
    if outcomes:
        area = torch.cat([outcome.area for outcome in outcomes])
        change = torch.cat([outcome.change for outcome in outcomes])
        names = [_name(pictures, index) for index in range(len(pictures))]
        rows = [
            (name, _percent(area[:, i].mean()), _percent(area[:, i].min()), _percent(of.mean()))
            for i, (name, of) in enumerate(zip(names, change.unbind(1), strict=True))
        ]
        rows.append(("all", _percent(area.mean()), _percent(area.min()), _percent(change.mean())))
        columns = ("picture", "area left", "least", "change of a pixel")
        console.table(variant.name, columns, rows)
    flat = [int((view.flatten(1).std(1) < FLAT).sum()) for view in variant.views]
    if sum(flat):
        total = len(variant.views) * len(pictures)
        where = f" ({variant.name})" if variant.name else ""
        console.warn(f"{sum(flat)} of {total} views show nothing: one colour throughout{where}")


def _name(pictures: ImageSet, index: int) -> str:
    if pictures.paths is None:
        return f"picture {index + 1}"
    return printable(Path(pictures.paths[index]).name)


def _percent(share: Tensor) -> str:
    return f"{100 * float(share):.1f} %"
