"""Files are written whole, whoever else writes there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sslcli import files
from sslcli.files import replacing, write_atomically

DEAD = 2**30
"""A number that no process has."""


def test_two_writers_of_one_number_do_not_meet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In two containers, or on two machines that share a disk, both may be process 1."""
    monkeypatch.setattr(os, "getpid", lambda: 1)
    path = tmp_path / "shared"
    with replacing(path) as temporary, temporary.open("w") as file:
        file.write("first ")
        write_atomically(path, b"second")
        assert path.read_text() == "second"
        file.write("whole")
    assert path.read_text() == "first whole"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("known", [True, False])
def test_what_was_left_is_removed_where_its_writer_is_surely_dead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    here = "0123abcd"
    monkeypatch.setattr(files, "process_space", lambda: here if known else None)
    number = "0123456789abcdef"
    for name, removed, is_old in (
        (f"{DEAD}-{here}-{number}", known, False),
        (f"{os.getppid()}-{here}-{number}", not known, True),
        (f"{DEAD}-feedc0de-{number}", False, False),
        (f"{os.getppid()}-feedc0de-{number}", True, True),
        (f"{DEAD}--{number}", False, False),
        (f"{DEAD}--{number}", True, True),
        (f"{DEAD}", False, False),
        (f"{DEAD}", True, True),
        ("notes", False, True),
    ):
        left = tmp_path / f".it.{name}.tmp"
        left.write_text("half")
        if is_old:
            two_days_ago = left.stat().st_mtime - 2 * 24 * 60 * 60
            os.utime(left, (two_days_ago, two_days_ago))
        write_atomically(tmp_path / "it", b"whole")
        assert left.exists() is not removed, name
        left.unlink(missing_ok=True)
