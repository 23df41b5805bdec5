"""Self-supervised learning on images, from the command line.

In a notebook: `sslcli.load_encoder(run)`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sslcli.lazy import exports

if TYPE_CHECKING:
    from sslcli.trained.pretrained_encoder import PretrainedEncoder, load_encoder

__all__ = ["PretrainedEncoder", "load_encoder"]

HOME = {
    "PretrainedEncoder": "trained.pretrained_encoder",
    "load_encoder": "trained.pretrained_encoder",
}

__getattr__ = exports(__name__, HOME)
