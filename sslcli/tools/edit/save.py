"""Writes the frames of an edited picture: one, several, a strip or a film."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sslcli.data.picture_file import PictureFile, format_of, suffix_that_holds
from sslcli.errors import SslcliError
from sslcli.files import replacing
from sslcli.tools.edit.wish import Form, Wish
from sslcli.tools.restore.pictures import Job

Pixels = NDArray[Any]
"""(H, W, c)."""
MILLISECONDS = 80
"""Time that a film shows each frame; the ends stay longer."""
AT_AN_END = 600


def suffix_of(form: Form, source: Path) -> str:
    """Returns how the name of what is written ends; empty for a folder."""
    return {Form.animation: ".webp", Form.pictures: ""}.get(form, suffix_that_holds(source))


def targets_of(job: Job, wish: Wish) -> list[Path]:
    """Returns the files that are written for a picture. Raises SslcliError for a wrong suffix."""
    if wish.form is Form.pictures:
        suffix = suffix_that_holds(job.source)
        return [job.target / f"{frame:03}{suffix}" for frame in range(wish.frames)]
    if wish.form is Form.animation and format_of(job.target) != "WEBP":
        raise SslcliError(f"{job.target}: an animation is a .webp", "end the name of it in .webp")
    return [job.target]


def require_savable(picture: PictureFile, targets: list[Path], form: Form) -> None:
    """Raises SslcliError where a format would not hold what is written."""
    if form is Form.animation and picture.pixels.dtype != np.uint8:
        message = f"an animation holds 8 bits a channel, the picture has {picture.pixels.dtype}"
        raise SslcliError(message, "write --as pictures or --as strip")
    if form is Form.animation and picture.pixels.shape[2] not in (1, 3):
        message = (
            f"an animation is grey or coloured, the picture has {picture.pixels.shape[2]} channels"
        )
        raise SslcliError(message, "write --as pictures or --as strip")
    picture.require_savable(targets[0])


def save_frames(
    picture: PictureFile, frames: list[Pixels], targets: list[Path], form: Form
) -> None:
    """Writes the frames with the picture's alpha, colour profile and EXIF; each file whole."""
    targets[0].parent.mkdir(parents=True, exist_ok=True)
    if form is Form.animation:
        _save_film(picture, frames, targets[0])
        return
    if form is Form.strip:
        alpha = None if picture.alpha is None else np.tile(picture.alpha, (1, len(frames)))
        frames = [np.concatenate(frames, axis=1)]
        picture = replace(picture, pixels=frames[0], alpha=alpha)
    for target, pixels in zip(targets, frames, strict=True):
        picture.save(target, pixels)


def _save_film(picture: PictureFile, frames: list[Pixels], target: Path) -> None:
    """Writes there and back again, without loss, for ever."""
    images = [_image(picture, pixels) for pixels in frames]
    shown = [*images, *images[-2:0:-1]]
    times = [MILLISECONDS] * len(shown)
    times[0] = times[len(images) - 1] = AT_AN_END
    kept = {"icc_profile": picture.icc_profile, "exif": picture.exif}
    options: dict[str, Any] = {key: value for key, value in kept.items() if value is not None}
    encoded = io.BytesIO()
    try:
        shown[0].save(
            encoded, "WEBP", save_all=True, append_images=shown[1:], duration=times, loop=0,
            lossless=True, exact=True, **options,
        )  # fmt: skip
    except (OSError, ValueError) as reason:
        message = f"{target} cannot be written as an animation: {reason}"
        raise SslcliError(message, "write --as strip or --as pictures") from None
    with replacing(target, durable=False) as temporary:
        temporary.write_bytes(encoded.getbuffer())


def _image(picture: PictureFile, pixels: Pixels) -> Image.Image:
    colours = pixels.repeat(3, axis=2) if pixels.shape[2] == 1 else pixels
    channels = colours if picture.alpha is None else np.dstack([colours, picture.alpha])
    return Image.fromarray(channels)
