"""A damaged checkpoint is noticed, and the one before it leads to the same bytes."""

from __future__ import annotations

import random
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from doubles import Sslcli, only_run, require_two_lines
from forks import forked, in_outputs, require_same

from sslcli.errors import SslcliError
from sslcli.runs.checkpoint import read_checkpoint
from sslcli.runs.results import read_results


def damaged(content: bytes, how: str) -> bytes:
    flipped = bytearray(content)
    flipped[len(content) // 2] ^= 4
    return {
        "truncated": content[: len(content) // 2],
        "empty": b"",
        "zeros": bytes(len(content)),
        "a flipped bit": bytes(flipped),
    }[how]


@pytest.mark.parametrize(
    ("how", "before"),
    [("truncated", True), ("empty", False), ("zeros", True), ("a flipped bit", True)],
)
def test_a_damaged_checkpoint(
    sslcli: Sslcli, whole: Path, killed: Path, how: str, before: bool
) -> None:
    """The one before it is offered by a command that works; where there is none, the phase's beginning."""
    last = killed / "pretrain/last.pt"
    last.write_bytes(damaged(last.read_bytes(), how))
    if not before:
        (killed / "pretrain/step-00000004.pt").unlink()
    outcome = sslcli("resume", str(killed))
    assert outcome.status == 2
    fix = require_two_lines(outcome, f"{last} cannot be read")
    offered = shlex.split(fix.partition("sslcli ")[2])
    assert offered == ["resume", str(killed), "--from-previous"]
    outcome = sslcli(*offered)
    assert outcome.status == 0, outcome.err
    assert ("pretrain goes on from step 4" if before else "pretrain begins anew") in outcome.out
    require_same(killed, whole)


def test_stepping_back_needs_a_reason(sslcli: Sslcli, killed: Path) -> None:
    checkpoint = (killed / "pretrain/last.pt").read_bytes()
    outcome = sslcli("resume", str(killed), "--from-previous")
    assert outcome.status == 2
    assert f"sslcli resume {killed}" in require_two_lines(outcome, "nothing to step back from")
    torch.save({"format": 1}, killed / "pretrain/last.pt")
    outcome = sslcli("resume", str(killed), "--from-previous")
    require_two_lines(outcome, "checkpoint format 1")
    assert (killed / "pretrain/step-00000004.pt").exists(), "another version's is not damaged"
    assert checkpoint


def test_every_flipped_bit_is_noticed_or_changes_nothing(killed: Path) -> None:
    last = killed / "pretrain/last.pt"
    content = last.read_bytes()
    expected = read_checkpoint(last)
    rng = random.Random(0)
    noticed = 0
    for position in [
        *rng.choices(range(len(content)), k=60),
        *range(len(content) - 60, len(content), 3),
    ]:
        flipped = bytearray(content)
        flipped[position] ^= 1 << rng.randrange(8)
        last.write_bytes(flipped)
        try:
            assert same(read_checkpoint(last), expected), position
        except SslcliError:
            noticed += 1
    assert noticed > 30


def same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


STACK = [
    "stack-pretrain", "data.limit=48", "encoder=sigmoid_mlp", "encoder.widths=[8,6]", "epochs=[2]", "batch_size=16",
    "finetune.epochs=2", "compare=[autoencoder,denoising]", "log_every=1", "save_every=1", "runtime.threads=1",
]  # fmt: skip


def test_a_damaged_checkpoint_in_the_middle_of_a_stack(sslcli: Sslcli, tmp_path: Path) -> None:
    """The phases before it stay as they are; it and those after it are trained again, to the same bytes."""
    assert forked(in_outputs(STACK, tmp_path / "whole")) == 0
    expected = only_run(tmp_path / "whole")
    run = Path(shutil.copytree(expected, tmp_path / "damaged"))
    before, broken = (run / f"autoencoder-0/{phase}/last.pt" for phase in ("layer-1", "layer-2"))
    stamp = before.stat().st_mtime_ns
    broken.write_bytes(b"")
    outcome = sslcli("resume", str(run), "--from-previous")
    assert outcome.status == 0, outcome.err
    assert "autoencoder-0/layer-2 begins anew" in outcome.out
    assert "denoising-0/layer-1 begins anew" in outcome.out
    assert "autoencoder-0/layer-1" not in outcome.out
    assert before.stat().st_mtime_ns == stamp
    require_same(run, expected)
    assert read_results(run).rows == read_results(expected).rows
