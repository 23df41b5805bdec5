"""`sslcli inpaint` and `sslcli restore` on what it trained, end to end."""

from __future__ import annotations

import importlib.util
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from doubles import Killed, Sslcli, Steps, facts, only_run, records
from PIL import Image

from sslcli.console import Console
from sslcli.errors import SslcliError
from sslcli.experiments import inpaint as inpainting
from sslcli.experiments.inpaint import LASTING, warn_of_a_winner
from sslcli.experiments.inpaint_config import Config
from sslcli.methods import METHODS
from sslcli.runs.results import read_results

TINY = [
    "data.limit=32", "data.val_fraction=0.005", "batch_size=16", "epochs=2", "log_every=1", "runtime.threads=1", "num_scored=8",
    "encoder.width=4", "method.bottleneck=8", "method.discriminator_width=4",
]  # fmt: skip
FILLERS = ["mean", "nearest neighbour", "biharmonic", "network"]


def run_of(tmp_path: Path) -> Path:
    return only_run(tmp_path / "outputs/inpaint")


def test_trains_both_players_and_scores_the_holes(sslcli: Sslcli, tmp_path: Path) -> None:
    outcome = sslcli("inpaint", *TINY)
    assert outcome.status == 0, outcome.err
    run = run_of(tmp_path)
    assert run.parent.name == "context_encoder-fashion_sample"
    measured = read_results(run)
    results = {row.name: row.scores for row in measured.rows}
    assert list(results) == [*FILLERS, "true"]
    for name in FILLERS:
        assert results[name].keys() == {"l1", "l2", "psnr", "ssim", "gradient"}
        assert 0 < results[name]["l2"] <= results[name]["l1"] <= 100
    assert results["true"].keys() == {"gradient"}
    assert results["mean"]["gradient"] == pytest.approx(0, abs=1e-6)
    assert "8 test pictures" in measured.protocol.tested_on
    metrics = facts(run)["metrics"]
    for name in FILLERS:
        assert metrics[f"hole_psnr_{name.replace(' ', '_')}"] == results[name]["psnr"]
        assert name in outcome.out
    assert metrics["hole_ssim"] == results["network"]["ssim"]
    assert metrics["hole_l1"] == results["network"]["l1"]
    for name in ("fillings", "restorations", "curves", "views"):
        assert (run / f"figures/{name}.png").stat().st_size > 0
    told = [record for record in records(run) if "loss" in record]
    assert [record["step"] for record in told] == [1, 2, 3, 4]
    for record in told:
        both = {
            "loss",
            "reconstruction",
            "adversarial",
            "discriminator_loss",
            "discriminator_accuracy",
        }
        assert both <= record.keys()
        assert 0 <= record["discriminator_accuracy"] <= 1
    evaluated = [record for record in records(run) if "restored_psnr" in record]
    assert [record["step"] for record in evaluated] == [2, 4]
    assert (run / "encoder.safetensors").exists()
    assert f"sslcli restore {run.relative_to(tmp_path)} picture.png" in outcome.out


@pytest.mark.slow
def test_killed_it_goes_on_and_ends_the_same(
    sslcli: Sslcli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: Steps
) -> None:
    words = [*TINY, "save_every=0.5", "method.masks.kind=centre"]
    assert sslcli("inpaint", *words, "runtime.outputs=whole").status == 0
    steps.kill_at = ("ContextEncoder", 3)
    with pytest.raises(Killed):
        sslcli("inpaint", *words, "runtime.outputs=cut")
    steps.kill_at = None

    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(inpainting.Filling, "save", killed)  # trained, but nothing is reported
        with pytest.raises(Killed):
            sslcli("resume", "last", "--outputs", "cut")
    outcome = sslcli("resume", "last", "--outputs", "cut")
    assert outcome.status == 0, outcome.err
    whole, cut = only_run(tmp_path / "whole"), only_run(tmp_path / "cut")
    assert records(cut) == records(whole)
    for name in ("encoder.safetensors", "results.json"):
        assert (cut / name).read_bytes() == (whole / name).read_bytes()
    states = [torch.load(run / "pretrain/last.pt")["state"] for run in (whole, cut)]
    assert states[0]["modules"].keys() == states[1]["modules"].keys()
    assert any(key.startswith("discriminator.") for key in states[0]["modules"])
    for key, value in states[0]["modules"].items():
        assert torch.equal(value, states[1]["modules"][key]), key
    assert facts(cut)["metrics"] == facts(whole)["metrics"]


@pytest.mark.slow
def test_the_network_learns_to_fill(sslcli: Sslcli, tmp_path: Path) -> None:
    outcome = sslcli(
        "inpaint", *TINY, "data.limit=200", "batch_size=20", "epochs=12", "method.adversarial=false",
        "method.masks.kind=centre", "encoder.width=8", "method.bottleneck=64", "log_every=40",
    )  # fmt: skip
    assert outcome.status == 0, outcome.err
    metrics = facts(run_of(tmp_path))["metrics"]
    assert metrics["hole_psnr_network"] > metrics["hole_psnr_mean"] + 2
    assert "discriminator_loss" not in metrics


@pytest.mark.parametrize(
    ("method", "name"), [("simclr", "SimCLR"), ("denoising_autoencoder", "DenoisingAutoencoder")]
)
def test_another_method_is_refused(sslcli: Sslcli, method: str, name: str) -> None:
    outcome = sslcli("inpaint", f"method={method}")
    assert outcome.status == 2
    assert f"inpaint sets method.adversarial, which {name} does not have" in outcome.err
    with pytest.raises(SslcliError, match=f"inpaint trains what fills holes, and {name} does not"):
        Config(method=METHODS[method](), encoder=None, data=None, optim=None, runtime=None)


def test_nothing_to_score_is_refused(sslcli: Sslcli) -> None:
    outcome = sslcli("inpaint", "num_scored=0")
    assert outcome.status == 2
    assert "num_scored must be positive" in outcome.err


@pytest.mark.slow
def test_without_scikit_image_and_without_a_test_part(
    sslcli: Sslcli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        inpainting,
        "find_spec",
        lambda name: None if name == "skimage" else importlib.util.find_spec(name),
    )
    coarse = np.random.default_rng(0).integers(0, 256, (40, 4, 4, 3), dtype=np.uint8)
    np.savez(tmp_path / "pictures.npz", x_train=coarse.repeat(4, 1).repeat(4, 2))
    outcome = sslcli(
        "inpaint",
        *TINY,
        "data=arrays",
        "data.root=pictures.npz",
        "data.val_fraction=0.1",
        "epochs=1",
    )
    assert outcome.status == 0, outcome.err
    assert "warning: scikit-image is not installed" in outcome.err
    assert (
        "warning: the data have no test part: what is reported is measured on validation"
        in outcome.err
    )
    results = read_results(run_of(tmp_path))
    assert [row.name for row in results.rows] == ["mean", "nearest neighbour", "network", "true"]
    assert "4 validation pictures" in results.protocol.tested_on


class Listener:
    def __init__(self) -> None:
        self.told: list[Any] = []

    def step(self, done: int) -> None:
        self.told.append(done)

    def record(self, record: dict[str, Any]) -> None:
        self.told.append(record)


@pytest.mark.parametrize(
    ("accuracies", "words"),
    [
        (
            [1.0] * LASTING,
            ["the discriminator wins", "up to step 9", "lower method.discriminator_rate"],
        ),
        ([0.3] * LASTING, ["the generator wins", "raise method.discriminator_rate"]),
        (
            [0.7] * 5 + [0.995] * LASTING + [0.1] * LASTING,
            ["the discriminator wins", "up to step 14"],
        ),
        ([1.0] * (LASTING - 1), []),
        (([1.0] * (LASTING - 1) + [0.9]) * 3, []),
        ([0.5] * 30, []),
    ],
)
def test_a_player_that_wins_outright_is_announced_once(
    accuracies: list[float], words: list[str]
) -> None:
    errors, onlooker = io.StringIO(), Listener()
    watch = warn_of_a_winner(onlooker, Console(io.StringIO(), errors))
    told: list[Any] = []
    for step, accuracy in enumerate(accuracies):
        told += [
            step,
            {"step": step, "discriminator_accuracy": accuracy},
            {"step": step, "restored_psnr": 9.0},
        ]
        watch.step(step)
        watch.record(told[-2])
        watch.record(told[-1])
    assert onlooker.told == told, "everything is passed on"
    lines = errors.getvalue().splitlines()
    assert len(lines) == bool(words)
    for word in words:
        assert word in lines[0]


def pixels(path: Path) -> Any:
    with Image.open(path) as image:
        return np.array(image)


@pytest.mark.slow
def test_restore_fills_the_users_own_picture(sslcli: Sslcli, tmp_path: Path) -> None:
    assert sslcli("inpaint", *TINY, "epochs=1", "num_scored=1").status == 0
    rng = np.random.default_rng(0)
    picture, mask = rng.integers(0, 256, (50, 41, 3), dtype=np.uint8), np.zeros((50, 41), np.uint8)
    mask[10:22, 8:25] = 255
    Image.fromarray(picture).save(tmp_path / "picture.png")
    Image.fromarray(mask).save(tmp_path / "mask.png")
    outcome = sslcli("restore", "last", "picture.png", "--mask", "mask.png")
    assert outcome.status == 0, outcome.err
    result = pixels(tmp_path / "picture_restored.png")
    assert np.array_equal(result[mask == 0], picture[mask == 0])
    assert (result != picture).any(axis=2)[mask > 0].mean() > 0.9
    hole = picture.copy()
    hole[mask > 0] = 255
    Image.fromarray(hole).save(tmp_path / "hole.png")
    assert sslcli("restore", "last", "hole.png", "--mask", "mask.png").status == 0
    assert np.array_equal(pixels(tmp_path / "hole_restored.png"), result), (
        "what was in the hole is not looked at"
    )
    outcome = sslcli("restore", "last", "picture.png", "--output", "other.png")
    assert outcome.status == 2
    assert "a whole picture is hidden" in outcome.err
    assert not (tmp_path / "other.png").exists()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["gaussian", "masking"])
def test_restore_denoises(sslcli: Sslcli, tmp_path: Path, kind: str) -> None:
    off = "masking" if kind == "gaussian" else "gaussian"
    outcome = sslcli(
        "pretrain", "method=denoising_autoencoder", "data.limit=32", "batch_size=16", "epochs=1", "encoder.widths=[8]",
        "runtime.threads=1", f"method.corruption.{kind}=0.3", f"method.corruption.{off}=0",
    )  # fmt: skip
    assert outcome.status == 0, outcome.err
    rng = np.random.default_rng(0)
    picture, mask = rng.integers(0, 256, (31, 45), dtype=np.uint8), np.zeros((31, 45), np.uint8)
    mask[1:30, 3:42] = 255  # more than half of a tile
    Image.fromarray(picture).save(tmp_path / "picture.png")
    Image.fromarray(mask).save(tmp_path / "mask.png")
    assert sslcli("restore", "last", "picture.png").status == 0
    whole = pixels(tmp_path / "picture_restored.png")
    assert whole.shape == picture.shape
    assert (whole != picture).mean() > 0.9
    assert (
        sslcli(
            "restore", "last", "picture.png", "--mask", "mask.png", "--output", "part.png"
        ).status
        == 0
    )
    part = pixels(tmp_path / "part.png")
    assert np.array_equal(part[mask == 0], picture[mask == 0])
    # What reads noise takes the marked pixels from the picture restored as a whole; what fills gaps does not see them.
    assert np.array_equal(part[mask > 0], whole[mask > 0]) is (kind == "gaussian")
