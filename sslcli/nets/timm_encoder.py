"""Makes encoders of timm's models."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn

from sslcli.errors import SslcliError, nearest
from sslcli.nets.encoder import Encoder
from sslcli.text import first_line


class TimmEncoder(Encoder):
    """Is a timm model without its classifier; its keys are timm's, under `model.`.

    `arguments` are what timm.create_model was given beside the name.
    """

    def __init__(
        self, model: nn.Module, arguments: dict[str, Any], channels: int, resolution: int
    ) -> None:
        super().__init__()
        self.model = model
        self.arguments = arguments
        exempt = getattr(model, "no_weight_decay", tuple)
        self.no_decay = tuple(f"model.{name}" for name in sorted(exempt()))
        model.eval()
        # the width is asked of the model itself: timm's attributes name it differently by family
        with torch.no_grad():
            self.width = int(model(torch.zeros(1, channels, resolution, resolution)).shape[1])
        model.train()
        self.code_shape = (self.width,)

    def forward(self, pictures: Tensor) -> Tensor:
        """Raises SslcliError where the model was built for pictures of another size."""
        try:
            return cast(Tensor, self.model(pictures))
        except AssertionError as reason:
            height, width = pictures.shape[2:]
            message = f"timm's {type(self.model).__name__} takes no pictures of {height}x{width} px"
            fix = "method.num_small_views=0, or encoder=vit, which takes any size"
            raise SslcliError(f"{message}: {first_line(reason)}", fix) from reason

    def maps(self, pictures: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, D, h, w): timm's features before pooling.

        Raises SslcliError where the model's are neither maps nor tokens of a known grid.
        """
        model = cast(Any, self.model)
        found = model.forward_features(pictures)
        if isinstance(found, Tensor) and found.ndim == 4:
            return found.permute(0, 3, 1, 2) if _channels_last(model) else found
        grid = getattr(getattr(model, "patch_embed", None), "grid_size", None)
        first = getattr(model, "num_prefix_tokens", None)
        if not isinstance(found, Tensor) or found.ndim != 3 or grid is None or first is None:
            message = f"timm's {type(model).__name__} has no patches that sslcli can place"
            raise SslcliError(message, "use encoder=vit, or a ViT or convnet of timm")
        patches: Tensor = found[:, first:].transpose(1, 2)
        return patches.reshape(*patches.shape[:2], *grid)


def _channels_last(model: Any) -> bool:
    """Tells whether the model's maps are (N, h, w, D), as Swin's are."""
    return str(getattr(model, "output_fmt", "NCHW")) == "NHWC"


def build_timm_encoder(
    name: str, channels: int, resolution: int, patch_size: int | None
) -> TimmEncoder:
    """Builds a timm model as an encoder.

    Raises SslcliError where timm is absent, lacks the model, or cannot build it for such pictures.
    """
    timm = import_timm()
    if not timm.is_model(name):
        near = nearest(name, timm.list_models())
        fix = f"did you mean {', '.join(near)}?" if near else "timm.list_models() lists them"
        raise SslcliError(f"timm has no model named {name!r}", fix)
    try:
        model, arguments = _create(timm, name, channels, resolution, patch_size)
        return TimmEncoder(model, arguments, channels, resolution)
    except (AssertionError, RuntimeError, TypeError, ValueError) as reason:
        pictures = f"{resolution} px pictures of {channels} channels"
        message = f"timm's {name} cannot be built for {pictures}: {first_line(reason)}"
        fix = "choose another encoder.model, encoder.patch_size or data.resolution"
        raise SslcliError(message, fix) from reason


def import_timm() -> Any:
    """Returns the package timm. Raises SslcliError where it is not installed."""
    try:
        import timm
    except ModuleNotFoundError:
        fix = "pip install 'sslcli[timm]'"
        raise SslcliError("encoder=timm needs the package timm", fix) from None
    return timm


def _create(
    timm: Any, name: str, channels: int, resolution: int, patch_size: int | None
) -> tuple[nn.Module, dict[str, Any]]:
    """Returns the model and the arguments that made it.

    Models made of patches must be told the pictures' size; the others refuse the argument, and take
    any size.
    """
    arguments: dict[str, Any] = {"num_classes": 0, "in_chans": channels}
    if patch_size is not None:
        arguments["patch_size"] = patch_size
    sized = {**arguments, "img_size": resolution}
    try:
        return timm.create_model(name, **sized), sized
    except TypeError:
        return timm.create_model(name, **arguments), arguments
