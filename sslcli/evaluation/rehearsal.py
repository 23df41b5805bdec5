"""Counts the memory that an evaluation would take, without memory.

The evaluation's own functions run on tensors without values (`stand_in.py`), and what is alive is
counted (`live_memory.py`). N pictures, D the features' width.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sslcli.engine.live_memory import LiveMemory, num_bytes
from sslcli.engine.stand_in import META, StandIn, values_refused
from sslcli.evaluation.features import BATCH, eval_mode, fed
from sslcli.evaluation.knn import knn_scores
from sslcli.evaluation.logistic_regression import LogisticRegression, Standardizer
from sslcli.evaluation.newton import solve
from sslcli.method import Preprocessing
from sslcli.nets.encoder import Encoder


@dataclass(frozen=True)
class Amounts:
    """Counts what is evaluated.

    Pictures of each part, of which `labelled` are those that the probe sees; `standardizing`: those
    that standardise its features, 0 where the labelled ones do, and it is refitted on validation.
    `held`: bytes of all encoders that are compared, on the device at once.
    """

    labelled: int
    val: int
    test: int
    standardizing: int
    classes: int
    neighbours: int
    held: int

    @property
    def extracted(self) -> int:
        """Returns how many pictures go through an encoder."""
        return self.labelled + self.val + self.test + self.standardizing


@dataclass(frozen=True)
class EvaluationNeeds:
    """Says what an encoder's evaluation needs of its device.

    Most bytes alive at once: while `features` are computed, while the `probe` is fitted in float32,
    and in float64 (`exact`), to which it goes on where rounding hides the minimum, and in `knn`.
    `flops` of the features of a picture; see LiveMemory.
    """

    features: int
    probe: int
    exact: int
    knn: int
    flops: int = 0

    @property
    def peak(self) -> int:
        return max(self.features, self.probe, self.exact, self.knn)


@dataclass(frozen=True)
class Extractor:
    """States what makes features: an encoder, or None for raw pixels; `width` of them."""

    encoder: Encoder | None
    preprocessing: Preprocessing
    pixel_type: torch.dtype
    width: int


def tensors_of(network: nn.Module) -> list[Tensor]:
    """Returns a network's weights and buffers."""
    return [*network.parameters(), *network.buffers()]


def needs_of(extractor: Extractor, amounts: Amounts, device_type: str) -> EvaluationNeeds:
    """Returns what an evaluation needs of a device of this type.

    Raises SslcliError where the encoder reads a value, which there is none of.
    """
    network = copy.deepcopy(extractor.encoder)
    if network is not None:
        network.to(META).to(memory_format=torch.channels_last)
    with values_refused(type(extractor.encoder).__name__, "a forward pass"):
        exact = _Count(extractor, network, amounts, device_type, finished=False).needs()
        whole = _Count(extractor, network, amounts, device_type, finished=True).needs()
    return EvaluationNeeds(whole.features, whole.probe, exact.probe, whole.knn, whole.flops)


class _Answering(StandIn):
    """Answers what the probe's solver asks of values, which there are none of.

    Of a list of 1 + 2 S that it descends, and whether each of S strengths is `finished`; that no
    system is left. Two pictures are never equally near, for kNN.
    """

    def __init__(self, device_type: str, finished: bool) -> None:
        super().__init__(device_type)
        self._finished = finished

    def __torch_function__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if func is Tensor.tolist and args[0].is_meta:
            strengths = len(args[0]) // 2
            return [0, *strengths * [int(self._finished)], *strengths * [0]]
        if func is Tensor.nonzero and args[0].is_meta:
            return torch.empty(0, args[0].ndim, dtype=torch.int64, device=META)
        return super().__torch_function__(func, types, args, kwargs)


class _Count:
    """Runs an evaluation; `finished` tells whether float32 suffices for the probe."""

    def __init__(
        self,
        extractor: Extractor,
        network: nn.Module | None,
        amounts: Amounts,
        device_type: str,
        finished: bool,
    ) -> None:
        self._extractor, self._network, self._amounts = extractor, network, amounts
        self._stand_in, self._memory = _Answering(device_type, finished), LiveMemory()

    def needs(self) -> EvaluationNeeds:
        amounts, memory = self._amounts, self._memory
        own = [] if self._network is None else tensors_of(self._network)
        memory.now = memory.peak = amounts.held - num_bytes(own)
        for tensor in own:  # or its first view would count
            memory.hold(tensor)
        with torch.no_grad(), self._stand_in, memory:
            parts = (amounts.labelled, amounts.val, amounts.test)
            features = [self._features(num) for num in parts]
            labels = [torch.empty(num, dtype=torch.int64, device=META) for num in parts]
            flops = memory.flops / sum(min(num, BATCH) for num in parts)
            extracting = self._peak()
            self._probe(features, labels)
            fitting = self._peak()
            knn_scores(features[0], labels[0], features[2], amounts.classes, amounts.neighbours)
            return EvaluationNeeds(extracting, fitting, fitting, self._peak(), round(flops))

    def _peak(self) -> int:
        """Returns the most bytes since it was asked before."""
        peak, self._memory.peak = self._memory.peak, self._memory.now
        return peak

    def _features(self, num: int) -> Tensor:
        """Computes features as `evaluation.features` does, of the last batch."""
        last = min(num, BATCH)
        shape, width = self._extractor.preprocessing, self._extractor.width
        side, kind = shape.resolution, self._extractor.pixel_type
        if self._network is None:
            return torch.empty(num, width, device=META)
        before = torch.empty(num - last, width, device=META)
        pixels = torch.empty(last, side, side, shape.channels, dtype=kind, device=META)
        with eval_mode(self._network):
            return torch.cat([before, self._network(fed(pixels, shape))])

    def _probe(self, features: Sequence[Tensor], labels: Sequence[Tensor]) -> None:
        """Fits the probe as `select_probe` does, a Newton step at two strengths, and at one."""
        (train, val, test), (of_train, of_val, _) = features, labels
        classes, num = self._amounts.classes, self._amounts.standardizing
        by = Standardizer.fit(self._features(num)) if num else None
        problem = LogisticRegression(train, of_train, classes, by)
        found = solve(problem, [1.0, 0.1], None, 1)
        self._logits(problem, found, val)
        if not num:
            both, of_both = torch.cat([train, val]), torch.cat([of_train, of_val])
            refitted = LogisticRegression(both, of_both, classes)
            found = solve(refitted, [0.1], found[-1], 1)
        self._logits(problem, found, test)

    def _logits(self, problem: LogisticRegression, found: Tensor, features: Tensor) -> None:
        weight, bias = found[-1, :, :-1], found[-1, :, -1]
        torch.addmm(bias, problem.standardizer(features), weight.T)
