"""Zip files of folders of pictures: the same pictures, parts and classes, and no silent damage."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from photos import config, contents, fill

from sslcli.data.folder import Cache, FolderConfig
from sslcli.data.zip_file import scan_zip
from sslcli.errors import RunFailed, SslcliError
from sslcli.threads import map_in_threads


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for part in ("train", "test"):
        for name in ("cat", "dog"):
            fill(tmp_path / "photos" / part / name, 6)
    fill(tmp_path / "photos/train/cat/deeper", 2)
    fill(tmp_path / "photos/train/__MACOSX", 1)
    (tmp_path / "photos/train/cat/notes.txt").write_text("no picture")
    return tmp_path / "photos"


def pack(
    folder: Path, file: Path, prefix: str = "", compression: int = zipfile.ZIP_DEFLATED
) -> Path:
    with zipfile.ZipFile(file, "w", compression) as packed:
        for path in sorted(folder.rglob("*"), reverse=True):
            packed.write(path, prefix + path.relative_to(folder).as_posix())
    return file


def outcome(root: Path, cache: Cache = Cache.memory) -> list[object]:
    splits = config(root, cache).load()
    parts = (splits.train, splits.val, splits.test)
    names = [
        [Path(p).relative_to(root).as_posix() for p in part.paths or ()] for part in parts if part
    ]
    return [contents(splits)[:2], names, splits.fingerprint, splits.warnings]


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("how", list(Cache))
def test_a_zip_file_reads_as_its_folder(
    photos: Path, tmp_path: Path, compression: int, how: Cache
) -> None:
    packed = pack(photos, tmp_path / "photos.zip", compression=compression)
    assert outcome(packed, how) == outcome(photos)


def test_a_folder_that_holds_all_is_entered(photos: Path, tmp_path: Path) -> None:
    packed = pack(photos, tmp_path / "photos.ZIP", prefix="my/photos/")
    splits = config(packed).load()
    assert contents(splits)[:2] == contents(config(photos).load())[:2]
    assert splits.train.paths is not None
    assert splits.train.paths[0].startswith(f"{packed}/my/photos/train/cat/")


def test_a_part_that_holds_all_is_not_entered(tmp_path: Path) -> None:
    fill(tmp_path / "test/cat", 3)
    packed = pack(tmp_path / "test", tmp_path / "a.zip", prefix="set/test/")
    with pytest.raises(SslcliError, match="has test/ but no train/"):
        config(packed).load()


def test_groups_are_found_as_in_a_folder(photos: Path, tmp_path: Path) -> None:
    pack(photos / "train", tmp_path / "a.zip")
    for rule in ("1", r"(cat|dog)/"):
        _, of_zip = FolderConfig(root=str(tmp_path / "a.zip"), groups=rule).list_files()
        _, of_folder = FolderConfig(root=str(photos / "train"), groups=rule).list_files()
        assert of_zip.train.groups is not None
        assert of_folder.train.groups is not None
        assert of_zip.train.groups.tolist() == of_folder.train.groups.tolist()


def test_threads_read_the_right_members(photos: Path, tmp_path: Path) -> None:
    listing, _ = scan_zip(pack(photos, tmp_path / "a.zip"))
    files = [(photos / name).read_bytes() for name in listing.names] * 20
    read = list(map_in_threads(lambda i: listing.read(i % len(listing)), len(files), 4))
    assert read == files


def test_long_extra_fields_are_passed_over(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        info = zipfile.ZipInfo("a.png")
        info.extra = b"\xfe\xca" + (1000).to_bytes(2, "little") + bytes(1000)
        packed.writestr(info, b"content")
    listing, _ = scan_zip(tmp_path / "a.zip")
    assert listing.read(0) == b"content"


def test_backslashes_of_old_windows_programs_part_folders(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        for name in ("cat", "dog"):
            info = zipfile.ZipInfo(f"{name}\\1.png")
            info.create_system = 0
            packed.writestr(info, b"content")
    _, stored = scan_zip(tmp_path / "a.zip")
    assert stored.classes == ("cat", "dog")


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_flipped_bit_is_a_picture_that_cannot_be_read(
    photos: Path, tmp_path: Path, compression: int
) -> None:
    packed = pack(photos, tmp_path / "a.zip", compression=compression)
    listing, _ = scan_zip(packed)
    content = bytearray(packed.read_bytes())
    content[int(listing.starts[3]) + 200] ^= 1
    packed.write_bytes(content)
    listing, _ = scan_zip(packed)
    with pytest.raises(OSError, match="damaged"):
        listing.read(3)
    for row in range(len(listing)):
        if row != 3:
            assert listing.read(row) == (photos / listing.names[row]).read_bytes()
    with pytest.raises(SslcliError, match=r"1 of 26 pictures could not be decoded.*damaged"):
        config(packed).load()


def test_a_file_that_changes_while_it_is_read_is_refused(photos: Path, tmp_path: Path) -> None:
    packed = pack(photos, tmp_path / "a.zip")
    splits = config(packed, Cache.none).load()
    with packed.open("ab") as file:
        file.write(b"more")
    with pytest.raises(RunFailed, match="changed since it was listed"):
        splits.train.images[np.array([0])]


def test_damaged_and_foreign_files_are_refused(photos: Path, tmp_path: Path) -> None:
    packed = pack(photos, tmp_path / "a.zip")
    (tmp_path / "cut.zip").write_bytes(packed.read_bytes()[:-100])
    with pytest.raises(SslcliError, match="cannot be read as a zip file"):
        config(tmp_path / "cut.zip").load()
    (tmp_path / "none.zip").write_bytes(b"")
    with pytest.raises(SslcliError, match="cannot be read as a zip file"):
        config(tmp_path / "none.zip").load()
    with zipfile.ZipFile(tmp_path / "text.zip", "w") as text:
        text.writestr("a.txt", "no picture")
    with pytest.raises(SslcliError, match="no pictures in"):
        config(tmp_path / "text.zip").load()


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_members_that_cannot_be_told_or_read_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "twice.zip", "w") as packed:
        packed.writestr("a.png", b"one")
        packed.writestr("a.png", b"two")
    with pytest.raises(SslcliError, match=r"a\.png twice"):
        config(tmp_path / "twice.zip").load()
    with zipfile.ZipFile(tmp_path / "lzma.zip", "w", zipfile.ZIP_LZMA) as packed:
        packed.writestr("a.png", b"one")
    with pytest.raises(SslcliError, match="compressed by method 14"):
        config(tmp_path / "lzma.zip").load()
    with zipfile.ZipFile(tmp_path / "secret.zip", "w") as packed:
        packed.writestr("a.png", b"one")
    content = bytearray((tmp_path / "secret.zip").read_bytes())
    content[content.index(b"PK\1\2") + 8] |= 1
    (tmp_path / "secret.zip").write_bytes(content)
    with pytest.raises(SslcliError, match="is encrypted"):
        config(tmp_path / "secret.zip").load()


def test_a_file_of_another_kind_is_refused_with_what_reads_it(tmp_path: Path) -> None:
    (tmp_path / "a.tar").touch()
    with pytest.raises(SslcliError, match=r"data\.root is not a folder") as caught:
        config(tmp_path / "a.tar").load()
    assert caught.value.fix.startswith("data=shards reads such files: data.root=")


def test_masks_are_refused_where_there_are_no_files(photos: Path, tmp_path: Path) -> None:
    assert config(pack(photos, tmp_path / "a.zip")).picture_folder() is None
