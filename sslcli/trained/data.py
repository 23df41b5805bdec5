"""Loads the data that a run was made on, and tells whether they are still the same."""

from __future__ import annotations

import re
from pathlib import Path

from sslcli.data import DATA
from sslcli.data.data_config import DataConfig
from sslcli.data.images import Splits, Track
from sslcli.errors import SslcliError
from sslcli.runs.folder import Run, read_facts
from sslcli.saved import Saved, group_to_config, read
from sslcli.trained.encoder_files import EncoderFiles


def run_data_config(files: EncoderFiles, chosen: DataConfig | None) -> DataConfig:
    """The run's own data, or those `chosen`, at the resolution that the encoder was trained on."""
    if chosen is None:
        return group_to_config("data", _saved_with_data(files.folder), {"data": DATA})  # type: ignore[no-any-return]
    return chosen.fitting(files.preprocessing.resolution, files.preprocessing.channels)


def _saved_with_data(folder: Path) -> Saved:
    """The config that chose the data: the run's, or, where it names none, that of the run it began with."""
    seen = {folder}
    saved = read(folder / "config.yaml")
    while "data" not in saved.choices and "run" in saved.values:
        folder = Path(str(saved.values["run"]))
        if folder in seen:
            raise SslcliError(
                f"{folder} began, its config.yaml says, with itself", "name the data: data=…"
            )
        seen.add(folder)
        saved = read(folder / "config.yaml")
    return saved


def evaluation_label(run: str, choices: dict[str, str]) -> str:
    """For the path of an evaluation's folder: what its run was trained by and on, and on what else it is evaluated."""
    facts = read_facts(Path(run))
    source = facts.get("choices", {})
    trained_on = "-".join(
        str(source[group]) for group in ("method", "data") if group in source
    ) or facts.get("command", "run")
    words = f"{trained_on}-to-{choices['data']}" if "data" in choices else trained_on
    return re.sub(r"[^\w-]+", "_", words)  # run.json may come from elsewhere: its words are no path


def own_data(files: EncoderFiles, track: Track) -> Splits:
    """The data that the run was made on. Raises SslcliError where they are gone, or are others now."""
    splits = run_data_config(files, None).load(track)
    require_same_data(files.folder, splits, "train again on what is there now")
    return splits


def allow_changed_data(run: Run) -> None:
    """Forgets the run's fingerprint, so that the data may be others the next time; `data_before` in run.json keeps it.
    A finished run is left as it is."""
    facts = run.facts
    if facts.get("status") == "finished":
        return
    data = facts.get("data", {})
    before = {"fingerprint": data.get("fingerprint"), "until_step": facts.get("step", 0)}
    run.update(
        data={**data, "fingerprint": None}, data_before=[*facts.get("data_before", []), before]
    )


def require_same_data(run: Path, splits: Splits, otherwise: str) -> None:
    """Raises SslcliError where the run recorded another fingerprint; `otherwise` is the fix beside putting the data back."""
    before = read_facts(run).get("data", {}).get("fingerprint")
    if before is not None and before != splits.fingerprint:
        message = f"the data changed since the run began ({run}): fingerprint {before} then, {splits.fingerprint} now"
        raise SslcliError(message, f"put the data back as they were, or {otherwise}")
