"""Defines formats that hold the computation of features. Imports no torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sslcli.tools.export.format import Features, Format, random_pictures, with_normalization
from sslcli.trained.encoder_files import EncoderFiles

if TYPE_CHECKING:
    from torch import Tensor

    from sslcli.nets.encoder import Encoder


class Onnx(Format):
    """Stores a graph for readers of ONNX such as onnxruntime; it normalises inside."""

    holds = (
        "a graph with its weights: `pictures` (N, C, H, W), float32 in [0, 1], N free "
        "-> `features` (N, D)"
    )
    packages = ("onnx", "onnxscript", "onnxruntime")
    tolerance = 1e-4

    def files(self, source: EncoderFiles) -> list[str]:
        return ["encoder.onnx"]

    def write(self, source: EncoderFiles, encoder: Encoder, folder: Path) -> None:
        import torch

        path = folder / self.files(source)[0]
        torch.onnx.export(
            with_normalization(source, encoder), (_example(source),), path,
            input_names=["pictures"], output_names=["features"], dynamic_shapes=_free_batch(),
            dynamo=True, external_data=False, verbose=False,
        )  # fmt: skip

    def read(self, source: EncoderFiles, folder: Path) -> Features:
        import onnxruntime
        import torch

        session = onnxruntime.InferenceSession(
            folder / self.files(source)[0], providers=["CPUExecutionProvider"]
        )
        return lambda pictures: torch.from_numpy(
            session.run(["features"], {"pictures": pictures.numpy()})[0]
        )

    def snippet(self, source: EncoderFiles) -> str:
        shape = source.preprocessing
        sizes = f"2, {shape.channels}, {shape.resolution}, {shape.resolution}"
        return (
            "import numpy as np\nimport onnxruntime\n\n"
            'session = onnxruntime.InferenceSession("encoder.onnx", '
            'providers=["CPUExecutionProvider"])\n'
            f"pictures = np.random.rand({sizes}).astype(np.float32)  # in [0, 1]\n"
            '(features,) = session.run(["features"], {"pictures": pictures})\n'
        )


class TorchScript(Format):
    """Stores a program of torch.export, which loads without sslcli.

    Differs: it is no TorchScript. torch 2.15 warns that torch.jit.trace, save and load are
    deprecated and may break from Python 3.14 on, and recommends torch.export in their place.
    """

    holds = (
        "torch.export's program with its weights: pictures (N, C, H, W), float32 in [0, 1], "
        "N free -> features (N, D). torch recommends it in place of TorchScript, "
        "which it has deprecated"
    )
    note = (
        "torch has deprecated TorchScript: a program of torch.export (.pt2), which torch "
        "recommends in its place, is written"
    )

    def files(self, source: EncoderFiles) -> list[str]:
        return ["encoder.pt2"]

    def write(self, source: EncoderFiles, encoder: Encoder, folder: Path) -> None:
        import torch

        program = torch.export.export(
            with_normalization(source, encoder), (_example(source),), dynamic_shapes=_free_batch()
        )
        torch.export.save(program, folder / self.files(source)[0])

    def read(self, source: EncoderFiles, folder: Path) -> Features:
        import torch

        return torch.export.load(folder / self.files(source)[0]).module()

    def snippet(self, source: EncoderFiles) -> str:
        return (
            'import torch\n\nencoder = torch.export.load("encoder.pt2").module()\n'
            f"{random_pictures(source)}"
            "with torch.no_grad():\n    features = encoder(pictures)\n"
        )


def _example(source: EncoderFiles) -> Tensor:
    """Returns two pictures: torch.export would take a batch of one for a constant."""
    import torch

    shape = source.preprocessing
    return torch.zeros(2, shape.channels, shape.resolution, shape.resolution)


def _free_batch() -> dict[str, Any]:
    from torch.export import Dim

    return {"pictures": {0: Dim("batch", min=1)}}
