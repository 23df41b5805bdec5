"""Loads a run's encoder with its preprocessing in Python (`sslcli.load_encoder`)."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from sslcli.data.resize import MIDDLE, Framing, resized
from sslcli.data.stored_picture import load_upright, to_grey_or_rgb
from sslcli.data.values import file_range, is_whole, needs_conversion, to_unit
from sslcli.errors import SslcliError
from sslcli.evaluation.features import feature_maps, features, require_fit
from sslcli.files import expanded
from sslcli.method import Preprocessing, as_pictures
from sslcli.nets.description import JSON
from sslcli.nets.encoder import Encoder
from sslcli.trained.encoder import load_trained
from sslcli.trained.encoder_files import EncoderFiles, read_encoder, resolve_encoder_run
from sslcli.trained.picture_reader import framing_of

DEEP_MODES = ("I", "F")
"""How PIL's modes of more than 8 bits begin."""
Pictures = Sequence[Image.Image] | NDArray[Any]


class PretrainedEncoder(nn.Module):
    """Maps pictures to features in eval mode, with the encoder's preprocessing.

    `width` is D, the features' width. `framing` makes PIL pictures square, as the run did;
    None: nobody knows, and they must be square.
    """

    def __init__(
        self, encoder: Encoder, preprocessing: Preprocessing, framing: Framing | None = MIDDLE
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.preprocessing = preprocessing
        self.framing = framing
        self.width = encoder.width
        self.eval()

    def forward(self, pictures: Tensor) -> Tensor:
        """Maps preprocessed pictures (N, C, H, W) to features (N, D), with gradients."""
        result: Tensor = self.encoder(pictures)
        return result

    def preprocess(self, pictures: Pictures) -> Tensor:
        """Returns the input of `forward`, on the encoder's device.

        `pictures`: PIL pictures of any size and mode, of which 8 bits are taken (where the run had
        a `data.range`, only pictures of 8 bits, whose values it is applied to); or an array
        (N, H, W, C) of the encoder's size, of files' values: uint8, uint16, floats in [0, 1], or
        any numbers where the run had a `data.range`. Raises SslcliError for values without meaning.
        """
        images = as_pictures(torch.from_numpy(self._images(pictures)))
        return self.preprocessing.normalized(images).to(next(self.encoder.parameters()).device)

    def features(self, pictures: Pictures) -> Tensor:
        """Returns features (N, D) of pictures, like `preprocess`, without gradients."""
        device = next(self.encoder.parameters()).device
        return features(self.encoder, self._images(pictures), self.preprocessing, device)

    def patches(self, pictures: Pictures) -> Tensor:
        """Returns what each place of the pictures holds, (N, D, h, w), without gradients.

        Of a ViT its patches' tokens, of a convnet the feature maps before pooling; D is theirs.
        `pictures`: like `preprocess`. Raises SslcliError where the encoder knows no places.
        """
        device = next(self.encoder.parameters()).device
        return feature_maps(self.encoder, self._images(pictures), self.preprocessing, device)

    def _images(self, pictures: Pictures) -> NDArray[Any]:
        if isinstance(pictures, np.ndarray):
            require_fit(pictures, self.preprocessing)
            ends = file_range(pictures, self.preprocessing.range)
            means_that = not needs_conversion(pictures.dtype, ends) and pictures.dtype.isnative
            return pictures if means_that else to_unit(pictures, ends)
        return np.stack([self._square(picture) for picture in pictures])

    def _square(self, picture: Image.Image) -> NDArray[Any]:
        """Returns a picture as the run's files were stored: (R, R, C), uint8 or in [0, 1]."""
        mode = "L" if self.preprocessing.channels == 1 else "RGB"
        size, range_ = self.preprocessing.resolution, self.preprocessing.range
        if self.framing is None and picture.width != picture.height:
            message = "the config that says how the run made pictures square cannot be read"
            raise SslcliError(
                message, "give square pictures, or put the run that it began with back"
            )
        framing = self.framing or MIDDLE
        if range_ is None or is_whole(range_):
            square = framing(to_grey_or_rgb(load_upright(picture)), size)
            return np.asarray(square.convert(mode)).reshape(size, size, -1)
        if picture.mode.startswith(DEEP_MODES):
            low, high = range_
            message = f"the run has data.range=[{low:g},{high:g}], and PIL's mode {picture.mode}"
            message += " is read as 8 bits"
            raise SslcliError(message, "give an array (N, H, W, C) of the pictures' own values")
        pixels = np.asarray(to_grey_or_rgb(load_upright(picture)).convert(mode))
        unit = to_unit(pixels.reshape(*pixels.shape[:2], -1), range_)
        return resized(unit, size, framing)


def load_encoder(
    run: str | Path, outputs: str | Path = "outputs", at: int | None = None
) -> PretrainedEncoder:
    """Returns the trained encoder of a run.

    `run`: a run's folder, the beginning of its name under `outputs`, "last", or a folder that
    `sslcli export --to safetensors` wrote. `at`: the epoch of a snapshot of the run.
    Raises SslcliError where there is no such run, or the encoder's files are damaged.
    """
    folder = expanded(run)
    if not (folder / JSON).exists():
        folder = resolve_encoder_run(str(run), outputs)
    files = read_encoder(folder, at)
    return PretrainedEncoder(load_trained(files), files.preprocessing, _known_framing(files))


def _known_framing(files: EncoderFiles) -> Framing | None:
    """Returns how pictures were made square; None where the config of the data is gone.

    An export has none: its pictures are cut to their middle. A snapshot's is the run's.
    """
    runs = (files.folder, files.folder.parent.parent)
    run = next((folder for folder in runs if (folder / "config.yaml").exists()), None)
    if run is None:
        return MIDDLE
    with suppress(SslcliError):
        return framing_of(replace(files, folder=run))
    return None
