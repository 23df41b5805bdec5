"""Maps the names of methods to their configs.

An installed package adds its own by an entry point:

[project.entry-points."sslcli.methods"]
mine = "my_package.mine:MineConfig"
"""

from __future__ import annotations

from sslcli.choices import Choices
from sslcli.method import MethodConfig
from sslcli.methods.barlow_twins import BarlowTwinsConfig
from sslcli.methods.byol import BYOLConfig
from sslcli.methods.context_encoder import ContextEncoderConfig
from sslcli.methods.denoising_autoencoder import DenoisingAutoencoderConfig
from sslcli.methods.dino import DINOConfig
from sslcli.methods.distillation import DistillationConfig
from sslcli.methods.lejepa import LeJEPAConfig
from sslcli.methods.mae import MAEConfig
from sslcli.methods.moco import MoCoConfig
from sslcli.methods.moco_v3 import MoCoV3Config
from sslcli.methods.nnclr import NNCLRConfig
from sslcli.methods.simclr import SimCLRConfig
from sslcli.methods.simmim import SimMIMConfig
from sslcli.methods.simsiam import SimSiamConfig
from sslcli.methods.sup_con import SupConConfig
from sslcli.methods.swav import SwAVConfig
from sslcli.methods.vicreg import VICRegConfig

METHODS: Choices[MethodConfig] = Choices(
    "method",
    MethodConfig,
    {
        "simclr": SimCLRConfig,
        "byol": BYOLConfig,
        "simsiam": SimSiamConfig,
        "moco": MoCoConfig,
        "moco_v3": MoCoV3Config,
        "nnclr": NNCLRConfig,
        "barlow_twins": BarlowTwinsConfig,
        "vicreg": VICRegConfig,
        "lejepa": LeJEPAConfig,
        "swav": SwAVConfig,
        "dino": DINOConfig,
        "mae": MAEConfig,
        "simmim": SimMIMConfig,
        "sup_con": SupConConfig,
        "distillation": DistillationConfig,
        "denoising_autoencoder": DenoisingAutoencoderConfig,
        "context_encoder": ContextEncoderConfig,
    },
    "sslcli.methods",
)
