"""`sslcli export`: every format from a real tiny run, its card's code, and that nothing is left where it went wrong."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from doubles import Sslcli, only_run
from safetensors.torch import load_file, save_file
from torch import Tensor

import sslcli as package
from sslcli.cli.main import main
from sslcli.runs.evaluations import read_evaluations
from sslcli.tools.export import formats
from sslcli.tools.export.programs import Onnx
from sslcli.tools.export.weights import Safetensors
from sslcli.trained.encoder import build_untrained, load_trained
from sslcli.trained.encoder_files import read_encoder

COLOURED = ["data=arrays", "data.root=colour.npz", "batch_size=8"]
WORDS = {
    "convnet": ["encoder.width=2", "data.limit=32", "batch_size=16"],
    "mlp": [
        "encoder=mlp",
        "encoder.widths=[8,8]",
        "encoder.bottleneck=3",
        "data.limit=32",
        "batch_size=16",
    ],
    "resnet18": ["encoder=resnet18", "encoder.stem=imagenet", *COLOURED],
    "timm": ["encoder=timm", "encoder.model=test_vit", "encoder.patch_size=8", *COLOURED],
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A run of one epoch with the encoder of that name, trained when first asked for."""
    folder = tmp_path_factory.mktemp("runs")
    rng = np.random.default_rng(0)
    parts = {"x_train": 16, "x_val": 5, "x_test": 6}
    np.savez(
        folder / "colour.npz",
        **{name: rng.integers(0, 256, (n, 32, 32, 3), np.uint8) for name, n in parts.items()},
    )

    def run(name: str) -> Path:
        outputs = folder / name
        if not outputs.exists():
            with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as left:
                patch.chdir(folder)
                main(
                    [
                        "pretrain",
                        *WORDS[name],
                        "epochs=1",
                        "optim=adamw",
                        "runtime.threads=1",
                        f"runtime.outputs={outputs}",
                    ]
                )
            assert left.value.code == 0
        return only_run(outputs)

    return run


@pytest.fixture
def run(trained: Callable[[str], Path], tmp_path: Path) -> Path:
    """A copy of the convnet's run, to be changed."""
    return Path(shutil.copytree(trained("convnet"), tmp_path / "run"))


def own_features(run: Path, pictures: Tensor) -> Tensor:
    """What the run's encoder makes of pictures (N, C, H, W) in [0, 1]."""
    source = read_encoder(run)
    mean, std = (
        torch.tensor(values).view(-1, 1, 1)
        for values in (source.preprocessing.mean, source.preprocessing.std)
    )
    with torch.no_grad():
        return load_trained(source)((pictures - mean) / std)


def left_in(run: Path) -> list[Path]:
    return sorted(path for path in run.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("name", "form", "files"),
    [
        ("convnet", "safetensors", ["encoder.safetensors", "encoder.json"]),
        ("convnet", "onnx", ["encoder.onnx"]),
        ("convnet", "torchscript", ["encoder.pt2"]),
        ("mlp", "onnx", ["encoder.onnx"]),
        ("resnet18", "torchvision", ["resnet18.safetensors"]),
        ("timm", "timm", ["test_vit.safetensors"]),
        ("timm", "onnx", ["encoder.onnx"]),
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
    assert {path.name for path in folder.iterdir()} == {*files, "MODEL_CARD.md"}
    (said,) = re.findall(
        r"largest difference from the run's features: (\S+) on \d+ test pictures", outcome.out
    )
    assert float(said) < 1e-4
    (code,) = re.findall(
        r"```python\n(.*?)```", (folder / "MODEL_CARD.md").read_text(), flags=re.DOTALL
    )
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


class Other(Safetensors):
    """Goes wrong in the way that a test chooses."""

    def __init__(self, spoil: Callable[[dict[str, Tensor]], None]) -> None:
        self.spoil = spoil

    def write(self, source: Any, encoder: Any, folder: Path) -> None:
        state = encoder.state_dict()
        self.spoil(state)
        super().write(source, encoder, folder)


def changed(state: dict[str, Tensor]) -> None:
    state["blocks.0.weight"].mul_(1.01)


def not_a_number(state: dict[str, Tensor]) -> None:
    state["blocks.0.weight"].fill_(torch.nan)


def unwritable(state: dict[str, Tensor]) -> None:
    raise ValueError("the exporter stumbled")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (changed, "the file's features are not the run's: the largest difference is"),
        (not_a_number, "the file's features are not the run's: the largest difference is nan"),
        (unwritable, "the encoder could not be written: ValueError: the exporter stumbled"),
    ],
)
def test_what_is_not_the_runs_encoder_is_not_kept(
    sslcli: Sslcli, run: Path, monkeypatch: pytest.MonkeyPatch, spoil: Any, said: str
) -> None:
    monkeypatch.setitem(formats.FORMATS, "safetensors", Other(spoil))
    before = left_in(run)
    outcome = sslcli("export", str(run), "--to", "safetensors")
    assert outcome.status == 1
    assert said in " ".join(outcome.err.split())
    assert left_in(run) == before
    assert not (run / "export").exists()


def test_a_cut_file_is_found_and_what_was_there_before_stays(
    sslcli: Sslcli, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sslcli("export", str(run), "--to", "onnx").status == 0
    good = (run / "export/onnx/encoder.onnx").read_bytes()
    monkeypatch.setattr(
        Onnx,
        "write",
        lambda self, source, encoder, to: (to / "encoder.onnx").write_bytes(good[:900]),
    )
    outcome = sslcli("export", str(run), "--to", "onnx", "--force")
    assert outcome.status == 1
    assert "could not be loaded back" in outcome.err
    assert (run / "export/onnx/encoder.onnx").read_bytes() == good
    assert {path.name for path in (run / "export/onnx").iterdir()} == {
        "encoder.onnx",
        "MODEL_CARD.md",
    }


def test_a_program_for_one_size_of_batch_is_not_kept(
    sslcli: Sslcli, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sslcli.tools.export.programs._free_batch", lambda: None)
    outcome = sslcli("export", str(run), "--to", "torchscript")
    assert outcome.status == 1
    assert not (run / "export").exists()


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
        ("resnet18", "timm", "no model of timm's", "safetensors, torchvision, onnx or torchscript"),
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


def test_data_that_are_gone_are_replaced_by_the_sample_and_it_is_said(
    sslcli: Sslcli, trained: Any, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(trained("timm"), tmp_path / "run"))
    config = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(
        re.sub(r"root: .*colour.npz", f"root: {tmp_path}/gone.npz", config)
    )
    outcome = sslcli("export", str(run), "--to", "timm")
    assert outcome.status == 0, outcome.err
    assert "the run's data cannot be had" in " ".join(outcome.err.split())
    assert "32 pictures of the embedded sample" in " ".join(outcome.out.split())
    assert "32 pictures of the embedded sample" in (run / "export/timm/MODEL_CARD.md").read_text()


def test_the_card_tells_what_is_known_and_no_more(
    sslcli: Sslcli, run: Path, tmp_path: Path
) -> None:
    assert sslcli("export", str(run), "--to", "safetensors").status == 0
    card = (run / "export/safetensors/MODEL_CARD.md").read_text()
    facts = json.loads((run / "run.json").read_text())
    for known in (
        facts["identity"],
        facts["data"]["fingerprint"],
        "- method: simclr",
        "- pictures trained on: 32",
    ):
        assert known in card
    assert f"- mean {list(read_encoder(run).preprocessing.mean)}" in card
    assert "Not stated." in card
    assert "Nothing: no evaluation of this run is recorded." in card

    said = sslcli(
        "linear-eval", f"run={run}", "l2=[1e-2,1e-1]", "baselines=false", "runtime.threads=1"
    )
    assert said.status == 0, said.err
    with (run / "evaluations.jsonl").open("a") as evaluations:
        evaluations.write(
            '{"command": "linear-eval", "run": "/gone", "labels": 0.1, "top1": 0.5}\n{"comm'
        )
    words = ["--to", "safetensors", "--force", "--data-licence", "CC BY 4.0,\n# of the museum"]
    assert sslcli("export", str(run), *words).status == 0
    card = (run / "export/safetensors/MODEL_CARD.md").read_text()
    top1 = read_evaluations(run)[0][0].metrics["top1"]
    assert re.search(
        rf"- `linear-eval` \(labels 1.0, seed 0, data the run's own; run .*\): top1 {top1:.4f}, top5",
        card,
    )
    assert (
        "- `linear-eval` (labels 0.1, data not known, its run is gone; run gone): top1 0.5000"
        in card
    )
    assert "- line 3 of evaluations.jsonl cannot be read" in card
    assert "As stated by who exported it: CC BY 4.0, # of the museum" in card
    assert str(tmp_path) not in card


def scaled(run: Path, factor: float) -> None:
    """Makes the run's features `factor` times as large."""
    state = load_file(run / "encoder.safetensors")
    last = max(int(name.split(".")[1]) for name in state)  # batch norm, followed by a ReLU
    for name in ("weight", "bias"):
        state[f"blocks.{last}.{name}"] *= factor
    save_file(state, run / "encoder.safetensors")


@pytest.mark.parametrize("factor", [1e-7, 1e4])
def test_differences_are_judged_by_the_size_of_the_features(
    sslcli: Sslcli, run: Path, monkeypatch: pytest.MonkeyPatch, factor: float
) -> None:
    scaled(run, factor)
    assert sslcli("export", str(run), "--to", "torchscript").status == 0
    monkeypatch.setitem(formats.FORMATS, "safetensors", Other(changed))
    assert sslcli("export", str(run), "--to", "safetensors").status == 1


def test_an_encoder_that_was_not_trained_is_called_so(sslcli: Sslcli, run: Path) -> None:
    card = run / "export/safetensors/MODEL_CARD.md"
    assert sslcli("export", str(run), "--to", "safetensors").status == 0
    assert card.read_text().startswith("# convnet, trained by simclr\n")
    save_file(build_untrained(read_encoder(run)).state_dict(), run / "encoder.safetensors")
    assert sslcli("export", str(run), "--to", "safetensors", "--force").status == 0
    assert card.read_text().startswith("# convnet, not trained")
