"""A network that is no encoder is refused; to try one changes nothing of it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from sslcli.choices import Misfit
from sslcli.nets.encoder import Bottleneck, Encoder
from sslcli.nets.sound_encoder import require_encoder


class Flat(Encoder):
    """Draws as it looks, and counts."""

    def __init__(self, width: object = 3) -> None:
        super().__init__()
        if width is not None:
            self.width = width  # type: ignore[assignment]
        self.layer = nn.Sequential(nn.Linear(48, 3), nn.BatchNorm1d(3), nn.Dropout())

    def forward(self, pictures: Tensor) -> Tensor:
        features: Tensor = self.layer(pictures.flatten(1)) + 0 * torch.rand(1)
        return features


class Maps(Flat):
    def code(self, pictures: Tensor) -> Tensor:
        return pictures


def test_an_encoder_passes_and_stays_as_it_was() -> None:
    encoder = Flat()
    encoder.layer[1].eval()
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    drawn = torch.get_rng_state()
    require_encoder(encoder, 3, 4)
    assert torch.equal(torch.get_rng_state(), drawn)
    assert all(torch.equal(value, before[key]) for key, value in encoder.state_dict().items())
    assert [module.training for module in encoder.modules()] == [True, True, True, False, True]


@pytest.mark.parametrize(
    ("network", "said"),
    [
        (None, "its network returns a NoneType, no Encoder"),
        (nn.Linear(48, 3), "its network returns a Linear, no Encoder"),
        (Flat(None), "Flat has no width"),
        (Flat(3.0), "Flat has a width of 3.0"),
        (Flat(4), "Flat has width 4, and gives features of shape (2, 3) for 2 pictures"),
        (Maps(), "Maps has code_shape (3,), and gives codes of shape (3, 4, 4)"),
    ],
)
def test_what_is_no_encoder_is_named(network: object, said: str) -> None:
    with pytest.raises(Misfit) as caught:
        require_encoder(network, 3, 4)
    assert str(caught.value) == said
    assert caught.value.fix


def test_the_code_is_the_features_where_an_encoder_says_nothing_else() -> None:
    assert Flat().code_shape == (3,)
    assert Bottleneck(Flat(), 2).eval()(torch.zeros(1, 3, 4, 4)).shape == (1, 2)
