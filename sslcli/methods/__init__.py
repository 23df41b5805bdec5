"""Maps the names of methods to their configs.

An installed package adds its own by an entry point:

[project.entry-points."sslcli.methods"]
mine = "my_package.mine:MineConfig"
"""

from __future__ import annotations

from sslcli.choices import Choices
from sslcli.method import MethodConfig
from sslcli.methods.context_encoder import ContextEncoderConfig
from sslcli.methods.denoising_autoencoder import DenoisingAutoencoderConfig
from sslcli.methods.simclr import SimCLRConfig

METHODS: Choices[MethodConfig] = Choices(
    "method",
    MethodConfig,
    {
        "simclr": SimCLRConfig,
        "denoising_autoencoder": DenoisingAutoencoderConfig,
        "context_encoder": ContextEncoderConfig,
    },
    "sslcli.methods",
)
