"""Self-supervised learning on images, from the command line.

In a notebook: `sslcli.open_run("last")`, `sslcli.runs(method="simclr")`,
`sslcli.load_encoder(run)`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from sslcli import runs as runs
from sslcli import trained
from sslcli.lazy import exports

if TYPE_CHECKING:
    from sslcli.trained.opened_run import OpenedRun, OpenedRuns, open_run
    from sslcli.trained.pretrained_encoder import PretrainedEncoder, load_encoder

__all__ = ["OpenedRun", "OpenedRuns", "PretrainedEncoder", "load_encoder", "open_run", "runs"]

HOME = {
    "OpenedRun": "trained.opened_run",
    "OpenedRuns": "trained.opened_run",
    "PretrainedEncoder": "trained.pretrained_encoder",
    "load_encoder": "trained.pretrained_encoder",
    "open_run": "trained.opened_run",
}

__getattr__ = exports(__name__, HOME)


class _Runs(ModuleType):
    """The room `sslcli.runs`, which lists runs where it is called."""

    def __call__(self, outputs: str | Path = "outputs", /, **wanted: Any) -> OpenedRuns:
        """Lists the runs under a folder, the newest first.

        `wanted`: values that they must have, of run.json (`status="finished"`), choices
        (`method="simclr"`) or settings (`**{"method.temperature": 0.2}`). Raises SslcliError where
        there is no such folder, or no run has such a key.
        """
        return trained.list_runs(outputs, wanted)


sys.modules["sslcli.runs"].__class__ = _Runs
