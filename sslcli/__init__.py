"""Self-supervised learning on images, from the command line. In a notebook: `sslcli.load_encoder(run)`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sslcli.commands.loading import PretrainedEncoder, load_encoder

__all__ = ["PretrainedEncoder", "load_encoder"]


def __getattr__(name: str) -> Any:
    """Imports torch only when something that needs it is asked for."""
    if name not in __all__:
        raise AttributeError(f"module 'sslcli' has no attribute {name!r}")
    from sslcli.commands import loading

    return getattr(loading, name)
