"""Decodes a file of codes to pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from sslcli.data.picture_file import PictureFile
from sslcli.data.resize import box_in_square
from sslcli.data.shape import Shape
from sslcli.engine.runtime_config import DeviceChoice
from sslcli.errors import SslcliError
from sslcli.evaluation.restoration_monitor import as_images
from sslcli.text import shell_path
from sslcli.trained.code_file import CodeFile, Origin, Picture
from sslcli.trained.coder import Coder, load_coder


def decode(
    run: Path,
    path: Path,
    codes: CodeFile,
    targets: Sequence[Path],
    device: DeviceChoice,
    scaled: bool,
) -> None:
    """Writes every picture to its target; `scaled`: as large as it was.

    Raises SslcliError, before any is written, where another run made the codes.
    """
    coder = load_coder(run, device)
    _require_own(coder, run, path, codes.origin)
    given = torch.from_numpy(codes.codes).view(-1, *coder.code_shape)
    for row, (picture, target) in enumerate(zip(codes.pictures, targets, strict=True)):
        pixels = _stored(coder.decode(given[row : row + 1]), codes.origin)
        if scaled:
            pixels = _at_size(pixels, picture, codes.origin)
        target.parent.mkdir(parents=True, exist_ok=True)
        PictureFile(pixels, None, None, None, "").save(target, pixels)


def _require_own(coder: Coder, run: Path, path: Path, origin: Origin) -> None:
    own = (coder.weights(), coder.code_shape, coder.picture_shape)
    if own == (origin.weights, origin.code_shape, origin.picture_shape):
        return
    message = (
        f"{path} holds codes of the run {origin.run} ({origin.method}, weights {origin.weights}), "
        f"and the weights of {run} are {own[0]}: its pictures would mean nothing"
    )
    raise SslcliError(
        message, f"sslcli decode {shell_path(origin.run)} {shell_path(path)} --to FOLDER"
    )


def _stored(decoded: torch.Tensor, origin: Origin) -> NDArray[Any]:
    """Returns one decoded picture (1, C, H, W) as pixels (H, W, C) of the run's values."""
    if origin.range is None:
        pixels: NDArray[Any] = as_images(decoded)[0]
        return pixels
    low, high = origin.range
    unit: NDArray[np.float64] = decoded[0].permute(1, 2, 0).double().numpy()
    values: NDArray[np.float64] = unit * (high - low) + low
    return values.astype(np.float32)


def _at_size(pixels: NDArray[Any], picture: Picture, origin: Origin) -> NDArray[Any]:
    """Returns the picture as large as it was; of one that was cut, the square that was kept."""
    side = pixels.shape[0]
    if origin.shape == Shape.pad.name:
        left, top, width, height = box_in_square(picture.width, picture.height, side)
        pixels = pixels[top : top + height, left : left + width]
        size = (picture.width, picture.height)
    else:
        size = (min(picture.width, picture.height),) * 2
    if pixels.shape[:2] == size[::-1]:
        return pixels
    planes = [
        np.asarray(_as_image(plane).resize(size, Image.Resampling.BICUBIC))
        for plane in np.moveaxis(pixels, 2, 0)
    ]
    whole: NDArray[Any] = np.stack(planes, axis=2)
    return whole


def _as_image(plane: NDArray[Any]) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(plane))
