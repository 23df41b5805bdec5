"""Finds how little of the way to a class is enough for a linear probe to see it.

N codes of D numbers, K classes. Codes are float64 on the CPU; it works in float32 on the coder's
device.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from sslcli.abilities import Decoding
from sslcli.evaluation.features import eval_mode
from sslcli.evaluation.logistic_regression import Standardizer
from sslcli.evaluation.probe import Probe
from sslcli.evaluation.restoration import SSIM_WINDOW, ssim
from sslcli.trained.code_changes import without_small
from sslcli.trained.coder import Coder

STEPS, RATE = 60, 0.05
"""Steps of Adam, each of about so many standard deviations of a code's numbers."""
ALIKE, NEAR = 2.0, 1.0
"""What a lost SSIM of 1, and a mean square of one deviation from the way's end, weigh against the
probe's logits. All four were chosen on validation."""
SURE, ODDS = 0.9, 99.0
"""The probe is to be surer of an edited picture than of this part of the class's own, or to give it
such odds for the class against every other: the less of both."""
BATCH = 64


@dataclass(frozen=True, eq=False)
class Least:
    """Takes back of a whole way to the class `target` what the probe can do without.

    The way found minimises, from the whole one downwards, what `probe` lacks of `margin` (logits of
    the target over the best other class), the picture's lost SSIM and the distance from the whole
    way's end. The probe looks at the code of the edited picture, as that is encoded again: moved
    codes alone deceive it. `deviations` (D,) are those of codes: what never varies stays.
    """

    coder: Coder
    probe: Probe
    deviations: Tensor
    target: int
    margin: float

    def ways(self, codes: Tensor, whole: Tensor) -> Tensor:
        """Returns the least ways (N, D) of codes, of whole ways, both (N, D)."""
        method = self.coder.method
        with eval_mode(nn.ModuleDict(method.modules())):
            parts = zip(torch.split(codes, BATCH), torch.split(whole, BATCH), strict=True)
            return torch.cat([self._some(*part) for part in parts])

    def _some(self, codes: Tensor, whole: Tensor) -> Tensor:
        start = self._placed(codes)
        unit = self._placed(self.deviations)
        end = torch.where(unit > 0, self._placed(whole) / unit, 0.0)
        with torch.no_grad():
            before = self._decoded(start)
        way = end.clone().requires_grad_()
        optimizer = torch.optim.Adam([way], lr=RATE)
        for _ in range(STEPS):
            change = without_small(self._decoded(start + way * unit) - before)
            edited = (before + change).clamp(0, 1)
            lacking = (self.margin - margins(self._logits(edited), self.target)).clamp(min=0)
            moved = (way - end).square().mean(dim=1)
            loss = (lacking + ALIKE * _unlike(edited, before) + NEAR * moved).sum()
            (way.grad,) = torch.autograd.grad(loss, way)
            optimizer.step()
        return (way * unit).detach().cpu().double()

    def _placed(self, numbers: Tensor) -> Tensor:
        return numbers.to(self.coder.device, torch.float32)

    def _decoded(self, codes: Tensor) -> Tensor:
        method = self.coder.method
        assert isinstance(method, Decoding)
        return method.decode(codes.view(-1, *self.coder.code_shape)).float().clamp(0, 1)

    def _logits(self, pictures: Tensor) -> Tensor:
        method = self.coder.method
        codes = method.encoder.code(method.preprocessing.normalized(pictures))
        return self._probe_here.logits(codes.flatten(1).float())

    @cached_property
    def _probe_here(self) -> Probe:
        shape, place = self.probe.standardizer, self._placed
        standardizer = Standardizer(place(shape.mean), place(shape.std))
        return Probe(place(self.probe.weight), place(self.probe.bias), standardizer)


def margins(logits: Tensor, target: int) -> Tensor:
    """Returns by how much the logit of `target` exceeds the best other one, (N,) of (N, K)."""
    others = torch.arange(logits.shape[1], device=logits.device) != target
    return logits[:, target] - logits[:, others].amax(dim=1)


def sure_margin(probe: Probe, of_class: Tensor, target: int) -> float:
    """Returns the margin that is asked for, given the class's own codes (M, D)."""
    return min(float(margins(probe.logits(of_class), target).quantile(SURE)), math.log(ODDS))


def _unlike(edited: Tensor, before: Tensor) -> Tensor:
    """Returns the SSIM that is lost (N,); of pictures too small for one, the mean change."""
    if min(before.shape[2:]) < SSIM_WINDOW:
        return (edited - before).abs().mean(dim=(1, 2, 3))
    return 1 - ssim(edited, before, torch.ones_like(before[:, :1], dtype=torch.bool))
