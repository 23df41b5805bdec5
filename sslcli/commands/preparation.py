"""What every experiment begins with: the device, the data checked against the run's, and both written down."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sslcli import processes
from sslcli.commands.encoder_files import EncoderFiles
from sslcli.commands.run_data import run_data_config
from sslcli.commands.same_data import require_same_data
from sslcli.data.config import DataConfig
from sslcli.data.images import Splits
from sslcli.data.needs import require_labels, require_test
from sslcli.engine.device import Compute
from sslcli.engine.environment import environment
from sslcli.engine.run import Run
from sslcli.engine.runtime import RuntimeConfig
from sslcli.engine.tensorboard import tensorboard_writer
from sslcli.errors import quoted
from sslcli.evaluation.features import require_fit

if TYPE_CHECKING:
    from sslcli.console import Console


def prepare_evaluation(
    command: str,
    run: Run,
    sources: Sequence[EncoderFiles],
    chosen: DataConfig | None,
    runtime: RuntimeConfig,
    console: Console,
) -> tuple[Compute, Splits]:
    """As `prepare`, for what measures the encoders of `sources` on `chosen`, or on the first run's own data.

    Raises SslcliError where these are not the runs' data, lack labels or a test part, or do not fit the encoders.
    """
    compute, splits = prepare(run, runtime, run_data_config(sources[0], chosen), console)
    require_labels(splits, command)
    require_test(splits, command)
    for source in sources:
        if chosen is None:
            require_same_data(source.folder, splits, "name the data to evaluate on with data=…")
        require_fit(splits.train.images, source.preprocessing)
    return compute, splits


def prepare(run: Run, runtime: RuntimeConfig, data: DataConfig, console: Console) -> tuple[Compute, Splits]:
    """Raises SslcliError where the device is not there, or the data are not those that the run began with."""
    compute = Compute.choose(runtime)
    processes.join(compute.device.type)
    if runtime.tensorboard:
        run.mirror = tensorboard_writer(run.folder)
    if processes.rank():
        processes.from_first(None)  # the first one downloads, and decodes into a cache, alone
    splits = data.load(console.track)
    if not processes.rank():
        processes.from_first(None)
    require_same_data(run.folder, splits, f"go on with these: sslcli resume {quoted(run.folder)} --allow-changed-data")
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
