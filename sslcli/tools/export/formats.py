"""Lists the formats that an encoder can be exported to. Imports no torch."""

from __future__ import annotations

from importlib.util import find_spec

from sslcli.errors import SslcliError
from sslcli.tools.export.format import Format
from sslcli.tools.export.hub import HuggingFace
from sslcli.tools.export.programs import Onnx, TorchScript
from sslcli.tools.export.weights import Safetensors, Timm, Torchvision
from sslcli.trained.encoder_files import EncoderFiles

FORMATS: dict[str, Format] = {
    "safetensors": Safetensors(),
    "torchvision": Torchvision(),
    "timm": Timm(),
    "huggingface": HuggingFace(),
    "onnx": Onnx(),
    "torchscript": TorchScript(),
}


def require_format(name: str, source: EncoderFiles) -> Format:
    """Returns the format of that name.

    Raises SslcliError where it cannot hold the encoder, or packages are missing.
    """
    chosen = FORMATS[name]
    reason = chosen.misfit(source)
    if reason is not None:
        able = [other for other, one in FORMATS.items() if one.misfit(source) is None]
        message = f"--to {name} does not fit the encoder of {source.folder}: {reason}"
        raise SslcliError(message, f"choose --to {', '.join(able[:-1])} or {able[-1]}")
    missing = [package for package in chosen.packages if find_spec(package) is None]
    if missing:
        message = f"--to {name} needs what is not installed: {', '.join(missing)}"
        raise SslcliError(message, f"pip install 'sslcli[{chosen.extra}]'")
    return chosen
