"""A run's encoder comes back to the last bit, as it was trained and as it was before."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from doubles import PREPROCESSING, pictures
from safetensors.torch import load_file, save_file

from sslcli.errors import SslcliError
from sslcli.nets.description import JSON, WEIGHTS
from sslcli.nets.encoder import Encoder
from sslcli.nets.encoders import ENCODERS
from sslcli.trained.encoder import (
    build_initial,
    build_untrained,
    load_trained,
    was_trained,
    write_encoder,
)
from sslcli.trained.encoder_files import read_encoder

CONFIGS: dict[str, dict[str, Any]] = {
    "convnet": {"width": 2},
    "mlp": {"widths": [8, 4], "bottleneck": 3},
    "conv_stack": {"widths": [2, 4]},
    "context": {"width": 2},
}


def features(encoder: Encoder) -> torch.Tensor:
    with torch.no_grad():
        return encoder(torch.from_numpy(pictures().images).permute(0, 3, 1, 2) / 255)


@pytest.mark.parametrize("name", CONFIGS)
def test_what_is_written_is_what_is_loaded(tmp_path: Path, name: str) -> None:
    config = ENCODERS[name](**CONFIGS[name])
    written = build_initial(config, 3, 16, seed=1)
    features(written.train())  # statistics of batches are state too
    write_encoder(tmp_path, written, config, PREPROCESSING, seed=1, labels=7)
    files = read_encoder(tmp_path)
    assert (files.config, files.preprocessing, files.seed, files.labels) == (
        *(config, PREPROCESSING, 1, 7),
    )
    loaded = load_trained(files)
    assert not loaded.training
    assert loaded.width == written.width
    assert torch.equal(features(loaded), features(written.eval()))


def test_the_untrained_one_is_where_the_run_began(run: Path) -> None:
    files = read_encoder(run)
    began = build_initial(files.config, 3, 16, files.seed).eval()
    assert torch.equal(features(build_untrained(files)), features(began))
    assert not torch.equal(features(build_untrained(files)), features(load_trained(files)))
    other = build_initial(files.config, 3, 16, files.seed + 1).eval()
    assert not torch.equal(features(other), features(began)), "another seed draws others"


def test_loading_draws_no_random_number_of_the_callers(run: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    load_trained(read_encoder(run))
    assert torch.equal(torch.rand(3), expected)


def test_one_whose_weights_stayed_was_not_trained(run: Path) -> None:
    files = read_encoder(run)
    assert was_trained(files)
    state = build_untrained(files).state_dict()
    save_file(state, run / WEIGHTS)
    assert not was_trained(files)
    key = next(iter(state))
    save_file({**state, key: state[key] + 1e-6}, run / WEIGHTS)
    assert was_trained(files)


def test_weights_that_are_missing_or_left_over_are_refused(run: Path) -> None:
    files = read_encoder(run)
    state = load_file(run / WEIGHTS)
    key = next(key for key in state if state[key].ndim)
    wrong: list[dict[str, torch.Tensor]] = [
        {name: value for name, value in state.items() if name != key},
        {**state, "another": torch.zeros(1)},
        {**state, key: state[key][:1]},
    ]
    for weights in wrong:
        save_file(weights, run / WEIGHTS)
        with pytest.raises(SslcliError, match=r"does not hold the encoder that encoder\.json"):
            load_trained(files)
    (run / WEIGHTS).write_bytes(b"cut")
    with pytest.raises(SslcliError, match=r"does not hold the encoder that encoder\.json"):
        load_trained(files)
    (run / WEIGHTS).unlink()
    with pytest.raises(SslcliError, match=r"has no encoder\.safetensors"):
        load_trained(files)


def test_another_network_than_described_is_refused(run: Path) -> None:
    described = json.loads((run / JSON).read_text())
    described["config"]["width"] = 4
    (run / JSON).write_text(json.dumps(described))
    with pytest.raises(SslcliError, match=r"does not hold the encoder that encoder\.json"):
        load_trained(read_encoder(run))
