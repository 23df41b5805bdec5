"""Names the folders of what belongs to one epoch of a run. Imports no torch."""

from __future__ import annotations

import re
from pathlib import Path

FOLDER = "snapshots"
"""In the run's folder: a folder for every epoch whose encoder was kept."""


def name_of(epoch: int) -> str:
    """Returns the name of an epoch's folder, or the end of a name."""
    return f"epoch-{epoch}"


def snapshot_folder(run: Path, epoch: int) -> Path:
    """Returns the folder of the encoder that was kept after `epoch` epochs."""
    return run / FOLDER / name_of(epoch)


def epochs_with(folder: Path, file: str) -> list[int]:
    """Returns, ascending, the epochs whose folder below `folder` holds the file."""
    names = [path.parent.name for path in folder.glob(f"epoch-*/{file}")]
    return sorted(int(name[6:]) for name in names if re.fullmatch(r"epoch-[1-9]\d*", name))
