"""The queue: the newest rows, normalised, going round."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from sslcli.nets.queue import Queue


def directions(rows: Tensor) -> Tensor:
    return normalize(rows, dim=1)


def test_new_rows_take_the_place_of_the_oldest() -> None:
    torch.manual_seed(0)
    queue = Queue(5, 3)
    assert torch.allclose(queue.rows.norm(dim=1), torch.ones(5))
    first, second = 7 * torch.randn(3, 3), torch.randn(4, 3)
    initial = queue.rows.clone()
    queue.enqueue(first)
    assert torch.equal(queue.rows, torch.cat([directions(first), initial[3:]]))
    queue.enqueue(second.requires_grad_())
    expected = torch.cat([second[2:], first[2:], second[:2]])
    assert torch.allclose(queue.rows, directions(expected), atol=1e-6)
    assert not queue.rows.requires_grad
    assert int(queue.position) == 2


def test_of_more_rows_than_it_holds_the_last_stay() -> None:
    queue, rows = Queue(4, 2), torch.randn(11, 2)
    queue.enqueue(rows)
    assert torch.allclose(queue.rows, directions(rows[-4:]))
    queue.enqueue(rows[:1])
    assert torch.allclose(queue.rows, directions(torch.cat([rows[:1], rows[-3:]])))


def test_it_is_in_the_state_whole() -> None:
    queue, other = Queue(4, 2), Queue(4, 2)
    queue.enqueue(torch.randn(3, 2))
    other.load_state_dict(queue.state_dict())
    more = torch.randn(2, 2)
    for each in (queue, other):
        each.enqueue(more)
    assert torch.equal(queue.rows, other.rows)
