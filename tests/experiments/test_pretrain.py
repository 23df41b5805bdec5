"""`sslcli pretrain`, end to end: what it leaves, how it is stopped, resumed and run again."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from doubles import (
    TINY,
    Sslcli,
    build_method,
    double_of,
    facts,
    only_run,
    pictures,
    records,
    without_batch_statistics,
)
from PIL import Image

from sslcli.data.batches import Batches
from sslcli.evaluation.restoration_monitor import (
    as_images,
)
from sslcli.experiments import figures
from sslcli.experiments.pretrain import warn_of_own_statistics
from sslcli.method import MethodConfig
from sslcli.methods.context_encoder import ContextEncoderConfig
from sslcli.methods.denoising_autoencoder import DenoisingAutoencoderConfig
from sslcli.methods.mae import MAEConfig
from sslcli.methods.simclr import SimCLRConfig
from sslcli.nets.encoder_config import ContextConfig, ConvNetConfig, EncoderConfig, MLPConfig
from sslcli.nets.vit_config import ViTConfig
from sslcli.report.display import AS_THEY_ARE


def test_leaves_everything_in_the_run_folder(sslcli: Sslcli, tmp_path: Path) -> None:
    outcome = sslcli("pretrain", *TINY, "knn_every=1", "method.temperature=0.3")
    assert outcome.status == 0, outcome.err
    run = only_run(tmp_path / "outputs")
    assert run.parent == tmp_path / "outputs/pretrain/simclr-fashion_sample"
    assert str(run.relative_to(tmp_path)) in outcome.out
    saved = yaml.safe_load((run / "config.yaml").read_text())
    assert saved["method"]["temperature"] == 0.3
    assert saved["optim"]["lr"] > 0
    assert yaml.safe_load((run / "overrides.yaml").read_text()) == [
        *TINY,
        "knn_every=1",
        "method.temperature=0.3",
    ]
    found = facts(run)
    assert found["status"] == "finished"
    assert {
        "identity",
        "seconds",
        "images_per_second",
        "peak_memory_bytes",
        "metrics",
        "environment",
        "derived",
    } <= found.keys()
    assert found["data"]["pictures"] == 64
    assert found["derived"]["num_steps"] == 8
    assert 0 <= found["metrics"]["knn_accuracy"] <= 1
    assert all({"step", "epoch"} <= record.keys() for record in records(run))
    assert [record["step"] for record in records(run) if "loss" in record] == [2, 4, 6, 8]
    assert [record["step"] for record in records(run) if "knn_accuracy" in record] == [4, 8]
    assert "knn accuracy" in (run / "log.txt").read_text()
    for name in (
        "pretrain/last.pt",
        "encoder.safetensors",
        "encoder.json",
        "figures/views.png",
        "figures/curves.png",
    ):
        assert (run / name).stat().st_size > 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [["optim=lars"], ["optim=adamw", "encoder=mlp", "~encoder.width", "encoder.widths=[16,8]"]],
)
def test_other_choices(sslcli: Sslcli, tmp_path: Path, words: list[str]) -> None:
    tiny = [word for word in TINY if "encoder=mlp" not in words or not word.startswith("encoder.")]
    outcome = sslcli("pretrain", *tiny, *[word for word in words if not word.startswith("~")])
    assert outcome.status == 0, outcome.err
    assert facts(only_run(tmp_path / "outputs"))["status"] == "finished"


def test_a_run_that_diverges_says_so_and_keeps_its_last_checkpoint(
    sslcli: Sslcli, tmp_path: Path
) -> None:
    outcome = sslcli("pretrain", *TINY, "epochs=60", "optim.lr=1e30", "save_every=0.25")
    assert outcome.status == 1
    error, fix = outcome.err.strip().splitlines()[-2:]
    assert "the loss is not finite at step" in error
    assert "optim.lr" in fix
    assert facts(only_run(tmp_path / "outputs"))["status"] == "failed"


def test_a_run_that_is_refused_is_none_to_resume(sslcli: Sslcli, tmp_path: Path) -> None:
    np.savez(tmp_path / "one.npz", x_train=np.zeros((1, 12, 12, 1), np.uint8))
    outcome = sslcli("pretrain", *TINY, "data=arrays", "data.root=one.npz")
    assert outcome.status == 2
    assert "at least 2 training pictures" in outcome.err
    refused = only_run(tmp_path / "outputs")
    assert facts(refused)["status"] == "refused"
    assert "there is no run to resume" in sslcli("resume", "last").err
    assert "at least 2 training pictures" in sslcli("resume", str(refused)).err


@pytest.mark.slow
def test_a_collapse_is_announced(sslcli: Sslcli) -> None:
    """Weights that are decayed to nothing give every picture the same features."""
    outcome = sslcli(
        "pretrain",
        *TINY,
        "epochs=30",
        "optim.lr=0.01",
        "optim.weight_decay=90",
        "optim.momentum=0",
        "optim.nesterov=false",
        "optim.decay_all=true",
    )
    assert "warning: after step" in outcome.err
    assert "nearly the same features" in outcome.err


def test_a_finished_run_is_not_resumed(sslcli: Sslcli, tmp_path: Path) -> None:
    sslcli("pretrain", *TINY, "epochs=1")
    outcome = sslcli("resume", str(only_run(tmp_path / "outputs")))
    assert outcome.status == 2
    assert "is finished" in outcome.err


def make_interrupted(run: Path) -> None:
    (run / "run.json").write_text(json.dumps({**facts(run), "status": "interrupted"}))


def test_a_changed_config_is_not_resumed(sslcli: Sslcli, tmp_path: Path) -> None:
    sslcli("pretrain", *TINY, "epochs=1")
    run = only_run(tmp_path / "outputs")
    make_interrupted(run)
    text = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(text.replace("temperature: 0.2", "temperature: 0.9"))
    outcome = sslcli("resume", "last")
    assert outcome.status == 2
    assert "config.yaml was changed since the run began" in outcome.err


@pytest.mark.slow
def test_own_pictures_whose_validation_has_no_labels(sslcli: Sslcli, tmp_path: Path) -> None:
    import numpy as np

    rng = np.random.default_rng(0)
    for index in range(48):
        folder = tmp_path / "photos" / ("val" if index < 8 else f"train/{index % 2}")
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (20, 24, 3), dtype=np.uint8)).save(
            folder / f"{index}.png"
        )
    tiny = [word for word in TINY if not word.startswith("data.")]
    outcome = sslcli(
        "pretrain", *tiny, "data=folder", "data.root=photos", "data.resolution=16", "knn_every=1"
    )
    assert outcome.status == 0, outcome.err
    run = only_run(tmp_path / "outputs")
    assert "knn_accuracy" not in facts(run)["metrics"]
    assert yaml.safe_load((run / "config.yaml").read_text())["data"]["root"] == str(
        tmp_path / "photos"
    )


def test_a_folder_that_cannot_be_written(sslcli: Sslcli, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    outcome = sslcli("pretrain", *TINY, "runtime.outputs=file/inside")
    assert outcome.status == 1
    assert "runtime.outputs" in outcome.err
    assert "Traceback" not in outcome.err


class Heard:
    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        self.warnings.append(text)


@pytest.mark.parametrize(
    ("config", "encoder", "parts"),
    [
        (SimCLRConfig(), ConvNetConfig(width=4), "(encoder)"),
        (
            ContextEncoderConfig(adversarial=True, bottleneck=4),
            ContextConfig(width=2),
            "(encoder, bottleneck, decoder, d",
        ),
    ],
)
def test_statistics_that_are_not_shared_are_told_of_by_part(
    config: MethodConfig, encoder: EncoderConfig, parts: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    method, heard = build_method(config, encoder), Heard()
    warn_of_own_statistics(method, heard)  # type: ignore[arg-type]
    assert heard.warnings == []
    monkeypatch.setattr("sslcli.processes.size", lambda: 2)
    warn_of_own_statistics(method, heard)  # type: ignore[arg-type]
    assert parts in heard.warnings[0]
    for module in method.modules().values():
        without_batch_statistics(module)
    heard.warnings.clear()
    warn_of_own_statistics(method, heard)  # type: ignore[arg-type]
    assert heard.warnings == []


def test_pictures_of_8_pixels(sslcli: Sslcli, tmp_path: Path) -> None:
    """They are smaller than SSIM's window."""
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "small.npz", x_train=rng.integers(0, 256, (40, 8, 8), dtype=np.uint8))
    outcome = sslcli(
        "pretrain", "method=denoising_autoencoder", "data=arrays", "data.root=small.npz", "encoder.widths=[8]",
        "epochs=1", "batch_size=12", "runtime.threads=1",
    )  # fmt: skip
    assert outcome.status == 0, outcome.err
    metrics: dict[str, Any] = facts(only_run(tmp_path / "outputs"))["metrics"]
    assert metrics["restored_psnr"] > 0
    assert "restored_ssim" not in metrics


@pytest.mark.slow
@pytest.mark.parametrize("method", ["denoising_autoencoder", "context_encoder"])
def test_a_handful_of_pictures_is_enough(sslcli: Sslcli, tmp_path: Path, method: str) -> None:
    """One is held out for validation. A code that is wider than the picture is warned of."""
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "few.npz", x_train=rng.integers(0, 256, (10, 16, 16), dtype=np.uint8))
    wide = method == "denoising_autoencoder"
    small = ["encoder.widths=[8]", "encoder.bottleneck=257"] if wide else ["encoder.width=2"]
    outcome = sslcli(
        "pretrain", f"method={method}", "data=arrays", "data.root=few.npz", *small, "epochs=1", "batch_size=4",
        "runtime.threads=1",
    )  # fmt: skip
    assert outcome.status == 0, outcome.err
    assert (
        "warning: encoder.bottleneck=257 is wider than the picture's 256 values" in outcome.err
    ) is wide
    assert (only_run(tmp_path / "outputs") / "figures/restorations.png").exists()


@pytest.mark.parametrize(
    ("config", "encoder"),
    [
        (DenoisingAutoencoderConfig(), MLPConfig(widths=[8])),
        (ContextEncoderConfig(bottleneck=4), ContextConfig(width=2)),
    ],
)
def test_the_sheet_of_views_shows_pictures_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: MethodConfig, encoder: EncoderConfig
) -> None:
    """These methods' views are in [0, 1], also where the encoder is fed normalised pictures."""
    shown: list[dict[str, Any]] = []
    sheet = double_of(figures.save_contact_sheet, shown.append)
    monkeypatch.setattr(figures, "save_contact_sheet", sheet)
    session: Any = SimpleNamespace(figures=tmp_path, display=AS_THEY_ARE)
    figures.save_views(session, build_method(config, encoder), Batches(pictures(), 8, 0, "cpu"), 0)
    (given,) = shown
    mean, std = (torch.tensor(given[name]).view(-1, 1, 1) for name in ("mean", "std"))
    drawn = as_images(given["views"][0] * std + mean)
    for view, image in zip(drawn, given["images"], strict=True):
        assert np.array_equal(view, image) or np.array_equal(view, image[:, ::-1]), "or mirrored"


@pytest.mark.parametrize(
    ("config", "encoder"),
    [
        (MAEConfig(normalize_patches=False), ViTConfig(width=24, depth=1, heads=3)),
        (ContextEncoderConfig(bottleneck=4), ContextConfig(width=2)),
        (SimCLRConfig(), ConvNetConfig(width=2)),
    ],
)
def test_the_sheet_shows_views_as_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: MethodConfig, encoder: EncoderConfig
) -> None:
    """Whether the method normalises them itself or not."""
    drawn: dict[str, Any] = {}
    sheet = double_of(figures.save_contact_sheet, drawn.update)
    monkeypatch.setattr(figures, "save_contact_sheet", sheet)
    method = build_method(config, encoder)
    session: Any = SimpleNamespace(figures=tmp_path, display=AS_THEY_ARE)
    figures.save_views(session, method, Batches(pictures(), 8, 0, "cpu"), 3)
    mean, std = (torch.tensor(drawn[name]).view(-1, 1, 1) for name in ("mean", "std"))
    views = torch.stack(list(drawn["views"])) * std + mean
    assert views.min() >= -1e-5
    assert views.max() <= 1 + 1e-5
    assert views.max() - views.min() > 0.8
