"""Lists the pictures of a data set and what is said of each, also where a run would refuse it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sslcli.data.array_files import image_keys, label_keys, read_arrays
from sslcli.data.array_images import ArrayMeaning, read_images
from sslcli.data.arrays import ArraysConfig
from sslcli.data.data_config import DataConfig
from sslcli.data.folder import FolderConfig
from sslcli.data.group_split import SharedGroups
from sslcli.data.groups import group_finder
from sslcli.data.images import ImageSet, Track
from sslcli.data.parts import ORDER, PARTS
from sslcli.data.scan import Listing, PictureFiles, list_folder
from sslcli.data.split import StoredParts
from sslcli.data.table import TableConfig
from sslcli.data.table_file import BETWEEN, Table
from sslcli.data.values import Layout
from sslcli.errors import SslcliError

PART_NAMES = (*ORDER, "unlabelled")
ALSO = "also in"
"""Stands in warnings of copies, which are found here in another way."""
Content = bytes | NDArray[Any]


@dataclass(frozen=True)
class Catalogue:
    """Lists N pictures.

    `parts` (N,) are numbers in PART_NAMES. `content` gives a row's file, or its pixels. `labels`:
    a class each, or `several` with | between, "" where there is none; `groups` likewise; `targets`:
    the numbers that are known. `refusal`: why a run would not begin; `notes`: what it warns of.
    `held_out`: validation is a draw of ours, and not brought. `keeps_depth`: a run keeps more than
    8 bits, and more than 3 channels. `root`: the folder of files.
    """

    names: Sequence[str]
    parts: NDArray[np.int8]
    content: Callable[[int], Content]
    labels: Sequence[str] | None = None
    several: bool = False
    targets: NDArray[np.float64] | None = None
    groups: Sequence[str] | None = None
    num_bytes: int | None = None
    refusal: SslcliError | None = None
    notes: tuple[str, ...] = field(default=())
    held_out: bool = False
    keeps_depth: bool = False
    root: Path | None = None

    def __len__(self) -> int:
        return len(self.names)


def catalogue_of(config: DataConfig, track: Track) -> Catalogue:
    """Lists the pictures of `config`; raises SslcliError where none can be found."""
    if isinstance(config, TableConfig):
        return _of_table(config)
    if type(config) is FolderConfig:
        return _of_folder(config, track)
    if isinstance(config, FolderConfig):
        return _of_archives(config, track)
    if isinstance(config, ArraysConfig):
        return _of_arrays(config, track)
    return _of_sets(config, track)


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
        has_parts = stored.val is not None or stored.test is not None
        groups = _found_groups(listing, config.groups, has_parts)
        refusal = refusal or _other_refusal(config)
    found = replace(_of_stored(listing, stored), groups=groups, refusal=refusal)
    return replace(found, root=config.picture_folder())


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


def _found_groups(listing: Listing, rule: str, has_parts: bool) -> list[str] | None:
    try:
        group_of = group_finder(rule, has_parts)
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
        groups = _found_groups(listing, config.groups, has_parts=False)
    several = "labels" in table.columns
    labels = table.columns.get("labels" if several else "label")
    return Catalogue(
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


def _of_arrays(config: ArraysConfig, track: Track) -> Catalogue:
    arrays = read_arrays(config.location())
    found: dict[str, tuple[str, Any]] = {}
    labels: list[str] = []
    for part in ORDER:
        key = next((key for key in image_keys(part) if key in arrays), None)
        pixels = None if key is None else _array_pixels(arrays[key], config)
        if key is not None and pixels is not None:
            found[part] = (key, pixels)
            given = next((arrays[key] for key in label_keys(part) if key in arrays), None)
            labels += _texts(given, arrays.get("classes"), len(pixels))
    sizes = {pixels.shape[1:3] for _, pixels in found.values()}
    side = None if all(high == wide for high, wide in sizes) else min(min(size) for size in sizes)
    loaded = _loaded(replace(config, resolution=config.resolution or side), track)
    refusal, notes = (loaded, ()) if isinstance(loaded, SslcliError) else (None, loaded)
    if not found:
        raise refusal or SslcliError(f"{config.location()} has no pictures", "name them x_train")
    rows = _Rows({part: (key, pixels, len(pixels)) for part, (key, pixels) in found.items()})
    return Catalogue(
        rows.names,
        rows.parts,
        rows.pixels,
        labels=labels if any(labels) else None,
        num_bytes=sum(arrays[key].nbytes for key, _ in found.values()),
        refusal=refusal,
        notes=tuple(note for note in notes if ALSO not in note),
        keeps_depth=True,
    )


def _array_pixels(array: NDArray[Any], config: ArraysConfig) -> Any:
    """Returns (N, H, W, C) as stored, without alpha; None for what holds no pictures."""
    if array.dtype == np.uint8:
        try:
            return read_images(array, "", ArrayMeaning(None, config.layout, config.alpha))[0]
        except SslcliError:  # the refusal says so
            pass
    if array.ndim not in (3, 4) or 0 in array.shape:
        return None
    pixels = array[..., None] if array.ndim == 3 else array
    first = array.ndim == 4 and config.layout is Layout.channels_first
    return np.moveaxis(pixels, 1, -1) if first else pixels


def _texts(labels: NDArray[Any] | None, names: NDArray[Any] | None, count: int) -> list[str]:
    """Returns the labels as texts; none where they are no single class each."""
    one_each = labels is not None and labels.shape in ((count,), (count, 1))
    if labels is None or not one_each or labels.dtype.kind not in "iu":
        return [""] * count
    numbers = labels.reshape(count).tolist()
    if names is None or names.ndim != 1 or min(numbers) < 0 or max(numbers) >= len(names):
        return [str(number) for number in numbers]
    return [str(names[number]) for number in numbers]


def _loaded(config: DataConfig, track: Track) -> tuple[str, ...] | SslcliError:
    """Returns what a run warns of, or why it is refused."""
    try:
        return config.load(track).warnings
    except SslcliError as reason:
        return reason


def _of_sets(config: DataConfig, track: Track) -> Catalogue:
    """Lists what any other source loads; raises what it raises."""
    splits = config.load(track)
    found: dict[str, tuple[str, Any, int]] = {}
    labels: list[str] = []
    for name in PART_NAMES:
        part: ImageSet | None = getattr(splits, name)
        if part is not None:
            found[name] = (name, part.images, len(part))
            labels += _texts(part.labels, np.array(splits.classes or ()), len(part))
    rows = _Rows(found)
    return Catalogue(
        rows.names,
        rows.parts,
        rows.pixels,
        labels=labels if any(labels) else None,
        notes=tuple(note for note in splits.warnings if ALSO not in note),
        held_out=True,
        keeps_depth=True,
    )


class _Rows:
    """Numbers the pictures of several arrays one after the other."""

    def __init__(self, parts: Mapping[str, tuple[str, Any, int]]) -> None:
        counts = [count for _, _, count in parts.values()]
        self._starts = np.cumsum([0, *counts])
        self._sources = [source for _, source, _ in parts.values()]
        self.names = [f"{key}[{row}]" for key, _, count in parts.values() for row in range(count)]
        numbers = [PART_NAMES.index(part) for part in parts]
        self.parts = np.repeat(np.array(numbers, dtype=np.int8), counts)

    def pixels(self, row: int) -> NDArray[Any]:
        part = int(np.searchsorted(self._starts, row, side="right")) - 1
        at = np.array([row - self._starts[part]])
        pixels: NDArray[Any] = self._sources[part][at][0]
        return pixels
