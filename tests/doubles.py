"""What several test files share: a command's outcome, words of tiny runs, doubles, and runs read back."""

from __future__ import annotations

import importlib
import inspect
import json
import os
import shutil
import socket
import sys
from collections.abc import Callable, Sequence
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from sslcli.choices import Choices
from sslcli.experiments.groups import GROUPS
from sslcli.method import Preprocessing
from sslcli.processes import join, leave
from sslcli.runs.folder import Run
from sslcli.testing.trial import CPU as CPU
from sslcli.testing.trial import Killed as Killed
from sslcli.testing.trial import Onlooker as Onlooker
from sslcli.testing.trial import build_method as build_method
from sslcli.testing.trial import pictures as pictures
from sslcli.testing.trial import same as same
from sslcli.testing.trial import state as state
from sslcli.testing.trial import train_in as train_in
from sslcli.trackers.table import TRACKERS

TINY = [
    "data.limit=64",
    "batch_size=16",
    "epochs=2",
    "encoder.width=4",
    "log_every=2",
    "runtime.threads=1",
]
"""Words that make a run of `pretrain` take a second."""
TINY_WITHOUT_LIMIT = TINY[1:]
"""The same, for data of which there are few anyway."""
MADE = [*TINY, "epochs=1", "knn_every=0"]
"""The words of the fixture `made`."""
HOSTILE_NAMES = (
    "with space", "quo'te\"s", "new\nline", "ünï—字", "[bold]x", "a*b?[c]", "\x1b[2J", "b\udcffd",
)  # fmt: skip
"""Names that a folder may have."""
TEACHER = Path(__file__).parent / (
    "written_by_0_1_0/pretrain/simclr-fashion_sample/2026-11-25_21-05-49"
)
"""A finished run, whose encoder was trained on grey pictures of 28 pixels."""
PREPROCESSING = Preprocessing(16, 3, (0.5,) * 3, (0.25,) * 3)
"""Of `pictures()`."""


class OfOneLayer:
    """What a learner that trains one network, its `layer`, has beside its views and its step."""

    layer: nn.Module

    def modules(self) -> dict[str, nn.Module]:
        return {"layer": self.layer}

    def players(self) -> dict[str, Sequence[nn.Module]]:
        return {"method": [self.layer]}

    def learning_rates(self) -> dict[str, float]:
        return {"method": 1.0}

    def satisfied(self) -> bool:
        return False


class Outcome(NamedTuple):
    """What a command left: its exit status, and what it printed."""

    status: int
    out: str
    err: str


Sslcli = Callable[..., Outcome]
"""The type of the fixture `sslcli`."""

SHIFT = '''
from dataclasses import dataclass

import torch

from sslcli.augment.augmentation_config import ViewConfig
from sslcli.method import Method, MethodConfig
from sslcli.settings import part, setting


@dataclass(kw_only=True)
class ShiftConfig(MethodConfig):
    """Predicts by how much brighter a view is."""

    shift: float = setting(0.5, "the largest shift of brightness")
    note: str = setting("none", "a text")
    views: ViewConfig = part(ViewConfig, "an augmentation")

    def build(self, encoder, preprocessing):
        head = torch.nn.Linear(encoder.width, 1)
        return Shift(encoder, preprocessing.without_normalization(), head, self.shift)


@dataclass
class Shift(Method):
    encoder: torch.nn.Module
    preprocessing: object
    head: torch.nn.Module
    shift: float

    def views(self, images):
        return images.permute(0, 3, 1, 2).float() / 255

    def train_step(self, views, minimize, progress):
        shifts = self.shift * torch.rand(len(views), 1, device=views.device)
        loss = (self.head(self.encoder(views + shifts[..., None, None])) - shifts).square().mean()
        minimize(loss)
        return {"loss": loss.detach()}
'''
"""The module of a package that brings a method, `ShiftConfig`."""

FLAT = """
from dataclasses import dataclass

import torch

from sslcli.nets.encoder import Encoder
from sslcli.nets.encoder_config import EncoderConfig


@dataclass(kw_only=True)
class FlatConfig(EncoderConfig):
    \"\"\"Eight numbers of the pixels.\"\"\"

    def network(self, channels, resolution):
        return Flat(channels * resolution**2)


class Flat(Encoder):
    def __init__(self, inputs):
        super().__init__()
        self.width = 8
        self.layer = torch.nn.Linear(inputs, 8)

    def forward(self, pictures):
        return self.layer(pictures.flatten(1))
"""
"""The module of a package that brings an encoder, `FlatConfig`."""


class Site:
    """A folder of installed packages, each with its entry points as pip would leave them."""

    def __init__(self, folder: Path, see: Callable[[Path], None]) -> None:
        """`see` puts a folder on the path of imports."""
        self.folder = folder
        self.see = see

    def install(
        self,
        name: str,
        points: dict[str, dict[str, str]],
        module: str = SHIFT,
        version: str = "1.0",
        editable: Path | None = None,
    ) -> Path:
        """Installs a package of one module, named as it; returns the module's file. `points`: by group, without `sslcli.`.

        `editable`: the folder of a checkout, where the module stays."""
        file = (editable or self.folder) / f"{name.replace('-', '_')}.py"
        info = self.folder / f"{file.stem}-{version}.dist-info"
        for folder in (file.parent, info):
            folder.mkdir(parents=True, exist_ok=True)
        file.write_text(module)
        groups = (
            f"[sslcli.{group}]\n" + "".join(f"{key} = {value}\n" for key, value in found.items())
            for group, found in points.items()
        )
        (info / "entry_points.txt").write_text("\n".join(groups))
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (info / "top_level.txt").write_text(f"{file.stem}\n")
        (info / "RECORD").write_text("" if editable else f"{file.name},,\n")
        self.forget()
        return file

    def uninstall(self, name: str) -> None:
        for info in self.folder.glob(f"{name.replace('-', '_')}-*.dist-info"):
            shutil.rmtree(info)
        self.forget()

    def forget(self) -> None:
        """Lets this process look again at what is installed, as a new one would."""
        importlib.invalidate_caches()
        for table in (*GROUPS.values(), TRACKERS):
            vars(table).pop("installed", None) if isinstance(table, Choices) else None
        for name, module in list(sys.modules.items()):
            if str(getattr(module, "__file__", None)).startswith(str(self.folder.parent)):
                del sys.modules[name]


def require_two_lines(outcome: Outcome, *words: str) -> str:
    """Checks that a command ended in an error of two lines, the first one with the words; returns the fix."""
    error, fix = outcome.err.strip().splitlines()[-2:]
    assert error.startswith("error: ")
    assert fix.startswith("fix: ")
    assert "Traceback" not in outcome.err
    for word in words:
        assert word in error
    return fix


def require_refused(outcome: Outcome, *words: str) -> str:
    """The same of one that was refused; nothing was executed."""
    assert outcome.status in (1, 2), outcome
    fix = require_two_lines(outcome, *words)
    require_nothing_executed()
    return fix


def require_nothing_executed() -> None:
    """What must not be executed makes a file of this name."""
    assert not list(Path.cwd().rglob("owned")), "something was executed"


class Steps:
    """The steps that a command took, by phase; raises Killed at `kill_at`, a phase and a step of it."""

    def __init__(self) -> None:
        self.taken: dict[str, list[int]] = {}
        self.kill_at: tuple[str, int] | None = None

    def __call__(self, phase: str, done: int) -> None:
        self.taken.setdefault(phase, []).append(done)
        if (phase, done) == self.kill_at:
            raise Killed


def double_of(
    function: Callable[..., Any], answer: Callable[[dict[str, Any]], Any]
) -> Callable[..., Any]:
    """What stands in for a function: `answer` gets the arguments by name, in whatever order they come."""
    signature = inspect.signature(function)

    def double(*arguments: Any, **named: Any) -> Any:
        given = signature.bind(*arguments, **named)
        given.apply_defaults()
        return answer(given.arguments)

    return double


def make_run(
    folder: Path, /, method: str = "simclr", temperature: float | None = 0.5, **facts: Any
) -> Path:
    """A run that has config.yaml and run.json, and no more; `temperature` and `seed` are its settings."""
    seed, command = facts.pop("seed", 0), facts.get("command", "pretrain")
    choices = {"method": method, "data": "fashion_sample"}
    settings = "" if temperature is None else f"  temperature: {temperature}\n"
    header = f"sslcli:\n  format: 1\n  version: 0.1.0\n  command: {command}\n  choices:\n"
    header += "".join(f"    {group}: {choice}\n" for group, choice in choices.items())
    config = f"{header}method:\n{settings}  size: [1.0, 2.0]\n  views: null\nseed: {seed}\n"
    folder.mkdir(parents=True)
    given = {
        "status": "finished",
        "command": command,
        "choices": choices,
        "started": 1e9,
        "seconds": 5.0,
        **facts,
    }
    with Run.create(folder, {"config.yaml": config}, given):
        pass
    return folder


def describe_encoder(folder: Path, encoder: str) -> None:
    """Writes encoder.json of an encoder for grey pictures of 4 pixels."""
    described = {"format": 1, "encoder": encoder, "config": {}, "seed": 0, "resolution": 4}
    described |= {"channels": 1, "mean": [0], "std": [1]}
    (folder / "encoder.json").write_text(json.dumps(described))


def measured(knn_accuracy: float, **metrics: float) -> dict[str, Any]:
    """Facts for `make_run`: metrics, by one of which runs are chosen."""
    validation = {"metric": "knn_accuracy", "larger_is_better": True}
    return {"metrics": {"knn_accuracy": knn_accuracy, **metrics}, "validation": validation}


def only_run(folder: Path) -> Path:
    """The one run below a folder."""
    (found,) = (path.parent for path in sorted(folder.rglob("run.json")))
    return found


def records(run: Path) -> list[dict[str, Any]]:
    """The records of a run without what depends on the clock."""
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return [
        {key: value for key, value in json.loads(line).items() if key != "timing"} for line in lines
    ]


def facts(run: Path) -> dict[str, Any]:
    """The content of run.json."""
    return dict(json.loads((run / "run.json").read_text()))


def pixels(path: Path) -> NDArray[np.uint8]:
    """(H, W, 3) of a picture's file."""
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def contains(sheet: NDArray[np.uint8], patch: NDArray[np.uint8]) -> bool:
    """Whether the patch stands somewhere in the sheet, pixel for pixel."""
    height, width = patch.shape[:2]
    corners = np.argwhere((sheet[: -height + 1, : -width + 1] == patch[0, 0]).all(axis=2))
    return any(
        np.array_equal(sheet[top : top + height, left : left + width], patch)
        for top, left in corners
    )


def without_batch_statistics(module: nn.Module) -> None:
    """Puts group norm in place of every batch norm, so that pictures of a batch do not depend on each other."""
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm1d | nn.BatchNorm2d):
            setattr(module, name, nn.GroupNorm(1, child.num_features))
        without_batch_statistics(child)


def together(num: int, work: Callable[..., None], *arguments: object) -> None:
    """Runs `work(*arguments)` in so many processes that are one group."""
    port = free_port()
    context = get_context("forkserver")  # which imports torch once, and not for every process
    context.set_forkserver_preload(
        ["torch", "torch.distributed", "sslcli.engine.train", "sslcli.engine.optim_config"]
    )
    processes = [
        context.Process(target=_member, args=(r, num, port, work, *arguments)) for r in range(num)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0] * num


def _member(
    rank_here: int, num: int, port: int, work: Callable[..., None], *arguments: object
) -> None:
    told = {"RANK": rank_here, "WORLD_SIZE": num, "LOCAL_RANK": rank_here, "MASTER_PORT": port}
    os.environ.update(
        {"MASTER_ADDR": "127.0.0.1", **{key: str(value) for key, value in told.items()}}
    )
    torch.set_num_threads(1)
    join("cpu")
    work(*arguments)
    leave()


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def as_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets this process take itself for the second of two that torchrun started."""
    for key, value in {"WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1"}.items():
        monkeypatch.setenv(key, value)
