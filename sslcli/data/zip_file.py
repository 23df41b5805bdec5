"""Lists and reads the pictures in a zip file, as those in a folder."""

from __future__ import annotations

import errno
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sslcli.archives.file_bytes import Archives, FileState
from sslcli.data.parts import PARTS, is_ignored, parts_among
from sslcli.data.picture_names import is_picture
from sslcli.data.scan import Listing, PictureFiles, stored_parts
from sslcli.data.split import StoredParts
from sslcli.errors import SslcliError
from sslcli.text import printable

LOCAL_HEADER = struct.Struct("<4s22xHH")
"""Begins every member: its mark, and the lengths of its name and of what follows the name."""
SPARE = 64
"""Bytes that are read beyond the name: as a rule the rest of the header is no longer."""
ENCRYPTED, FAT = 1, 0


@dataclass(frozen=True)
class ZipListing(Listing):
    """Lists N pictures in a zip file; `root` is the file, or the one folder at its top.

    `starts` of the members in the file, their `packed` sizes in bytes, and the checksums `crc` of
    what they hold, (N,) int64 each; `deflated` (N,) bool.
    """

    archive: Archives
    starts: NDArray[np.int64]
    packed: NDArray[np.int64]
    crc: NDArray[np.int64]
    deflated: NDArray[np.bool_]

    def read(self, row: int) -> bytes:
        start, packed = int(self.starts[row]), int(self.packed[row])
        size = self.archive.states[0].size
        ahead = min(LOCAL_HEADER.size + len(self.names[row]) + SPARE + packed, size - start)
        found = self.archive.read(0, start, ahead)
        mark, name, extra = LOCAL_HEADER.unpack_from(found)
        if mark != b"PK\3\4":
            raise OSError(errno.EIO, "the zip file has no member where it should have")
        begin = LOCAL_HEADER.size + name + extra
        data = found[begin : begin + packed]
        if len(data) < packed:
            data = self.archive.read(0, start + begin, packed)
        if self.deflated[row]:
            try:
                # One byte more than there should be tells of more.
                data = zlib.decompressobj(-15).decompress(data, int(self.sizes[row]) + 1)
            except zlib.error as reason:
                raise OSError(errno.EIO, f"damaged in the zip file: {reason}") from reason
        if len(data) != self.sizes[row] or zlib.crc32(data) != self.crc[row]:
            raise OSError(errno.EIO, "damaged in the zip file: its checksum is another")
        return data


def scan_zip(file: Path) -> tuple[ZipListing, StoredParts[PictureFiles]]:
    """Returns the pictures in `file`, and the parts they belong to, as `scan` does of a folder.

    One folder that holds them all counts as the root. Raises SslcliError for a file that cannot be
    read, and for members that cannot: encrypted, twice there, or compressed in another way.
    """
    members = _pictures(file)
    names = list(members)
    top = _common_folder(names)
    root, inside = file / top, {name: name.removeprefix(top) for name in names}
    folders, notes = parts_among(
        root, {name.split("/")[0] for name in inside.values() if "/" in name}
    )
    in_part: dict[str, list[str]] = {
        part: [
            name for name in names if folder == root or inside[name].startswith(f"{folder.name}/")
        ]
        for part, folder in folders.items()
    }
    stored = stored_parts(
        folders,
        {
            part: tuple(
                inside[name] if folders[part] == root else inside[name].partition("/")[2]
                for name in of_part
            )
            for part, of_part in in_part.items()
        },
        notes,
    )
    chosen = [name for of_part in in_part.values() for name in of_part]
    return _listing(file, root, [(inside[name], members[name]) for name in chosen]), stored


def _pictures(file: Path) -> dict[str, zipfile.ZipInfo]:
    """Returns the members that are pictures by name, sorted as paths are, part by part."""
    try:
        with zipfile.ZipFile(file) as opened:
            infos = opened.infolist()
    except (OSError, zipfile.BadZipFile, NotImplementedError) as reason:
        message = f"{file} cannot be read as a zip file: {reason}"
        raise SslcliError(
            message, "copy or pack it again; a zip in several pieces must be joined"
        ) from reason
    found: dict[str, zipfile.ZipInfo] = {}
    for info in infos:
        name = _name(info)
        *folders, last = name.split("/")
        if not is_picture(last) or any(map(is_ignored, folders)):
            continue
        if name in found:
            message = f"{file} has {printable(name)} twice"
            raise SslcliError(message, "pack it again: which of the two is meant cannot be told")
        if info.flag_bits & ENCRYPTED:
            message = f"{printable(name)} in {file} is encrypted"
            raise SslcliError(message, "unpack it into a folder, and give that")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            message = f"{printable(name)} in {file} is compressed by method {info.compress_type}"
            raise SslcliError(message, "pack it again with deflate (as zip does), or unpack it")
        found[name] = info
    if not found:
        message = f"there are no pictures in {file}"
        raise SslcliError(message, "give a zip file of a folder of pictures")
    return dict(sorted(found.items(), key=lambda item: item[0].split("/")))


def _name(info: zipfile.ZipInfo) -> str:
    """Returns the name with / between folders, where old programs of Windows wrote \\."""
    name = info.filename
    return name if "/" in name or info.create_system != FAT else name.replace("\\", "/")


def _common_folder(names: list[str]) -> str:
    """Returns the folders that hold all pictures, up to where they part; "" or ending in /."""
    top = ""
    for folder in names[0].split("/")[:-1]:
        # A single class folder is entered too: one class tells nothing. A part is not: what is all
        # test is refused.
        inside = all(name.startswith(f"{top}{folder}/") for name in names)
        if not inside or folder.lower() in PARTS:
            break
        top += f"{folder}/"
    return top


def _listing(file: Path, root: Path, members: list[tuple[str, zipfile.ZipInfo]]) -> ZipListing:
    state = FileState.of(file)
    infos = [info for _, info in members]

    def numbers(field: str) -> NDArray[np.int64]:
        return np.array([getattr(info, field) for info in infos], dtype=np.int64)

    return ZipListing(
        root=str(root),
        names=tuple(name for name, _ in members),
        sizes=numbers("file_size"),
        changed=np.full(len(members), state.changed),
        archive=Archives([str(file)], [state]),
        starts=numbers("header_offset"),
        packed=numbers("compress_size"),
        crc=numbers("CRC"),
        deflated=numbers("compress_type") == zipfile.ZIP_DEFLATED,
    )
