"""Gives back the encoder, method and data of a finished run.

Names that need torch are exported here, and imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sslcli.lazy import exports

if TYPE_CHECKING:
    from sslcli.trained.encoder import build_untrained as build_untrained
    from sslcli.trained.encoder import load_trained as load_trained
    from sslcli.trained.encoder import write_encoder as write_encoder
    from sslcli.trained.opened_run import list_runs as list_runs
    from sslcli.trained.pretrained_encoder import PretrainedEncoder as PretrainedEncoder
    from sslcli.trained.pretrained_encoder import load_encoder as load_encoder

HOME = {
    "PretrainedEncoder": "pretrained_encoder",
    "build_untrained": "encoder",
    "list_runs": "opened_run",
    "load_encoder": "pretrained_encoder",
    "load_trained": "encoder",
    "write_encoder": "encoder",
}

__getattr__ = exports(__name__, HOME)
