"""Methods as lightly's documentation trains them (docs.lightly.ai/self-supervised-learning/examples), for 32 px.

Its modules, losses, transforms, optimizers and momentum updates; the encoder is ours, and heads are as wide as ours.
lightly must be installed.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import timm
import torch
from lightly.loss import BarlowTwinsLoss, DINOLoss, NegativeCosineSimilarity, NTXentLoss
from lightly.models import utils
from lightly.models.modules import (
    BarlowTwinsProjectionHead,
    BYOLPredictionHead,
    BYOLProjectionHead,
    DINOProjectionHead,
    MaskedVisionTransformerDecoderTIMM,
    MaskedVisionTransformerTIMM,
    MoCoProjectionHead,
    SimCLRProjectionHead,
    SimSiamPredictionHead,
    SimSiamProjectionHead,
)
from lightly.models.modules.masked_vision_transformer_timm import init_weights
from lightly.transforms import DINOTransform, MAETransform, SimCLRTransform, SimSiamTransform
from lightly.transforms.byol_transform import (
    BYOLTransform,
    BYOLView1Transform,
    BYOLView2Transform,
)
from lightly.transforms.moco_transform import MoCoV2Transform
from torch import Tensor, nn

from benchmarks.lightly_loop import Example
from sslcli.nets.encoder_config import EncoderConfig
from sslcli.nets.vit_config import ViTConfig

MOMENTUM = 0.996


def simclr_transform() -> Callable[..., list[Tensor]]:
    """With the settings that `throughput` gives ours: no blur, half the colour jitter."""
    return SimCLRTransform(input_size=32, cj_strength=0.5, gaussian_blur=0.0)  # type: ignore[no-any-return]


def byol_transform() -> Callable[..., list[Tensor]]:
    """Without blur, as the example for CIFAR-10."""
    return BYOLTransform(  # type: ignore[no-any-return]
        view_1_transform=BYOLView1Transform(input_size=32, gaussian_blur=0.0),
        view_2_transform=BYOLView2Transform(input_size=32, gaussian_blur=0.0),
    )


class Slow(nn.Module):
    """Copies of networks, which `update_momentum` moves: the examples' backbone_momentum and projection_head_momentum."""

    def __init__(self, *networks: nn.Module) -> None:
        super().__init__()
        self.networks = copy.deepcopy(nn.Sequential(*networks))
        utils.deactivate_requires_grad(self.networks)

    def follow(self, *networks: nn.Module) -> None:
        for network, slow in zip(networks, self.networks, strict=True):
            utils.update_momentum(network, slow, m=MOMENTUM)

    def forward(self, views: Tensor) -> Tensor:
        """Without `no_grad`, as in the examples."""
        return self.networks(views).detach()


class SimCLR(Example):
    def __init__(self, encoder: EncoderConfig) -> None:
        super().__init__()
        self.transform = simclr_transform()
        self.backbone = encoder.build(3, 32)
        width = self.backbone.width
        self.projection_head = SimCLRProjectionHead(width, width, 128)
        self.criterion = NTXentLoss(0.5)

    def loss(self, views: list[Tensor]) -> Tensor:
        first, second = (self.projection_head(self.backbone(view)) for view in views)
        return self.criterion(first, second)


class BYOL(Example):
    def __init__(self, encoder: EncoderConfig) -> None:
        super().__init__()
        self.transform = byol_transform()
        self.backbone = encoder.build(3, 32)
        self.projection_head = BYOLProjectionHead(self.backbone.width, 512, 128)
        self.prediction_head = BYOLPredictionHead(128, 512, 128)
        self.momentum = Slow(self.backbone, self.projection_head)
        self.criterion = NegativeCosineSimilarity()

    def predict(self, view: Tensor) -> Tensor:
        return self.prediction_head(self.projection_head(self.backbone(view)))

    def loss(self, views: list[Tensor]) -> Tensor:
        self.momentum.follow(self.backbone, self.projection_head)
        x0, x1 = views
        p0, z0 = self.predict(x0), self.momentum(x0)
        p1, z1 = self.predict(x1), self.momentum(x1)
        return 0.5 * (self.criterion(p0, z1) + self.criterion(p1, z0))


class SimSiam(Example):
    def __init__(self, encoder: EncoderConfig) -> None:
        super().__init__()
        self.transform = SimSiamTransform(input_size=32)
        self.backbone = encoder.build(3, 32)
        self.projection_head = SimSiamProjectionHead(self.backbone.width, 512, 512)
        self.prediction_head = SimSiamPredictionHead(512, 128, 512)
        self.criterion = NegativeCosineSimilarity()

    def loss(self, views: list[Tensor]) -> Tensor:
        z0, z1 = (self.projection_head(self.backbone(view)) for view in views)
        p0, p1 = self.prediction_head(z0), self.prediction_head(z1)
        return 0.5 * (self.criterion(z0.detach(), p1) + self.criterion(z1.detach(), p0))


class BarlowTwins(Example):
    def __init__(self, encoder: EncoderConfig) -> None:
        super().__init__()
        self.transform = byol_transform()
        self.backbone = encoder.build(3, 32)
        self.projection_head = BarlowTwinsProjectionHead(self.backbone.width, 512, 512)
        self.criterion = BarlowTwinsLoss()

    def loss(self, views: list[Tensor]) -> Tensor:
        z0, z1 = (self.projection_head(self.backbone(view)) for view in views)
        return self.criterion(z0, z1)


class MoCo(Example):
    """As documented: the first view is the query, the second the key."""

    def __init__(self, encoder: EncoderConfig) -> None:
        super().__init__()
        self.transform = MoCoV2Transform(input_size=32)
        self.backbone = encoder.build(3, 32)
        self.projection_head = MoCoProjectionHead(self.backbone.width, 512, 128)
        self.momentum = Slow(self.backbone, self.projection_head)
        self.criterion = NTXentLoss(memory_bank_size=(4096, 128))

    def loss(self, views: list[Tensor]) -> Tensor:
        self.momentum.follow(self.backbone, self.projection_head)
        return self.compare(*views)

    def compare(self, query: Tensor, key: Tensor) -> Tensor:
        queries = self.projection_head(self.backbone(query))
        return self.criterion(queries, self.momentum(key))


class SymmetricMoCo(MoCo):
    """Each view is the query of the other: the work that our step does, twice that of the documented one."""

    def loss(self, views: list[Tensor]) -> Tensor:
        self.momentum.follow(self.backbone, self.projection_head)
        x0, x1 = views
        return 0.5 * (self.compare(x0, x1) + self.compare(x1, x0))


class DINO(Example):
    """In its first epoch, in which the last layer does not move."""

    def __init__(self, encoder: EncoderConfig) -> None:
        super().__init__()
        self.transform = DINOTransform(global_crop_size=32, local_crop_size=16, n_local_views=4)
        self.backbone = encoder.build(3, 32)
        shape = (self.backbone.width, 512, 128, 1024)
        self.student_head = DINOProjectionHead(*shape, freeze_last_layer=1)
        self.teacher_head = DINOProjectionHead(*shape)
        self.teacher_backbone = copy.deepcopy(self.backbone)
        utils.deactivate_requires_grad(self.teacher_backbone)
        utils.deactivate_requires_grad(self.teacher_head)
        self.criterion = DINOLoss(output_dim=1024, warmup_teacher_temp_epochs=5)

    def loss(self, views: list[Tensor]) -> Tensor:
        utils.update_momentum(self.backbone, self.teacher_backbone, m=MOMENTUM)
        utils.update_momentum(self.student_head, self.teacher_head, m=MOMENTUM)
        of_teacher = [self.teacher_head(self.teacher_backbone(view)) for view in views[:2]]
        of_student = [self.student_head(self.backbone(view)) for view in views]
        return self.criterion(of_teacher, of_student, epoch=0)

    def before_update(self) -> None:
        self.student_head.cancel_last_layer_gradients(current_epoch=0)

    def optimizer(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=0.001)


class MAE(Example):
    """timm's ViT of our encoder's size, and lightly's decoder of our decoder's: two blocks of width 96."""

    def __init__(self, encoder: EncoderConfig) -> None:
        super().__init__()
        assert isinstance(encoder, ViTConfig)
        self.transform = MAETransform(input_size=32)
        vit: Any = timm.create_model(encoder.timm_model, **encoder.timm_arguments(3, 32))
        self.patch = encoder.patch
        self.backbone = MaskedVisionTransformerTIMM(vit=vit)
        self.decoder_embed = nn.Linear(vit.embed_dim, 96)
        self.decoder = MaskedVisionTransformerDecoderTIMM(
            vit.patch_embed.num_patches, embed_dim=96, depth=2, num_heads=3
        )
        self.prediction_head = nn.Linear(96, self.patch**2 * 3)
        self.decoder_embed.apply(init_weights)
        self.prediction_head.apply(init_weights)
        self.criterion = nn.MSELoss()

    def loss(self, views: list[Tensor]) -> Tensor:
        (images,) = views
        size = (len(images), self.backbone.sequence_length)
        keep, mask = utils.random_token_mask(size, mask_ratio=0.75, device=images.device)
        code = self.decoder_embed(self.backbone.encode(images=images, idx_keep=keep))
        tokens = utils.set_at_index(code.new_zeros(*size, 96), keep, code)
        decoded = utils.get_at_index(self.decoder(tokens, idx_mask=mask), mask)
        targets = utils.get_at_index(utils.patchify(images, self.patch), mask - 1)
        return self.criterion(self.prediction_head(decoded), targets)

    def optimizer(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.parameters(), lr=1.5e-4)
