"""Checks what every method promises; AssertionError where it is not kept."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from sslcli.evaluation.features import features
from sslcli.method import views_by_size
from sslcli.testing.trial import CPU, SAVE_EVERY, Killed, Trial, pictures, same, state
from sslcli.trained.encoder import load_trained, write_encoder
from sslcli.trained.encoder_files import read_encoder


def loss_falls(trial: Trial, folder: Path) -> None:
    """The loss falls in 24 steps, of the same views and beside the same queues.

    Of other views it may not: in so few steps a contrastive loss may fall by less than it varies
    with the crops. A queue that fills changes the loss too, so what did not learn takes the steps.
    """
    still = trial.train(folder / "still", 24, learning_rate=0.0)[0]
    before = trial.loss_of(still, folder / "before")
    after = trial.loss_of(trial.train(folder / "run", 24)[0], folder / "after")
    assert after < before, (
        f"24 steps on 24 pictures took the loss of the same views from {before:.4g} to {after:.4g}"
    )


def same_seed_same_weights(trial: Trial, folder: Path) -> None:
    runs = [trial.train(folder / name, 4) for name in ("first", "second")]
    assert same(*(state(method) for method, _ in runs)), _keep_nothing("weights")
    assert runs[0][1] == runs[1][1], _keep_nothing("metrics")


def players_weights_move(trial: Trial, folder: Path) -> None:
    """Weights that require a gradient move exactly if a player has them.

    Others may follow, as a moving average does.
    """
    before = _parameters(trial.build().modules())
    method, _ = trial.train(folder / "run", 8)
    played = {
        id(parameter)
        for modules in method.players().values()
        for module in modules
        for parameter in module.parameters()
        if parameter.requires_grad
    }
    assert played, "no player has a weight to train"
    for name, parameter in _parameters(method.modules()).items():
        moved = not torch.equal(parameter, before[name])
        if id(parameter) in played:
            assert moved, f"{name} is a player's and did not move in 8 steps"
        elif parameter.requires_grad:
            assert not moved, (
                f"{name} moved, and no player has it: "
                "if it follows other weights, say so with requires_grad_(False)"
            )


def frozen_parts_stay(trial: Trial, folder: Path) -> None:
    """Parts whose weights never move have no buffer that moves either."""
    before = trial.build().modules()
    after = trial.train(folder / "run", 8)[0].modules()
    for part, module in after.items():
        for name in _drifted(before[part], module, part):
            message = (
                f"{name} changed in a part whose weights never do: batch norm in train mode? "
                "Put the network into nets.Frozen"
            )
            raise AssertionError(message)


def resumed_equals_uninterrupted(trial: Trial, folder: Path) -> None:
    """Killed just before the first checkpoint is written, and between two."""
    whole, records = trial.train(folder / "whole", 10)
    for killed_at in (SAVE_EVERY, SAVE_EVERY + 3):
        cut = folder / f"killed_at_{killed_at}"
        try:
            trial.train(cut, 10, stop_at=killed_at)
        except Killed:
            resumed, _ = trial.train(cut, 10)
        different = _differences(state(resumed), state(whole))
        assert not different, (
            f"killed after step {killed_at} and resumed, other than uninterrupted: {different}; "
            "keep all state in the fields that are modules"
        )
        written = [_records_without_timing(path) for path in (folder / "whole", cut)]
        assert written[0] == written[1], f"killed after step {killed_at}, other metrics"
        assert len(written[0]) == len(records)


def called_encoders_learn(trial: Trial, folder: Path) -> None:
    """What a run would compile learns by being called."""
    method, learned = trial.build(), set()

    def note(encoder: nn.Module, _: object, features: Tensor) -> None:
        learned.update([encoder] if features.requires_grad else [])

    for encoder in method.called_encoders():
        encoder.register_forward_hook(note)
    trial.train_on(method, folder / "run", 1)
    missing = set(method.called_encoders()) - learned
    assert not missing, (
        f"{len(missing)} of called_encoders() learn nothing by being called: "
        "override it to name the encoders that a step calls, or none"
    )


def encoder_comes_back(trial: Trial, folder: Path) -> None:
    """The encoder is trained, written, and read with the same features."""
    method, _ = trial.train(folder / "run", 2)
    shape = method.preprocessing
    write_encoder(folder, method.encoder, trial.encoder, shape, seed=1)
    files = read_encoder(folder)
    assert files.preprocessing == shape
    trained, loaded, untrained = (
        features(encoder, pictures().images, shape, CPU.device)
        for encoder in (method.encoder, load_trained(files), trial.build().encoder)
    )
    assert torch.equal(trained, loaded), "the encoder that was read has other features"
    assert not torch.equal(trained, untrained), "two steps changed nothing of the encoder"


def views_are_pictures(trial: Trial, folder: Path) -> None:
    """Views are finite float32, the first of them of the pictures' size."""
    images = pictures().images
    sizes = views_by_size(trial.build().views_of(torch.from_numpy(images)))
    for views in sizes:
        assert views.dtype == torch.float32, f"views are {views.dtype}"
        assert views.ndim == 4, f"views have shape {tuple(views.shape)}, not (V·N, C, H, W)"
        assert len(views) % len(images) == 0, f"{len(views)} views of {len(images)} pictures"
        assert views.isfinite().all(), "some views are not finite"
    assert sizes[0].shape[1:] == (3, 16, 16), (
        f"the first views are {tuple(sizes[0].shape[1:])}, and the encoder is evaluated on "
        "(3, 16, 16)"
    )


def it_can_be_copied(trial: Trial, folder: Path) -> None:
    """A run copies its method, to try with how many threads it is fastest."""
    method = trial.build()
    assert same(state(copy.deepcopy(method)), state(method))


PROMISES: dict[str, Callable[[Trial, Path], None]] = {
    check.__name__: check
    for check in (
        loss_falls,
        same_seed_same_weights,
        players_weights_move,
        frozen_parts_stay,
        resumed_equals_uninterrupted,
        called_encoders_learn,
        encoder_comes_back,
        views_are_pictures,
        it_can_be_copied,
    )
}


def _keep_nothing(what: str) -> str:
    return (
        f"the same seed gave other {what}: "
        "draw from torch's global generators, and keep no generator"
    )


def _parameters(modules: dict[str, nn.Module]) -> dict[str, nn.Parameter]:
    return {
        f"{part}.{name}": parameter
        for part, module in modules.items()
        for name, parameter in module.named_parameters()
    }


def _drifted(before: nn.Module, after: nn.Module, name: str) -> Iterator[str]:
    """Yields the buffers that changed in the largest parts whose weights all stay."""
    weights = list(zip(before.parameters(), after.parameters(), strict=True))
    if any(new.requires_grad or not torch.equal(old, new) for old, new in weights):
        for (part, old_child), new_child in zip(
            before.named_children(), after.children(), strict=True
        ):
            yield from _drifted(old_child, new_child, f"{name}.{part}")
    elif weights:
        for (buffer, old), new in zip(before.named_buffers(), after.buffers(), strict=True):
            if not torch.equal(old, new):
                yield f"{name}.{buffer}"


def _differences(a: dict[str, Tensor], b: dict[str, Tensor]) -> str:
    names = [name for name in b if name not in a or not torch.equal(a[name], b[name])]
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _records_without_timing(run: Path) -> list[str]:
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return [line.partition(', "timing"')[0] for line in lines]
