"""Records are read while they are written: each once, and none that is not whole."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from sslcli.runs.growing import TAIL, GrowingRecords


def line(step: int, **values: Any) -> str:
    return json.dumps({"phase": "pretrain", "step": step, "epoch": step / 10, **values}) + "\n"


def steps(growing: GrowingRecords) -> list[int]:
    return [record["step"] for record in growing.records]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "metrics.jsonl"


def test_each_line_is_read_once_and_a_torn_one_when_it_is_whole(file: Path) -> None:
    growing = GrowingRecords(file.parent)
    assert (growing.read(), growing.records) == (False, [])
    torn = line(2)
    for cut in range(len(torn)):
        file.write_text(line(1) + torn[:cut])
        assert growing.read() == (cut == 0)
        assert steps(growing) == [1]
    file.write_text(line(1) + torn)
    assert (growing.read(), steps(growing)) == (True, [1, 2])
    assert (growing.read(), steps(growing)) == (False, [1, 2])
    assert growing.unreadable == 0


def test_a_resumed_run_that_cut_its_file_is_read_anew(file: Path) -> None:
    growing = GrowingRecords(file.parent)
    file.write_text("".join(line(step, loss=1.0) for step in range(1, 6)))
    growing.read()
    file.write_text(line(1, loss=1.0))
    assert (growing.read(), steps(growing)) == (True, [1])
    file.write_text("".join(line(step, loss=1.0) for step in range(1, 6)))
    growing.read()
    # Cut, and grown beyond what was read, between two looks.
    file.write_text(line(1, loss=1.0) + "".join(line(step, loss=2.0) for step in range(2, 9)))
    assert growing.read()
    assert [record["loss"] for record in growing.records] == [1.0, *[2.0] * 7]


def test_a_long_file_is_not_read_twice(file: Path) -> None:
    growing = GrowingRecords(file.parent)
    file.write_text("".join(line(step) for step in range(200)))
    assert file.stat().st_size > 2 * TAIL
    growing.read()
    first = growing.records[0]
    with file.open("a") as opened:
        opened.write(line(200))
    assert (growing.read(), steps(growing)) == (True, list(range(201)))
    assert growing.records[0] is first


def test_what_is_no_record_is_counted_and_passed_over(file: Path) -> None:
    bad = (
        "{",
        "[1]",
        "null",
        '{"step": "1"}',
        '{"epoch": NaN}',
        '{"step": true}',
        "\udcff",
        "[" * 9999,
    )
    text = line(1) + "\n".join(bad) + "\n" + line(2)
    file.write_bytes(text.encode(errors="surrogateescape"))
    growing = GrowingRecords(file.parent)
    assert growing.read()
    assert (steps(growing), growing.unreadable) == ([1, 2], len(bad))


def test_an_integer_beyond_all_floats_is_no_number_to_draw(file: Path) -> None:
    file.write_text('{"step": 1, "loss": ' + "9" * 400 + "}\n")
    growing = GrowingRecords(file.parent)
    growing.read()
    assert growing.records == [{"step": 1, "loss": float("inf")}]


def test_a_file_that_is_gone_has_no_records(file: Path) -> None:
    growing = GrowingRecords(file.parent)
    file.write_text(line(1))
    growing.read()
    file.unlink()
    assert (growing.read(), growing.records) == (True, [])
    file.write_text(line(7))
    assert (growing.read(), steps(growing)) == (True, [7])


def test_a_pipe_or_a_folder_in_its_place_does_not_hang(file: Path) -> None:
    growing = GrowingRecords(file.parent)
    os.mkfifo(file)
    with pytest.raises(OSError, match="seek"):
        growing.read()
    file.unlink()
    file.mkdir()
    with pytest.raises(IsADirectoryError):
        growing.read()
