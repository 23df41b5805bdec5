"""Loads the data that a run was trained on, and checks that they are the same."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from sslcli.choices import answerable, package_of_part
from sslcli.data import DATA
from sslcli.data.data_config import DataConfig
from sslcli.data.images import ImageSet, Splits, Track, evenly_spaced
from sslcli.data.soundness import require_splits
from sslcli.errors import SslcliError
from sslcli.runs.folder import Run, read_facts
from sslcli.saved import Saved, group_to_config, read
from sslcli.trained.encoder_files import EncoderFiles

DIVIDING = (
    *("test_fraction", "split_seed", "groups", "duplicates", "part", "label", "labels", "target"),
    *("tile", "tile_overlap", "tile_empty", "tile_apart"),
)
"""The settings by which pictures are dealt out to parts."""


def load_splits(config: DataConfig, track: Track) -> Splits:
    """Loads a data source's pictures.

    Raises SslcliError where an installed package's source fails, or gives what it must not.
    """
    with answerable(DATA, config):
        splits = config.load(track)
        if package_of_part(DATA, config) is not None:
            require_splits(splits, config.resolution, config.limit)
    return splits


def load_few(config: DataConfig, num: int, track: Track) -> ImageSet:
    """Loads up to `num` training pictures; raises as `load_splits`."""
    if package_of_part(DATA, config) is not None:
        pictures = load_splits(config, track).pretraining
        return pictures.subset(evenly_spaced(len(pictures), num))
    return config.few(num, track)


def run_data_config(
    files: EncoderFiles, chosen: DataConfig | None, root: str | None = None
) -> DataConfig:
    """Returns the config of the run's own data, or `chosen` at the encoder's size.

    `root`: where the run's own data are now; by default where `resume --data-root` noted, or where
    they were.
    """
    if chosen is not None:
        return chosen.for_encoder(files.preprocessing.resolution, files.preprocessing.channels)
    own: DataConfig = group_to_config("data", _saved_with_data(files.folder), {"data": DATA})
    return moved(own, root or read_facts(files.folder).get("data_root"))


def moved(data: DataConfig, root: str | None) -> DataConfig:
    """Returns the config with the data at `root`; None leaves them where they were."""
    return data if root is None else replace(data, root=root).with_absolute_root()


def _saved_with_data(folder: Path) -> Saved:
    """Returns the config that names the data, the run's or that of its initial run."""
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
    # run.json may come from elsewhere: its values must not lead to another folder.
    return re.sub(r"[^\w-]+", "_", label)


def load_own_data(files: EncoderFiles, track: Track, root: str | None = None) -> Splits:
    """Loads the data that the run was trained on, from `root` if they moved.

    Where its views were smaller, they are larger than what the encoder is fed (`splits_at`). Raises
    SslcliError where they are missing or have changed.
    """
    config = run_data_config(files, None, root)
    require_present(config, "--data-root FOLDER says where they are now")
    splits = load_splits(config, track)
    require_same_data(files.folder, splits, "train again on what is there now")
    return splits


def require_present(data: DataConfig, fix: str) -> None:
    """Raises SslcliError where the data's root does not exist any more."""
    if not data.is_there():
        raise SslcliError(f"the run's data are not at {data.root} any more", fix)


def allow_changed_data(run: Run) -> None:
    """Moves an unfinished run's fingerprint to `data_before`, to allow other data."""
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

    `otherwise`: the fix for users who cannot put the data back.
    """
    before = read_facts(run).get("data", {}).get("fingerprint")
    if before is not None and before != splits.fingerprint:
        raise SslcliError(
            f"the data changed since the run began ({run}): "
            f"fingerprint {before} then, {splits.fingerprint} now",
            f"put the data back as they were, or {otherwise}",
        )


def seen_in_training(chosen: DataConfig, files: EncoderFiles) -> str | None:
    """Says that `chosen` draws its test pictures from those that a run was trained on.

    None where it does not, or nothing is known of the run's own data any more.
    """
    if not chosen.test_fraction:
        return None
    try:
        own = run_data_config(files, None)
    except SslcliError:
        return None
    drawn_alike = all(getattr(own, key, None) == getattr(chosen, key, None) for key in DIVIDING)
    if drawn_alike or own.location().resolve() != chosen.location().resolve():
        return None
    held_out = f"{own.test_fraction:g} by split_seed={own.split_seed}"
    return (
        f"test pictures of data.test_fraction={chosen.test_fraction:g} by "
        f"split_seed={chosen.split_seed} are among those that the run was trained on, "
        f"which held out {held_out if own.test_fraction else 'none'}: let all that divides them "
        "be as it was then"
    )
