"""What every training begins with: the device, the data checked against the run's, and both written down."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sslcli.commands.same_data import require_same_data
from sslcli.data.config import DataConfig
from sslcli.data.images import Splits
from sslcli.engine.device import Compute
from sslcli.engine.environment import environment
from sslcli.engine.run import Run
from sslcli.engine.runtime import RuntimeConfig
from sslcli.engine.tensorboard import tensorboard_writer

if TYPE_CHECKING:
    from sslcli.console import Console


def prepare(run: Run, runtime: RuntimeConfig, data: DataConfig, console: Console) -> tuple[Compute, Splits]:
    """Raises SslcliError where the device is not there, or the data are not those that the run began with."""
    compute = Compute.choose(runtime)
    if runtime.tensorboard:
        run.mirror = tensorboard_writer(run.folder)
    splits = data.load(console.track)
    require_same_data(run.folder, splits, f"start a new run: sslcli rerun '{run.folder}'")
    for warning in splits.warnings:
        console.warn(warning)
    run.update(
        environment=environment(compute),
        data={
            "fingerprint": splits.fingerprint,
            "pictures": len(splits.pretraining),
            "warnings": list(splits.warnings),
        },
    )
    return compute, splits
