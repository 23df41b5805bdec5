"""Derives seeds from their purpose, so that no random state is carried along."""

from __future__ import annotations

import hashlib


def derive_seed(*parts: int | str) -> int:
    """Returns a seed in [0, 2^63) for the parts, such as ("order", run seed, epoch).

    It is the same on every machine.
    """
    plain = [part if isinstance(part, str) else int(part) for part in parts]
    return int.from_bytes(hashlib.sha256(repr(plain).encode()).digest()[:8], "big") >> 1
