"""Loads the data that a run was trained on, and checks that they are still the same."""

from __future__ import annotations

import re
from pathlib import Path

from sslcli.data import DATA
from sslcli.data.data_config import DataConfig
from sslcli.data.images import Splits, Track
from sslcli.errors import SslcliError
from sslcli.runs.folder import Run, read_facts
from sslcli.saved import Saved, read, restored_group
from sslcli.trained.encoder_files import EncoderFiles


def run_data_config(files: EncoderFiles, chosen: DataConfig | None) -> DataConfig:
    """Returns the run's own data, or those `chosen`, at the encoder's resolution."""
    if chosen is None:
        saved = _saved_with_data(files.folder)
        return restored_group("data", saved, {"data": DATA})  # type: ignore[no-any-return]
    return chosen.fitting(files.preprocessing.resolution, files.preprocessing.channels)


def _saved_with_data(folder: Path) -> Saved:
    """Returns the config that names the data: the run's, or that of the run it began with."""
    seen = {folder}
    saved = read(folder / "config.yaml")
    while "data" not in saved.choices and "run" in saved.values:
        folder = Path(str(saved.values["run"]))
        if folder in seen:
            message = f"{folder}/config.yaml names its own run as the one that it began with"
            raise SslcliError(message, "name the data: data=…")
        seen.add(folder)
        saved = read(folder / "config.yaml")
    return saved


def evaluation_folder_label(run: str, choices: dict[str, str]) -> str:
    """Returns the part of an evaluation's path that names method and data of its run.

    Ends in the data that it is evaluated on, where these are others.
    """
    facts = read_facts(Path(run))
    source = facts.get("choices", {})
    trained_on = "-".join(
        str(source[group]) for group in ("method", "data") if group in source
    ) or facts.get("command", "run")
    label = f"{trained_on}-to-{choices['data']}" if "data" in choices else trained_on
    # run.json may come from elsewhere: what it holds must not lead to another folder.
    return re.sub(r"[^\w-]+", "_", label)


def load_own_data(files: EncoderFiles, track: Track) -> Splits:
    """Loads the data that the run was trained on.

    Raises SslcliError where they are missing, or have changed.
    """
    splits = run_data_config(files, None).load(track)
    require_same_data(files.folder, splits, "train again on what is there now")
    return splits


def allow_changed_data(run: Run) -> None:
    """Moves the run's fingerprint to `data_before`, so that it resumes with changed data.

    A finished run is left unchanged.
    """
    facts = run.facts
    if facts.get("status") == "finished":
        return
    data = facts.get("data", {})
    before = {"fingerprint": data.get("fingerprint"), "until_step": facts.get("step", 0)}
    run.update(
        data={**data, "fingerprint": None}, data_before=[*facts.get("data_before", []), before]
    )


def require_same_data(run: Path, splits: Splits, otherwise: str) -> None:
    """Raises SslcliError where the run recorded another fingerprint.

    `otherwise`: the fix for those who cannot put the data back.
    """
    before = read_facts(run).get("data", {}).get("fingerprint")
    if before is not None and before != splits.fingerprint:
        raise SslcliError(
            f"the data changed since the run began ({run}): "
            f"fingerprint {before} then, {splits.fingerprint} now",
            f"put the data back as they were, or {otherwise}",
        )
