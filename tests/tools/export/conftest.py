"""Fixtures of runs to export."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from doubles import only_run

from sslcli.cli.main import main

COLOURED = ["data=arrays", "data.root=colour.npz", "batch_size=8"]
WORDS = {
    "convnet": ["encoder.width=2", "encoder.grid=2", "data.limit=32", "batch_size=16"],
    "mlp": [
        "encoder=mlp",
        "encoder.widths=[8,8]",
        "encoder.bottleneck=3",
        "data.limit=32",
        "batch_size=16",
    ],
    "resnet18": ["encoder=resnet18", "encoder.stem=imagenet", *COLOURED],
    "vit": ["encoder=vit", "encoder.depth=1", *COLOURED],
    "timm": ["encoder=timm", "encoder.model=test_vit", "encoder.patch_size=8", *COLOURED],
}


@pytest.fixture(scope="session")
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
