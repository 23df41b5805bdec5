"""Lists the pictures of a data set and what is said of each, also where a run would refuse it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sslcli.data.arrays import ArraysConfig
from sslcli.data.data_config import DataConfig
from sslcli.data.depth import CHOICE, depth_of
from sslcli.data.folder import FolderConfig
from sslcli.data.group_split import SharedGroups
from sslcli.data.groups import group_finder
from sslcli.data.images import Track
from sslcli.data.parts import ORDER, PARTS
from sslcli.data.scan import Listing, PictureFiles, list_folder
from sslcli.data.split import StoredParts
from sslcli.data.table import TableConfig
from sslcli.data.table_file import BETWEEN, Table
from sslcli.errors import SslcliError
from sslcli.tools.inspect.array_catalogue import of_arrays, of_sets
from sslcli.tools.inspect.pictures import PART_NAMES, Catalogue


def catalogue_of(config: DataConfig, track: Track) -> Catalogue:
    """Lists the pictures of `config`; raises SslcliError where none can be found."""
    if isinstance(config, TableConfig):
        return _of_table(config)
    if type(config) is FolderConfig:
        return _of_folder(config, track)
    if isinstance(config, FolderConfig):
        return _of_archives(config, track)
    if isinstance(config, ArraysConfig):
        return of_arrays(config, track)
    return of_sets(config, track)


def _of_folder(config: FolderConfig, track: Track) -> Catalogue:
    without, refusal = replace(config, groups=None), None
    try:
        listing, stored = without.list_files(track)
    except SslcliError as reason:
        if not config.location().is_dir():
            raise
        refusal, listing = reason, list_folder(config.location())
        if not len(listing):
            raise
        stored = _by_names(listing)
    groups = None
    if config.groups is not None:
        groups = _found_groups(listing, config.groups)
        refusal = refusal or _other_refusal(config)
    found = replace(_of_stored(listing, stored), groups=groups, refusal=refusal)
    return _with_depth(replace(found, root=config.picture_folder()), listing, config)


def _with_depth(found: Catalogue, listing: Listing, config: FolderConfig) -> Catalogue:
    """Returns the catalogue with what a run says of the depth of its files."""
    rows = np.arange(len(listing))
    try:
        _, said = depth_of(listing, rows, config.channels, config.chosen_range(), config.depth)
    except SslcliError as reason:
        return replace(found, refusal=found.refusal or reason)
    notes = [line for line in said if CHOICE not in line]  # that is a finding of its own
    return replace(found, notes=(*found.notes, *notes))


def _of_archives(config: FolderConfig, track: Track) -> Catalogue:
    """Lists files that are no files of a folder; groups are numbers, where there are any."""
    try:
        return _of_stored(*config.list_files(track))
    except SharedGroups as refusal:
        return replace(_of_stored(*replace(config, groups=None).list_files(track)), refusal=refusal)


def _other_refusal(config: FolderConfig) -> SslcliError | None:
    """Returns why the files cannot be used; None where only groups are on two sides."""
    try:
        config.list_files()
    except SharedGroups:
        return None
    except SslcliError as reason:
        return reason
    return None


def _by_names(listing: Listing) -> StoredParts[PictureFiles]:
    """Returns parts and classes as the folders' names say, whatever is wrong with them."""
    pieces = [Path(name).parts for name in listing.names]
    rows: dict[str, list[int]] = {}
    classes: list[str] = []
    for row, (first, *rest) in enumerate(pieces):
        part = PARTS.get(first.lower()) if rest else None
        rows.setdefault(part or "train", []).append(row)
        inside = rest if part else [first, *rest]
        classes.append(inside[0] if len(inside) > 1 else "")
    names = tuple(sorted(set(classes)))
    numbers = np.array([names.index(name) for name in classes], dtype=np.int64)
    files = {
        part: PictureFiles(np.array(found), numbers[np.array(found)] if all(classes) else None)
        for part, found in rows.items()
    }
    train = files.get("train", PictureFiles(np.empty(0, dtype=np.int64), None))
    return StoredParts(train, files.get("val"), files.get("test"), names if all(classes) else None)


def _found_groups(listing: Listing, rule: str) -> list[str] | None:
    try:
        group_of = group_finder(rule)
        return [group_of(name) for name in listing.names]
    except SslcliError:  # the refusal says so
        return None


def _of_stored(listing: Listing, stored: StoredParts[PictureFiles]) -> Catalogue:
    parts = np.full(len(listing), -1, dtype=np.int8)
    labels, groups = [""] * len(listing), [""] * len(listing)
    numbers: list[float] = []
    several = False
    for number, name in enumerate(PART_NAMES):
        files = getattr(stored, name)
        if files is None:
            continue
        parts[files.rows] = number
        if files.groups is not None:
            _write(groups, files.rows, [str(group) for group in files.groups.tolist()])
        if files.labels is not None and stored.classes is not None:
            _write(labels, files.rows, [stored.classes[label] for label in files.labels.tolist()])
        elif files.targets is not None and files.targets.dtype == np.bool_:
            names, several = np.array(stored.target_names, dtype=object), True
            _write(labels, files.rows, [BETWEEN.join(names[has]) for has in files.targets])
        elif files.targets is not None:
            numbers += files.targets[:, 0].tolist()
    assert (parts >= 0).all(), "every file is in a part"
    found = Catalogue(listing.names, parts, listing.read, several=several)
    return replace(
        found,
        labels=labels if any(labels) else None,
        groups=groups if any(groups) else None,
        targets=np.array(numbers) if numbers else None,
        num_bytes=int(listing.sizes[listing.sizes > 0].sum()),
        notes=stored.warnings,
    )


def _write(texts: list[str], rows: NDArray[np.int64], values: Sequence[str]) -> None:
    for row, value in zip(rows.tolist(), values, strict=True):
        texts[row] = value


def _of_table(config: TableConfig) -> Catalogue:
    table, listing = config.read_rows()
    groups = table.columns.get("group")
    if groups is None and config.groups is not None:
        groups = _found_groups(listing, config.groups)
    several = "labels" in table.columns
    labels = table.columns.get("labels" if several else "label")
    found = Catalogue(
        listing.names,
        _parts_of(table),
        listing.read,
        labels=labels,
        several=several,
        targets=_targets_of(table),
        groups=groups,
        num_bytes=int(listing.sizes[listing.sizes > 0].sum()),
        refusal=_other_refusal(config),
    )
    return _with_depth(found, listing, config)


def _targets_of(table: Table) -> NDArray[np.float64] | None:
    """Returns the numbers that are known; None without such a column."""
    texts = [text for text in table.columns.get("target", []) if text]
    try:
        return np.array([float(text) for text in texts]) if texts else None
    except ValueError:  # the refusal says so
        return None


def _parts_of(table: Table) -> NDArray[np.int8]:
    """Returns what the rows say, or train where that is no part."""
    said = table.columns.get("part") or ["train"] * len(table)
    return np.array([ORDER.index(PARTS.get(text.lower(), "train")) for text in said], dtype=np.int8)
