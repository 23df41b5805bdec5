"""Defines the settings of `sslcli inpaint`.

It trains a context encoder to fill holes, and scores it.
"""

from __future__ import annotations

from dataclasses import dataclass

from sslcli.errors import SslcliError, require
from sslcli.experiments import pretrain_config as pretrain
from sslcli.experiments.pretrain_config import folder_label, resolve
from sslcli.method import MethodConfig
from sslcli.methods.context_encoder import ContextEncoderConfig
from sslcli.settings import setting

__all__ = ["Config", "folder_label", "resolve"]


@dataclass(kw_only=True)
class Config(pretrain.Config):
    """Holds the settings of pretraining, and the number of pictures that are scored."""

    num_scored: int | None = setting(
        500, "test pictures that are scored, the same for every filler; null: all"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        count = self.num_scored
        require(
            count is None or count > 0,
            "num_scored",
            count,
            "positive",
            "500 is the default, null scores all",
        )
        fits = not isinstance(self.method, MethodConfig) or isinstance(
            self.method, ContextEncoderConfig
        )
        if not fits:
            name = type(self.method).__name__.removesuffix("Config")
            raise SslcliError(
                f"inpaint trains what fills holes, and {name} does not",
                "leave method out, or use pretrain",
            )
