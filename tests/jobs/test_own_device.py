"""Jobs of a sweep that run together get a device each; the devices are counted, not there."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from sslcli.jobs.own_device import own_device, visible_devices
from sslcli.jobs.process import call


@pytest.fixture
def two_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3, GPU-7")


@pytest.mark.usefixtures("two_devices")
def test_each_job_has_a_device_that_no_other_has(tmp_path: Path) -> None:
    with own_device(tmp_path, 2) as first:
        with own_device(tmp_path, 2) as second:
            assert first == {"CUDA_VISIBLE_DEVICES": "3"}
            assert second == {"CUDA_VISIBLE_DEVICES": "GPU-7"}
            with own_device(tmp_path, 2) as third:
                assert third == second, "a launcher that runs more than it said"
        with own_device(tmp_path, 2) as next_one:
            assert next_one == second, "what is free again is given again"
    with (
        own_device(tmp_path, 4) as first,
        own_device(tmp_path, 4),
        own_device(tmp_path, 4) as shared,
    ):
        assert first == shared == {"CUDA_VISIBLE_DEVICES": "3"}, "more jobs than devices share them"


@pytest.mark.parametrize(("devices", "at_once"), [("0,1", 1), ("0", 2), ("", 2)])
def test_nothing_changes_where_there_is_no_choice(
    devices: str, at_once: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", devices)
    with own_device(tmp_path, at_once) as environment:
        assert environment == {}


def test_devices_are_counted_where_none_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    assert visible_devices({}) == ["0", "1", "2"]
    assert visible_devices({"CUDA_VISIBLE_DEVICES": "1"}) == ["1"]


def test_a_job_is_told_of_its_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "python"
    program.write_text('#!/bin/sh\necho "$CUDA_VISIBLE_DEVICES $KEPT"\n')
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    monkeypatch.setitem(os.environ, "KEPT", "kept")
    with (tmp_path / "said").open("wb") as output:
        assert call(["x"], lambda: False, output, {"CUDA_VISIBLE_DEVICES": "GPU-7"}) == 0
    assert (tmp_path / "said").read_text() == "GPU-7 kept\n"
