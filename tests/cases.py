"""Every method of the table as tests try it, tiny; and variants of them that train by other code."""

from __future__ import annotations

import dataclasses
from dataclasses import replace

from doubles import TEACHER

from sslcli.augment.masks_config import MaskConfig, MaskKind
from sslcli.method import MethodConfig
from sslcli.methods import METHODS
from sslcli.methods.barlow_twins import BarlowTwinsConfig
from sslcli.methods.context_encoder import ContextEncoderConfig
from sslcli.methods.denoising_autoencoder import DenoisingAutoencoderConfig, Reconstruction
from sslcli.methods.dino import DINOConfig
from sslcli.methods.distillation import DistillationConfig
from sslcli.methods.mae import MAEConfig
from sslcli.methods.moco import MoCoConfig
from sslcli.methods.simclr import ContrastiveLoss, SimCLRConfig
from sslcli.methods.simmim import SimMIMConfig
from sslcli.methods.simsiam import SimSiamConfig
from sslcli.methods.swav import SwAVConfig
from sslcli.nets.encoder_config import (
    Activation,
    ContextConfig,
    ConvNetConfig,
    EncoderConfig,
    MLPConfig,
)
from sslcli.nets.head_config import HeadConfig, PredictorConfig
from sslcli.nets.projector_config import ProjectorConfig
from sslcli.nets.vit_config import ViTConfig
from sslcli.settings import REQUIRED

CONVNET = ConvNetConfig(width=4)
VIT = ViTConfig(width=24, depth=2, heads=2)
VARIANTS: dict[str, tuple[MethodConfig, EncoderConfig]] = {
    # For 8 pictures a batch: few dimensions, and targets that keep about still.
    "barlow_twins": (BarlowTwinsConfig(projector=HeadConfig(hidden=32)), CONVNET),
    "moco": (MoCoConfig(queue=16), CONVNET),
    "dino": (DINOConfig(num_prototypes=16, momentum=0.999), CONVNET),
    "distillation": (DistillationConfig(teacher=str(TEACHER), queue=16), CONVNET),
    "swav": (SwAVConfig(queue_from=1, queue=16), CONVNET),
    "mae": (MAEConfig(decoder_width=32, decoder_depth=1), VIT),
    "mae, pixels": (
        MAEConfig(decoder_width=32, decoder_depth=1, normalize_patches=False, mask_ratio=0.5),
        VIT,
    ),
    "simmim": (SimMIMConfig(), VIT),
    "simclr, DCLW in blocks": (SimCLRConfig(loss=ContrastiveLoss.dclw, loss_block=3), CONVNET),
    "simsiam, four views": (SimSiamConfig(num_views=4), CONVNET),
    "context_encoder, adversarial": (
        ContextEncoderConfig(
            adversarial=True, masks=MaskConfig(kind=MaskKind.centre), bottleneck=None
        ),
        ContextConfig(width=4),
    ),
    "denoising_autoencoder, tied": (
        DenoisingAutoencoderConfig(tied=True, reconstruction=Reconstruction.squared_error),
        MLPConfig(widths=[24, 12]),
    ),
    "denoising_autoencoder, variational and contractive": (
        DenoisingAutoencoderConfig(kl=1.0, contractive=0.1),
        MLPConfig(widths=[24], bottleneck=6, batch_norm=False),
    ),
    "denoising_autoencoder, sparse": (
        DenoisingAutoencoderConfig(sparse=3.0, reconstruction=Reconstruction.squared_error),
        MLPConfig(widths=[24], activation=Activation.sigmoid),
    ),
    "simclr, in chunks": (SimCLRConfig(chunk_size=5, loss_block=3), ConvNetConfig(width=4)),
}
"""A method's name in place of its default, or that and what is another way."""


def needs_settings(config: type[MethodConfig]) -> bool:
    return any(field.default == REQUIRED for field in dataclasses.fields(config))


def with_small_heads(config: MethodConfig) -> MethodConfig:
    """The same with heads that take a fraction of the time."""
    small: dict[str, object] = {}
    for field in dataclasses.fields(config):
        head = getattr(config, field.name)
        if isinstance(head, PredictorConfig | ProjectorConfig):
            sizes = {"hidden": 32, "out": 16}
            small[field.name] = replace(
                head, **{name: size for name, size in sizes.items() if hasattr(head, name)}
            )
    return replace(config, **small)


DEFAULTS = {
    name: (with_small_heads(config()), CONVNET)
    for name, config in METHODS.items()
    if not needs_settings(config)
}
CASES: dict[str, tuple[MethodConfig, EncoderConfig]] = {
    **DEFAULTS,
    **{name: (with_small_heads(config), encoder) for name, (config, encoder) in VARIANTS.items()},
}
"""What is trained, by name: every method as it is by default, and the variants."""
