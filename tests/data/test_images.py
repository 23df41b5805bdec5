"""Which of many pictures are taken where not all are."""

from __future__ import annotations

import numpy as np
import pytest

from sslcli.data.images import evenly_spaced


@pytest.mark.parametrize(
    ("num_there", "at_most"), [(10, 3), (10, 10), (3, 10), (2001, 2000), (1, 5), (10, 1)]
)
def test_pictures_at_even_distances_are_all_different_and_reach_from_end_to_end(
    num_there: int, at_most: int
) -> None:
    chosen = evenly_spaced(num_there, at_most)
    assert len(chosen) == len(set(chosen.tolist())) == min(num_there, at_most)
    assert chosen[0] == 0
    if at_most > 1:
        assert chosen[-1] == num_there - 1
    assert np.ptp(np.diff(chosen)) <= 1 if len(chosen) > 1 else True
