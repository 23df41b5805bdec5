from dataclasses import dataclass

from torch import nn

from sslcli.nets.encoder import Encoder
from sslcli.nets.encoder_config import EncoderConfig
from sslcli.settings import setting


@dataclass(kw_only=True)
class PatchyConfig(EncoderConfig):
    """Mixes patches of 4x4 pixels, and takes their mean."""

    units: int = setting(16, "width")

    def network(self, channels, resolution):
        return Patchy(channels, self.units)


class Patchy(Encoder):
    def __init__(self, channels, units):
        super().__init__()
        self.width = units
        self.layers = nn.Sequential(
            nn.Conv2d(channels, units, 4, 4),
            nn.BatchNorm2d(units),
            nn.ReLU(),
            nn.Conv2d(units, units, 1),
        )

    def forward(self, pictures):
        return self.layers(pictures).mean((2, 3))
