"""The table of methods. An installed package adds its own through the entry point group `sslcli.methods`:

[project.entry-points."sslcli.methods"]
mine = "my_package.mine:MineConfig"
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points

from sslcli.errors import SslcliError
from sslcli.method import MethodConfig
from sslcli.methods.context_encoder import ContextEncoderConfig
from sslcli.methods.denoising_autoencoder import DenoisingAutoencoderConfig
from sslcli.methods.simclr import SimCLRConfig

METHODS: dict[str, type[MethodConfig]] = {
    "simclr": SimCLRConfig,
    "denoising_autoencoder": DenoisingAutoencoderConfig,
    "context_encoder": ContextEncoderConfig,
}


def plugins() -> dict[str, EntryPoint]:
    """The methods that installed packages bring, not yet imported."""
    return {point.name: point for point in entry_points(group="sslcli.methods") if point.name not in METHODS}


def load_plugin(point: EntryPoint) -> type[MethodConfig]:
    """Raises SslcliError where the package's entry cannot be imported or is no MethodConfig."""
    try:
        config = point.load()
    except (ImportError, AttributeError) as reason:
        raise SslcliError(
            f"the installed method {point.name!r} ({point.value}) cannot be imported: {reason}",
            "repair or uninstall the package that brings it",
        ) from reason
    if not (isinstance(config, type) and issubclass(config, MethodConfig)):
        raise SslcliError(
            f"the installed method {point.name!r} ({point.value}) is not a MethodConfig",
            "its entry point must name a dataclass derived from sslcli.method.MethodConfig",
        )
    return config
