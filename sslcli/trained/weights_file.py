"""Reads tensors from files of any origin. No code of the file is run."""

from __future__ import annotations

import contextlib
import json
import math
import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from sslcli.errors import SslcliError
from sslcli.nets.description import JSON
from sslcli.nets.weight_names import Tensors
from sslcli.text import first_line, shell_path

NAMES = ("model.safetensors", "pytorch_model.bin")
"""What a model's folder of Hugging Face holds; the first that is there is read."""
DEEPEST = 8
"""Levels of dictionaries in a checkpoint."""


class Normalization(NamedTuple):
    """Holds the mean and deviation of what a network was fed, by channel, and who says so."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    source: str


def weights_path(path: Path) -> Path:
    """Returns the file itself, or the one of a model's folder.

    Raises SslcliError where the folder holds none.
    """
    if path.is_file():
        return path
    found = [path / name for name in NAMES if (path / name).is_file()]
    if not found:
        message = f"encoder.weights: the folder {path} holds no {' and no '.join(NAMES)}"
        raise SslcliError(message, "name the file of weights itself, or a run's folder")
    return found[0]


def read_tables(path: Path) -> dict[str, Tensors]:
    """Returns the tensors of each dictionary in the file, by its path in the file.

    Raises SslcliError where the file is damaged, holds no tensors, or objects that are not read.
    """
    tables: dict[str, Tensors] = {}
    _collect(_content(path), "", tables, 0)
    if not tables:
        fix = "name a file that holds tensors by name, as torch.save(model.state_dict()) writes"
        raise SslcliError(f"encoder.weights: {path} holds no tensors by name", fix)
    return tables


def _content(path: Path) -> Any:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        if path.suffix == ".npz":
            return _arrays(path)
        with _harmless_namespaces():
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as reason:
        found = re.search(r"GLOBAL (\S+)", str(reason))
        if found is None:  # no pickle at all, as a server's page of an error
            raise _unreadable(path, reason) from None
        raise _holds_code(path, found[1]) from None
    except (
        SafetensorError, RuntimeError, EOFError, ValueError, LookupError, TypeError, OSError,
        AttributeError, zipfile.BadZipFile,
    ) as reason:  # fmt: skip
        raise _unreadable(path, reason) from None


def _arrays(path: Path) -> Tensors:
    # Opened here, because numpy leaves open what it cannot read.
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        return {name: torch.from_numpy(arrays[name]) for name in arrays.files}


def _harmless_namespaces() -> Any:
    """Lets a checkpoint hold the arguments of its training, as DINO's do, as plain values."""
    safe = getattr(torch.serialization, "safe_globals", None)
    if safe is None:
        return contextlib.nullcontext()
    return safe([(SimpleNamespace, "argparse.Namespace")])


def _holds_code(path: Path, what: str) -> SslcliError:
    message = f"encoder.weights: {path} holds more than tensors ({what}), which could run code"
    fix = (
        "where you trust it, write its tensors alone: torch.save(torch.load('old.pth', "
        "weights_only=False)['state_dict'], 'weights.pth')"
    )
    return SslcliError(message, fix)


def _unreadable(path: Path, reason: Exception) -> SslcliError:
    said = (
        first_line(reason, 80) if not isinstance(reason, pickle.UnpicklingError) else "no tensors"
    )
    message = f"encoder.weights: {path} cannot be read: {said}"
    size = f"it has {path.stat().st_size:,} bytes" if path.exists() else "it is gone"
    return SslcliError(message, f"fetch it again, it may be cut off: {size}")


def _collect(content: Any, path: str, tables: dict[str, Tensors], depth: int) -> None:
    """Gathers the tensors of each dictionary; an optimizer's are no weights."""
    if not isinstance(content, Mapping) or depth > DEEPEST or "optim" in path:
        return
    tensors = {
        name: value.detach()
        for name, value in content.items()
        if isinstance(name, str) and isinstance(value, Tensor) and value.layout is torch.strided
    }
    if tensors:
        tables[path] = tensors
    for name, value in content.items():
        _collect(value, f"{path}/{name}".lstrip("/"), tables, depth + 1)


def noted_normalization(path: Path) -> Normalization | None:
    """Returns what a file beside the weights says that the network was fed.

    That is an encoder.json of sslcli's, or Hugging Face's preprocessor_config.json or config.json.
    """
    for name, keys in (
        (JSON, ("mean", "std")),
        ("preprocessor_config.json", ("image_mean", "image_std")),
        ("config.json", ("mean", "std")),
    ):
        beside = path.parent / name
        if not beside.is_file():
            continue
        noted = _noted(beside)
        inside = noted.get("pretrained_cfg", noted) if name == "config.json" else noted
        values = [inside.get(key) if isinstance(inside, dict) else None for key in keys]
        if values[0] is not None and values[1] is not None:
            mean, std = (_numbers(beside, value) for value in values)
            return Normalization(mean, std, f"{name} beside it says so")
    return None


def noted_labels(path: Path) -> int:
    """Returns the number of labels that encoder.json says the weights learned from."""
    beside = path.parent / JSON
    labels = _noted(beside).get("labels", 0) if beside.is_file() else 0
    return labels if isinstance(labels, int) else 0


def _noted(path: Path) -> dict[str, Any]:
    try:
        noted = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        noted = None
    if not isinstance(noted, dict):
        fix = f"restore it, or move the weights away from it: {shell_path(path.parent)}"
        raise SslcliError(f"encoder.weights: {path} is damaged", fix)
    return noted


def _numbers(path: Path, values: Any) -> tuple[float, ...]:
    good = isinstance(values, list) and all(
        isinstance(value, int | float) and math.isfinite(value) for value in values
    )
    if not good:
        message = f"encoder.weights: {path} gives {values!r} for mean or deviation"
        raise SslcliError(message, "correct it, or move the weights to a folder without it")
    return tuple(map(float, values))
