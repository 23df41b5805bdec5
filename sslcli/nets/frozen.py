"""A network that never changes: a teacher."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from sslcli.errors import SslcliError


class Frozen(nn.Module):
    """A network that is always in evaluation mode, and learns nothing.

    It moves with the method from device to device. No player has its weights, and a checkpoint
    holds a hash of them alone: it is refused where another network stands in this place.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        # In a tuple: a module that torch sees would be trained, saved, and put in train mode.
        self._hidden = (network.eval().requires_grad_(False),)
        self._hash = weights_hash(network)

    @property
    def network(self) -> nn.Module:
        return self._hidden[0]

    def forward(self, *inputs: Any) -> Any:
        """Inputs may get a gradient; the weights get none."""
        return self.network(*inputs)

    def _apply(self, function: Callable[..., Any], recurse: bool = True) -> Frozen:
        """Moves the hidden network too: torch calls this for `to`, `cuda` and the like."""
        self.network._apply(function)  # type: ignore[no-untyped-call]
        super()._apply(function, recurse)  # type: ignore[no-untyped-call]
        return self

    def get_extra_state(self) -> Tensor:
        """Returns the hash (32,), which torch puts into the state."""
        return self._hash.clone()

    def set_extra_state(self, state: Tensor) -> None:
        """Raises SslcliError where the state was saved with another network."""
        if not torch.equal(state.cpu(), self._hash):
            name = type(self.network).__name__
            raise SslcliError(
                f"the weights of the frozen {name} are not those that the run began with",
                "put its file back as it was, or start a new run",
            )


def weights_hash(network: nn.Module) -> Tensor:
    """Returns the SHA-256 (32,) of names, kinds and values of all weights and buffers."""
    digest = hashlib.sha256()
    for name, value in network.state_dict().items():
        if isinstance(value, Tensor):
            values = value.detach().cpu().contiguous()
            digest.update(f"{name} {values.dtype} {list(values.shape)}".encode())
            digest.update(values.flatten().view(torch.uint8).numpy().tobytes())
    return torch.tensor(list(digest.digest()), dtype=torch.uint8)
