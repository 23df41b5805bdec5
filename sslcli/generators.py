"""Seeds, saves and restores the random generators that a step draws from."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator

import numpy as np
import torch


def seed_generators(seed: int) -> None:
    """Seeds every generator that a step may draw from.

    As torch.manual_seed does, except for devices that are not in use: there that function takes a
    millisecond, and remembers every call.
    """
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.manual_seed_all(seed)
    if torch.backends.mps.is_available():
        torch.mps.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed % 2**32)


@contextlib.contextmanager
def kept_generators() -> Iterator[None]:
    """Restores the generators' states at the end, however they were used inside."""
    python, numpy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng():
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
