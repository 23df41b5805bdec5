"""Trains an encoder with a linear classifier and keeps the best weights.

Weights are compared on validation. Shapes: N images, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from sslcli.augment.augmentation import Augmentation
from sslcli.data.images import ImageSet
from sslcli.evaluation.features import features
from sslcli.evaluation.scores import labels_of, top_k_accuracy
from sslcli.method import Evaluate, Metrics, Minimize, Preprocessing, Progress, as_pictures
from sslcli.nets.encoder import Encoder


class BestWeights(nn.Module):
    """Holds the state that `modules` had at the best accuracy observed so far.

    Part of a learner's state, so that early stopping continues correctly after a resume.
    """

    accuracy: Tensor
    waited: Tensor

    def __init__(self, modules: Sequence[nn.Module], patience: int) -> None:
        super().__init__()
        # A tuple registers no submodules, so that the state holds the weights only once.
        self._watched = tuple(modules)
        self._patience = patience
        self.register_buffer("accuracy", torch.tensor(-1.0))
        self.register_buffer("waited", torch.tensor(0))
        for index, value in enumerate(self._values()):
            self.register_buffer(f"kept_{index}", value.detach().clone())

    def _values(self) -> list[Tensor]:
        return [value for module in self._watched for value in module.state_dict().values()]

    def observe(self, accuracy: float) -> None:
        """Saves the current weights where `accuracy` is above all earlier ones."""
        # In the precision of the best, which a double would never equal.
        found = self.accuracy.new_tensor(accuracy)
        if found <= self.accuracy:
            self.waited += 1
            return
        self.accuracy.copy_(found)
        self.waited.zero_()
        for index, value in enumerate(self._values()):
            getattr(self, f"kept_{index}").copy_(value)

    @property
    def exhausted(self) -> bool:
        """Tells whether `patience` evaluations in a row were no better."""
        return int(self.waited) >= self._patience

    def put_back(self) -> None:
        """Restores the best weights in the modules."""
        for index, value in enumerate(self._values()):
            value.copy_(getattr(self, f"kept_{index}"))


@dataclass
class Classifier:
    """Trains an encoder and a linear layer by cross-entropy on labelled pictures.

    A `Learner` of batches (images (N, H, W, C) uint8, labels (N,) int64). Training ends when
    validation has been no better `patience` times in a row (`best`).

    The linear layer learns at `head_rate` times the learning rate. In the first `frozen_steps` the
    encoder does not learn, and is in eval mode, so that its batch-norm statistics do not change
    either.
    """

    encoder: Encoder
    head: nn.Linear
    preprocessing: Preprocessing
    best: BestWeights
    augmentation: Augmentation | None = None
    head_rate: float = 1.0
    frozen_steps: int = 0

    @classmethod
    def of(
        cls, encoder: Encoder, num_classes: int, preprocessing: Preprocessing, patience: int
    ) -> Classifier:
        """Builds a classifier whose linear layer is zero, as in logistic regression."""
        head = nn.Linear(encoder.width, num_classes)
        nn.init.zeros_(head.weight)
        nn.init.zeros_(head.bias)
        return cls(encoder, head, preprocessing, BestWeights([encoder, head], patience))

    def logits(self, part: ImageSet, device: torch.device) -> Tensor:
        """Returns logits (N, K), float32, of unaugmented pictures, in eval mode."""
        return features(
            nn.Sequential(self.encoder, self.head), part.images, self.preprocessing, device
        )

    def accuracy(self, part: ImageSet, device: torch.device) -> float:
        return top_k_accuracy(self.logits(part, device), labels_of(part, device))

    def validation(self, val: ImageSet, device: torch.device) -> Evaluate:
        """Returns an evaluation of the accuracy on `val`, which updates `best`."""

        def evaluate(_: int) -> dict[str, float]:
            accuracy = self.accuracy(val, device)
            self.best.observe(accuracy)
            return {"val_accuracy": accuracy}

        return evaluate

    def modules(self) -> dict[str, nn.Module]:
        return {"encoder": self.encoder, "head": self.head, "best": self.best}

    def players(self) -> dict[str, Sequence[nn.Module]]:
        return {"encoder": [self.encoder], "head": [self.head]}

    def learning_rates(self) -> dict[str, float]:
        return {"encoder": 1.0, "head": self.head_rate}

    def views(self, batch: tuple[Tensor, Tensor], /) -> tuple[Tensor, Tensor]:
        images, labels = batch
        if self.augmentation is not None:
            return self.augmentation(images, num_views=1), labels
        return self.preprocessing.normalized(as_pictures(images)), labels

    def train_step(
        self, views: tuple[Tensor, Tensor], minimize: Minimize, progress: Progress
    ) -> Metrics:
        pictures, labels = views
        frozen = progress.step < self.frozen_steps
        self.encoder.train(not frozen)
        with torch.set_grad_enabled(not frozen):
            h = self.encoder(pictures)
        logits = self.head(h)
        loss = cross_entropy(logits, labels)
        if frozen:
            minimize(loss, "head")
        else:
            minimize(loss, "encoder", "head")
        return {"loss": loss.detach(), "accuracy": (logits.argmax(dim=1) == labels).float().mean()}

    def satisfied(self) -> bool:
        return self.best.exhausted
