"""Writes and reads diagnostics.json, which describes a run's features."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from sslcli.errors import SslcliError
from sslcli.runs.snapshots import epochs_with, name_of
from sslcli.text import shell_line, shell_path

T = TypeVar("T")

FOLDER = "diagnostics"
"""In the run's folder: the file and its figure."""
FILE = "diagnostics.json"


@dataclass(frozen=True)
class FeatureScores:
    """The scores of N features of width D; see evaluation/diagnostics.py.

    Raises ValueError where a field holds another type than it says.
    """

    feature_std: float
    effective_rank: float
    uniformity: float
    dead_dimensions: float
    spectrum: list[float]
    dimension_std: list[float]

    def __post_init__(self) -> None:
        _require_finite(self.numbers().values())
        _require_finite([*self.spectrum, *self.dimension_std])

    @property
    def width(self) -> int:
        """D, the number of dimensions."""
        return len(self.dimension_std)

    def numbers(self) -> dict[str, float]:
        """Returns the scores that are one number."""
        return {
            "feature_std": self.feature_std,
            "effective_rank": self.effective_rank,
            "uniformity": self.uniformity,
            "dead_dimensions": self.dead_dimensions,
        }


@dataclass(frozen=True)
class ViewScores:
    """Holds the scores of several views of each picture."""

    alignment: float
    separation: float
    lidar: float
    views: dict[str, int]
    """`pictures`: their number; `of_each`: the number of views of a picture."""

    def __post_init__(self) -> None:
        _require_finite([*self.numbers().values(), self.views["pictures"], self.views["of_each"]])

    def numbers(self) -> dict[str, float]:
        """Returns the scores that are one number."""
        return {
            "alignment": self.alignment,
            "separation": self.separation,
            "lidar": self.lidar,
        }


@dataclass(frozen=True)
class Diagnostics:
    """All that `diagnose` measured of a run."""

    run: str
    """The run's folder."""
    scores: FeatureScores
    of_views: ViewScores | None
    """None where the method makes no two views of a picture."""
    warnings: list[str]
    protocol: dict[str, str]
    """How every score was measured, in words."""
    epoch: int | None = None
    """Of the snapshot that was measured; None: of the finished encoder."""

    def numbers(self) -> dict[str, float]:
        """Returns every score that is one number."""
        return {
            **self.scores.numbers(),
            **({} if self.of_views is None else self.of_views.numbers()),
        }


def write_diagnostics(folder: Path, found: Diagnostics) -> None:
    """Writes diagnostics.json into `folder`, as strict JSON, all scores side by side."""
    content = {
        "run": found.run,
        **({} if found.epoch is None else {"epoch": found.epoch}),
        **asdict(found.scores),
        **({} if found.of_views is None else asdict(found.of_views)),
        "words": found.warnings,
        "protocol": found.protocol,
    }
    text = json.dumps(content, indent=2, allow_nan=False) + "\n"
    (folder / FILE).write_text(text, encoding="utf-8")


def diagnostics_folder(run: Path, epoch: int | None) -> Path:
    """Returns the folder of the diagnostics of a run's encoder, or of a snapshot."""
    return run / FOLDER if epoch is None else run / FOLDER / name_of(epoch)


def diagnosed(run: Path) -> list[int]:
    """Returns, ascending, the epochs whose snapshots were measured."""
    return epochs_with(run / FOLDER, FILE)


def read_diagnostics(run: Path, epoch: int | None = None) -> Diagnostics | None:
    """Returns what was measured of the run's features; None where nothing was.

    `epoch`: of the snapshot after it. Raises SslcliError where the file is damaged.
    """
    path = diagnostics_folder(run, epoch) / FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return Diagnostics(
            run=str(content["run"]),
            scores=_some_of(content, FeatureScores),
            of_views=_some_of(content, ViewScores) if "views" in content else None,
            warnings=[str(word) for word in content["words"]],
            protocol={name: str(text) for name, text in content["protocol"].items()},
            epoch=epoch,
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as reason:
        message = f"{path} cannot be read: {reason!r}"
        at = [] if epoch is None else ["--at", str(epoch)]
        again = f"sslcli diagnose {shell_path(run)} {shell_line(at)}".rstrip()
        raise SslcliError(message, f"measure it again: {again}") from None


def _some_of(content: dict[str, Any], cls: type[T]) -> T:
    """Returns the dataclass of those entries that it names."""
    return cls(**{field.name: content[field.name] for field in fields(cls)})  # type: ignore[arg-type]


def _require_finite(values: Iterable[object]) -> None:
    for value in values:
        if not isinstance(value, (int, float)) or not math.isfinite(value):
            raise ValueError(f"a finite number expected, not {value!r}")
