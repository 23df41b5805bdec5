"""Shards of small pictures, as WebDataset writes them."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

RNG = np.random.default_rng(0)


def picture(kind: str = "JPEG") -> bytes:
    encoded = io.BytesIO()
    Image.fromarray(RNG.integers(0, 256, (12, 16, 3), dtype=np.uint8)).save(encoded, kind)
    return encoded.getvalue()


def sample(key: str, label: str | None = None, **more: Any) -> dict[str, bytes]:
    """A sample's members by name; of `more`, what is no bytes is written as JSON."""
    members = {f"{key}.jpg": picture()}
    if label is not None:
        members[f"{key}.cls"] = label.encode()
    for ending, content in more.items():
        name = f"{key}.{ending.replace('_', '.')}"
        members[name] = content if isinstance(content, bytes) else json.dumps(content).encode()
    return members


def write_shard(path: Path, samples: Sequence[Mapping[str, bytes]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for members in samples:
            for name, content in members.items():
                info = tarfile.TarInfo(name)
                info.size, info.mtime = len(content), 1.5  # type: ignore[assignment]
                tar.addfile(info, io.BytesIO(content))
    return path
