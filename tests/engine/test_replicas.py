"""Gradients that several processes average while they compute them; and weights that are shared out."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from doubles import CPU, together
from torch import Tensor, nn
from torch.nn.functional import linear
from torch.nn.parallel import DistributedDataParallel
from torch.utils.checkpoint import checkpoint

from sslcli.engine import replicas as module
from sslcli.engine.minimize import Minimizer
from sslcli.engine.optim_config import AdamWConfig, LARSConfig, OptimConfig, SGDConfig
from sslcli.engine.replicas import Replicas, reached_by
from sslcli.engine.runtime_config import Parallel, Precision, RuntimeConfig
from sslcli.engine.shards import Shards
from sslcli.errors import SslcliError
from sslcli.processes import rank, size

WIDE = 1024
"""Of layers with 4 MiB of weights: one bucket each."""


def test_what_a_loss_reaches_is_found_behind_a_checkpoint_and_in_order() -> None:
    first, unused, last = nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 1)
    inputs = torch.ones(3, 2, requires_grad=True)
    hidden = checkpoint(first, inputs, use_reentrant=False)
    loss = last(hidden).sum() + unused(inputs).detach().sum()
    given = [last.bias, first.weight, unused.weight, first.bias, last.weight]
    found = reached_by(loss, given)
    assert [id(one) for one in found] == [id(p) for p in given if p is not unused.weight]


@pytest.mark.parametrize(
    ("settings", "named"),
    [({"compile": True}, "runtime.compile"), ({"precision": Precision.fp16}, "runtime.precision")],
)
def test_what_was_never_tried_on_shared_weights_is_refused(
    settings: dict[str, object], named: str
) -> None:
    RuntimeConfig(**settings)  # type: ignore[arg-type]
    with pytest.raises(SslcliError, match=f"^{named} must be .* runtime.parallel is shard") as told:
        RuntimeConfig(parallel=Parallel.shard, **settings)  # type: ignore[arg-type]
    assert told.value.fix


def send_while_computing(folder: Path) -> None:
    events: list[str] = []

    class Noted(DistributedDataParallel):
        def __init__(self, wrapped: nn.Module, **settings: object) -> None:
            super().__init__(wrapped, **settings)  # type: ignore[arg-type]

            # Without annotations, as torch refuses those that are text.
            def send(_, bucket):  # type: ignore[no-untyped-def]
                events.append("sent")
                done: torch.futures.Future[Tensor] = torch.futures.Future()
                done.set_result(bucket.buffer())
                return done

            self.register_comm_hook(None, send)

    module.DistributedDataParallel = Noted  # type: ignore[misc]
    network = nn.Sequential(*(nn.Linear(WIDE, WIDE, bias=False) for _ in range(4)))
    for layer in network:
        layer.weight.register_hook(lambda _: events.append("computed"))
    replicas = Replicas()
    for _ in range(3):  # torch puts the buckets in the order of the first backward pass
        events.clear()
        replicas.backward(network(torch.ones(2, WIDE)).sum(), list(network.parameters()))
    (folder / f"{rank()}.txt").write_text(" ".join(events))


@pytest.mark.slow
def test_gradients_are_sent_before_the_first_layers_is_computed(tmp_path: Path) -> None:
    together(2, send_while_computing, tmp_path)
    for member in range(2):
        events = (tmp_path / f"{member}.txt").read_text().split()
        assert events == ["computed", "sent"] * 4


class Pair:
    """A learner of two players; the second is in every other loss alone."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.first = nn.Sequential(nn.Linear(4, 8), nn.ReLU(inplace=True), nn.Linear(8, 3))
        self.second = nn.Linear(3, 3)

    def modules(self) -> dict[str, nn.Module]:
        return {"first": self.first, "second": self.second}

    def players(self) -> dict[str, list[nn.Module]]:
        return {"one": [self.first], "two": [self.second]}

    def learning_rates(self) -> dict[str, float]:
        return {"one": 1.0, "two": 2.0}


OPTIMS: dict[str, OptimConfig] = {
    "sgd": SGDConfig(clip_norm=0.1),
    "adamw": AdamWConfig(clip_norm=0.1),
    "lars": LARSConfig(),
}


def trained(optim: OptimConfig, parallel: Parallel) -> tuple[Pair, dict[str, Tensor]]:
    """A pair after four steps on this process's rows of eight, and its weights as one would have them."""
    pair = seen = Pair()
    replicas = Replicas()
    if parallel is Parallel.shard:
        shards = replicas = Shards(pair, large=9)  # type: ignore[arg-type]
        pair = shards.learner  # type: ignore[assignment]
    minimize = Minimizer.of(pair, optim, CPU, lambda _: 0.1, replicas=replicas)  # type: ignore[arg-type]
    for step in range(4):
        generator = torch.Generator().manual_seed(step)
        rows = torch.randn(8, 2, 4, generator=generator).chunk(size())[rank()]
        minimize.begin(step)
        hidden = pair.first(rows)  # three dimensions: the output of its last layer is a view
        other = pair.second(hidden.detach())
        minimize(other.square().mean(), "two")
        loss = hidden.square().mean()
        players = ("one", "two") if step % 2 else ("one",)
        minimize(loss + pair.second(hidden).mean() if step % 2 else loss, *players)
        minimize.end()
    return seen, replicas.whole(nn.ModuleDict(pair.modules()).state_dict())


def pairs(folder: Path, parallel: Parallel) -> None:
    for name, optim in OPTIMS.items():
        _, weights = trained(optim, parallel)
        torch.save(weights, folder / f"{name} {rank()}.pt")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("num", "parallel"), [(2, Parallel.replicate), (2, Parallel.shard), (4, Parallel.shard)]
)
def test_every_optimizer_takes_the_steps_of_one_process(
    tmp_path: Path, num: int, parallel: Parallel
) -> None:
    together(num, pairs, tmp_path, parallel)
    for name, optim in OPTIMS.items():
        _, expected = trained(optim, Parallel.replicate)
        for member in range(num):
            found = torch.load(tmp_path / f"{name} {member}.pt")
            for key, weight in expected.items():
                assert torch.allclose(found[key], weight, rtol=1e-5, atol=1e-6), (name, key)


def share_out(folder: Path) -> None:
    pair = Pair()
    shards = Shards(pair, large=24)  # type: ignore[arg-type]
    sizes = [parameter.numel() for parameter in pair.first.parameters()]
    assert sizes == [0, 0, 0, 0], "the seen weights are empty"
    assert pair.second.weight is not shards.learner.second.weight  # type: ignore[attr-defined]
    assert pair.second.weight.data_ptr() == shards.learner.second.weight.data_ptr()  # type: ignore[attr-defined]
    with shards.shown():
        shown = [parameter.numel() for parameter in pair.first.parameters()]
        assert shown == ([32, 8, 24, 3] if rank() == 0 else sizes)
        if rank() == 0:
            assert torch.equal(pair.first[0].weight, Pair().first[0].weight)
    assert [parameter.numel() for parameter in pair.first.parameters()] == sizes
    kept = [
        getattr(p, "to_local", lambda p=p: p)().numel() for p in shards.learner.first.parameters()
    ]  # type: ignore[attr-defined]
    torch.save(kept, folder / f"{rank()}.pt")


@pytest.mark.slow
def test_a_process_holds_its_part_of_large_layers_alone(tmp_path: Path) -> None:
    together(2, share_out, tmp_path)
    first, second = (torch.load(tmp_path / f"{member}.pt") for member in range(2))
    assert first == [16, 4, 16, 2]
    assert second == [16, 4, 8, 1], "of three rows the second has one"


class Reader(Pair):
    """Its second player reads the weights of the first."""

    def loss(self) -> Tensor:
        return linear(torch.ones(2, 4), self.first[0].weight).sum()


class Borrower(Pair):
    """Its second player says which layer it reads."""

    def __init__(self) -> None:
        super().__init__()
        self.second._borrowed = (self.first[0],)  # type: ignore[assignment]

    loss = Reader.loss


class Twice(Pair):
    """Its loss is made of a gradient, as that of a contractive autoencoder."""

    def loss(self) -> Tensor:
        inputs = torch.ones(2, 4, requires_grad=True)
        outputs = self.first(inputs).square().sum()
        (slope,) = torch.autograd.grad(outputs, inputs, create_graph=True)
        return slope.square().sum()


def read_without_calling(folder: Path) -> None:
    shards = Shards(Reader(), large=1)  # type: ignore[arg-type]
    with (
        pytest.raises(SslcliError, match=r"^Reader reads weights of a layer") as told,
        shards.name_mixing(),
    ):
        shards.learner.loss()  # type: ignore[attr-defined]
    assert told.value.fix == "runtime.parallel=replicate"
    twice = Shards(Twice(), large=1)  # type: ignore[arg-type]
    with pytest.raises(SslcliError, match=r"^Twice takes the gradient of a"), twice.name_mixing():
        twice.learner.loss().backward()  # type: ignore[attr-defined]
    Shards(Borrower(), large=1).learner.loss().backward()  # type: ignore[arg-type, attr-defined]
    (folder / str(rank())).touch()


@pytest.mark.slow
def test_weights_that_are_read_without_a_call_are_named_or_left_whole(tmp_path: Path) -> None:
    together(2, read_without_calling, tmp_path)
    assert len(list(tmp_path.iterdir())) == 2
