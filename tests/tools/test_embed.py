"""`sslcli embed` on real runs: features that are the run's own, maps, and what is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from browser import Opened, colours, overflow
from doubles import TINY_WITHOUT_LIMIT, Sslcli, facts, only_run
from PIL import Image

import sslcli as package
from sslcli.evaluation import maps
from sslcli.tools.embed import main as embed
from sslcli.tools.embed import write

HOSTILE = "<img src=x onerror=alert(1)>&amp;"


@pytest.fixture
def trained(sslcli: Sslcli, tmp_path: Path) -> Path:
    """A run on a folder of pictures, one class of which has a hostile name; there are no test pictures."""
    rng = np.random.default_rng(0)
    for name, level in (("dark", 20), (HOSTILE, 180)):
        folder = tmp_path / "photos" / name
        folder.mkdir(parents=True)
        for index in range(60):
            pixels = rng.integers(level, level + 60, (14, 14, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{index}.png")
    outcome = sslcli(
        "pretrain",
        *TINY_WITHOUT_LIMIT,
        "data=folder",
        "data.root=photos",
        "data.resolution=12",
        "data.val_fraction=0.2",
    )
    assert outcome.status == 0, outcome.err
    return only_run(tmp_path / "outputs")


def test_features_are_the_runs_own(sslcli: Sslcli, trained: Path) -> None:
    outcome = sslcli("embed", "last", "--device", "cpu")
    assert outcome.status == 0, outcome.err
    folder = trained / "embeddings/val-pca"
    assert {file.name for file in folder.iterdir()} == set(write.FILES)
    with np.load(folder / "features.npz") as content:  # no pickles
        assert content["features"].shape == (24, 512)
        assert content["labels"].shape == (24,)
        assert sorted(content["classes"]) == sorted(["dark", HOSTILE])
        assert str(content["fingerprint"]) == facts(trained)["data"]["fingerprint"]
        assert str(content["part"]) == "val"
        assert "no augmentation" in json.loads(str(content["protocol"]))["features"]
        for index in (0, 23):
            with Image.open(
                trained.parents[3] / "photos" / str(content["paths"][index])
            ) as picture:
                own = package.load_encoder(trained).features([picture])
            np.testing.assert_allclose(content["features"][index], own[0], atol=1e-4)
    for name in ("map.png", "neighbours.png"):
        with Image.open(folder / name) as figure:
            assert min(figure.size) > 100


@pytest.mark.slow
def test_names_from_the_data_are_no_markup(sslcli: Sslcli, trained: Path) -> None:
    assert sslcli("embed", "last", "--device", "cpu").status == 0
    page = (trained / "embeddings/val-pca/map.html").read_text()
    assert "<img" not in page
    (data,) = re.findall(
        r'<script type="application/json" id="data">(.*?)</script>', page, flags=re.DOTALL
    )
    content = json.loads(data)
    assert HOSTILE in content["names"]
    assert any(HOSTILE in path for path in content["paths"])


@pytest.mark.slow
def test_tsne_of_the_training_part_into_a_folder_of_ones_own(
    sslcli: Sslcli, trained: Path, tmp_path: Path
) -> None:
    words = (
        "embed",
        "last",
        "--map",
        "tsne",
        "--part",
        "train",
        "--output",
        "here/there",
        "--device",
        "cpu",
    )
    outcome = sslcli(*words)
    assert outcome.status == 0, outcome.err
    assert len(np.load(tmp_path / "here/there/features.npz")["features"]) == 96
    assert not (trained / "embeddings").exists()
    before = (tmp_path / "here/there/features.npz").read_bytes()
    again = sslcli(*words)
    assert again.status == 2
    assert "exists already" in again.err
    assert sslcli(*words, "--force").status == 0
    assert (tmp_path / "here/there/features.npz").read_bytes() == before  # the same again
    assert {file.name for file in (tmp_path / "here/there").iterdir()} == set(write.FILES)


def test_unlabelled_pictures_and_test_pictures(sslcli: Sslcli, tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (60, 12, 12, 1), dtype=np.uint8)
    np.savez(tmp_path / "bare.npz", x_train=images[:50], x_test=images[50:])
    assert sslcli("pretrain", *TINY_WITHOUT_LIMIT, "data=arrays", "data.root=bare.npz").status == 0
    assert sslcli("embed", "last", "--device", "cpu").status == 0
    content = np.load(only_run(tmp_path / "outputs") / "embeddings/test-pca/features.npz")
    assert sorted(content) == ["features", "fingerprint", "part", "protocol"]
    assert len(content["features"]) == 10


def test_mistakes_are_answered(
    sslcli: Sslcli, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("pictures.txt").write_text("")
    assert "no test pictures" in sslcli("embed", "last", "--part", "test").err
    assert "pictures.txt is a file" in sslcli("embed", "last", "--output", "pictures.txt").err
    monkeypatch.setitem(maps.MAPS, "pca", maps.Map("PCA", maps.pca, 25))
    assert "PCA needs at least 25 pictures, and there are 24" in sslcli("embed", "last").err
    monkeypatch.setattr(maps, "find_spec", lambda name: None)
    outcome = sslcli("embed", "last", "--map", "umap")
    assert outcome.status == 2
    assert "pip install 'sslcli[maps]'" in outcome.err
    (trained / "encoder.json").unlink()
    assert "has no encoder" in sslcli("embed", str(trained)).err
    assert not (trained / "embeddings").exists()


def test_the_parser_knows_every_map() -> None:
    assert set(embed.MAP_NAMES) == set(maps.MAPS)


@pytest.mark.slow
def test_a_map_that_fails_leaves_nothing(
    sslcli: Sslcli, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(write, "save_page", full_disk)
    assert sslcli("embed", "last", "--device", "cpu").status != 0
    assert not (trained / "embeddings/val-pca").exists()


@pytest.mark.slow
def test_the_map_in_a_browser(tmp_path: Path, opened: Opened) -> None:
    from sslcli.report.page import save_page

    points = np.array([[0, 0], [1, 0], [0, 1], [1, 1]], np.float32)
    images = np.zeros((4, 12, 12, 1), np.uint8)
    names, paths = [HOSTILE, "long" * 60], [f"{HOSTILE}/{index}.png" for index in range(4)]
    save_page(
        tmp_path / "map.html",
        points,
        images,
        np.array([0, 1, 0, 1]),
        names,
        paths,
        "A map",
        "Features.",
    )
    with opened(tmp_path / "map.html") as page:
        assert page.locator("#legend li").all_inner_texts() == names
        box = page.locator("#map").bounding_box()
        page.mouse.move(box["x"] + 12, box["y"] + box["height"] - 12)  # the point (0, 0)
        assert page.inner_text("#card").split("\n") == [HOSTILE, paths[0]]
        page.keyboard.press("Tab")
        page.keyboard.press("ArrowRight")
        assert paths[1] in page.inner_text("#card")
    with opened(tmp_path / "map.html", width=360, scheme="dark") as page:
        assert overflow(page) == 0
        assert min(colours(page, "h1, #legend li")) > 200
