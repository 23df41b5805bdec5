"""A run's method comes back as its checkpoint holds it, and a run without one is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import yaml
from doubles import pictures
from torch import nn

from sslcli.errors import SslcliError
from sslcli.methods.simclr import SimCLR, SimCLRConfig
from sslcli.nets.description import JSON
from sslcli.runs.checkpoint import read_checkpoint
from sslcli.trained.encoder import load_trained
from sslcli.trained.encoder_files import read_encoder
from sslcli.trained.method import PHASE, build_method, read_method


def change_config(run: Path, group: str, **values: object) -> None:
    content = yaml.safe_load((run / "config.yaml").read_text())
    content[group].update(values)
    (run / "config.yaml").write_text(yaml.safe_dump(content))


def test_every_part_is_as_training_left_it(run: Path) -> None:
    method = read_method(run)
    assert isinstance(method, SimCLR)
    modules = nn.ModuleDict(method.modules())
    expected = read_checkpoint(run / PHASE / "last.pt")["state"]["modules"]
    state = modules.state_dict()
    assert state.keys() == expected.keys()
    assert all(torch.equal(state[key], expected[key]) for key in expected)
    assert not any(part.training for module in modules.values() for part in module.modules())
    assert not any(weights.requires_grad for weights in modules.parameters())


def test_its_encoder_is_the_runs(run: Path) -> None:
    method, encoder = read_method(run), load_trained(read_encoder(run))
    batch = torch.from_numpy(pictures().images).permute(0, 3, 1, 2) / 255
    assert torch.equal(method.encoder(batch), encoder(batch))


def test_its_settings_are_those_of_the_run(run: Path) -> None:
    change_config(run, "method", temperature=0.75)
    method = read_method(run)
    assert isinstance(method, SimCLR)
    assert method.temperature == 0.75


def test_the_seed_draws_its_first_weights(run: Path) -> None:
    files = read_encoder(run)
    first, same, other = (
        nn.ModuleDict(
            build_method(SimCLRConfig(), files.config, files.preprocessing, seed).modules()
        ).state_dict()
        for seed in (3, 3, 4)
    )
    weights = [key for key in first if first[key].ndim > 1]
    assert all(torch.equal(first[key], same[key]) for key in first)
    assert not any(torch.equal(first[key], other[key]) for key in weights)


def test_a_run_without_a_method_is_refused(run: Path) -> None:
    content = yaml.safe_load((run / "config.yaml").read_text())
    del content["sslcli"]["choices"]["method"]
    content["sslcli"]["command"] = "finetune"
    (run / "config.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(SslcliError, match="is a run of finetune, which trains no method"):
        read_method(run)


def test_what_is_left_of_a_run_is_named(run: Path) -> None:
    (run / PHASE / "last.pt").unlink()
    with pytest.raises(SslcliError, match=r"has no pretrain/last.pt: only its encoder is left"):
        read_method(run)
    (run / JSON).unlink()
    with pytest.raises(SslcliError, match="has no encoder"):
        read_method(run)


def test_a_checkpoint_of_another_network_is_refused(run: Path) -> None:
    change_config(run, "encoder", width=4)
    described = json.loads((run / JSON).read_text())
    described["config"]["width"] = 4
    (run / JSON).write_text(json.dumps(described))
    with pytest.raises(SslcliError, match=r"last.pt does not fit the run's config.yaml"):
        read_method(run)
