"""Keeps encoders as they are in the first steps of a training."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from torch import nn

from sslcli.nets.encoder import Encoder


class FrozenEncoders:
    """Holds the encoders that do not learn before the step `until`.

    They are in eval mode meanwhile, so that their batch norms' statistics do not change either.
    """

    def __init__(self, encoders: Sequence[Encoder] = (), until: int = 0) -> None:
        self._encoders = encoders
        self._until = until
        self.parameters = {id(p) for encoder in encoders for p in encoder.parameters()}

    @classmethod
    def of(cls, modules: Iterable[nn.Module], until: int) -> FrozenEncoders:
        """Finds the encoders in a learner's modules: slow copies stay with what they follow."""
        if until == 0:
            return cls()
        parts = [part for module in modules for part in module.modules()]
        return cls([part for part in parts if isinstance(part, Encoder)], until)

    def begin(self, step: int) -> None:
        """Sets the encoders' mode for a step."""
        if self._until:
            for encoder in self._encoders:
                encoder.train(step >= self._until)

    def holds(self, parameter: nn.Parameter, step: int) -> bool:
        """Tells whether the parameter does not learn in a step."""
        return step < self._until and id(parameter) in self.parameters
