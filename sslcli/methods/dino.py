"""DINO: a student predicts what a slow copy of it makes of other views.

Source: Caron et al. 2021, "Emerging Properties in Self-Supervised Vision Transformers".
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sslcli import augment, losses, nets
from sslcli.augment.augmentation_config import ViewConfig
from sslcli.errors import require
from sslcli.method import (
    Method,
    MethodConfig,
    Metrics,
    Minimize,
    Normal,
    Preprocessing,
    Progress,
    views_by_size,
)
from sslcli.nets.encoder_config import CONVNET_WITH_PLACES
from sslcli.nets.head_config import HeadConfig
from sslcli.settings import part, setting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn

    from sslcli.augment.multi_crop import MultiCrop
    from sslcli.nets.encoder import Encoder
    from sslcli.nets.moving_average import MovingAverage
    from sslcli.nets.prototypes import Prototypes
    from sslcli.nets.running_mean import RunningMean


SHARP, SLOW = 0.06, 0.999
"""The highest teacher's temperature, and a centre's momentum, that Caron et al. 2021 report on."""


@dataclass(kw_only=True)
class DINOConfig(MethodConfig):
    """Self-distillation with no labels (Caron et al. 2021), with small crops.

    The encoder that survives is the teacher's. Differs: the head has batch norm and ReLU; both
    large views are drawn from one augmentation; the teacher's temperature is constant.
    """

    suits = (*CONVNET_WITH_PLACES, "optim=adamw", "optim.lr=2e-3", "epochs=18")

    num_prototypes: int = setting(1024, "outputs of the head")
    student_temperature: float = setting(0.1, "of the student's softmax")
    teacher_temperature: float = setting(0.04, "of the teacher's softmax: sharper")
    momentum: float = setting(0.99, "of the teacher's average in the first step; it rises to 1")
    centre_momentum: float = setting(0.9, "of the running mean of the teacher's outputs")
    frozen_epochs: int = setting(1, "epochs at the start in which the last layer does not move")
    projector: HeadConfig = part(
        lambda: HeadConfig(num_layers=3), "the head up to its last layer, the prototypes"
    )
    views: ViewConfig = part(ViewConfig, "the augmentation of the two large views")
    num_small_views: int = setting(4, "small crops of each picture, for the student; 0: none")
    small_views: ViewConfig = part(
        lambda: ViewConfig(crop_size=0.5, crop_scale=[0.1, 0.4]), "their augmentation"
    )

    def __post_init__(self) -> None:
        for name in ("num_prototypes", "student_temperature", "teacher_temperature"):
            value = getattr(self, name)
            require(value > 0, f"method.{name}", value, "positive", "leave it out")
        for name in ("momentum", "centre_momentum"):
            value = getattr(self, name)
            require(0 <= value <= 1, f"method.{name}", value, "from 0 to 1", "try 0.99")
        for name in ("frozen_epochs", "num_small_views"):
            value = getattr(self, name)
            require(value >= 0, f"method.{name}", value, "at least 0", "try 0")

    def known_to_fail(self, batch_size: int) -> str | None:
        if self.momentum == 0:
            return (
                "a teacher that is the student collapses (Caron et al. 2021): method.momentum=0.99"
            )
        if self.teacher_temperature > SHARP:
            temperature = f"method.teacher_temperature={self.teacher_temperature:g}"
            source = "Caron et al. 2021, appendix D"
            return f"{temperature} from the start on collapses ({source}): at most {SHARP}"
        if self.centre_momentum >= SLOW:
            momentum = f"method.centre_momentum={self.centre_momentum:g}"
            return f"{momentum} collapses (Caron et al. 2021, appendix D): 0.9 to 0.99"
        return None

    def build(self, encoder: Encoder, preprocessing: Preprocessing) -> DINO:
        preprocessing = self.views.fed(preprocessing)
        mean, std = preprocessing.mean, preprocessing.std
        projector = self.projector.build(encoder.width)
        prototypes = nets.Prototypes(self.projector.out, self.num_prototypes)
        return DINO(
            student=encoder,
            preprocessing=preprocessing,
            projector=projector,
            prototypes=prototypes,
            teacher=nets.MovingAverage(encoder, projector, prototypes),
            centre=nets.RunningMean(self.num_prototypes),
            crops=augment.MultiCrop(
                self.views.build(mean, std),
                self.small_views.beside(self.views).build(mean, std),
                self.num_small_views,
            ),
            temperatures=(self.student_temperature, self.teacher_temperature),
            momentum=self.momentum,
            centre_momentum=self.centre_momentum,
            frozen_epochs=self.frozen_epochs,
        )


@dataclass
class DINO(Method):
    student: Encoder
    preprocessing: Preprocessing
    projector: nn.Module
    prototypes: Prototypes
    teacher: MovingAverage
    centre: RunningMean
    crops: MultiCrop
    temperatures: tuple[float, float]
    """The student's and the teacher's."""
    momentum: float
    centre_momentum: float
    frozen_epochs: int

    @property
    def encoder(self) -> Encoder:  # type: ignore[override]
        """The teacher's: it is the better one in the paper."""
        return self.teacher[0]  # type: ignore[return-value]

    def players(self) -> dict[str, Sequence[nn.Module]]:
        return {"student": [self.student, self.projector], "prototypes": [self.prototypes]}

    def called_encoders(self) -> Sequence[Encoder]:
        return [self.student]

    def normal(self, batch_size: int) -> Normal:
        loss = math.log(len(self.prototypes.weight))
        return Normal(loss, loss)

    def views(self, images: Tensor) -> Tensor | list[Tensor]:
        return self.crops(images)

    def train_step(
        self, views: Tensor | list[Tensor], minimize: Minimize, progress: Progress
    ) -> Metrics:
        student_temperature, teacher_temperature = self.temperatures
        of_teacher = self.teacher(views_by_size(views)[0]).float()
        targets = ((of_teacher - self.centre.value) / teacher_temperature).softmax(dim=1).chunk(2)
        z = self.projector(self.student.in_chunks(views, None))
        scores = self.prototypes(z).chunk(self.crops.num_views)
        loss = losses.cross_view_entropy(targets, scores, student_temperature)
        moving = ["prototypes"] if progress.epoch >= self.frozen_epochs else []
        minimize(loss, "student", *moving)
        self.centre.follow(of_teacher, self.centre_momentum)
        momentum = progress.cosine(self.momentum, 1.0)
        online = (self.student, self.projector, self.prototypes)
        self.teacher.follow(*online, momentum=momentum, buffers=False)
        return {"loss": loss.detach()}

    def prototype_scores(self, pictures: Tensor) -> Tensor:
        """Returns the teacher's scores, centred as its targets are."""
        return self.teacher(pictures).float() - self.centre.value  # type: ignore[no-any-return]
