from dataclasses import dataclass

from torch import nn

from sslcli.augment.augmentation_config import ViewConfig
from sslcli.errors import require
from sslcli.method import Method, MethodConfig, Preprocessing
from sslcli.nets.encoder import Encoder
from sslcli.settings import part, setting
from sslcli_turns.helper import turned


@dataclass(kw_only=True)
class TurnsConfig(MethodConfig):
    """Tells by how many quarter turns a picture was turned (Gidaris et al. 2018)."""

    suits = ("encoder=patchy", "encoder.units=12", "optim=signs", "optim.lr=1e-3")

    smoothing: float = setting(0.0, "of the labels")
    views: ViewConfig = part(ViewConfig, "the augmentation before the turn")

    def __post_init__(self):
        require(
            0 <= self.smoothing < 1,
            "method.smoothing",
            self.smoothing,
            "from 0 to below 1",
            "try 0.1",
        )

    def build(self, encoder, preprocessing):
        augmentation = self.views.build(preprocessing.mean, preprocessing.std)
        return Turns(
            encoder, preprocessing, nn.Linear(encoder.width, 4), augmentation, self.smoothing
        )


@dataclass
class Turns(Method):
    encoder: Encoder
    preprocessing: Preprocessing
    head: nn.Module
    augmentation: object
    smoothing: float

    def views(self, images):
        return self.augmentation(images, num_views=1)

    def train_step(self, views, minimize, progress):
        pictures, turns = turned(views)
        scores = self.head(self.encoder(pictures))
        loss = nn.functional.cross_entropy(scores, turns, label_smoothing=self.smoothing)
        minimize(loss)
        return {"loss": loss.detach(), "turns_found": (scores.argmax(1) == turns).float().mean()}
