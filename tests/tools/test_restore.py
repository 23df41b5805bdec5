"""`sslcli restore` on real files: where results go, what stays as it was, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from doubles import Outcome, make_run
from PIL import Image, ImageCms
from torch import Tensor, nn

from sslcli.cli.guard import guarded
from sslcli.console import Console
from sslcli.errors import SslcliError
from sslcli.method import Method, Preprocessing
from sslcli.tools.restore import fill
from sslcli.tools.restore import main as restore

RNG = np.random.default_rng(0)
Restore = Callable[..., Outcome]


@dataclass
class MeanFiller(Method):
    """Fills with the mean of what is visible in the tile; where nothing is, makes the picture darker by half."""

    encoder: Any
    preprocessing: Preprocessing
    tiles: list[torch.Size]

    def uses_damaged_pixels(self) -> bool:
        return False

    def damage(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        raise NotImplementedError

    def restore(self, damaged: Tensor, hidden: Tensor) -> Tensor:
        assert not torch.is_grad_enabled()
        assert not self.encoder.training
        self.tiles.append(damaged.shape)
        visible = (~hidden).float()
        count = visible.sum(dim=(2, 3), keepdim=True)
        mean = (damaged * visible).sum(dim=(2, 3), keepdim=True) / count.clamp(min=1)
        return torch.where(count > 0, mean.expand_as(damaged), damaged / 2)


@dataclass
class Other(Method):
    encoder: Any
    preprocessing: Preprocessing


@pytest.fixture
def filler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> MeanFiller:
    """What every run holds; the newest of the runs under outputs/ is one that cannot restore."""
    method = MeanFiller(nn.Linear(1, 1), Preprocessing(16, 3, (0.0,) * 3, (1.0,) * 3), [])
    monkeypatch.setattr(fill, "read_method", lambda folder: method)
    make_run(tmp_path / "outputs/pretrain/denoise", "denoising_autoencoder", started=1.0)
    make_run(
        tmp_path / "outputs/pretrain/died", "denoising_autoencoder", started=2.0, status="running"
    )
    make_run(tmp_path / "outputs/pretrain/contrast", "simclr", started=3.0)
    make_run(tmp_path / "outputs/linear-eval/probe", started=4.0, command="linear-eval", choices={})
    (tmp_path / "outputs/pretrain/damaged").mkdir()
    (tmp_path / "outputs/pretrain/damaged/run.json").write_text("{")
    monkeypatch.chdir(tmp_path)
    return method


@pytest.fixture
def run(filler: MeanFiller, capsys: pytest.CaptureFixture[str]) -> Restore:
    def restored(*words: object) -> Outcome:
        status = guarded(
            lambda: restore.main([*map(str, words), "--device", "cpu"], Console()), debug=False
        )
        captured = capsys.readouterr()
        return Outcome(status, captured.out, captured.err)

    return restored


def colour(height: int = 24, width: int = 30) -> np.ndarray[Any, Any]:
    return RNG.integers(0, 200, (height, width, 3), dtype=np.uint8)


def hole(height: int = 24, width: int = 30) -> np.ndarray[Any, Any]:
    mask = np.zeros((height, width), dtype=np.uint8)
    mask[5:11, 7:15] = 255
    return mask


def save(path: Path | str, array: np.ndarray[Any, Any], **options: Any) -> Path:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)
    return Path(path)


def pixels(path: Path | str) -> np.ndarray[Any, Any]:
    with Image.open(path) as image:
        return np.array(image)


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


@pytest.mark.parametrize("kind", ["uint8", "uint16", "int16", "float32"])
@pytest.mark.parametrize("suffix", [".npy", ".tif"])
def test_13_channels_are_restored_and_kept(
    run: Restore, filler: MeanFiller, kind: str, suffix: str
) -> None:
    tifffile = pytest.importorskip("tifffile")
    ends = {
        "uint8": None,
        "uint16": (0.0, 65535.0),
        "int16": (-2000.0, 3000.0),
        "float32": (0.0, 9.5),
    }
    filler.preprocessing = Preprocessing(16, 13, (0.0,) * 13, (1.0,) * 13, ends[kind])
    low, high = ends[kind] or (0.0, 255.0)
    picture = (RNG.random((24, 30, 13)) * (high - low) + low).astype(kind)
    if suffix == ".npy":
        np.save("a.npy", picture)
    else:
        tifffile.imwrite("a.tif", picture, photometric="minisblack", planarconfig="contig")
    save("mask.png", hole())
    assert run("last", f"a{suffix}", "--mask", "mask.png").status == 0
    written = Path(f"a_restored{suffix}")
    result = np.load(written) if suffix == ".npy" else tifffile.imread(written)
    assert result.dtype == kind
    mask = hole() > 0
    np.testing.assert_array_equal(result[~mask], picture[~mask])
    around = picture[:16, :16][~mask[:16, :16]].astype(float).mean(axis=0)
    assert np.abs(result[mask].astype(float).mean(axis=0) - around).max() < 0.2 * (high - low)
    assert result[mask].std() < 0.5 * picture[mask].std(), "the hole is filled with means"


def test_a_whole_picture_is_restored_to_within_a_value(run: Restore, filler: MeanFiller) -> None:
    """The double makes it darker by half, exactly."""
    filler.preprocessing = Preprocessing(16, 13, (0.0,) * 13, (1.0,) * 13, (0.0, 65535.0))
    picture = RNG.integers(0, 65536, (24, 30, 13), dtype=np.uint16)
    np.save("a.npy", picture)
    assert run("last", "a.npy").status == 0
    assert np.abs(np.load("a_restored.npy") - picture / 2).max() <= 1


@pytest.mark.parametrize(
    ("channels", "ends", "picture", "said"),
    [
        (3, None, np.zeros((16, 16, 13), np.uint16), "the picture has 13 channels, the network was trained on 3"),
        (1, None, np.full((16, 16), 300, np.int16), "which mean black and white is not known"),
        (1, None, np.full((16, 16), 1.5, np.float32), "are float32 from 1.5 to 1.5"),
        (1, (0.0, 9.0), np.full((16, 16), np.nan, np.float32), "256 values of the picture are NaN"),
    ],
)  # fmt: skip
def test_what_the_network_cannot_be_given_is_refused(
    run: Restore, filler: MeanFiller, channels: int, ends: Any, picture: Any, said: str
) -> None:
    zeros, ones = (0.0,) * channels, (1.0,) * channels
    filler.preprocessing = Preprocessing(16, channels, zeros, ones, ends)
    np.save("a.npy", picture)
    outcome = run("last", "a.npy")
    assert outcome.status == 2
    assert said in outcome.err
    assert not Path("a_restored.npy").exists()


def test_16_bits_stay_16(run: Restore, filler: MeanFiller) -> None:
    filler.preprocessing = Preprocessing(16, 1, (0.0,), (1.0,))
    picture = RNG.integers(0, 65536, (24, 30), dtype=np.uint16)
    save("a.png", picture)
    save("mask.png", hole())
    assert run("last", "a.png", "--mask", "mask.png") == (0, "restored: a_restored.png\n", "")
    result = pixels("a_restored.png")
    assert result.dtype == np.uint16
    np.testing.assert_array_equal(result[hole() == 0], picture[hole() == 0])
    assert (result[hole() > 0] != picture[hole() > 0]).all()
