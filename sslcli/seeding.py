"""Seeds derived from what they are for, so that no random state has to be carried along."""

from __future__ import annotations

import hashlib


def derive_seed(*parts: int | str) -> int:
    """A seed in [0, 2^63) for `parts`, say ("order", run seed, epoch): the same on every machine."""
    plain = [part if isinstance(part, str) else int(part) for part in parts]
    return int.from_bytes(hashlib.sha256(repr(plain).encode()).digest()[:8], "big") >> 1
