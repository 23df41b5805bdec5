"""`sslcli export`: every format from a real tiny run, and which encoders fit it."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from doubles import Sslcli
from exported import own_features
from safetensors.torch import load_file

import sslcli as package
from sslcli.tools.export import formats


@pytest.mark.parametrize(
    ("name", "form", "files"),
    [
        ("convnet", "safetensors", ["encoder.safetensors", "encoder.json"]),
        pytest.param("convnet", "onnx", ["encoder.onnx"], marks=pytest.mark.slow),
        ("convnet", "torchscript", ["encoder.pt2"]),
        pytest.param("mlp", "onnx", ["encoder.onnx"], marks=pytest.mark.slow),
        pytest.param("resnet18", "torchvision", ["resnet18.safetensors"], marks=pytest.mark.slow),
        ("timm", "timm", ["test_vit.safetensors"]),
        pytest.param("timm", "onnx", ["encoder.onnx"], marks=pytest.mark.slow),
        ("vit", "timm", ["vit_tiny_patch16_224.safetensors"]),
        pytest.param(
            "vit", "huggingface", ["model.safetensors", "config.json"], marks=pytest.mark.slow
        ),
        ("timm", "huggingface", ["model.safetensors", "config.json"]),
        pytest.param(
            "resnet18", "huggingface", ["model.safetensors", "config.json"], marks=pytest.mark.slow
        ),
        pytest.param("vit", "onnx", ["encoder.onnx"], marks=pytest.mark.slow),
        pytest.param("vit", "torchscript", ["encoder.pt2"], marks=pytest.mark.slow),
    ],
)
def test_what_is_written_gives_the_runs_features_by_the_code_on_its_card(
    sslcli: Sslcli,
    trained: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    form: str,
    files: list[str],
) -> None:
    folder = tmp_path / "taken"
    outcome = sslcli("export", str(trained(name)), "--to", form, "--output", str(folder))
    assert outcome.status == 0, outcome.err
    card = "README.md" if form == "huggingface" else "MODEL_CARD.md"
    assert {path.name for path in folder.iterdir()} == {*files, card}
    (said,) = re.findall(
        r"largest difference from the run's features: (\S+) on \d+ test pictures", outcome.out
    )
    assert float(said) < 1e-4
    (code,) = re.findall(r"```python\n(.*?)```", (folder / card).read_text(), flags=re.DOTALL)
    monkeypatch.chdir(folder)
    made: dict[str, Any] = {}
    exec(code, made)
    pictures, features = (torch.as_tensor(made[what]) for what in ("pictures", "features"))
    expected = own_features(trained(name), pictures)
    assert expected.std() > 0
    torch.testing.assert_close(features, expected, rtol=0, atol=float(1e-5 * expected.abs().max()))


def test_torchvision_loads_it_strictly_with_a_classifier_of_zeros(
    sslcli: Sslcli, trained: Any, tmp_path: Path
) -> None:
    from torchvision.models import resnet18

    assert (
        sslcli("export", str(trained("resnet18")), "--to", "torchvision", "--output", "out").status
        == 0
    )
    state = load_file(tmp_path / "out/resnet18.safetensors")
    network = resnet18()
    assert state.keys() == network.state_dict().keys()
    network.load_state_dict(state, strict=True)
    pictures = torch.rand(2, 3, 32, 32)
    assert network.eval()(pictures).abs().max() == 0  # an untrained classifier says nothing
    assert "all zeros" in (tmp_path / "out/MODEL_CARD.md").read_text()


@pytest.mark.slow
def test_onnx_takes_any_number_of_pictures(sslcli: Sslcli, run: Path) -> None:
    import onnxruntime

    assert sslcli("export", str(run), "--to", "onnx").status == 0
    session = onnxruntime.InferenceSession(
        run / "export/onnx/encoder.onnx", providers=["CPUExecutionProvider"]
    )
    for count in (1, 2, 9):
        pictures = torch.rand(count, 1, 28, 28)
        (features,) = session.run(["features"], {"pictures": pictures.numpy()})
        torch.testing.assert_close(
            torch.from_numpy(features), own_features(run, pictures), rtol=0, atol=1e-4
        )


def test_an_exported_folder_is_read_in_a_notebook(
    sslcli: Sslcli, run: Path, tmp_path: Path
) -> None:
    assert sslcli("export", str(run), "--to", "safetensors", "--output", "taken").status == 0
    images = np.random.default_rng(0).integers(0, 256, (3, 28, 28, 1), np.uint8)
    taken, own = (
        package.load_encoder(folder).features(images) for folder in (tmp_path / "taken", run)
    )
    assert torch.equal(taken, own)


def test_torchscript_says_what_it_writes_instead(sslcli: Sslcli, run: Path) -> None:
    assert "deprecated TorchScript" in sslcli("export", str(run), "--to", "torchscript").err


def test_nothing_is_overwritten_unless_forced(sslcli: Sslcli, run: Path) -> None:
    assert sslcli("export", str(run), "--to", "safetensors").status == 0
    card = run / "export/safetensors/MODEL_CARD.md"
    card.write_text("edited by hand")
    refused = sslcli("export", str(run), "--to", "safetensors")
    assert refused.status == 2
    assert "--force overwrites" in refused.err
    assert card.read_text() == "edited by hand"
    assert sslcli("export", str(run), "--to", "safetensors", "--force").status == 0
    assert "How to load it" in card.read_text()


def test_a_runs_own_files_are_never_overwritten(sslcli: Sslcli, run: Path) -> None:
    outcome = sslcli("export", str(run), "--to", "safetensors", "--output", str(run), "--force")
    assert outcome.status == 2
    assert "is a run's folder" in outcome.err
    (run / "file").touch()
    assert (
        "is a file"
        in sslcli("export", str(run), "--to", "safetensors", "--output", str(run / "file")).err
    )


@pytest.mark.parametrize(
    ("name", "form", "reason", "able"),
    [
        ("convnet", "torchvision", "no ResNet", "safetensors, onnx or torchscript"),
        ("convnet", "timm", "no model of timm's", "safetensors, onnx or torchscript"),
        (
            "resnet18",
            "timm",
            "no model of timm's",
            "safetensors, torchvision, huggingface, onnx or torchscript",
        ),
    ],
)
def test_a_format_that_does_not_fit_is_refused_with_those_that_do(
    sslcli: Sslcli, trained: Any, name: str, form: str, reason: str, able: str
) -> None:
    outcome = sslcli("export", str(trained(name)), "--to", form)
    assert outcome.status == 2
    wrong, fix = " ".join(outcome.err.split()).split("fix:")
    assert reason in wrong
    assert fix.strip() == f"choose --to {able}"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"channels": 1, "mean": [0.5], "std": [0.5]}, "takes 3"),
        ({"config": {"stem": "auto"}}, "encoder.stem=imagenet"),
        ({"config": {"bottleneck": 4}}, "bottleneck"),
    ],
)
def test_torchvision_takes_colour_its_own_stem_and_no_bottleneck(
    sslcli: Sslcli, trained: Any, tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    run = Path(shutil.copytree(trained("resnet18"), tmp_path / "run"))
    described = json.loads((run / "encoder.json").read_text())
    changed_config = {**described["config"], **change.get("config", {})}
    (run / "encoder.json").write_text(json.dumps({**described, **change, "config": changed_config}))
    outcome = sslcli("export", str(run), "--to", "torchvision")
    assert outcome.status == 2
    assert reason in " ".join(outcome.err.split())
    assert "choose --to safetensors, onnx or torchscript" in outcome.err


def test_means_by_place_are_no_features_of_timms_and_others_of_the_same_weights_are(
    sslcli: Sslcli, trained: Any, tmp_path: Path
) -> None:
    run = str(shutil.copytree(trained("vit"), tmp_path / "run"))
    line = '{"command": "linear-eval", "run": "/gone", "pool": "cls", "top1": 0.1234}\n'
    (tmp_path / "run/evaluations.jsonl").write_text(line)
    by_place = sslcli("export", run, "--to", "timm", "--pool", "grid", "--output", "places")
    assert by_place.status == 2
    assert "no means by place (with --pool mean it does fit)" in " ".join(by_place.err.split())
    files = {pool: tmp_path / pool / "vit_tiny_patch16_224.safetensors" for pool in ("cls", "mean")}
    for pool, file in files.items():
        words = ("--to", "timm", "--pool", pool, "--output", str(file.parent))
        outcome = sslcli("export", run, *words)
        assert outcome.status == 0, outcome.err
        assert float(outcome.out.split("features: ")[1].split()[0]) < 1e-4
    cards = [(file.parent / "MODEL_CARD.md").read_text() for file in files.values()]
    assert ["top1 0.1234" in card for card in cards] == [True, False], "the other pool's number"
    of_class, of_patches = (load_file(file) for file in files.values())
    assert all(torch.equal(of_class[name], of_patches[name]) for name in of_class)
    assert ["global_pool" in card for card in cards] == [False, True]


def test_missing_packages_are_named_with_the_command_that_installs_them(
    sslcli: Sslcli, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        formats, "find_spec", lambda name: None if name == "onnxruntime" else object()
    )
    outcome = sslcli("export", str(run), "--to", "onnx")
    assert outcome.status == 2
    assert "--to onnx needs what is not installed: onnxruntime" in outcome.err
    assert "pip install 'sslcli[export]'" in outcome.err


def test_a_run_without_an_encoder_is_refused(sslcli: Sslcli, run: Path) -> None:
    (run / "encoder.json").unlink()
    outcome = sslcli("export", str(run), "--to", "onnx")
    assert outcome.status == 2
    assert "has no encoder" in " ".join(outcome.err.split())
