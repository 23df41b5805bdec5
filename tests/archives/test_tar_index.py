"""What lies where in tar files: as tarfile finds it, and loud where a file is not whole."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest

from sslcli.archives import tar_index
from sslcli.archives.tar_headers import octal
from sslcli.archives.tar_index import index_tar
from sslcli.errors import SslcliError

RNG = np.random.default_rng(0)
FORMATS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}
NAMES = [
    "a.jpg",
    "a.cls",
    f"{'folder/' * 14}{'long' * 10}.png",
    f"{'x' * 90}.cls",
    "./b.jpg",
    "b.cls",
    "exactly-" + "a" * 88 + ".jpg",  # 100 characters: no zero ends the field
]
BEYOND_USTAR = [f"{'y' * 300}.jpg", f"{'deep/' * 80}z.cls", "Größe-\N{SNOWMAN}.png", "c.cls"]


def pack(
    path: Path,
    names: list[str],
    layout: int = tarfile.PAX_FORMAT,
    mtime: float = 1.5,
    sizes: tuple[int, ...] = (0, 1, 511, 512, 513, 3000),
) -> Path:
    with tarfile.open(path, "w", format=layout) as tar:
        for number, name in enumerate(names):
            add(tar, name, RNG.bytes(sizes[number % len(sizes)]), mtime)
    return path


def add(tar: tarfile.TarFile, name: str, content: bytes, mtime: float = 0) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mtime = len(content), mtime  # type: ignore[assignment]
    tar.addfile(info, io.BytesIO(content))


def told(path: Path) -> list[tuple[str, bytes]]:
    with tarfile.open(path) as tar:
        return [(m.name, tar.extractfile(m).read()) for m in tar if m.isreg()]  # type: ignore[union-attr]


def found(path: Path) -> list[tuple[str, bytes]]:
    index, content = index_tar(path), path.read_bytes()
    for number, text in index.labels.items():
        start = int(index.starts[number])
        assert text == content[start : start + int(index.sizes[number])]
    small = {
        n for n, name in enumerate(index.names) if name.endswith(".cls") and index.sizes[n] <= 64
    }
    assert set(index.labels) == small
    return [
        (name, content[start : start + size])
        for name, start, size in zip(
            index.names, index.starts.tolist(), index.sizes.tolist(), strict=True
        )
    ]


@pytest.mark.parametrize("reads", [(2**14, 2**20), (2**9, 2**9), (2**10, 2**12)])
@pytest.mark.parametrize("layout", FORMATS)
@pytest.mark.parametrize("mtime", [1, 1.5])
def test_it_is_as_tarfile_finds_it(
    tmp_path: Path,
    layout: str,
    reads: tuple[int, int],
    mtime: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tar_index, "SMALLEST", reads[0])
    monkeypatch.setattr(tar_index, "LARGEST", reads[1])
    monkeypatch.setattr(tar_index, "SPARSE", 1024)
    names = [*NAMES, *(BEYOND_USTAR if layout != "ustar" else [])]
    names += [f"{number:05}.{'cls' if number % 2 else 'jpg'}" for number in range(60)]
    mtime = int(mtime) if layout == "ustar" else mtime
    path = pack(tmp_path / "a.tar", names, FORMATS[layout], mtime)
    assert found(path) == told(path)
    assert len(told(path)) == len(names)


def test_classes_may_hold_zeros_and_blocks_may_be_filled_with_anything(tmp_path: Path) -> None:
    path, texts = tmp_path / "a.tar", [b"7", b"", b"a\0", b"\0", b"x" * 64]
    with tarfile.open(path, "w") as tar:
        for number, text in enumerate(texts):
            add(tar, f"{number}.cls", text)
    assert [*index_tar(path).labels.values()] == texts
    content = bytearray(path.read_bytes())
    content[512 + 1] = ord("!")  # behind the 7
    path.write_bytes(content)
    assert [*index_tar(path).labels.values()] == texts


def test_a_tar_file_within_one_is_a_file_and_no_members(tmp_path: Path) -> None:
    inner = pack(tmp_path / "inner.tar", ["x.jpg", "y.jpg"]).read_bytes()
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        add(tar, "a.jpg", b"picture")
        add(tar, "inner.tar", inner)
        add(tar, "b.jpg", b"picture")
    assert [name for name, _ in found(tmp_path / "a.tar")] == ["a.jpg", "inner.tar", "b.jpg"]


def test_folders_are_passed_over(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        folder = tarfile.TarInfo("folder.jpg")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        add(tar, "folder.jpg/a.jpg", b"picture")
    assert found(tmp_path / "a.tar") == [("folder.jpg/a.jpg", b"picture")]


def test_a_size_that_takes_more_digits_than_there_are_is_read(tmp_path: Path) -> None:
    info = tarfile.TarInfo("large.jpg")
    info.size = 9 * 2**30
    path = tmp_path / "a.tar"
    with path.open("wb") as file:  # sparse: it takes no room
        file.write(info.tobuf(tarfile.GNU_FORMAT))
        file.seek(info.size, 1)
        after = tarfile.TarInfo("b.jpg")
        after.size = 3
        file.write(after.tobuf(tarfile.GNU_FORMAT) + b"abc".ljust(512, b"\0") + bytes(1024))
    index = index_tar(path)
    assert index.names == ["large.jpg", "b.jpg"]
    assert index.sizes.tolist() == [9 * 2**30, 3]
    assert index.starts.tolist() == [512, 9 * 2**30 + 1024]


def test_a_file_that_was_cut_off_anywhere_is_refused(tmp_path: Path) -> None:
    whole = pack(tmp_path / "a.tar", NAMES).read_bytes()
    with tarfile.open(tmp_path / "a.tar") as tar:
        tar.getmembers()
        end = tar.offset  # of the first block of zeros, at which it stops
    cut = tmp_path / "cut.tar"
    for length in {0, 1, 511, *range(512, end, 512), *RNG.integers(0, end, 20).tolist()}:
        cut.write_bytes(whole[:length])
        with pytest.raises(SslcliError, match=r"cut off|damaged"):
            index_tar(cut)
    cut.write_bytes(whole)
    assert len(index_tar(cut).names) == len(NAMES)


def test_a_flipped_bit_in_any_header_is_refused(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.tar", NAMES, tarfile.USTAR_FORMAT, mtime=1)
    whole = path.read_bytes()
    with tarfile.open(path) as tar:
        headers = [member.offset for member in tar]
    for start in headers:
        for place in (0, 3, 100, 124, 130, 150, 156, 257, 345, 511):
            content = bytearray(whole)
            content[start + place] ^= 1
            path.write_bytes(content)
            with pytest.raises(SslcliError, match=r"at byte|folder|kind"):
                index_tar(path)


def test_archives_joined_by_cat_are_refused_as_most_would_not_be_read(tmp_path: Path) -> None:
    one = pack(tmp_path / "a.tar", ["a.jpg"]).read_bytes()
    (tmp_path / "both.tar").write_bytes(one + one)
    with pytest.raises(SslcliError, match="goes on behind the mark of its end"):
        index_tar(tmp_path / "both.tar")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, b"S"])
def test_members_that_only_point_at_content_are_refused(tmp_path: Path, kind: bytes) -> None:
    path = tmp_path / "a.tar"
    info = tarfile.TarInfo("b.jpg")
    info.type = kind
    info.linkname = "a.jpg"
    path.write_bytes(info.tobuf(tarfile.USTAR_FORMAT) + bytes(1024))
    with pytest.raises(SslcliError, match=r"b\.jpg"):
        index_tar(path)


def test_what_is_said_of_a_member_and_cannot_be_kept_is_refused(tmp_path: Path) -> None:
    for records, wrong in (({"GNU.sparse.major": "1"}, "sparse"), ({"size": "12"}, "sparse")):
        with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.PAX_FORMAT) as tar:
            info = tarfile.TarInfo("a.jpg")
            info.pax_headers = records
            info.size = 3
            tar.addfile(info, io.BytesIO(b"abc"))
        with pytest.raises(SslcliError, match=wrong):
            index_tar(tmp_path / "a.tar")


def test_what_is_no_tar_file_is_refused(tmp_path: Path) -> None:
    for content in (b"no tar file" * 100, RNG.bytes(5000)):
        (tmp_path / "a.tar").write_bytes(content)
        with pytest.raises(SslcliError, match="no tar file"):
            index_tar(tmp_path / "a.tar")


def test_octal_numbers_are_read_however_they_are_padded() -> None:
    for digits in (b"0000017\0", b"  17 \0  ", b"17\0\0\0\0\0\0", b"0000017 ", b"00000017"):
        both = np.frombuffer(digits + b"0000003\0", np.uint8).reshape(2, 8)
        assert octal(both).tolist() == [15, 3]
    assert octal(np.empty((0, 8), np.uint8)).tolist() == []
