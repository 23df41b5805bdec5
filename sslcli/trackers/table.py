"""Maps the names of trackers to their classes.

An installed package adds its own by an entry point:

[project.entry-points."sslcli.trackers"]
mine = "my_package.mine:MyTracker"
"""

from __future__ import annotations

from collections.abc import Sequence

from sslcli.choices import Choices
from sslcli.errors import SslcliError, unknown
from sslcli.trackers.mlflow import MLflow
from sslcli.trackers.tensorboard import TensorBoard
from sslcli.trackers.tracker import Tracker
from sslcli.trackers.trackio import Trackio
from sslcli.trackers.wandb import WeightsAndBiases

TRACKERS: Choices[Tracker] = Choices(
    "tracker",
    Tracker,  # type: ignore[type-abstract]
    {
        "tensorboard": TensorBoard,
        "mlflow": MLflow,
        "wandb": WeightsAndBiases,
        "trackio": Trackio,
    },
    "sslcli.trackers",
)


def require_trackers(names: Sequence[str]) -> None:
    """Raises SslcliError for a tracker that is unknown, named twice, or not installed."""
    for name in names:
        if name not in TRACKERS:
            raise unknown("tracker", name, list(TRACKERS))
        if names.count(name) > 1:
            raise SslcliError(f"runtime.trackers names {name} twice", "name it once")
        TRACKERS[name].require(name)
