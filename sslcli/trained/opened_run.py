"""Opens runs in a notebook (`sslcli.open_run`, `sslcli.runs`): frames, figures, the encoder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from PIL import Image

from sslcli.errors import SslcliError
from sslcli.files import expanded
from sslcli.report.notebook import figures_html, run_html, runs_html
from sslcli.runs.figures import figures_of
from sslcli.runs.find import resolve_run
from sslcli.runs.listing import result_of, runs_having
from sslcli.runs.summary import Summary, summaries
from sslcli.text import as_word, printable, shell_path
from sslcli.trained import frames
from sslcli.trained.pretrained_encoder import PretrainedEncoder, load_encoder

if TYPE_CHECKING:
    import pandas as pd


class OpenedRun:
    """Gives what a run left behind, also while it runs: each access reads what is there then.

    Nothing is written. Frames need pandas; everything else does without.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def summary(self) -> Summary:
        """Returns the run's state, choices and final metrics."""
        return Summary.of(self.folder)

    @property
    def status(self) -> str:
        """Returns running, finished, failed, interrupted, died or damaged."""
        return self.summary.status

    @property
    def metrics(self) -> dict[str, float]:
        """Returns the final metrics; empty where the run is not finished."""
        return self.summary.metrics

    @property
    def config(self) -> pd.DataFrame:
        """Returns a row for every setting, with its `value`."""
        return frames.config_frame(self.summary)

    @property
    def records(self) -> pd.DataFrame:
        """Returns a row for every record: the loss of some steps, or an evaluation."""
        return frames.records_frame(self.folder)

    @property
    def evaluations(self) -> pd.DataFrame:
        """Returns a row for every later evaluation of the run's encoder."""
        return frames.evaluations_frame(self.folder)

    @property
    def results(self) -> pd.DataFrame:
        """Returns a row for everything that the run measured, of commands that evaluate."""
        return frames.results_frame(self.folder)

    @property
    def figures(self) -> Figures:
        """Returns the run's pictures by name, such as `views`."""
        return Figures(self.folder)

    @cached_property
    def encoder(self) -> PretrainedEncoder:
        """Returns the trained encoder; `sslcli.load_encoder(run.folder, at=…)` a snapshot."""
        return load_encoder(self.folder)

    def __repr__(self) -> str:
        return f"<run {printable(self.folder)}: {self.status}>"

    def _repr_html_(self) -> str:
        return run_html(self.summary)


class Figures(Mapping[str, Image.Image]):
    """Maps the names of a run's figures to the pictures, which are read when they are asked for."""

    def __init__(self, run: Path) -> None:
        self._run = run
        self.paths = {
            name.partition("/")[2].removesuffix(".png"): path
            for name, path in figures_of(run).items()
        }

    def __getitem__(self, name: str) -> Image.Image:
        if name not in self.paths:
            raise KeyError(f"{name!r}; there is {', '.join(self.paths) or 'no figure'}")
        try:
            with Image.open(self.paths[name]) as opened:
                picture: Image.Image = opened.copy()
                return picture
        except (OSError, ValueError, SyntaxError) as reason:
            raise SslcliError(
                f"{self.paths[name]} cannot be read: {reason}",
                f"sslcli report {shell_path(self._run)} shows the others",
            ) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self.paths)

    def __len__(self) -> int:
        return len(self.paths)

    def _repr_html_(self) -> str:
        return figures_html(self.paths)


class OpenedRuns(Sequence[OpenedRun]):
    """Holds runs as they were when they were listed, the newest first."""

    def __init__(self, runs: Sequence[Summary]) -> None:
        self._runs = list(runs)

    @property
    def frame(self) -> pd.DataFrame:
        """Returns a row for every run: its folder, state, choices and final metrics."""
        return frames.runs_frame(self._runs)

    @overload
    def __getitem__(self, index: int) -> OpenedRun: ...
    @overload
    def __getitem__(self, index: slice) -> OpenedRuns: ...
    def __getitem__(self, index: int | slice) -> OpenedRun | OpenedRuns:
        if isinstance(index, slice):
            return OpenedRuns(self._runs[index])
        return OpenedRun(self._runs[index].folder)

    def __len__(self) -> int:
        return len(self._runs)

    def __repr__(self) -> str:
        rows = (f"{run.folder}: {run.status} {result_of(run)}".rstrip() for run in self._runs)
        return "\n".join(map(printable, rows)) or "no runs"

    def _repr_html_(self) -> str:
        return runs_html(self._runs)


def open_run(run: str | Path = "last", outputs: str | Path = "outputs") -> OpenedRun:
    """Opens a run, in any state.

    `run`: a run's folder, the beginning of its name under `outputs`, or "last", the newest.
    Raises SslcliError where there is none or several have the name.
    """
    return OpenedRun(resolve_run(str(run), expanded(outputs)).absolute())


def list_runs(outputs: str | Path, wanted: Mapping[str, Any]) -> OpenedRuns:
    """Lists the runs under a folder that have all `wanted` values, as `sslcli runs` does.

    Raises SslcliError where there is no such folder, or no run has such a key.
    """
    folder = expanded(outputs).absolute()
    if not folder.is_dir():
        raise SslcliError(
            f"there is no folder {folder}",
            "name the folder of your runs: sslcli.runs('FOLDER')",
        )
    typed = [(key, as_word(value)) for key, value in wanted.items()]
    return OpenedRuns(runs_having(summaries(folder), typed))
