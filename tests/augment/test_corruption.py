"""What corruption changes, what it leaves, and how much."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from sslcli.augment.corruption_config import CorruptionConfig
from sslcli.errors import SslcliError

KINDS = ["gaussian", "salt_and_pepper", "masking", "blocks"]


def pictures(num: int = 200) -> Tensor:
    return 0.1 + 0.8 * torch.rand(num, 3, 16, 16, generator=torch.Generator().manual_seed(9))


def corrupt(clean: Tensor, seed: int = 0, **settings: float) -> tuple[Tensor, Tensor]:
    torch.manual_seed(seed)
    corrupted, changed = CorruptionConfig(**settings).build()(clean)
    assert changed.dtype == torch.bool
    assert corrupted.shape == changed.shape == clean.shape
    assert corrupted.dtype == clean.dtype
    return corrupted, changed


def test_masking_hides_the_fraction_and_rescales_nothing() -> None:
    clean = pictures()
    corrupted, changed = corrupt(clean, masking=0.3)
    assert changed.float().mean().item() == pytest.approx(0.3, abs=0.01)
    assert torch.equal(corrupted == 0, changed)
    assert torch.equal(corrupted[~changed], clean[~changed])
    # Independent components: a channel's being hidden says nothing of the next's.
    assert (changed[:, 0] & changed[:, 1]).float().mean().item() == pytest.approx(0.09, abs=0.01)


def test_a_masked_zero_counts_as_changed() -> None:
    corrupted, changed = corrupt(torch.zeros(4, 100), masking=0.5)
    assert not corrupted.any()
    assert 0.3 < changed.float().mean() < 0.7


def test_salt_and_pepper_are_a_fair_coin() -> None:
    clean = pictures()
    corrupted, changed = corrupt(clean, salt_and_pepper=0.4)
    assert changed.float().mean().item() == pytest.approx(0.4, abs=0.01)
    assert torch.equal((corrupted == 0) | (corrupted == 1), changed)
    assert corrupted[changed].mean().item() == pytest.approx(0.5, abs=0.01)
    assert torch.equal(corrupted[~changed], clean[~changed])


def test_gaussian_noise_is_not_clipped_and_changes_everything() -> None:
    clean = pictures()
    corrupted, changed = corrupt(clean, gaussian=0.5)
    noise = corrupted - clean
    assert changed.all()
    assert noise.mean().item() == pytest.approx(0.0, abs=0.01)
    assert noise.std().item() == pytest.approx(0.5, abs=0.01)
    assert corrupted.min() < -0.5
    assert corrupted.max() > 1.5


@pytest.mark.parametrize(
    ("fraction", "tolerance"), [(0.1, 0.02), (0.25, 0.02), (0.5, 0.03), (0.75, 0.06)]
)
def test_blocks_cover_about_the_fraction_in_all_channels(fraction: float, tolerance: float) -> None:
    clean = pictures()
    corrupted, changed = corrupt(clean, blocks=fraction)
    covered = changed.float().mean(dim=(1, 2, 3))
    assert covered.mean().item() == pytest.approx(fraction, abs=tolerance)
    assert covered.max() <= fraction
    assert covered.min() > 0.6 * fraction
    assert torch.equal(changed, changed[:, :1].expand_as(changed))
    assert torch.equal(corrupted, torch.where(changed, 0.0, clean))


@pytest.mark.parametrize("kind", KINDS)
def test_every_picture_and_every_call_has_its_own(kind: str) -> None:
    clean = torch.full((6, 1, 12, 12), 0.5)
    torch.manual_seed(0)
    corruption = CorruptionConfig(**{kind: 0.3}).build()
    first, second = corruption(clean)[0], corruption(clean)[0]
    assert len(torch.cat([first, second]).flatten(1).unique(dim=0)) == 12
    assert torch.equal(clean, torch.full((6, 1, 12, 12), 0.5)), "the target was touched"
    assert torch.equal(corrupt(clean, seed=0, **{kind: 0.3})[0], first)


def test_kinds_combine_in_their_order() -> None:
    clean = pictures()
    corrupted, changed = corrupt(clean, salt_and_pepper=0.2, masking=0.3)
    assert changed.float().mean().item() == pytest.approx(1 - 0.8 * 0.7, abs=0.01)
    assert (corrupted == 0).float().mean().item() == pytest.approx(0.3 + 0.7 * 0.1, abs=0.01)
    assert torch.equal(corrupted[~changed], clean[~changed])
    # What is masked is 0 although noise came first.
    noisy, everything = corrupt(clean, gaussian=0.2, masking=0.3, blocks=0.25)
    assert everything.all()
    assert (noisy == 0).float().mean().item() == pytest.approx(1 - 0.7 * 0.75, abs=0.02)


def draws(count: Callable[[], object]) -> bool:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    count()
    return not torch.equal(before, torch.get_rng_state())


def test_all_off_is_the_clean_picture_and_draws_nothing() -> None:
    clean = pictures(2)
    config = CorruptionConfig()
    corrupted, changed = config.build()(clean)
    assert corrupted is clean
    assert not changed.any()
    assert not draws(lambda: config.build()(clean))
    assert draws(lambda: CorruptionConfig(masking=0.1).build()(clean))


def test_a_kind_that_is_off_draws_nothing() -> None:
    clean = pictures(2)
    torch.manual_seed(0)
    expected = torch.rand_like(clean) < 0.3
    assert torch.equal(corrupt(clean, masking=0.3)[1], expected)


def test_codes_are_corrupted_too_and_blocks_are_for_pictures() -> None:
    codes = torch.rand(50, 40)
    for kind in KINDS[:3]:
        assert corrupt(codes, **{kind: 0.3})[1].any()
    with pytest.raises(SslcliError, match=r"corruption\.blocks .* vectors of 40"):
        corrupt(codes, blocks=0.3)


def test_the_fraction_holds_in_half_precision() -> None:
    """bfloat16 has 256 steps between a half and one: a draw in it would miss a small fraction."""
    clean = torch.ones(100, 1000, dtype=torch.bfloat16)
    assert corrupt(clean, masking=0.002)[1].float().mean().item() == pytest.approx(0.002, rel=0.3)


def test_what_is_on() -> None:
    assert not CorruptionConfig().any
    for kind in KINDS:
        assert CorruptionConfig(**{kind: 0.1}).any
        assert CorruptionConfig(**{kind: 0.1}).hides is (kind in ("masking", "blocks"))
        assert CorruptionConfig(**{kind: 0.1}).build().hides is (kind in ("masking", "blocks"))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf")])
def test_mistakes_are_named(kind: str, value: float) -> None:
    with pytest.raises(SslcliError, match=rf"^method\.corruption\.{kind} must be") as caught:
        CorruptionConfig(**{kind: value})
    assert "try" in caught.value.fix


@pytest.mark.parametrize("kind", KINDS[1:])
def test_a_fraction_of_one_leaves_nothing_and_is_refused(kind: str) -> None:
    with pytest.raises(SslcliError, match=rf"corruption\.{kind} must be in \[0, 1\), got 1"):
        CorruptionConfig(**{kind: 1.0})
    CorruptionConfig(gaussian=1.5)
