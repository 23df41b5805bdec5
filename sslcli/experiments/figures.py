"""Draws the pictures of a pretraining: its views at the start, what was learned at its end."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray
from torch import Tensor

from sslcli import processes
from sslcli.data.resize import at_resolution, letterboxed
from sslcli.engine.train import Pictures
from sslcli.errors import SslcliError
from sslcli.experiments.session import Session
from sslcli.generators import seed_generators
from sslcli.method import (
    Clusterer,
    LabelReader,
    Method,
    Restorer,
    Views,
    views_by_size,
    views_one_by_one,
)
from sslcli.preprocessing import Squeezed
from sslcli.report.attention import Attending, save_attention
from sslcli.report.curves import Records
from sslcli.report.figures import save_curves
from sslcli.report.figures import save_views as save_contact_sheet
from sslcli.report.prototypes import save_prototypes
from sslcli.report.restorations import save_restorations
from sslcli.report.snapshots import save_snapshots
from sslcli.trained.encoder_files import kept_snapshots


def save_views(session: Session, method: Method, pictures: Pictures[Any], seed: int) -> None:
    """Draws the contact sheet of the first step's views, which shows bad augmentation."""
    batch = pictures.at(0)
    images: Tensor | Squeezed = batch[0] if isinstance(method, LabelReader) else batch
    seed_generators(seed)
    views = views_one_by_one(sound_views(method, images), len(images))
    shown = slice(0, 12)
    shape = method.preprocessing
    if not method.views_are_normalized:
        shape = shape.without_normalization()
    path = session.figures / "views.png"
    pixels, drawn = shown_pictures(images)[shown], [view[shown].cpu() for view in views]
    save_contact_sheet(path, pixels, drawn, shape.mean, shape.std, session.display)


def shown_pictures(images: Tensor | Squeezed) -> NDArray[Any]:
    """Returns a batch's pictures (N, H, W, C), squeezed ones in their own shapes."""
    if not isinstance(images, Squeezed):
        return images.cpu().numpy()
    own = images.aspects[processes.rank() * len(images) :][: len(images)]
    return letterboxed(images.images.cpu().numpy(), own.numpy())


def sound_views(method: Method, images: Tensor | Squeezed) -> Views:
    """Returns a batch's views; raises SslcliError where they are none."""
    views = method.views_of(images)  # type: ignore[arg-type]
    for size in views_by_size(views):
        if _is_views(size, len(images)):
            continue
        what = f"shape {tuple(size.shape)}" if isinstance(size, Tensor) else type(size).__name__
        raise SslcliError(
            f"{type(method).__name__}.views returns {what} for {len(images)} pictures",
            "return a tensor (V·N, C, H, W) of V views, or a list of one for every size",
        )
    return views


def _is_views(size: object, num: int) -> bool:
    return isinstance(size, Tensor) and size.ndim == 4 and len(size) > 0 and len(size) % num == 0


def save_figures(session: Session, method: Method, records: Records) -> None:
    """Draws the curves, and what the method can show of what it learned."""
    figures, compute = session.figures, session.compute
    val = at_resolution(session.splits.val, method.preprocessing.resolution)
    normal = session.run.facts.get("derived", {}).get("normal_loss", {})
    save_curves(figures / "curves.png", records, normal)
    save_snapshots(figures / "snapshots.png", records, kept_snapshots(session.run.folder))
    if isinstance(method, Restorer):
        save_restorations(figures, method, val, compute, session.display)
    if isinstance(method.encoder, Attending):
        save_attention(figures / "attention.png", method, val, compute, session.display)
    if isinstance(method, Clusterer):
        save_prototypes(figures / "prototypes.png", method, val, compute, session.display)
