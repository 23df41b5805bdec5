"""Measures how fast a planned run trains here."""

from __future__ import annotations

import torch

from sslcli.engine.device import Compute
from sslcli.engine.minimize import Minimizer
from sslcli.engine.trial import seconds_a_step
from sslcli.errors import SslcliError
from sslcli.tools.plan.subject import Subject

STEPS, FIRST = 10, 2
"""Steps that are measured, and steps before them that are not: they set up memory."""


def require_here(compute: Compute) -> None:
    """Raises SslcliError where the planned device is not here."""
    if compute.device.type == "cuda" and not torch.cuda.is_available():
        raise SslcliError(
            "--measure takes steps on this machine, and the plan is for a GPU that is not here",
            "leave out --device-tflops, or --measure; runtime.device=cpu plans for the CPU",
        )


def images_per_second(subject: Subject) -> float:
    """Returns the pictures a second of real steps, with views and updates, on this machine.

    Measuring validation and saving are left out.
    """
    learner, pictures = subject.real()
    compute = subject.compute
    for module in learner.modules().values():
        compute.to_device(module)
    rate = subject.optim.peak_learning_rate(pictures.batch_size)
    minimize = Minimizer.of(learner, subject.optim, compute, lambda _: rate)
    return pictures.batch_size / seconds_a_step(learner, minimize, pictures, compute, FIRST, STEPS)
