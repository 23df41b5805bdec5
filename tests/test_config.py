from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from sslcli.augment.augmentation_config import ViewConfig
from sslcli.config import identity, to_dataclass
from sslcli.data import DATA
from sslcli.engine.optim_config import LARSConfig, Scaling, SGDConfig
from sslcli.engine.runtime_config import Precision, RuntimeConfig
from sslcli.errors import SslcliError
from sslcli.experiments.groups import GROUPS
from sslcli.experiments.pretrain_config import Config
from sslcli.method import MethodConfig
from sslcli.methods.simclr import SimCLRConfig
from sslcli.nets.encoder_config import ConvNetConfig, MLPConfig
from sslcli.nets.projector_config import ProjectorConfig
from sslcli.saved import read, to_config, to_yaml
from sslcli.settings import part


def config(**changes: Any) -> Config:
    parts: dict[str, Any] = {
        "method": SimCLRConfig(),
        "encoder": ConvNetConfig(),
        "data": DATA["fashion_sample"](),
        "optim": SGDConfig(),
        "runtime": RuntimeConfig(),
    }
    return Config(**{**parts, **changes})


def saved(path: Path, given: Config) -> Path:
    path.write_text(to_yaml("pretrain", given, GROUPS))
    return path


def test_a_saved_config_comes_back_as_it_was(tmp_path: Path) -> None:
    before = config(
        encoder=MLPConfig(widths=[7, 5]),
        optim=LARSConfig(lr=0.125, scaling=Scaling.sqrt),
        runtime=RuntimeConfig(
            precision=Precision.fp32, outputs="a folder with spaces, 'quotes' and ü"
        ),
        epochs=3,
    )
    found = read(saved(tmp_path / "config.yaml", before))
    assert found.command == "pretrain"
    assert found.choices == {
        "method": "simclr",
        "encoder": "mlp",
        "data": "fashion_sample",
        "optim": "lars",
        "runtime": "default",
    }
    assert to_config(Config, found, GROUPS) == before


def test_identity_is_what_changes_results() -> None:
    same = [
        config(),
        config(runtime=RuntimeConfig(outputs="elsewhere", threads=1)),
        config(save_every=0.5, keep_last=9),
    ]
    other = [
        config(seed=1),
        config(method=SimCLRConfig(temperature=0.3)),
        config(optim=LARSConfig(lr=0.1)),
        config(data=replace(DATA["fashion_sample"](), limit=5)),
        config(data=DATA["folder"](root="a")),
        config(data=DATA["folder"](root="b")),
    ]
    assert len({identity("pretrain", one) for one in same}) == 1
    assert len({identity("pretrain", one) for one in [same[0], *other]}) == len(other) + 1
    assert identity("pretrain", same[0]) != identity("linear-eval", same[0])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda content: content.pop("sslcli"), "no `sslcli` header"),
        (lambda content: content["sslcli"].update(format=99), "format 99"),
        (lambda content: content.pop("epochs"), "lacks epochs"),
        (
            lambda content: content["sslcli"]["choices"].update(method="os.system"),
            "no method 'os.system'",
        ),
        (lambda content: content["method"].update(temperatur=1), "temperatur"),
        (lambda content: content.update(epochs="many"), "epochs"),
        (lambda content: content["data"].update(root=2024), "data.root must be text, got 2024"),
        (
            lambda content: content["method"].update(temperature=-1),
            "method.temperature must be positive",
        ),
    ],
)
def test_a_config_that_is_not_ours_is_refused(tmp_path: Path, change: Any, words: str) -> None:
    path = saved(tmp_path / "config.yaml", config())
    content = yaml.safe_load(path.read_text())
    change(content)
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(SslcliError, match=words):
        to_config(Config, read(path), GROUPS)


@dataclass(kw_only=True)
class TwoKinds(MethodConfig):
    """A method whose config has the same parts twice."""

    small: ViewConfig = part(ViewConfig, "of small views")
    views: ViewConfig = part(ViewConfig, "of views")
    predictor: ProjectorConfig = part(ProjectorConfig, "a head")


@pytest.mark.parametrize(
    ("values", "message", "fix"),
    [
        ({"small": {"flip": 2.0}}, "method.small.flip must be a prob", "give a number from 0 to 1"),
        ({"views": {"flip": 2.0}}, "method.views.flip must be a probability", "give a number"),
        ({"small": {"crop_scale": [0.5]}}, "method.small.crop_scale", "method.small.crop_scale=["),
        ({"predictor": {"out": 0}}, "method.predictor.out must be positive", "128 is SimCLR's"),
    ],
)
def test_what_a_part_refuses_is_named_by_its_own_place(
    values: dict[str, Any], message: str, fix: str
) -> None:
    with pytest.raises(SslcliError) as caught:
        to_dataclass(TwoKinds, values, "method")
    assert caught.value.message.startswith(message)
    assert fix in caught.value.fix
