"""Buffers that differ among processes are found when they would be saved."""

from __future__ import annotations

import pytest
import torch
from doubles import together
from torch import nn

from sslcli.engine.agreement import require_agreement
from sslcli.errors import RunFailed
from sslcli.nets.queue import Queue
from sslcli.nets.running_mean import RunningMean
from sslcli.processes import as_if, rank


def two_processes() -> None:
    torch.manual_seed(0)
    rows = torch.randn(6, 3)
    own = rows.chunk(2)[rank()]
    parts = nn.ModuleDict(
        {"norm": nn.BatchNorm1d(3), "queue": Queue(10, 3), "centre": RunningMean(3)}
    )
    parts["norm"](own)  # its statistics are each process's own, and no fault
    alone = RunningMean(3), Queue(10, 3)
    alone[1].load_state_dict(parts["queue"].state_dict())
    parts["queue"].enqueue(own)  # type: ignore[operator]
    parts["centre"].follow(own, 0.9)  # type: ignore[operator]
    require_agreement("Mine", parts)
    with as_if(1):
        alone[0].follow(rows, 0.9)
        alone[1].enqueue(rows)
    assert torch.equal(parts["centre"].value, alone[0].value)  # type: ignore[arg-type]
    assert torch.equal(parts["queue"].rows, alone[1].rows)  # type: ignore[arg-type]

    with as_if(1):  # as rows that are not gathered
        parts["queue"].enqueue(own)  # type: ignore[operator]
    with pytest.raises(RunFailed, match=r"Mine: the buffer queue\.rows is not the same in the 2"):
        require_agreement("Mine", parts)


@pytest.mark.slow
def test_parts_that_gather_agree_and_a_queue_of_own_rows_is_named() -> None:
    together(2, two_processes)


def test_one_process_agrees_with_itself() -> None:
    require_agreement("Mine", nn.ModuleDict({"queue": Queue(4, 2)}))
