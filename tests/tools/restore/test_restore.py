"""`sslcli restore` on real files: where results go, what stays as it was, and what is refused."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from doubles import Outcome
from PIL import Image, ImageCms
from restoring import MeanFiller, Restore, colour, hole, pixels, save
from torch import nn

from sslcli.errors import SslcliError
from sslcli.method import Method, Preprocessing
from sslcli.tools.restore import fill


@dataclass
class Other(Method):
    encoder: Any
    preprocessing: Preprocessing


def test_a_hole_is_filled_and_nothing_else_touched(run: Restore) -> None:
    picture, mask = colour(), hole() > 0
    save("Müller in Köln.png", picture)
    save("mask.png", hole())
    outcome = run("last", "Müller in Köln.png", "--mask", "mask.png")
    assert outcome == (0, "restored: Müller in Köln_restored.png\n", "")
    result = pixels("Müller in Köln_restored.png")
    np.testing.assert_array_equal(result[~mask], picture[~mask])
    assert (result[mask] != picture[mask]).any(axis=1).all()
    assert np.abs(result[mask].astype(float) - picture[~mask].mean(axis=0)).max() < 25
    np.testing.assert_array_equal(pixels("Müller in Köln.png"), picture)


def test_without_a_mask_the_whole_picture_is_restored(run: Restore, filler: MeanFiller) -> None:
    picture = colour()
    save("a.png", picture)
    assert run("last", "a.png").status == 0
    assert np.abs(pixels("a_restored.png").astype(float) - picture / 2).max() <= 0.5
    assert sum(shape[0] for shape in filler.tiles) == 2 * 3
    assert all(shape[1:] == (3, 16, 16) for shape in filler.tiles)


def test_a_photograph_stays_a_photograph(run: Restore) -> None:
    """Orientation 6, EXIF, a colour profile, .jpg in and out: the mask is laid on the upright picture."""
    exif = Image.Exif()
    exif[0x0112], exif[271] = 6, "Camera"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    upright = np.full((40, 64, 3), 60, dtype=np.uint8)
    upright[:, 32:] = 180
    upright[16:24, 8:16] = (255, 0, 0)
    Image.fromarray(np.rot90(upright).copy()).save(
        "a.jpg", quality=100, subsampling=0, exif=exif, icc_profile=profile
    )
    mask = np.zeros((40, 64), dtype=np.uint8)
    mask[14:26, 6:18] = 255
    save("mask.png", mask)
    assert run("last", "a.jpg", "--mask", "mask.png").status == 0
    outcome = run("last", "a.jpg", "--mask", "mask.png", "--output", "out/b.jpg")
    assert outcome.status == 0
    assert "JPEG changes every pixel" in outcome.err
    for name in ("a_restored.png", "out/b.jpg"):
        with Image.open(name) as image:
            assert image.size == (64, 40)
            assert image.getexif()[0x0112] == 1
            assert image.getexif()[271] == "Camera"
            assert image.info["icc_profile"] == profile
            result = np.asarray(image).astype(int)
        assert np.abs(result[:, :28] - 60).max() < 8, name
        assert np.abs(result[:, 36:] - 180).max() < 8, name


def test_what_is_transparent_is_filled_and_becomes_opaque(run: Restore) -> None:
    picture, alpha = colour(), 255 - hole()
    alpha[10, 7] = 128  # the rim of a soft eraser
    save("a.png", np.dstack([picture, alpha]))
    assert run("last", "a.png", "--mask", "alpha").status == 0
    result, mask = pixels("a_restored.png"), hole() > 0
    assert result.shape == (24, 30, 4)
    assert (result[..., 3] == 255).all()
    np.testing.assert_array_equal(result[~mask][:, :3], picture[~mask])
    assert (result[mask][:, :3] != picture[mask]).any(axis=1).all()


def test_transparency_elsewhere_is_kept(run: Restore) -> None:
    alpha = np.full((24, 30), 255, dtype=np.uint8)
    alpha[:3] = 40
    save("a.png", np.dstack([colour(), alpha]))
    save("mask.png", hole())
    assert run("last", "a.png", "--mask", "mask.png").status == 0
    np.testing.assert_array_equal(pixels("a_restored.png")[..., 3], alpha)
    assert run("last", "a.png", "--force").status == 0
    np.testing.assert_array_equal(pixels("a_restored.png")[..., 3], alpha)
    outcome = run("last", "a.png", "--output", "a.jpg")
    assert outcome.status == 2
    assert "transparency" in outcome.err


def test_a_colour_is_a_mask(run: Restore) -> None:
    picture, mask = colour(), hole() > 0
    picture[mask] = (255, 0, 255)
    picture[0, 0] = (255, 0, 254)
    save("a.png", picture)
    assert run("last", "a.png", "--mask", "#ff00ff").status == 0
    result = pixels("a_restored.png")
    assert not (result == (255, 0, 255)).all(axis=2).any()
    np.testing.assert_array_equal(result[~mask], picture[~mask])


@pytest.mark.parametrize("kind", ["colour", "alpha", "bits", "palette"])
def test_a_mask_may_be_any_kind_of_picture(run: Restore, kind: str) -> None:
    mask, picture = hole(), colour()
    save("a.png", picture)
    image = Image.fromarray(mask)
    if kind == "colour":
        image = image.convert("RGB")
    elif kind == "alpha":  # white everywhere, opaque in the hole
        image = Image.fromarray(np.dstack([np.full_like(mask, 255)] * 3 + [mask]))
    else:
        image = image.convert("1" if kind == "bits" else "P")
    image.save("mask.png")
    assert run("last", "a.png", "--mask", "mask.png").status == 0
    changed = (pixels("a_restored.png") != picture).any(axis=2)
    np.testing.assert_array_equal(changed, mask > 0)


def test_a_grey_network_takes_every_colour_as_a_grey_picture(
    run: Restore, filler: MeanFiller
) -> None:
    filler.preprocessing = Preprocessing(16, 1, (0.0,), (1.0,))
    picture = np.zeros((16, 16, 3), dtype=np.uint8) + np.array([10, 100, 200], dtype=np.uint8)
    picture[4:8, 4:8] = 255
    save("a.png", picture)
    save("mask.png", ((picture == 255).all(axis=2) * 255).astype(np.uint8))
    assert run("last", "a.png", "--mask", "mask.png").status == 0
    assert (pixels("a_restored.png") == [10, 100, 200]).all()
    assert filler.tiles == [torch.Size([1, 1, 16, 16])] * 3


def test_a_network_of_colours_takes_a_grey_picture_and_gives_a_grey_one(
    run: Restore, filler: MeanFiller
) -> None:
    save("a.png", np.full((16, 16), 100, dtype=np.uint8))
    assert run("last", "a.png").status == 0
    np.testing.assert_array_equal(pixels("a_restored.png"), np.full((16, 16), 50))
    assert filler.tiles == [torch.Size([1, 3, 16, 16])]


def test_a_folder_becomes_a_folder_and_a_broken_picture_is_named(run: Restore) -> None:
    save("photos/ä 1.png", colour())
    save("photos/deep/er/b.jpg", colour())
    save("photos/deep/c.tif", colour())
    (Path("photos") / "broken.png").write_bytes(b"no picture")
    (Path("photos") / "notes.txt").touch()
    outcome = run("last", "photos")
    assert outcome.status == 1
    assert "left out: photos/broken.png is not a picture" in outcome.err
    assert "3 of 4 pictures" in outcome.out
    results = sorted(str(path) for path in Path("photos_restored").rglob("*.*"))
    assert results == [
        f"photos_restored/{name}" for name in ("deep/c.png", "deep/er/b.png", "ä 1.png")
    ]


def test_masks_of_a_folder_go_by_name(run: Restore) -> None:
    for name in ("a.png", "sub/b.jpg", "sub/none.png"):
        save(f"photos/{name}", colour())
    save("masks/a.png", hole())
    save("masks/sub/b.png", hole())
    outcome = run("last", "photos", "--mask", "masks", "--output", "out")
    assert outcome.status == 1
    assert "left out: masks has no mask of photos/sub/none.png" in outcome.err
    changed = (pixels("out/a.png") != pixels("photos/a.png")).any(axis=2)
    np.testing.assert_array_equal(changed, hole() > 0)
    assert Path("out/sub/b.png").exists()


def test_results_inside_the_folder_are_not_restored_again(run: Restore) -> None:
    save("photos/a.jpg", colour())
    assert run("last", "photos", "--output", "photos/out").status == 0
    assert run("last", "photos", "--output", "photos/out", "--force").status == 0
    assert [str(path) for path in Path("photos/out").rglob("*")] == ["photos/out/a.png"]


def test_several_pictures_each_beside_its_own_or_in_a_folder(run: Restore, tmp_path: Path) -> None:
    save("x/a.png", colour())
    save("b.png", colour())
    assert run("last", tmp_path / "x/a.png", "b.png").status == 0
    assert Path("x/a_restored.png").exists()
    assert Path("b_restored.png").exists()
    assert run("last", "x/a.png", "b.png", "--output", "new/out").status == 0
    assert sorted(path.name for path in Path("new/out").iterdir()) == ["a.png", "b.png"]


def test_nothing_is_overwritten_unless_it_is_asked_for(run: Restore, filler: MeanFiller) -> None:
    save("a.png", colour())
    Path("a_restored.png").write_text("mine")
    outcome = run("last", "a.png")
    assert outcome.status == 2
    assert "a_restored.png exists already" in outcome.err
    assert "--force" in outcome.err
    assert Path("a_restored.png").read_text() == "mine"
    assert filler.tiles == []
    assert run("last", "a.png", "--force").status == 0
    assert pixels("a_restored.png").shape == (24, 30, 3)


def refused(outcome: Outcome, *words: str) -> None:
    """Two lines and exit status 2."""
    assert outcome.status == 2, outcome
    lines = outcome.err.splitlines()
    assert [line[:6] for line in lines] == ["error:", "fix:  "], outcome.err
    for word in words:
        assert word in outcome.err


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (np.zeros((24, 30), np.uint8), ["mask is empty"]),
        (np.full((24, 30), 255, np.uint8), ["hides all", "--mask"]),
        (np.zeros((10, 12), np.uint8), ["12 x 10", "30 x 24", "scale"]),
        (np.zeros((30, 24), np.uint8), ["24 x 30", "30 x 24", "turn"]),
    ],
)
def test_a_mask_that_does_not_fit_is_refused(
    run: Restore, filler: MeanFiller, mask: np.ndarray[Any, Any], words: list[str]
) -> None:
    save("a.png", colour())
    save("mask.png", mask)
    refused(run("last", "a.png", "--mask", "mask.png"), *words)
    assert filler.tiles == []


def test_what_is_not_there_or_no_picture_is_refused(run: Restore) -> None:
    save("a.png", colour())
    Path("text.png").write_text("text")
    Path("empty").mkdir()
    refused(run("last", "gone.png"), "gone.png")
    refused(run("last", "text.png"), "text.png is not a picture")
    refused(run("last", "empty"), "no pictures in empty")
    refused(run("last", "a.png", "--mask", "gone.png"), "no mask gone.png", "#ff00ff")
    refused(run("last", "a.png", "--mask", "text.png"), "text.png is not a picture")
    refused(run("last", "a.png", "--mask", "#ff00"), "#ff00")
    refused(run("last", "a.png", "--mask", "#pink"), "#pink")
    refused(run("last", "a.png", "--mask", "alpha"), "no transparency")
    refused(run("last", "a.png", "--mask", "#123456"), "mask is empty")
    refused(run("last"), "picture", "usage")


def test_an_output_that_cannot_be_is_refused(run: Restore) -> None:
    for name in ("a.png", "a.jpg", "x/a.png"):
        save(name, colour())
    refused(run("last", "a.png", "--output", "b.gif"), ".gif", ".png")
    refused(run("last", "a.png", "--output", "a.png", "--force"), "one of the pictures")
    refused(run("last", "a.png", "x/a.png", "--output", "a.jpg", "--force"), "a.jpg is a file")
    refused(run("last", "a.png", "a.jpg"), "a.png and a.jpg", "a_restored.png")
    refused(run("last", "a.png", "x/a.png", "--output", "out"), "both be written to out/a.png")


def test_a_run_that_cannot_restore_says_which_can(
    run: Restore, monkeypatch: pytest.MonkeyPatch
) -> None:
    save("a.png", colour())
    refused(run("contrast", "a.png"), "trained by simclr", "denoising_autoencoder")
    refused(run("probe", "a.png"), "is a run of linear-eval", "denoising_autoencoder")
    refused(run("nothing", "a.png"), "no run is named 'nothing'")
    refused(run("last", "a.png", "--outputs", "elsewhere"), "no run that can restore pictures")
    other = Other(nn.Linear(1, 1), Preprocessing(16, 3, (0.0,) * 3, (1.0,) * 3))
    monkeypatch.setattr(fill, "read_method", lambda folder: other)
    refused(run("denoise", "a.png"), "holds a Other")


def test_mistakes_are_found_before_the_run_is_loaded(
    run: Restore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(folder: Path) -> Method:
        raise AssertionError("was loaded")

    monkeypatch.setattr(fill, "read_method", never)
    save("a.png", colour())
    save("mask.png", hole(8, 8))
    refused(run("last", "a.png", "--mask", "mask.png"), "8 x 8")
    refused(run("contrast", "a.png"), "simclr")


def test_a_run_that_cannot_be_loaded_ends_it_also_in_a_folder(
    run: Restore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(folder: Path) -> Method:
        raise SslcliError(f"{folder} is damaged", "train again")

    monkeypatch.setattr(fill, "read_method", damaged)
    save("photos/a.png", colour())
    outcome = run("denoise", "photos")
    begun, _, told = outcome.err.partition("\n")
    assert begun == "restoring pictures"
    refused(outcome._replace(err=told), "is damaged")
