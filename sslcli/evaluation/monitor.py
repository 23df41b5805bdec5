"""Measures the features' collapse and kNN accuracy during pretraining."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from sslcli.data.images import ImageSet, Pixels, evenly_spaced
from sslcli.evaluation.collapse import collapse_alarm, effective_rank, feature_std
from sslcli.evaluation.diagnostics import alignment, dead_dimensions, lidar, uniformity
from sslcli.evaluation.features import features
from sslcli.evaluation.knn import knn_scores
from sslcli.method import Preprocessing
from sslcli.nets.encoder import Encoder

NUM_WATCHED = 512
"""Validation pictures checked for collapse, evenly spaced: folders are sorted by class."""
MIN_WATCHED = 16
NUM_DRAWS = 5
"""Draws of views of each picture for LiDAR; its spread within pictures needs many."""
NUM_BANK = 10_000
"""Training pictures in kNN's bank: enough to follow progress in a fraction of an epoch's time."""


@dataclass
class Monitor:
    """Measures the features' collapse, uniformity and kNN accuracy after a step.

    Of validation features: `feature_std`, `effective_rank`, `dead_dimensions`, `uniformity`.
    `alignment` where `view_features`, given a number of draws, returns features (V, N, D). Every
    `knn_every` steps (0: never) and at `num_steps` also `lidar`, of more views, and `knn_accuracy`
    where labels exist. A first collapse is passed to `alarm`.
    """

    encoder: Encoder
    preprocessing: Preprocessing
    train: ImageSet
    val: ImageSet
    knn_every: int
    num_steps: int
    device: torch.device
    alarm: Callable[[str], None]
    view_features: Callable[[int], Tensor | None] = lambda num_draws: None
    _alarmed: bool = False

    def __call__(self, step: int) -> dict[str, float]:
        watched = self._features(self.val.images[evenly_spaced(len(self.val), NUM_WATCHED)])
        deviation, rank = feature_std(watched), effective_rank(watched)
        words = collapse_alarm(deviation, rank, self.encoder.width)
        if len(watched) < MIN_WATCHED:  # the spread of so few pictures is meaningless
            words = None
        if words is not None and not self._alarmed:
            self._alarmed = True
            self.alarm(f"after step {step}: {words}")
        values = {
            "feature_std": deviation,
            "effective_rank": rank,
            "collapsed": float(words is not None),
        }
        values["dead_dimensions"] = dead_dimensions(watched)
        if len(watched) >= 2:
            values["uniformity"] = uniformity(watched)
        thorough = self.knn_every > 0 and (step % self.knn_every == 0 or step == self.num_steps)
        values.update(self._of_views(thorough))
        if thorough and self.train.labels is not None and self.val.labels is not None:
            values["knn_accuracy"] = self._knn_accuracy()
        return values

    def _of_views(self, thorough: bool) -> dict[str, float]:
        """Measures alignment and, of as many views as it needs, LiDAR."""
        views = self.view_features(NUM_DRAWS if thorough else 1)
        if views is None:
            return {}
        values = {"alignment": alignment(views[0], views[1])}
        # Features may be so large that float64 has no digits left for `delta`: a run goes on.
        with contextlib.suppress(torch.linalg.LinAlgError):  # type: ignore[attr-defined]
            if thorough:
                values["lidar"] = lidar(views)
        return values

    def _knn_accuracy(self) -> float:
        assert self.train.labels is not None
        assert self.val.labels is not None
        # Evenly spread over the training part, so that the bank is the same at every call.
        chosen = evenly_spaced(len(self.train), NUM_BANK)
        bank_labels = torch.from_numpy(self.train.labels[chosen]).to(self.device)
        val_labels = torch.from_numpy(self.val.labels).to(self.device)
        num_classes = int(max(self.train.labels.max(), self.val.labels.max())) + 1
        bank, queries = self._features(self.train.images[chosen]), self._features(self.val.images)
        scores = knn_scores(bank, bank_labels, queries, num_classes, k=min(20, len(bank)))
        return float((scores.argmax(dim=1) == val_labels).float().mean())

    def _features(self, images: Pixels) -> Tensor:
        return features(self.encoder, images, self.preprocessing, self.device)
