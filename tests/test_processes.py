"""Where a process stands among others, how they meet, and what they gather."""

from __future__ import annotations

import os
import socket
from datetime import timedelta
from pathlib import Path

import pytest
import torch
from doubles import (
    as_second,
    free_port,
    together,
)
from torch import Tensor

from sslcli.errors import RunFailed, SslcliError
from sslcli.processes import Launch, gathered, join, launched_as, rank, rendezvous_address, size


def gradient_of_gathered(folder: Path) -> None:
    rows = torch.arange(12.0).view(6, 2)
    own = torch.cat([group.chunk(size())[rank()] for group in rows.chunk(3)]).requires_grad_()
    everyone = gathered(own, groups=3)
    assert torch.equal(everyone, rows)
    (everyone.T @ everyone).square().sum().backward()
    assert own.grad is not None
    torch.save(own.grad / size(), folder / f"{rank()}.pt")


@pytest.mark.commands
def test_gathered_rows_have_the_gradient_of_the_whole(tmp_path: Path) -> None:
    together(2, gradient_of_gathered, tmp_path)
    rows = torch.arange(12.0).view(6, 2).requires_grad_()
    (expected,) = torch.autograd.grad((rows.T @ rows).square().sum(), rows)
    found: list[Tensor] = [torch.load(tmp_path / f"{member}.pt") for member in range(2)]
    assert torch.allclose(torch.stack(found, dim=1).view(6, 2), expected)


def test_torchrun_and_srun_say_where_a_process_stands() -> None:
    assert launched_as({}) == Launch(0, 1, 0)
    torchrun = {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1"}
    assert launched_as(torchrun) == Launch(3, 4, 1)
    srun = {"SLURM_PROCID": "5", "SLURM_STEP_NUM_TASKS": "8", "SLURM_LOCALID": "1"}
    assert launched_as(srun) == Launch(5, 8, 1)
    with pytest.raises(SslcliError, match="4 processes were started, and LOCAL_RANK is not set"):
        launched_as({"RANK": "3", "WORLD_SIZE": "4"})


def test_under_srun_processes_meet_on_the_first_machine_of_the_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scontrol = tmp_path / "scontrol"
    scontrol.write_text('#!/bin/sh\n[ "$*" = "show hostnames n[3-4]" ] && printf "n3\\nn4\\n"\n')
    scontrol.chmod(0o755)
    step = {"SLURM_STEP_NODELIST": "n[3-4]", "SLURM_JOB_ID": "7", "SLURM_STEP_ID": "1"}
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert rendezvous_address(step) == "tcp://n3:20113"
    assert rendezvous_address({**step, "SLURM_STEP_ID": "2"}) != rendezvous_address(step)
    assert rendezvous_address({**step, "MASTER_ADDR": "n9", "MASTER_PORT": "29500"}) == "env://"
    with pytest.raises(SslcliError, match="Slurm does not say where they meet"):
        rendezvous_address({**step, "SLURM_STEP_NODELIST": ""})


def test_a_process_does_not_wait_for_ever_for_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    as_second(monkeypatch)
    monkeypatch.setattr("sslcli.processes.RENDEZVOUS_TIMEOUT", timedelta(milliseconds=100))
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", str(free_port()))
    with pytest.raises(RunFailed, match=r"process 1 did not find the 1 others at 127\.0\.0\.1:"):
        join("cpu")


def test_a_port_that_is_taken_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        for key, value in {
            "WORLD_SIZE": "2",
            "RANK": "0",
            "LOCAL_RANK": "0",
            "MASTER_ADDR": "127.0.0.1",
        }.items():
            monkeypatch.setenv(key, value)
        monkeypatch.setenv("MASTER_PORT", str(taken.getsockname()[1]))
        with pytest.raises(RunFailed, match="did not find the 1 others") as caught:
            join("cpu")
    assert "port is free" in caught.value.fix
