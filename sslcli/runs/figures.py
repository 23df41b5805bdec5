"""Lists the pictures that a run drew. Imports no torch."""

from __future__ import annotations

import os
from pathlib import Path

FOLDER = "figures"


def figures_of(run: Path) -> dict[str, Path]:
    """Returns the PNG files of figures/ by their path below the run's folder.

    Left out are files that a link leads to out of figures/, and names that are no text.
    """
    inside = os.path.realpath(run / FOLDER)
    named = {path.relative_to(run).as_posix(): path for path in run.glob(f"{FOLDER}/**/*.png")}
    return {
        name: path
        for name, path in sorted(named.items())
        if name.isprintable()
        and path.is_file()
        and Path(os.path.realpath(path)).is_relative_to(inside)
    }
