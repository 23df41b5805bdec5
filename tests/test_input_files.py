"""What a config reads is there, has an absolute path, and counts by its content."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from sslcli.config import identity
from sslcli.errors import SslcliError
from sslcli.input_files import file_hashes, with_absolute_files
from sslcli.settings import part, setting


@dataclass(kw_only=True)
class Teacher:
    weights: str | None = setting(None, "of the teacher", file=True)
    folder: str | None = setting(None, "of its encoder", file=True, inside=("a", "b"))
    log: str | None = setting(None, "where it was trained", file=True, changes_results=False)


@dataclass(kw_only=True)
class Config:
    teacher: Teacher = part(Teacher, "the teacher")
    lists: list[str] = setting([], "names, one a line", file=True)
    seed: int = setting(0, "a number")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.pt").write_bytes(b"weights")
    (tmp_path / "folder/deep").mkdir(parents=True)
    (tmp_path / "folder/deep/b").write_bytes(b"b")
    return tmp_path


def of(config: Config) -> str:
    return identity("pretrain", config, file_hashes(config))


def test_paths_become_absolute_where_they_are_files(here: Path) -> None:
    config = Config(teacher=Teacher(weights="a.pt"), lists=["folder", str(here / "a.pt")])
    found = with_absolute_files(config)
    assert found.teacher.weights == str(here / "a.pt")
    assert found.lists == [str(here / "folder"), str(here / "a.pt")]
    assert with_absolute_files(found) == found
    assert with_absolute_files(Config()) == Config()


@pytest.mark.parametrize("name", ["b.pt", "", "folder/none"])
def test_what_is_missing_is_named_with_its_key(here: Path, name: str) -> None:
    with pytest.raises(SslcliError) as refused:
        with_absolute_files(Config(teacher=Teacher(weights=name)))
    assert refused.value.message == f"teacher.weights: there is no file or folder {name!r}"
    assert f"a relative path begins in {here}" in refused.value.fix
    with pytest.raises(SslcliError, match=r"lists: there is no file or folder"):
        file_hashes(Config(lists=[str(here / "none")]))


def test_the_identity_is_that_of_the_content(here: Path) -> None:
    config = with_absolute_files(Config(teacher=Teacher(weights="a.pt")))
    before, hashes = of(config), file_hashes(config)
    assert hashes.keys() == {"teacher.weights"}
    (here / "copy.pt").write_bytes(b"weights")
    copied = replace(config, teacher=Teacher(weights=str(here / "copy.pt")))
    assert of(copied) == before
    assert of(replace(config, teacher=replace(config.teacher, log=str(here / "folder")))) == before
    (here / "a.pt").write_bytes(b"weights and more")
    assert of(config) != before
    assert identity("pretrain", config, hashes) == before, "as it was recorded"
    assert of(replace(config, seed=1)) not in (of(config), before)


def test_a_folder_counts_with_its_names_and_contents(here: Path) -> None:
    config = with_absolute_files(Config(lists=["folder"]))
    hashes = [file_hashes(config)["lists"]]
    (here / "folder/deep/c").symlink_to(here / "a.pt")
    (here / "folder/upward").symlink_to(here / "folder")  # is not followed for ever
    hashes.append(file_hashes(config)["lists"])
    (here / "folder/deep/b").write_bytes(b"other")
    hashes.append(file_hashes(config)["lists"])
    (here / "folder/deep/b").rename(here / "folder/deep/d")
    hashes.append(file_hashes(config)["lists"])
    (here / "a.pt").write_bytes(b"linked")
    hashes.append(file_hashes(config)["lists"])
    assert len(set(hashes)) == len(hashes)


def list_in_order(monkeypatch: pytest.MonkeyPatch, backwards: bool) -> None:
    """Makes the file system list what is in a folder by name, or the other way round."""
    walk = os.walk

    def sorted_walk(top: Path, followlinks: bool) -> Iterator[tuple[str, list[str], list[str]]]:
        for parent, folders, names in walk(top, followlinks=followlinks):
            folders.sort(reverse=backwards)
            yield parent, folders, names

    monkeypatch.setattr(os, "walk", sorted_walk)


@pytest.mark.parametrize("backwards", [False, True])
def test_the_hash_of_a_folder_is_the_same_in_any_order_of_its_files(
    here: Path, monkeypatch: pytest.MonkeyPatch, backwards: bool
) -> None:
    for name in ("z/w", "y/x/w", "a/b"):
        (here / "top" / name).parent.mkdir(parents=True)
        (here / "top" / name).write_text(name)
    list_in_order(monkeypatch, backwards)
    config = with_absolute_files(Config(lists=["top"]))
    assert file_hashes(config)["lists"] == "9429667791aacefa", "as before folders were sorted"
    (here / "top/a/x").symlink_to("../y/x")
    assert file_hashes(config)["lists"] == "ecdd657075ece866"


@dataclass(kw_only=True)
class Beside:
    one: str | None = setting(None, "a file", file=True, words=("public",))
    several: Any = setting(True, "files", file=True, words=("public", "raw"))


def test_words_name_no_file_and_count_as_they_are(here: Path) -> None:
    (here / "x.pt").write_text("x")
    (here / "y.pt").write_text("x")
    config = Beside(one="public", several=["raw", "x.pt"])
    found = with_absolute_files(config)
    assert (found.one, found.several) == ("public", ["raw", str(here / "x.pt")])
    assert file_hashes(found).keys() == {"several"}
    assert file_hashes(with_absolute_files(Beside(several=["raw", "y.pt"]))) == file_hashes(found)
    others = (["public", "x.pt"], ["x.pt", "raw"], ["x.pt"])
    hashes = {file_hashes(with_absolute_files(Beside(several=o)))["several"] for o in others}
    assert len(hashes | {file_hashes(found)["several"]}) == 4
    assert file_hashes(Beside()) == file_hashes(Beside(several=["raw"])) == {}


def test_of_a_folder_with_named_files_these_alone_count(here: Path) -> None:
    for name in "abc":
        (here / "folder" / name).write_text(name)
    config = with_absolute_files(Config(teacher=Teacher(folder="folder")))
    before = file_hashes(config)
    (here / "folder/c").write_text("other")
    (here / "folder/d").write_text("new")
    assert file_hashes(config) == before
    (here / "folder/b").write_text("other")
    assert file_hashes(config) != before


@pytest.mark.parametrize("name", ["folder", "a.pt"])
def test_where_a_named_file_is_missing_it_is_said(here: Path, name: str) -> None:
    (here / "folder/a").write_text("a")
    with pytest.raises(SslcliError) as refused:
        with_absolute_files(Config(teacher=Teacher(folder=name)))
    assert refused.value.message == f"teacher.folder: {name!r} is no folder that holds a and b"
    assert refused.value.fix.endswith("is not there")
