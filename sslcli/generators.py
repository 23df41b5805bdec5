"""The random generators that a step draws from: seeds them, and sets them aside."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator

import numpy as np
import torch


def seed_generators(seed: int) -> None:
    """Seeds every generator that a step may draw from.

    As torch.manual_seed does, which for a device not in use takes a millisecond and remembers every call.
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
    """Whatever is seeded or drawn inside, the generators go on afterwards as if it had not been."""
    python, numpy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng():
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
