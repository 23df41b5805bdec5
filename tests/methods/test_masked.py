"""MAE and SimMIM: what is hidden, what is learned from, and that MAE restores pictures."""

from __future__ import annotations

import pytest
import torch

from sslcli.augment.augmentation_config import ViewConfig
from sslcli.errors import SslcliError
from sslcli.method import Progress, Restorer
from sslcli.methods.mae import MAE, MAEConfig, RestoringMAE
from sslcli.methods.simmim import SimMIM, SimMIMConfig
from sslcli.nets.encoder_config import ConvNetConfig
from sslcli.nets.patches import to_patches
from sslcli.nets.vit_config import ViTConfig
from sslcli.testing.trial import build_method, pictures

VIT = ViTConfig(width=24, depth=2, heads=2)
IMAGES = torch.from_numpy(pictures().images)
NONE = Progress(0, 1)


def mae(**settings: object) -> MAE:
    config = MAEConfig(decoder_width=32, decoder_depth=1, **settings)  # type: ignore[arg-type]
    built = build_method(config, VIT)
    assert isinstance(built, MAE)
    return built


def test_mae_refuses_what_its_decoder_cannot_place_or_has_nothing_to_learn_from() -> None:
    with pytest.raises(SslcliError, match="crop_size must be 1 for mae"):
        MAEConfig(views=ViewConfig(crop_size=0.5))
    with pytest.raises(SslcliError, match="number of patches must be at least 2"):
        build_method(MAEConfig(), ViTConfig(width=24, depth=1, heads=2, patch=16))


def test_views_that_are_no_whole_patches_are_refused() -> None:
    method = build_method(SimMIMConfig(views=ViewConfig(crop_size=0.4)), VIT)
    with pytest.raises(SslcliError, match="6x6 px are not whole patches of 4 px"):
        method.train_step(method.views(IMAGES), lambda loss, *players: None, NONE)


def test_mae_keeps_a_quarter_of_the_patches_each_picture_its_own() -> None:
    method = mae()
    patches = to_patches(method.views(IMAGES), 4)
    kept = method.draw_kept(patches)
    assert kept.shape == (24, 4)
    assert all(len(set(row)) == 4 for row in kept.tolist())
    assert len({tuple(sorted(row)) for row in kept.tolist()}) > 12


def test_maes_loss_does_not_depend_on_what_it_predicts_of_seen_patches() -> None:
    method = mae()
    views = method.views(IMAGES)
    kept = torch.arange(4).expand(24, -1)
    method.draw_kept = lambda patches: kept  # type: ignore[method-assign]
    losses = []
    for shift in (0.0, 100.0):
        changed = views.clone()
        changed[:, :, :4] += shift  # the first row of patches, which is kept: seen, never a target
        tokens = method.encoder.tokens
        method.encoder.tokens = lambda pictures, kept, t=tokens: t(views, kept)  # type: ignore[method-assign, misc]
        losses.append(method.train_step(changed, lambda loss, *players: None, NONE)["loss"].item())
        method.encoder.tokens = tokens  # type: ignore[method-assign]
    assert losses[0] == pytest.approx(losses[1])


def test_mae_restores_only_where_its_targets_are_pixels() -> None:
    assert not isinstance(mae(), Restorer)
    restorer = mae(normalize_patches=False)
    assert isinstance(restorer, RestoringMAE)
    assert isinstance(restorer, Restorer)
    shown = IMAGES.permute(0, 3, 1, 2) / 255
    damaged, hidden = restorer.damage(shown)
    assert hidden.dtype == torch.bool
    assert hidden.float().mean().item() == pytest.approx(0.75)
    mean = torch.tensor(restorer.preprocessing.mean).view(-1, 1, 1)  # black may be a picture's own
    assert torch.equal(damaged, mean.where(hidden, shown))


def test_what_is_restored_does_not_depend_on_hidden_pixels() -> None:
    restorer = mae(normalize_patches=False).encoder
    method = mae(normalize_patches=False)
    assert isinstance(method, RestoringMAE)
    method.encoder = restorer
    shown = IMAGES.permute(0, 3, 1, 2) / 255
    hidden = torch.zeros(24, 1, 16, 16, dtype=torch.bool)
    hidden[:, :, 3:6, 3:6] = True  # touches four patches
    hidden[0] = True  # nothing is seen
    with torch.no_grad():
        restored = method.restore(shown, hidden)
        again = method.restore(shown.masked_fill(hidden, 0.7), hidden)
    assert restored.shape == shown.shape
    assert 0 <= restored.min() <= restored.max() <= 1
    torch.testing.assert_close(restored, again)


def test_simmim_hides_its_ratio_and_learns_from_that_alone() -> None:
    method = build_method(SimMIMConfig(), VIT)
    assert isinstance(method, SimMIM)
    hidden = method.draw_hidden(to_patches(method.views(IMAGES), 4))
    assert hidden.sum(dim=1).tolist() == [10] * 24
    assert len({tuple(row) for row in hidden.tolist()}) > 12


@pytest.mark.parametrize("config", [MAEConfig(), SimMIMConfig()])
def test_an_encoder_without_patches_is_refused(config: MAEConfig | SimMIMConfig) -> None:
    with pytest.raises(SslcliError, match="needs an encoder of patches") as caught:
        build_method(config, ConvNetConfig(width=4))
    assert "encoder=vit" in caught.value.fix


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"mask_ratio": 1.0}, "method.mask_ratio"),
        ({"decoder_width": 33}, "method.decoder_width"),
        ({"decoder_depth": 0}, "method.decoder_depth"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, float], key: str) -> None:
    with pytest.raises(SslcliError, match=key.replace(".", r"\.")):
        MAEConfig(**settings)  # type: ignore[arg-type]
