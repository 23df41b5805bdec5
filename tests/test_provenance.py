"""What is known of the code that brings a choice, however it was installed."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path

import pytest
from doubles import SHIFT, Site

from sslcli.methods import METHODS
from sslcli.methods.simclr import SimCLRConfig
from sslcli.provenance import Code, code_changes, hash_of, package_code

POINTS = {"methods": {"shift": "one_shift:ShiftConfig"}}


def code(name: str = "shift") -> Code:
    found = package_code(METHODS, METHODS[name]())
    assert found is not None
    return found


@pytest.mark.parametrize("editable", [False, True])
def test_one_byte_changes_the_hash_of_a_package(site: Site, tmp_path: Path, editable: bool) -> None:
    checkout = tmp_path / "checkout" if editable else None
    if checkout is not None:
        site.see(checkout)
    file = site.install("one-shift", POINTS, version="2.1", editable=checkout)
    before = code()
    assert before == {
        "package": "one-shift",
        "version": "2.1",
        "files": hash_of({"one_shift.py": file}),
    }
    (file.parent / "not_of_it.py").write_text("")
    assert code() == before
    file.write_text(SHIFT + " ")
    assert code()["files"] != before["files"]


@pytest.mark.parametrize(
    "named", ["one.two.config", "space.one.config"], ids=["package", "namespace"]
)
def test_an_editable_package_counts_whole_and_a_namespace_does_not(
    site: Site, tmp_path: Path, named: str
) -> None:
    """Two distributions may share the folder `space`."""
    site.see(tmp_path / "checkout")
    file = tmp_path / "checkout" / f"{named.replace('.', '/')}.py"
    file.parent.mkdir(parents=True)
    file.write_text(SHIFT)
    (tmp_path / "checkout/one").mkdir(exist_ok=True)
    for folder in ("one", "one/two") if named.startswith("one") else ("space/one",):
        (tmp_path / "checkout" / folder / "__init__.py").write_text("")
    site.install(
        "one-shift", {"methods": {"shift": f"{named}:ShiftConfig"}}, editable=tmp_path / "other"
    )
    before = code()
    beside = (tmp_path / "checkout" / named.partition(".")[0]) / "more.py"
    beside.write_text("")
    assert (code() != before) == named.startswith("one")
    (file.parent / "nets.py").write_text("x = 1")
    assert code()["files"] != before["files"]


@pytest.mark.parametrize("listed", ["one_shift\nhelpers\n", None], ids=["setuptools", "others"])
def test_an_editable_packages_other_modules_count(
    site: Site, tmp_path: Path, listed: str | None
) -> None:
    """Setuptools lists them; where nobody does, a module's neighbours count."""
    checkout = tmp_path / "checkout"
    site.see(checkout)
    file = site.install("one-shift", POINTS, editable=checkout)
    top_level = site.folder / "one_shift-1.0.dist-info/top_level.txt"
    top_level.unlink() if listed is None else top_level.write_text(listed)
    helper = file.with_name("helpers.py")
    helper.write_text("x = 1")
    before = code()
    helper.write_text("x = 2")
    assert code()["files"] != before["files"]


def test_an_editable_packages_part_of_a_namespace_counts(site: Site, tmp_path: Path) -> None:
    """And not what another distribution has in the same namespace."""
    checkout, others = tmp_path / "check out", tmp_path / "others"
    for folder in (checkout, others):
        site.see(folder)
        (folder / "space/deep").mkdir(parents=True)
    (checkout / "space/one.py").write_text(SHIFT)
    points = {"methods": {"shift": "space.one:ShiftConfig"}}
    site.install("one-shift", points, editable=tmp_path / "elsewhere")
    info = site.folder / "one_shift-1.0.dist-info"
    (info / "top_level.txt").write_text("space\n")
    (info / "direct_url.json").write_text(json.dumps({"url": checkout.as_uri()}))
    before = code()
    (others / "space/deep/theirs.py").write_text("x = 1")
    assert code() == before
    (checkout / "space/deep/nets.py").write_text("x = 1")
    assert code()["files"] != before["files"]


def test_a_package_that_lists_several_modules_counts_whole(site: Site) -> None:
    file = site.install("one-shift", POINTS)
    nets = file.with_name("one_shift_nets.py")
    nets.write_text("x = 1")
    (site.folder / "one_shift-1.0.dist-info/RECORD").write_text(
        "one_shift.py,,\none_shift_nets.py,,\n"
    )
    before = code()
    nets.write_text("x = 2")
    assert code()["files"] != before["files"]


def test_what_is_built_in_has_no_package() -> None:
    assert package_code(METHODS, SimCLRConfig()) is None
    assert import_module("sslcli.provenance").own_code()["package"] == "sslcli"


@pytest.mark.parametrize(
    ("before", "after", "differs"),
    [
        ({"package": "a", "version": "1", "files": "x"}, {"package": "a", "version": "1", "files": "x"}, False),
        ({"package": "a", "version": "1", "files": "x"}, {"package": "a", "version": "2", "files": "x"}, False),
        ({"package": "a", "version": "1", "files": "x"}, {"package": "a", "version": "1", "files": "y"}, True),
        ({"package": "a", "version": "1"}, {"package": "a", "version": "2"}, True),
        ({"package": "a", "version": "1"}, {"package": "a", "version": "1"}, False),
        ({"package": "sslcli", "version": "1"}, {"package": "sslcli", "version": "2", "files": "y"}, False),
        ({"package": "a", "version": "1", "files": "x"}, None, True),
        (None, {"package": "a", "version": "1", "files": "x"}, True),
    ],
)  # fmt: skip
def test_code_is_compared_by_its_files_where_both_have_them(
    before: Code | None, after: Code | None, differs: bool
) -> None:
    then, now = ({} if one is None else {"method": one} for one in (before, after))
    assert bool(code_changes(then, now)) == differs
