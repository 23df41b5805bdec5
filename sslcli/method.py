"""Defines the contract between a method and the engine.

Importing this module, or a method's, does not import torch.

A method says WHAT is minimised and in WHICH order; the engine's `minimize` says HOW. There are no
hooks: what comes after an update is the next line.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from inspect import signature
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    NamedTuple,
    Protocol,
    TypeVar,
    Union,
)

from sslcli.abilities import Clusterer as Clusterer
from sslcli.abilities import Decoding as Decoding
from sslcli.abilities import Restorer as Restorer
from sslcli.preprocessing import Preprocessing as Preprocessing
from sslcli.preprocessing import as_pictures as as_pictures

if TYPE_CHECKING:
    from torch import Tensor, nn

    from sslcli.nets.encoder import Encoder

Metrics = dict[str, "Tensor"]
"""Scalars by name, detached, left on the device: reading them would make the device wait."""
Views = Union["Tensor", "list[Tensor]"]
"""Views of N pictures, (V·N, C, H, W) float32, view by view; where they have several sizes
(multi-crop), such a tensor for each, first that of the size that the encoder is fed in evaluation.
"""


def views_by_size(views: Views) -> list[Tensor]:
    """Returns one tensor of views for every size."""
    return views if isinstance(views, list) else [views]


def views_one_by_one(views: Views, num_images: int) -> list[Tensor]:
    """Returns every view of the N = `num_images` pictures: V tensors (N, C, H, W)."""
    sizes = [size.unflatten(0, (-1, num_images)) for size in views_by_size(views)]  # type: ignore[no-untyped-call]
    return [view for size in sizes for view in size]


class Normal(NamedTuple):
    """States what a loss is where nothing was learned; None where that varies.

    `untrained`: of outputs that say nothing of the pictures. `collapsed`: where every picture has
    the same output.
    """

    untrained: float | None = None
    collapsed: float | None = None


@dataclass(frozen=True)
class Progress:
    """Says where training stands: `step` of `num_steps`, the first step being 0."""

    step: int
    num_steps: int
    steps_per_epoch: int = 1

    @property
    def fraction(self) -> float:
        """The part of the training that is done: from 0 to below 1."""
        return self.step / self.num_steps

    @property
    def epoch(self) -> int:
        """The epoch that the step belongs to, the first being 0."""
        return self.step // self.steps_per_epoch

    def cosine(self, start: float, end: float) -> float:
        """Returns `start` in the first step, and what leads along half a cosine to `end`.

        `end` would be reached after the last step.
        """
        return start + (end - start) * (1 - math.cos(math.pi * self.fraction)) / 2


class Minimize(Protocol):
    """Takes one optimizer step on `loss` for the parameters of `players`.

    They alone get a gradient; none named: "method".
    """

    def __call__(self, loss: Tensor, *players: str) -> None: ...


Batch = TypeVar("Batch", contravariant=True)
AnyViews = TypeVar("AnyViews")


class Learner(Protocol[Batch, AnyViews]):
    """What the engine trains: a `Method`, or a classifier of labelled batches.

    `Method` says what each means.
    """

    def modules(self) -> dict[str, nn.Module]: ...

    def players(self) -> dict[str, Sequence[nn.Module]]: ...

    def learning_rates(self) -> dict[str, float]: ...

    def views(self, images: Batch, /) -> AnyViews: ...

    def train_step(self, views: AnyViews, minimize: Minimize, progress: Progress) -> Metrics: ...

    def satisfied(self) -> bool: ...


@dataclass(kw_only=True)
class MethodConfig:
    """Is the base of every method's config."""

    suits: ClassVar[tuple[str, ...]] = ()
    """What suits the method where a user chooses nothing else, as it would be typed:
    ("encoder=mlp", "optim=adamw", "optim.lr=3e-4", "epochs=50"). A group's values stand behind its
    choice, and count only with it. One of the method's own settings, as "method.queue=1024", is
    named where its default has to stay what it was for older runs.
    """

    def build(self, encoder: Encoder, preprocessing: Preprocessing) -> Method:
        """Builds the method, with initial weights from torch's global generator.

        Parts and plain values go in.
        """
        raise NotImplementedError(f"{type(self).__name__} defines no build")

    def fed(self, preprocessing: Preprocessing) -> Preprocessing:
        """Returns what its encoder is fed, of pictures stored with the resolution given.

        That is the size of the views, where the config has `views` that say one. Raises SslcliError
        where the stored pictures are smaller.
        """
        views: Any = getattr(self, "views", None)
        if getattr(views, "size", None) is None:
            return preprocessing
        return replace(preprocessing, resolution=views.fed(preprocessing).resolution)

    def draws_crops(self) -> bool:
        """Tells whether it cuts views from whatever pictures: its `views` are a `ViewConfig`."""
        return hasattr(getattr(self, "views", None), "crop_scale")

    def known_to_fail(self, batch_size: int) -> str | None:
        """Returns what is known to fail with these settings, and the better choice.

        Known is what a paper reports, or what follows from the loss and was measured: name which.
        """
        return None

    def builds(self) -> type[Method]:
        """Returns the class that `build` returns, by its annotation; builds nothing.

        A config whose settings decide which it is says so here.
        """
        return built_by(type(self))


def built_by(config: type[MethodConfig]) -> type[Method]:
    """Returns the class that the annotation of a config's `build` names, or `Method`."""
    annotation = signature(config.build).return_annotation
    if isinstance(annotation, str):
        annotation = getattr(sys.modules[config.build.__module__], annotation, None)
    good = isinstance(annotation, type) and issubclass(annotation, Method)
    return annotation if good else Method


class Method:
    """Is the base of every method: a dataclass whose fields are its parts.

    All training state lives in the fields that are `nn.Module`s (parameters; buffers for queues,
    prototypes, averages): they are what is saved and resumed. `encoder` is what survives
    pretraining.
    """

    encoder: Encoder
    preprocessing: Preprocessing
    views_are_normalized: ClassVar[bool] = True
    """Whether `views` are what the encoder is fed; False: pictures in [0, 1]."""

    def modules(self) -> dict[str, nn.Module]:
        """Returns the parts that hold state, by field name."""
        from torch import nn

        parts: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]
        return {name: value for name, value in parts.items() if isinstance(value, nn.Module)}

    def players(self) -> dict[str, Sequence[nn.Module]]:
        """Returns who is trained, each by its own optimizer; two in adversarial methods."""
        return {"method": list(self.modules().values())}

    def learning_rates(self) -> dict[str, float]:
        """Returns every player's learning rate as a multiple of the optimizer's."""
        return dict.fromkeys(self.players(), 1.0)

    def whole_batch_parts(self) -> Sequence[nn.Module]:
        """Returns the parts that are fed the rows of all processes (`gathered`).

        Their batch norm is right as it is.
        """
        return []

    def called_encoders(self) -> Sequence[Encoder]:
        """Returns the encoders that learn by being called: `runtime.compile` compiles those.

        None where a step asks them for codes or tokens, as a `Restorer`'s does.
        """
        return [] if isinstance(self, Restorer) else [self.encoder]

    def normal(self, batch_size: int) -> Normal:
        """Returns what the loss of a whole batch is where nothing was learned."""
        return Normal()

    def labels_before(self) -> int:
        """Returns how many labels its frozen parts have learned from."""
        return 0

    def satisfied(self) -> bool:
        """Tells, after every evaluation, whether training may end before its last step.

        It may where there is nothing more to learn.
        """
        return False

    def views(self, images: Tensor) -> Views:
        """Maps (N, H, W, C) uint8 to what `train_step` takes, at random."""
        raise NotImplementedError

    def views_of(self, images: Tensor) -> Views:
        """Returns the views of pictures alone, whatever else a batch of the method holds."""
        return self.views(images)

    def train_step(self, views: Any, minimize: Minimize, progress: Progress) -> Metrics:
        """One step of training; calls `minimize` once for every player's update.

        `views` is what the method's own `views` returns: name that type. Returns at least "loss".
        """
        raise NotImplementedError


class LabelReader(Method):
    """Base of every method that reads labels, and so is not self-supervised: SupCon.

    It defines `views_of`, of pictures, in place of `views`; its `train_step` is given the views
    and the labels (N,) int64. A run needs labelled pictures, and counts them in run.json.
    """

    def views(self, batch: tuple[Tensor, Tensor]) -> tuple[Views, Tensor]:  # type: ignore[override]
        """A batch of labelled pictures -> what `train_step` takes."""
        images, labels = batch
        return self.views_of(images), labels

    def views_of(self, images: Tensor) -> Views:
        raise NotImplementedError


Evaluate = Callable[[int], dict[str, float]]
"""What is measured now and then during training, by name, given the steps done."""
