"""timm's models as encoders."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn

from sslcli.errors import SslcliError, nearest
from sslcli.nets.encoder import Encoder


class TimmEncoder(Encoder):
    """A timm model without its classifier; its keys are timm's, under `model.`.

    `arguments` are what timm.create_model was given beside the name.
    """

    def __init__(
        self, model: nn.Module, arguments: dict[str, Any], channels: int, resolution: int
    ) -> None:
        super().__init__()
        self.model = model
        self.arguments = arguments
        model.eval()
        # the width is asked of the model itself: timm's attributes name it differently by family
        with torch.no_grad():
            self.width = int(model(torch.zeros(1, channels, resolution, resolution)).shape[1])
        model.train()
        self.code_shape = (self.width,)

    def forward(self, pictures: Tensor) -> Tensor:
        return cast(Tensor, self.model(pictures))


def build_timm_encoder(
    name: str, channels: int, resolution: int, patch_size: int | None
) -> TimmEncoder:
    """Raises SslcliError where timm is absent, does not know the name, or the model cannot take
    such pictures.
    """
    try:
        import timm
    except ModuleNotFoundError:
        raise SslcliError(
            "encoder=timm needs the package timm", "pip install 'sslcli[timm]'"
        ) from None
    if not timm.is_model(name):
        near = nearest(name, timm.list_models())
        fix = f"did you mean {', '.join(near)}?" if near else "timm.list_models() lists them"
        raise SslcliError(f"timm has no model named {name!r}", fix)
    sizes: dict[str, Any] = {} if patch_size is None else {"patch_size": patch_size}
    try:
        model, arguments = _create(timm, name, channels, resolution, sizes)
        return TimmEncoder(model, arguments, channels, resolution)
    except (AssertionError, RuntimeError, TypeError, ValueError) as reason:
        what = str(reason).splitlines()[0] if str(reason) else type(reason).__name__
        pictures = f"{resolution} px pictures of {channels} channels"
        message = f"timm's {name} cannot be built for {pictures}: {what}"
        raise SslcliError(
            message, "choose another encoder.model, encoder.patch_size or data.resolution"
        ) from reason


def _create(
    timm: Any, name: str, channels: int, resolution: int, sizes: dict[str, Any]
) -> tuple[nn.Module, dict[str, Any]]:
    """The model and the arguments that made it.

    Models made of patches must be told the pictures' size; the others refuse the argument, and take
    any size.
    """
    arguments = {"num_classes": 0, "in_chans": channels, **sizes}
    sized = {**arguments, "img_size": resolution}
    try:
        return timm.create_model(name, **sized), sized
    except TypeError:
        return timm.create_model(name, **arguments), arguments
