"""The words that `sslcli inspect` takes, what it writes, and what it refuses."""

from __future__ import annotations

import json
import os
import re
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from doubles import Sslcli
from PIL import Image

from sslcli.cli.experiment import composer
from sslcli.data.folder import FolderConfig
from sslcli.data.table import TableConfig
from sslcli.errors import SslcliError
from sslcli.tools.inspect.words import understand
from sslcli.tools.table import Compose

pytestmark = pytest.mark.usefixtures("plainly")


@pytest.fixture
def few(tmp_path: Path) -> Path:
    """A folder whose name needs quotes, with three pictures."""
    folder = tmp_path / "my pictures=1"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(3):
        blots = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
        blots.resize((40 + number, 32)).save(folder / f"<b>{number}.png")
    return folder


def test_a_path_alone_is_enough(few: Path, plainly: Compose) -> None:
    asked = understand([str(few)], plainly)
    assert asked.config == FolderConfig(root=str(few))
    assert asked.words == ["data=folder", f"\"data.root='{few}'\""]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["data=foldr", "data.root=."], "there is no data 'foldr'"),
        ([".", "data.resolution=32,64"], "the words mean 2 data sets"),
    ],
)
def test_a_mistake_in_a_runs_words_is_answered_as_in_a_run(words: list[str], message: str) -> None:
    with pytest.raises(SslcliError, match=message):
        understand(words, composer(False))


def test_a_runs_words_mean_what_they_mean_in_a_run(few: Path, plainly: Compose) -> None:
    table = few / "t.csv"
    table.write_text("path\na.png\n")
    words = [str(table), "data.label=2024", "data.max_bad=0.5", r"data.groups='patient(\d+)'"]
    asked = understand(words, composer(False))
    groups = r"patient(\d+)"
    assert asked.config == TableConfig(root=str(table), label="2024", max_bad=0.5, groups=groups)
    assert asked == understand(words, plainly), "so tests may do without Hydra"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere"], "there is no file or folder 'nowhere'"),
        (["data.root=x"], "data=… says which kind of data it is, and is missing"),
        ([".", "data.resolution=-3"], "data.resolution must be positive, got -3"),
        ([".", "method=simclr"], "method=simclr: only words of the data can be inspected"),
        ([".", "data.root=.."], "there are 2 places: . .."),
        ([".", "--at-most", "0"], "--at-most must be positive, got 0"),
        ([".", "--to", "."], "--to . is a folder with files in it, and nothing is overwritten"),
        ([".", "--json", "there.txt"], "--json there.txt exists, and nothing is overwritten"),
        ([".", "--json", "no/such.json"], "--json no/such.json: its folder does not exist"),
        (["there.txt", "data=folder"], "data.root is not a folder: there.txt"),
        (["there.xyz"], "there.xyz is no folder, and no file of pictures that can be read"),
        (["empty"], "there are no pictures in empty"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_a_mistake_is_answered_in_two_lines(
    words: list[str], message: str, sslcli: Sslcli, tmp_path: Path
) -> None:
    for name in ("there.txt", "there.xyz"):
        (tmp_path / name).write_text("")
    (tmp_path / "empty").mkdir()
    outcome = sslcli("inspect", *words)
    assert outcome.status == 2
    error, fix = outcome.err.splitlines()
    assert error.startswith(f"error: {message}")
    assert fix.startswith("fix:   ")


def test_a_page_and_its_values_are_written_and_nothing_is_fetched(
    few: Path, sslcli: Sslcli
) -> None:
    outcome = sslcli("inspect", str(few), "--to", "found", "--json", "values.json")
    assert outcome.status == 0, outcome.err
    page = Path("found/inspection.html").read_text()
    assert json.loads(Path("found/inspection.json").read_text()) == json.loads(
        Path("values.json").read_text()
    )
    assert page.count("data:image/png;base64,") > 10, "the mean, and odd ones"
    assert not re.findall(r"(?:src|href)=[\"']?https?:", page)
    assert "<b>" not in page
    assert "&lt;b&gt;0.png" in page
    assert "Plotly.newPlot" not in page
    again = sslcli("inspect", str(few), "--to", "found")
    assert again.status == 2
    assert "nothing is overwritten" in again.err


def test_interrupted_it_leaves_nothing(
    few: Path, sslcli: Sslcli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(data: bytes) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("sslcli.tools.inspect.survey.look_at_bytes", interrupt)
    outcome = sslcli("inspect", str(few), "--to", "found")
    assert outcome.status == 130
    assert "stopped by Ctrl-C" in outcome.err
    assert not Path("found").exists()


def test_the_result_is_the_same_for_any_number_of_threads(few: Path, sslcli: Sslcli) -> None:
    said = {sslcli("inspect", str(few), "--json", "-", "--workers", n).out for n in ("1", "3")}
    assert len(said) == 1


def test_arrays_that_a_run_refuses_are_told_with_the_reason(tmp_path: Path, sslcli: Sslcli) -> None:
    pixels = 5 * np.random.default_rng(0).random((4, 9, 8, 3)).astype(np.float32)
    np.savez(tmp_path / "a.npz", x_train=pixels)
    found = json.loads(sslcli("inspect", "a.npz", "--json", "-").out)
    assert found["depth"] == {"32-bit floats": 4}
    refused = next(one for one in found["findings"] if one["kind"] == "refused")
    assert "data.range" in refused["fix"]
    assert "data.resolution" not in found["command"], "what is not understood has no size"


def test_a_folder_of_broken_files_is_told_as_one(tmp_path: Path, sslcli: Sslcli) -> None:
    (tmp_path / "bad").mkdir()
    for number in range(3):
        (tmp_path / f"bad/{number}.jpg").write_text("no picture")
    outcome = sslcli("inspect", "bad", "--to", "found")
    assert outcome.status == 0, outcome.err
    assert "3 of 3 pictures cannot be decoded" in outcome.out
    assert "to train on it, once what stops it is mended" in outcome.out
    assert Path("found/inspection.html").is_file()


def test_names_that_are_no_text_are_told_all_the_same(tmp_path: Path, sslcli: Sslcli) -> None:
    (tmp_path / "odd").mkdir()
    blots = np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    for name in (b"\xff.png", b"a\nb.png", b"\x1b[31m.png"):
        Image.fromarray(blots).save(tmp_path / "odd/plain.png")
        (tmp_path / "odd/plain.png").rename(tmp_path / "odd" / os.fsdecode(name))
    outcome = sslcli("inspect", "odd", "--to", "found", "--json", "found.json")
    assert outcome.status == 0, outcome.err
    assert "\x1b" not in outcome.out
    assert "\\x1b[31m.png" in outcome.out
    (copies,) = json.loads(Path("found.json").read_text(encoding="utf-8"))["copies"]
    assert sorted(copies) == sorted(["\\xff.png", "a\nb.png", "\x1b[31m.png"])


def test_a_set_that_comes_with_the_package_is_inspected_too(sslcli: Sslcli) -> None:
    found = json.loads(
        sslcli("inspect", "data=fashion_sample", "--at-most", "50", "--json", "-").out
    )
    assert found["pictures"] == 12_000
    assert found["words"] == ["data=fashion_sample"]
    assert found["classes"]["test"]["Sandal"] == 200


def test_arrays_of_many_channels_and_16_bits_have_nothing_to_mend(
    tmp_path: Path, sslcli: Sslcli
) -> None:
    blots = np.random.default_rng(0).integers(0, 65_536, (5, 5, 5, 7), dtype=np.uint16)
    np.save(tmp_path / "a.npy", blots.repeat(8, axis=1).repeat(8, axis=2))
    found = json.loads(sslcli("inspect", "a.npy", "--json", "-").out)
    assert found["channels"] == {"7": 5}
    assert found["depth"] == {"16-bit numbers": 5}
    assert found["findings"] == []
    assert found["command"] == "sslcli pretrain data=arrays data.root=a.npy", "as stored"


def test_parquet_is_told_from_a_table_by_its_columns(few: Path, sslcli: Sslcli) -> None:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    paths = sorted(few.iterdir())
    content = [path.read_bytes() for path in paths]
    parquet.write_table(arrow.table({"image": content, "label": [0, 1, 0]}), "bytes.parquet")
    parquet.write_table(arrow.table({"path": list(map(str, paths))}), "paths.parquet")
    for name, kind in {"bytes.parquet": "parquet", "paths.parquet": "table"}.items():
        found = json.loads(sslcli("inspect", name, "--json", "-").out)
        assert found["words"][0] == f"data={kind}"
        assert found["format"] == {"PNG": 3}


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_an_archive_is_inspected_as_its_folder(kind: str, few: Path, sslcli: Sslcli) -> None:
    names = {
        path: f"{number % 2}/{number}.png" for number, path in enumerate(sorted(few.iterdir()))
    }
    if kind == "zip":
        with zipfile.ZipFile("a.zip", "w") as archive:
            for path, name in names.items():
                archive.write(path, name)
    else:
        with tarfile.open("a.tar", "w") as archive:
            for path, name in names.items():
                archive.add(path, name)
    found = json.loads(sslcli("inspect", f"a.{kind}", "--json", "-").out)
    assert found["words"][0] == {"zip": "data=folder", "tar": "data=shards"}[kind]
    assert found["pictures"] == 3
    assert found["sizes"]["longer side"] == {"smallest": 40, "median": 41, "largest": 42}
    if kind == "zip":
        assert found["classes"] == {"train": {"0": 2, "1": 1}}
