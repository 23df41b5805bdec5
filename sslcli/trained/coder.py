"""Turns pictures into a run's codes, and codes into pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from sslcli.abilities import Decoding
from sslcli.data.images import Pixels
from sslcli.engine.device import Compute
from sslcli.engine.runtime_config import DeviceChoice, Precision, RuntimeConfig
from sslcli.evaluation.features import eval_mode, finite, require_fit
from sslcli.method import Method, as_pictures
from sslcli.nets.frozen import weights_hash
from sslcli.trained.able_runs import DECODES, unable
from sslcli.trained.stack import read_decoding

BATCH = 128


@dataclass(frozen=True)
class Coder:
    """Encodes and decodes by a method, which is a `Decoding`, in eval mode and float32.

    Pictures are (N, C, H, W) in [0, 1] at its resolution, codes (N, *code_shape); both come back
    on the CPU.
    """

    method: Method
    device: torch.device

    @property
    def code_shape(self) -> tuple[int, ...]:
        """Returns the shape of one picture's code."""
        return tuple(self.method.encoder.code_shape)

    @property
    def picture_shape(self) -> tuple[int, int, int]:
        """Returns (C, H, W) of what is encoded and decoded."""
        shape = self.method.preprocessing
        return shape.channels, shape.resolution, shape.resolution

    def weights(self) -> str:
        """Returns 16 hex digits that change with any weight: whose codes they are."""
        parts = nn.ModuleDict(self.method.modules())
        return bytes(weights_hash(parts).tolist()).hex()[:16]

    def encode(self, pictures: Tensor) -> Tensor:
        """Maps pictures to codes; raises RunFailed where these are not finite."""
        assert pictures.shape[1:] == self.picture_shape, tuple(pictures.shape)
        batches = [self._code(pictures[rows].to(self.device)) for rows in _batches(len(pictures))]
        return self._whole(batches, self.code_shape)

    def encode_images(self, images: Pixels) -> Tensor:
        """Maps stored images (N, H, W, C) to codes, as `encode`.

        Raises SslcliError where they have another size or other channels.
        """
        require_fit(images, self.method.preprocessing)
        batches = [
            self._code(as_pictures(torch.tensor(images[rows]).to(self.device)))
            for rows in _batches(len(images))
        ]
        return self._whole(batches, self.code_shape)

    def decode(self, codes: Tensor) -> Tensor:
        """Maps codes to pictures in [0, 1]."""
        assert codes.shape[1:] == self.code_shape, tuple(codes.shape)
        assert isinstance(self.method, Decoding)
        batches = []
        with torch.no_grad(), eval_mode(nn.ModuleDict(self.method.modules())):
            for rows in _batches(len(codes)):
                decoded = self.method.decode(codes[rows].to(self.device, torch.float32))
                batches.append(decoded.float().clamp(0, 1).cpu())
        return self._whole(batches, self.picture_shape)

    def _code(self, pictures: Tensor) -> Tensor:
        fed = self.method.preprocessing.normalized(pictures)
        encoder = self.method.encoder
        with torch.no_grad(), eval_mode(encoder):
            code = encoder.code(fed.contiguous(memory_format=torch.channels_last)).float()
        return finite(code.flatten(1)).view(code.shape).cpu()

    @staticmethod
    def _whole(batches: list[Tensor], shape: tuple[int, ...]) -> Tensor:
        return torch.cat(batches) if batches else torch.empty(0, *shape)


def _batches(num: int) -> list[slice]:
    return [slice(start, start + BATCH) for start in range(0, num, BATCH)]


def load_coder(run: Path, device: DeviceChoice = DeviceChoice.cpu) -> Coder:
    """Returns the coder of a run, which `resolve_able_run(…, DECODES)` finds.

    Raises SslcliError where its method decodes no codes, or its files are damaged.
    """
    method = read_decoding(run)
    if not isinstance(method, Decoding):
        raise unable(run, f"holds a {type(method).__name__}", DECODES)
    compute = Compute.choose(RuntimeConfig(device=device, precision=Precision.fp32))
    for module in method.modules().values():
        compute.to_device(module)
    return Coder(method, compute.device)
