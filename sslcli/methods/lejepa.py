"""LeJEPA: views agree, and embeddings are held to an isotropic Gaussian.

Source: Balestriero and LeCun 2025, "LeJEPA: Provable and Scalable Self-Supervised Learning Without
the Heuristics".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sslcli import losses
from sslcli.augment.augmentation_config import ViewConfig
from sslcli.errors import require
from sslcli.method import Method, MethodConfig, Metrics, Minimize, Preprocessing, Progress
from sslcli.nets.encoder_config import CONVNET_WITH_PLACES
from sslcli.nets.head_config import HeadConfig
from sslcli.processes import gathered
from sslcli.settings import part, setting

if TYPE_CHECKING:
    from torch import Tensor, nn

    from sslcli.augment.augmentation import Augmentation
    from sslcli.nets.encoder import Encoder


@dataclass(kw_only=True)
class LeJEPAConfig(MethodConfig):
    """Views that agree, and embeddings that are Gaussian (Balestriero and LeCun 2025).

    Differs: all views have one size and one augmentation.
    """

    suits = (*CONVNET_WITH_PLACES, "optim=adamw", "optim.lr=2e-3", "epochs=16")

    num_views: int = setting(4, "views of each picture")
    regularization: float = setting(0.05, "weight of SIGReg, the rest being the views' agreement")
    num_directions: int = setting(256, "random directions along which SIGReg looks, new each step")
    projector: HeadConfig = part(
        lambda: HeadConfig(num_layers=3, out=64), "the head whose outputs are made Gaussian"
    )
    views: ViewConfig = part(ViewConfig, "the augmentation that all views are drawn from")

    def __post_init__(self) -> None:
        good = 2 <= self.num_views <= 16
        require(good, "method.num_views", self.num_views, "from 2 to 16", "try 4")
        good = 0 <= self.regularization <= 1
        require(good, "method.regularization", self.regularization, "from 0 to 1", "try 0.05")
        good = self.num_directions > 0
        require(good, "method.num_directions", self.num_directions, "positive", "try 256")

    def build(self, encoder: Encoder, preprocessing: Preprocessing) -> LeJEPA:
        preprocessing = self.views.fed(preprocessing)
        return LeJEPA(
            encoder=encoder,
            preprocessing=preprocessing,
            projector=self.projector.build(encoder.width),
            augmentation=self.views.build(preprocessing.mean, preprocessing.std),
            num_views=self.num_views,
            regularization=self.regularization,
            num_directions=self.num_directions,
        )


@dataclass
class LeJEPA(Method):
    encoder: Encoder
    preprocessing: Preprocessing
    projector: nn.Module
    augmentation: Augmentation
    num_views: int
    regularization: float
    num_directions: int

    def views(self, images: Tensor) -> Tensor:
        return self.augmentation(images, num_views=self.num_views)

    def train_step(self, views: Tensor, minimize: Minimize, progress: Progress) -> Metrics:
        z = gathered(self.projector(self.encoder(views)).float(), groups=self.num_views)
        by_view = z.view(self.num_views, -1, z.shape[1])
        invariance = (by_view - by_view.mean(dim=0)).square().mean()
        directions = losses.random_directions(z.shape[1], self.num_directions)
        gaussianity = losses.sigreg(by_view, directions)
        loss = self.regularization * gaussianity + (1 - self.regularization) * invariance
        minimize(loss)
        return {
            "loss": loss.detach(),
            "invariance": invariance.detach(),
            "sigreg": gaussianity.detach(),
        }
