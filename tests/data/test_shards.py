"""Tar shards: the samples that they hold, their parts and labels, and what is wrong with them."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from photos import contents
from tars import picture, sample, write_shard

from sslcli.data import shard_cache
from sslcli.data.folder import Cache, FolderConfig
from sslcli.data.shard_cache import index_file
from sslcli.data.shards import ShardsConfig
from sslcli.errors import RunFailed, SslcliError
from sslcli.threads import map_in_threads


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for module in ("shard_cache", "pixel_cache"):
        monkeypatch.setattr(f"sslcli.data.{module}.STABLE_AFTER", 0)


def config(root: Path | str, **settings: Any) -> ShardsConfig:
    return ShardsConfig(root=str(root), **{"resolution": 8, **settings})


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """Three training shards of ten samples, and a test shard of six."""
    for number in range(3):
        samples = [sample(f"{number}{row:03}", str(row % 3)) for row in range(10)]
        write_shard(tmp_path / f"set/train-{number:04}.tar", samples)
    write_shard(
        tmp_path / "set/test-0000.tar", [sample(f"t{row}", str(row % 3)) for row in range(6)]
    )
    return tmp_path / "set"


def names(listing: Any, files: Any) -> list[str]:
    return [listing.names[row] for row in files.rows.tolist()]


def test_the_pictures_are_those_of_the_same_files_in_a_folder(shards: Path, tmp_path: Path) -> None:
    for part in ("train", "test"):
        for path in sorted(shards.glob(f"{part}-*.tar")):
            with tarfile.open(path) as tar:
                for member in tar:
                    if member.name.endswith(".jpg"):
                        key = member.name.partition(".")[0]
                        label = tar.extractfile(f"{key}.cls").read().decode()  # type: ignore[union-attr]
                        file = tmp_path / "folder" / part / label / f"{key}.jpg"
                        file.parent.mkdir(parents=True, exist_ok=True)
                        file.write_bytes(tar.extractfile(member).read())  # type: ignore[union-attr]

    def known(settings: FolderConfig) -> dict[str, tuple[str, bytes, bytes]]:
        _, stored = settings.list_files()
        assert stored.classes == ("0", "1", "2")
        splits = settings.load()
        seen = {}
        for part in (splits.train, splits.val, splits.test):
            assert part is not None
            assert part.paths is not None
            assert part.labels is not None
            assert part.digests is not None
            for row, path in enumerate(part.paths):
                what = (
                    str(part.labels[row]),
                    part.images[:][row].tobytes(),
                    part.digests[row].tobytes(),
                )
                seen[Path(path).name] = what
        return seen

    of_folder = known(FolderConfig(root=str(tmp_path / "folder"), resolution=8))
    assert known(config(shards)) == of_folder
    assert len(of_folder) == 36


@pytest.mark.parametrize("how", list(Cache))
@pytest.mark.parametrize("workers", [1, 4])
def test_they_are_alike_wherever_the_pixels_are_kept(
    shards: Path, how: Cache, workers: int
) -> None:
    splits = config(shards, cache=how, workers=workers).load()
    again = config(shards, cache=how, workers=workers).load()
    assert contents(splits) == contents(again) == contents(config(shards).load())


def test_shards_are_named_by_a_file_a_folder_a_glob_or_braces(shards: Path) -> None:
    train = [f"train-{number:04}.tar" for number in range(3)]
    for root, expected in (
        (shards, train),
        (shards / "train-*.tar", train),
        (shards / "train-{0000..0002}.tar", train),
        (shards / "train-{0000,0002}.tar", [train[0], train[2]]),
        (f"{shards}/train-0000.tar::{shards}/train-{{0001..0002}}.tar", train),
    ):
        listing, stored = config(root).list_files()
        found = names(listing, stored.train)
        assert sorted({name.partition("/")[0] for name in found}) == expected
        assert len(found) == 10 * len(expected)
    listing, stored = config(shards / "train-0001.tar").list_files()
    assert names(listing, stored.train)[0] == "train-0001.tar/1000.jpg"


def test_linked_folders_are_entered_but_none_twice(shards: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (shards / "test-0000.tar").rename(tmp_path / "elsewhere/0000.tar")
    (shards / "real").mkdir()
    (shards / "train-0002.tar").rename(shards / "real/train-0002.tar")
    (shards / "again").symlink_to(shards / "real")
    (shards / "real/upwards").symlink_to(shards)
    (shards / ".hidden").symlink_to(tmp_path / "elsewhere")
    listing, stored = config(shards).list_files()
    assert stored.test is None
    shards_of = {name.rpartition("/")[0] for name in names(listing, stored.train)}
    assert shards_of == {"train-0000.tar", "train-0001.tar", "real/train-0002.tar"}
    (shards / "test").symlink_to(tmp_path / "elsewhere")
    listing, stored = config(shards).list_files()
    assert {name.rpartition("/")[0] for name in names(listing, stored.test)} == {"test/0000.tar"}
    assert [len(part) for part in (stored.train, stored.test) if part] == [30, 6]


def test_parts_are_told_by_names_or_typed(shards: Path) -> None:
    listing, stored = config(shards).list_files()
    assert stored.val is None
    assert {name[:5] for name in names(listing, stored.train)} == {"train"}
    assert {name[:4] for name in names(listing, stored.test)} == {"test"}
    typed = config(
        shards / "train-{0000..0001}.tar",
        val=str(shards / "train-0002.tar"),
        test=str(shards / "test-0000.tar"),
    )
    listing, stored = typed.list_files()
    assert {name[:10] for name in names(listing, stored.val)} == {"train-0002"}
    assert [len(part) for part in (stored.train, stored.val, stored.test) if part] == [20, 10, 6]


@pytest.mark.parametrize(
    ("root", "others", "wrong"),
    [
        ("train-{0000..0004}.tar", {}, r"2 of 5 files are not there: .*train-0003\.tar"),
        ("nothing-*.tar", {}, "matches no file"),
        ("train-*.tar", {"val": "train-0001.tar"}, "is named for train and for val"),
        ("*.tar", {"test": "test-0000.tar"}, "data.root names test files too"),
        ("test-*.tar", {}, "has test files, and none of training"),
        ("train-{0000..0001}.tar::{S}/train-0001.tar", {}, "names a file twice"),
    ],
)
def test_patterns_that_would_mislead_are_refused(
    shards: Path, root: str, others: dict[str, str], wrong: str
) -> None:
    typed = {part: str(shards / name) for part, name in others.items()}
    with pytest.raises(SslcliError, match=wrong):
        config(str(shards / root).replace("{S}", str(shards)), **typed).list_files()


def test_names_of_which_only_some_tell_a_part_are_refused(shards: Path) -> None:
    shutil.copy(shards / "train-0000.tar", shards / "more.tar")
    with pytest.raises(SslcliError, match=r"1 of 5 files do not: .*more\.tar"):
        config(shards).list_files()
    shutil.copy(shards / "train-0000.tar", shards / "more-train-test.tar")
    with pytest.raises(SslcliError, match="two parts of the data, test and train"):
        config(shards).list_files()


def test_a_sample_is_what_shares_a_name_up_to_the_first_dot(tmp_path: Path) -> None:
    """Members of several samples may stand between one another; capitals of endings do not count."""
    one, two = picture(), picture("PNG")
    members = [
        {"./a/b.x/k.PNG": two, "k.jpg": one, "__MACOSX/._k.jpg": b"", "._k.jpg": b""},
        {"k.cls": b"7\n", "a/b.x/k.cls": b"8", "readme": b"", "k.seg.png": two},
    ]
    path = write_shard(tmp_path / "a.tar", members)
    listing, stored = config(path).list_files()
    assert listing.names == ("a.tar/a/b.x/k.PNG", "a.tar/k.jpg")
    assert [listing.read(0), listing.read(1)] == [two, one]
    assert stored.classes == ("7", "8")
    assert stored.train.labels is not None
    assert stored.train.labels.tolist() == [1, 0]


def test_a_class_a_number_and_a_group_are_read_from_json(tmp_path: Path) -> None:
    samples = [
        sample(f"{row}", json={"class": {"name": f"c{row % 2}"}, "age": row / 2, "who": row // 3})
        for row in range(9)
    ]
    path = write_shard(tmp_path / "a.tar", samples)
    _, stored = config(path, label="json.class.name", groups="json.who").list_files()
    assert stored.classes == ("c0", "c1")
    assert stored.train.labels is not None
    assert stored.train.labels.tolist() == [row % 2 for row in range(9)]
    assert stored.train.groups is not None
    assert stored.train.groups.tolist() == [row // 3 for row in range(9)]
    _, stored = config(path, target="json.age").list_files()
    assert stored.train.targets is not None
    assert stored.train.targets[:, 0].tolist() == [row / 2 for row in range(9)]
    _, stored = config(path, groups=r"/(\d)\.").list_files()
    assert stored.classes is None
    assert stored.no_labels is not None
    assert "data.label=json.KEY" in stored.no_labels
    assert stored.train.groups is not None
    assert len(set(stored.train.groups.tolist())) == 9


def test_a_sample_without_a_class_is_pretrained_on_only(tmp_path: Path) -> None:
    samples = [sample("a", "x"), sample("b"), sample("c", "y"), sample("d", "")]
    listing, stored = config(write_shard(tmp_path / "a.tar", samples)).list_files()
    assert names(listing, stored.train) == ["a.tar/a.jpg", "a.tar/c.jpg"]
    assert names(listing, stored.unlabelled) == ["a.tar/b.jpg", "a.tar/d.jpg"]


@pytest.mark.parametrize(
    ("samples", "settings", "wrong"),
    [
        ([sample("a"), {"a.jpg": picture()}], {}, r"the sample a twice, each with \.jpg"),
        ([sample("a", "1"), sample("a", "1")], {}, r"the sample a twice, each with \.(jpg|cls)"),
        ([sample("a"), {"a.JPG": picture()}], {}, r"the sample a twice, each with \.JPG"),
        ([{"a.jpg": picture(), "a.png": picture()}], {}, r"two pictures, \.jpg and \.png"),
        ([{"a.input.jpg": picture(), "a.cls": b"1"}], {}, r"no pictures: .* \.cls \.input\.jpg"),
        ([sample("a"), {"b.cls": b"1"}], {}, "1 of 2 samples have no picture: b in"),
        ([], {}, "holds no samples"),
        ([sample("a", "1")], {"label": "clas"}, "clas"),
        ([sample("a", json={"x": 1})], {"label": "json.y"}, r"a\.json .* lacks 'y': it has x"),
        (
            [sample("a", json={"x": [1]})],
            {"target": "json.x"},
            "has a list where a text or a number",
        ),
        ([sample("a", json=b"{")], {"label": "json.y"}, "is no JSON"),
        ([sample("a", txt=b"\xff")], {"label": "txt"}, "is no UTF-8"),
        ([sample("a", "1"), sample("b", "1")], {"groups": "who"}, "who"),
    ],
)
def test_samples_that_are_not_as_they_should_be_are_refused(
    tmp_path: Path, samples: Any, settings: dict[str, str], wrong: str
) -> None:
    with pytest.raises(SslcliError, match=wrong):
        config(write_shard(tmp_path / "a.tar", samples), **settings).list_files()


def test_the_pictures_are_chosen_by_their_ending(tmp_path: Path) -> None:
    one, two = picture(), picture()
    path = write_shard(tmp_path / "a.tar", [{"a.input.jpg": one, "a.seg.jpg": two}])
    listing, _ = config(path, picture="seg.jpg").list_files()
    assert listing.names == ("a.tar/a.seg.jpg",)
    assert listing.read(0) == two


def test_a_few_samples_without_a_picture_are_a_warning(tmp_path: Path) -> None:
    path = write_shard(tmp_path / "a.tar", [sample("a"), sample("b"), {"c.json": b"{}"}])
    _, stored = config(path, max_bad=0.5).list_files()
    assert stored.warnings == (f"1 of 3 samples have no picture: c in {path}",)


@pytest.mark.parametrize("ending", [".tar.gz", ".tgz", ".tar.zst"])
def test_compressed_shards_are_refused_also_beside_others(shards: Path, ending: str) -> None:
    (shards / f"train-0009{ending}").write_bytes(b"\x1f\x8b")
    with pytest.raises(SslcliError, match="is compressed") as caught:
        config(shards).list_files()
    assert str(shards / f"train-0009{ending}") in caught.value.fix


def count_indexing(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    indexed: list[str] = []
    index = shard_cache.index_tar

    def counting(path: Path, called: str) -> Any:
        indexed.append(path.name)
        return index(path, called)

    monkeypatch.setattr(shard_cache, "index_tar", counting)
    return indexed


def test_what_lies_where_is_found_once(shards: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    indexed = count_indexing(monkeypatch)
    first = config(shards).list_files()
    assert len(indexed) == 4
    second = config(shards).list_files()
    assert len(indexed) == 4
    assert first[0].key == second[0].key
    assert first[0].names == second[0].names
    assert first[1].train.labels is not None
    assert second[1].train.labels is not None
    assert first[1].train.labels.tolist() == second[1].train.labels.tolist()
    write_shard(shards / "train-0001.tar", [sample("new", "0"), sample("newer", "1")])
    listing, stored = config(shards).list_files()
    assert indexed[4:] == ["train-0001.tar"]
    assert names(listing, stored.train)[10:12] == [
        "train-0001.tar/new.jpg",
        "train-0001.tar/newer.jpg",
    ]
    assert listing.key != first[0].key


def test_a_damaged_index_is_made_again(shards: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shard = str(shards / "train-0000.tar")
    first, _ = config(shard).list_files()
    whole = index_file(shard).read_bytes()
    indexed = count_indexing(monkeypatch)
    for content in (b"", whole[:100], whole[:-200], whole.replace(b"0003.jpg", b"0004.jpg")):
        index_file(shard).write_bytes(content)
        again, _ = config(shard).list_files()
        assert again.names == first.names
    assert indexed == ["train-0000.tar"] * 4


def test_a_shard_that_just_changed_is_not_remembered(
    shards: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard_cache, "STABLE_AFTER", 10**11)
    config(shards).list_files()
    assert not index_file(str(shards / "train-0000.tar")).exists()


def test_a_shard_that_changes_while_it_is_trained_on_is_refused(shards: Path) -> None:
    splits = config(shards, cache=Cache.none).load()
    write_shard(shards / "train-0001.tar", [sample(f"{row}", "0") for row in range(10)])
    with pytest.raises(RunFailed, match="changed since it was listed"):
        splits.train.images[np.arange(len(splits.train))]


def test_threads_read_the_right_members_with_few_files_open(
    shards: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sslcli.archives.file_bytes.Archives.most_open", 1)
    listing, _ = config(shards).list_files()
    alone = [listing.read(row) for row in range(len(listing))]
    assert len(set(alone)) == 36
    rows = np.random.default_rng(0).integers(0, len(listing), 500)
    together = list(map_in_threads(lambda i: listing.read(int(rows[i])), len(rows), 8))
    assert together == [alone[row] for row in rows]


def test_a_run_finds_its_shards_from_another_folder(
    shards: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shards)
    relative = config("train-{0000..0001}.tar::train-0002.tar", test="test-0000.tar")
    assert relative.is_there()
    whole = relative.with_absolute_root()
    monkeypatch.chdir("/")
    assert len(whole.list_files()[0]) == 36
    assert whole.is_there()
    assert not relative.is_there()


def test_a_broken_picture_is_named_by_its_shard_and_sample(tmp_path: Path) -> None:
    samples = [*(sample(f"{row}") for row in range(3)), {"bad.jpg": b"no picture"}]
    path = write_shard(tmp_path / "a.tar", samples)
    with pytest.raises(SslcliError, match=r"1 of 4 .*: a\.tar/bad\.jpg: not a picture"):
        config(path).load()
