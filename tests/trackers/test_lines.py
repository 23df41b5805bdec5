"""Lines that another process writes are read once each, whole, also after the end was cut and written again."""

from __future__ import annotations

from pathlib import Path

from sslcli.trackers import lines
from sslcli.trackers.lines import Lines


def test_every_line_is_read_once_and_a_torn_one_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    reader = Lines(path)
    assert reader.after(0) == [], "no file yet"
    path.write_bytes(b"one\ntwo\nth")
    assert reader.after(0) == [b"one\n", b"two\n"]
    assert reader.after(2) == []
    path.write_bytes(b"one\ntwo\nthree\nfour\n")
    assert reader.after(2) == [b"three\n", b"four\n"]
    assert reader.after(4) == []


def test_what_was_not_taken_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b"one\ntwo\nthree\n")
    reader = Lines(path)
    assert len(reader.after(0)) == 3
    assert reader.after(1) == [b"two\n", b"three\n"]


def test_a_cut_file_that_has_grown_past_the_old_end_is_counted_anew(tmp_path: Path) -> None:
    """A resumed run writes the same records with other timings, so of other lengths."""
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b"a\nbb\ncc\n")
    reader = Lines(path)
    assert len(reader.after(0)) == 3
    path.write_bytes(b"a\nbbbbbb\ncccc\nd\n")
    assert reader.after(3) == [b"d\n"]
    path.write_bytes(b"a\n")
    assert reader.after(4) == [], "they are not written again yet"
    path.write_bytes(b"a\nb\nc\nd\ne\n")
    assert reader.after(4) == [b"e\n"]


def test_a_first_look_passes_over_what_was_given_before(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b"a\nb\nc\n")
    assert Lines(path).after(2) == [b"c\n"]


def test_much_is_read_in_pieces(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    total = 2 * lines.AT_ONCE + 1
    path.write_bytes(b"".join(b"%d\n" % number for number in range(total)))
    reader, found = Lines(path), []
    while piece := reader.after(len(found)):
        assert len(piece) <= lines.AT_ONCE
        found += piece
    assert [int(line) for line in found] == list(range(total))
