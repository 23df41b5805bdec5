"""`sslcli views`: the sheet, the numbers, and what it refuses."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from doubles import contains, pixels
from matplotlib.figure import Figure
from PIL import Image

from sslcli.cli.experiment import composer
from sslcli.console import Console
from sslcli.errors import SslcliError
from sslcli.tools.views.main import main


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of six pictures, each of random pixels."""
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(6):
        picture = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(picture).save(folder / f"{number}.png")
    return folder


def views(*words: str) -> str:
    output = io.StringIO()
    main(list(words), Console(output, io.StringIO()), composer(False))
    return output.getvalue()


def test_presets_stand_side_by_side_with_the_pictures_and_their_numbers(
    tmp_path: Path, photos: Path
) -> None:
    words = ["data=folder", f"data.root={photos}", "data.resolution=32", "data.val_fraction=0.4"]
    sheet = tmp_path / "sheet.png"
    both = "method/views=documents,satellite"
    said = views(both, *words, "encoder.width=4", "--pictures", "2", "--to", str(sheet))
    assert "method/views=documents" in said
    assert "method/views=satellite" in said
    lines = [line.split() for line in said.splitlines() if ".png " in line]
    assert len(lines) == 4
    assert all(float(line[1]) <= 100 for line in lines)
    found = pixels(sheet)
    for line in lines[:2]:
        original = np.asarray(Image.open(photos / line[0]))
        magnified = original.repeat(3, axis=0).repeat(3, axis=1)
        assert contains(found, magnified)
    with pytest.raises(SslcliError, match="exists already") as refused:
        views(*words, "--to", str(sheet))
    assert "--to names another place" in refused.value.fix


def test_a_full_disk_leaves_the_earlier_sheet(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["data=folder", f"data.root={photos}", "data.resolution=32", "data.val_fraction=0.4"]
    words += ["encoder.width=4", "--pictures", "2", "--to", str(tmp_path / "sheet.png")]
    views(*words)
    before = (tmp_path / "sheet.png").read_bytes()

    def fill_the_disk(figure: Figure, path: Path, **_: object) -> None:
        path.write_bytes(b"half a picture")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Figure, "savefig", fill_the_disk)
    with pytest.raises(OSError, match="No space"):
        views(*words, "--force")
    assert (tmp_path / "sheet.png").read_bytes() == before
    assert [path.name for path in tmp_path.glob("*sheet*")] == ["sheet.png"]


def test_a_broken_picture_is_left_out(tmp_path: Path, photos: Path) -> None:
    (photos / "0.png").write_bytes(b"no picture")
    words = ["data=folder", f"data.root={photos}", "data.max_bad=0.5", "data.val_fraction=0.2"]
    said = views(*words, "encoder.width=4", "--to", str(tmp_path / "sheet.png"))
    assert "0.png" not in said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--to", "sheet.jpg"], "--to sheet.jpg: the sheet is a PNG picture"),
        (["--pictures", "0"], "--pictures must be from 1 to 64, got 0"),
        (["data.limit=20,30"], "data.limit=20 and data.limit=30 are not the same pictures"),
        (["method/views=micro"], "there is no method/views 'micro'"),
    ],
)
def test_what_cannot_be_drawn_is_refused(words: list[str], message: str) -> None:
    with pytest.raises(SslcliError) as refused:
        views(*words)
    assert refused.value.message == message
    assert refused.value.fix


def test_more_kinds_than_a_sheet_holds_are_refused() -> None:
    with pytest.raises(SslcliError, match="9 kinds of views do not fit on one sheet"):
        main([], Console(), lambda command, words: [("", None)] * 9)
