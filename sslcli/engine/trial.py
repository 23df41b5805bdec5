"""Tries a few steps with fewer threads, and keeps the fastest number."""

from __future__ import annotations

import copy
import time
from typing import Any

import torch
from torch import Tensor, nn

from sslcli.engine.device import Compute
from sslcli.engine.minimize import Minimizer
from sslcli.engine.train import Pictures
from sslcli.generators import seed_generators
from sslcli.method import Learner, Progress

STEPS = 4
"""Steps with each number of threads; the first is not counted, as it sets up memory."""
LONG = 0.5
"""Seconds of a step that is not tried with fewer threads: trials would take too long."""
BETTER = 0.9
"""Fewer threads must take less than this part of the time: measurements differ by some percent."""


def fastest_threads(
    learner: Learner[Any, Any], minimize: Minimizer, pictures: Pictures[Any], compute: Compute
) -> int:
    """Sets torch to the fastest number of threads, and returns it.

    It tries the number of now, half of it, a quarter, and so on. The steps are those of a copy:
    what is trained stays as it was.
    """
    learner, minimize = copy.deepcopy((learner, minimize))
    nn.ModuleDict(learner.modules()).train()
    threads = best = torch.get_num_threads()
    fewest = _seconds(learner, minimize, pictures, compute)
    while threads > 1 and fewest < LONG:
        threads //= 2
        torch.set_num_threads(threads)
        seconds = _seconds(learner, minimize, pictures, compute)
        if seconds < BETTER * fewest:
            best, fewest = threads, seconds
    torch.set_num_threads(best)
    return best


def seconds_a_step(
    learner: Learner[Any, Any],
    minimize: Minimizer,
    pictures: Pictures[Any],
    compute: Compute,
    first: int,
    steps: int,
) -> float:
    """Trains on after `first` steps for `steps` more, and returns the mean time of these.

    It waits for a CUDA device before and after them.
    """
    nn.ModuleDict(learner.modules()).train()
    began = 0.0
    for step in range(first + steps):
        if step == first:
            minimize.check_finite()
            began = time.perf_counter()
        _take(learner, minimize, pictures, compute, step)
    minimize.check_finite()
    return (time.perf_counter() - began) / steps


def _seconds(
    learner: Learner[Any, Any], minimize: Minimizer, pictures: Pictures[Any], compute: Compute
) -> float:
    """Returns the shortest time of STEPS steps, or of the first where it is long."""
    found: list[float] = []
    while len(found) < STEPS and not (found and found[0] > 2 * LONG):
        began = time.perf_counter()
        _take(learner, minimize, pictures, compute, 0)
        found.append(time.perf_counter() - began)
    return min(found[1:], default=found[0])


def _take(
    learner: Learner[Any, Any],
    minimize: Minimizer,
    pictures: Pictures[Any],
    compute: Compute,
    step: int,
) -> None:
    take_step(learner, minimize, pictures.at(step), compute, Progress(step, step + 1))


def take_step(
    learner: Learner[Any, Any],
    minimize: Minimizer,
    batch: Any,
    compute: Compute,
    progress: Progress,
) -> dict[str, Tensor]:
    """Takes a step as the loop does, without its records; returns the metrics, on the device."""
    seed_generators(0)
    minimize.begin(progress.step)
    views = learner.views(batch)
    with compute.autocast():
        metrics = learner.train_step(views, minimize, progress)
    minimize.end()
    return metrics
