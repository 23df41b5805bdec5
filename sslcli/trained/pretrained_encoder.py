"""Loads a run's encoder with its preprocessing in Python (`sslcli.load_encoder`)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from sslcli.data.resize import centre_square
from sslcli.data.stored_picture import load_upright, to_grey_or_rgb
from sslcli.data.values import file_range, needs_conversion, to_unit
from sslcli.evaluation.features import feature_maps, features, require_fit
from sslcli.files import expanded
from sslcli.method import Preprocessing, as_pictures
from sslcli.nets.description import JSON
from sslcli.nets.encoder import Encoder
from sslcli.trained.encoder import load_trained
from sslcli.trained.encoder_files import read_encoder, resolve_encoder_run

Pictures = Sequence[Image.Image] | NDArray[Any]


class PretrainedEncoder(nn.Module):
    """Maps pictures to features in eval mode, with the encoder's preprocessing.

    `width` is D, the features' width.
    """

    def __init__(self, encoder: Encoder, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.encoder = encoder
        self.preprocessing = preprocessing
        self.width = encoder.width
        self.eval()

    def forward(self, pictures: Tensor) -> Tensor:
        """Maps preprocessed pictures (N, C, H, W) to features (N, D), with gradients."""
        result: Tensor = self.encoder(pictures)
        return result

    def preprocess(self, pictures: Pictures) -> Tensor:
        """Returns the input of `forward`, on the encoder's device.

        `pictures`: PIL pictures of any size and mode, of which 8 bits are taken; or an array
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
        mode = "L" if self.preprocessing.channels == 1 else "RGB"
        size = self.preprocessing.resolution
        arrays: list[Any] = []
        for picture in pictures:
            upright = load_upright(picture)
            arrays.append(np.asarray(centre_square(to_grey_or_rgb(upright), size).convert(mode)))
        return np.stack(arrays).reshape(len(arrays), size, size, -1)


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
    return PretrainedEncoder(load_trained(files), files.preprocessing)
