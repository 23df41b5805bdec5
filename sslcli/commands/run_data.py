"""The data that a run's encoder is evaluated on."""

from __future__ import annotations

from pathlib import Path

from sslcli.commands.encoder_files import EncoderFiles
from sslcli.commands.groups import groups
from sslcli.commands.same_data import require_same_data
from sslcli.config import read, restored_group
from sslcli.data.config import DataConfig
from sslcli.data.images import Splits, Track
from sslcli.engine.run import read_facts


def run_data_config(files: EncoderFiles, chosen: DataConfig | None) -> DataConfig:
    """The run's own data, or those `chosen`, at the resolution that the encoder was trained on."""
    if chosen is None:
        return restored_group("data", read(files.folder / "config.yaml"), groups())  # type: ignore[no-any-return]
    return chosen.fitting(files.preprocessing.resolution, files.preprocessing.channels)


def evaluation_label(run: str, choices: dict[str, str]) -> str:
    """For the path of an evaluation's folder: what its run was trained by and on, and on what else it is evaluated."""
    source = read_facts(Path(run)).get("choices", {})
    trained_on = "-".join(source[group] for group in ("method", "data") if group in source) or "run"
    return f"{trained_on}-to-{choices['data']}" if "data" in choices else trained_on


def own_data(files: EncoderFiles, track: Track) -> Splits:
    """The data that the run was made on. Raises SslcliError where they are gone, or are others now."""
    splits = run_data_config(files, None).load(track)
    require_same_data(files.folder, splits, "train again on what is there now")
    return splits
