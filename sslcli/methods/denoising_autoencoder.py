"""Implements the denoising autoencoder: from a corrupted picture, the clean one.

Source: Vincent, Larochelle, Bengio, Manzagol 2008, "Extracting and Composing Robust Features with
Denoising Autoencoders"; Vincent et al. 2010, "Stacked Denoising Autoencoders" (JMLR 11), for the
kinds of corruption and the emphasis. With `kl` it is a variational autoencoder: Kingma & Welling
2014, "Auto-Encoding Variational Bayes"; other weights than 1: Higgins et al. 2017, beta-VAE.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from sslcli import losses, nets
from sslcli.augment.corruption_config import CorruptionConfig
from sslcli.errors import SslcliError, require
from sslcli.method import (
    Method,
    MethodConfig,
    Metrics,
    Minimize,
    Preprocessing,
    Progress,
    as_pictures,
)
from sslcli.processes import gathered, own_rows
from sslcli.settings import part, setting

if TYPE_CHECKING:
    from torch import Tensor, nn

    from sslcli.augment.corruption import Corruption
    from sslcli.nets.encoder import Encoder


class Reconstruction(Enum):
    """Names the loss of a reconstruction, and how the decoder's outputs are read.

    Both losses are summed over a picture's components. `cross_entropy` reads outputs as a sigmoid's
    arguments; `squared_error` as the values themselves, a linear decoder.
    """

    cross_entropy = "cross_entropy"
    squared_error = "squared_error"

    def loss(self, outputs: Tensor, target: Tensor, weights: Tensor | None) -> Tensor:
        function = {
            Reconstruction.cross_entropy: losses.cross_entropy,
            Reconstruction.squared_error: losses.squared_error,
        }
        loss: Tensor = function[self](outputs, target, weights)
        return loss

    def values(self, outputs: Tensor) -> Tensor:
        """Returns the decoder's outputs as values in [0, 1]."""
        return outputs.sigmoid() if self is Reconstruction.cross_entropy else outputs.clamp(0, 1)


@dataclass(kw_only=True)
class DenoisingAutoencoderConfig(MethodConfig):
    """Restores a corrupted picture (Vincent et al. 2008, 2010).

    With all corruption 0 it is a plain autoencoder.
    """

    suits = ("encoder=mlp", "optim=adamw")

    corruption: CorruptionConfig = part(
        lambda: CorruptionConfig(gaussian=0.3, masking=0.25),
        "what is done to a picture, anew every time it is shown",
    )
    reconstruction: Reconstruction = setting(
        Reconstruction.cross_entropy,
        "the loss: cross_entropy, or squared_error with a linear decoder",
    )
    tied: bool = setting(
        False,
        "the decoder's weights are the encoder's, transposed (layered encoders: mlp, conv_stack)",
    )
    corrupted_weight: float = setting(
        1.0, "emphasis: weight of the components that were corrupted (the paper's alpha)"
    )
    kept_weight: float = setting(1.0, "emphasis: weight of the others (beta)")
    kl: float = setting(
        0.0,
        "codes are drawn, and held to a standard normal distribution with this weight: a "
        "variational autoencoder (beta; 1 is the paper's); needs encoder.bottleneck; 0: neither",
        added_later=True,
    )
    contractive: float = setting(
        0.0,
        "weight of the codes' squared Jacobian: codes that change little with the picture; 0: none",
        added_later=True,
    )
    sparse: float = setting(
        0.0,
        "weight of how far the units' means are from `sparse_mean` (3 is usual); needs codes of a "
        "sigmoid; 0: none",
        added_later=True,
    )
    sparse_mean: float = setting(
        0.05, "the mean over a batch that `sparse` holds every unit to", added_later=True
    )

    def __post_init__(self) -> None:
        for name in ("corrupted_weight", "kept_weight"):
            value = getattr(self, name)
            require(value >= 0, f"method.{name}", value, "0 or more", "1 is no emphasis")
        require(
            self.corrupted_weight > 0 or self.kept_weight > 0,
            "method.kept_weight", self.kept_weight, "positive where corrupted_weight is 0",
            "nothing would be learned",
        )  # fmt: skip
        self._require_penalties()
        emphasised = self.corrupted_weight != self.kept_weight
        distinguishes = self.corruption.any and self.corruption.gaussian == 0
        require(
            not emphasised or distinguishes, "method.kept_weight", self.kept_weight,
            "equal to method.corrupted_weight where corruption leaves no component or "
            "every one as it was",
            "emphasis needs masking, salt_and_pepper or blocks, without gaussian",
        )  # fmt: skip

    def _require_penalties(self) -> None:
        for name in ("kl", "contractive", "sparse"):
            value = getattr(self, name)
            require(value >= 0, f"method.{name}", value, "0 or more", "0 leaves it out")
        mean = self.sparse_mean
        require(0 < mean < 1, "method.sparse_mean", mean, "above 0 and below 1", "try 0.05")

    def build(self, encoder: Encoder, preprocessing: Preprocessing) -> DenoisingAutoencoder:
        return DenoisingAutoencoder(
            encoder=encoder,
            # 0 must be black for the masking, and a probability for the cross-entropy.
            preprocessing=preprocessing.without_normalization(),
            decoder=encoder.decoder(preprocessing.channels, preprocessing.resolution, self.tied),
            corruption=self.corruption.build(),
            reconstruction=self.reconstruction,
            corrupted_weight=self.corrupted_weight,
            kept_weight=self.kept_weight,
            log_variance=_log_variance(encoder) if self.kl > 0 else None,
            kl=self.kl,
            contractive=self.contractive,
            sparse=_of_sigmoid(encoder, self.sparse),
            sparse_mean=self.sparse_mean,
        )


def _log_variance(encoder: Encoder) -> nn.Module:
    """Returns the layer beside the one that gives the codes, which are the means.

    Raises SslcliError where no linear layer gives them.
    """
    if not isinstance(encoder, nets.Bottleneck):
        message = "method.kl: codes that may be any number come from a linear layer, and "
        message += f"{type(encoder).__name__} ends with none"
        raise SslcliError(message, "encoder.bottleneck=32")
    return encoder.beside()


def _of_sigmoid(encoder: Encoder, weight: float) -> float:
    """Returns the weight; raises SslcliError where units have no mean in [0, 1] to be held to."""
    if weight > 0 and not encoder.code_is_unit():
        message = "method.sparse: codes must be in [0, 1], and this encoder's are not"
        raise SslcliError(message, "encoder=sigmoid_mlp, without encoder.bottleneck")
    return weight


@dataclass
class DenoisingAutoencoder(Method):
    """Decodes `encoder.code` of corrupted pictures in [0, 1]; a `Restorer`.

    They are corrupted in training and never in evaluation.
    """

    encoder: Encoder
    preprocessing: Preprocessing
    decoder: nn.Module
    corruption: Corruption
    reconstruction: Reconstruction
    corrupted_weight: float
    kept_weight: float
    log_variance: nn.Module | None = None
    kl: float = 0.0
    contractive: float = 0.0
    sparse: float = 0.0
    sparse_mean: float = 0.05

    def views(self, images: Tensor) -> Tensor:
        return as_pictures(images)

    def train_step(self, views: Tensor, minimize: Minimize, progress: Progress) -> Metrics:
        corrupted, changed = self.corruption(views)
        if self.contractive > 0:
            corrupted = corrupted.detach().requires_grad_()  # another tensor: views stay constant
        codes, penalties = self.penalized(corrupted)
        outputs = self.decoder(codes)
        loss = self.reconstruction.loss(outputs, views, self.emphasis(changed))
        for name, penalty in penalties.items():
            loss = loss + getattr(self, name) * penalty
        minimize(loss)
        return {"loss": loss.detach(), **{name: p.detach() for name, p in penalties.items()}}

    def penalized(self, inputs: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns the codes that are decoded in training, and what they cost, by its weight's name.

        With `kl` codes are drawn around the encoder's (Kingma & Welling 2014, 2.4).
        """
        penalties: dict[str, Tensor] = {}
        if self.log_variance is None:
            codes = drawn = self.encoder.code(inputs)
        else:
            assert isinstance(self.encoder, nets.Bottleneck)
            below = self.encoder.below(inputs)
            codes, log_variance = self.encoder.linear(below), self.log_variance(below).float()
            drawn = codes + (log_variance / 2).exp() * _normal_like(log_variance)
            penalties["kl"] = losses.normal_divergence(codes, log_variance)
        if self.contractive > 0:
            penalties["contractive"] = losses.contraction(inputs, codes, _normal_like(codes))
        if self.sparse > 0:
            penalties["sparse"] = losses.mean_activity(gathered(codes), self.sparse_mean)
        return drawn, penalties

    def emphasis(self, changed: Tensor) -> Tensor | None:
        """Returns the weight of every component (Vincent et al. 2010, emphasis)."""
        if self.corrupted_weight == self.kept_weight == 1:
            return None
        return changed * (self.corrupted_weight - self.kept_weight) + self.kept_weight

    def decode(self, codes: Tensor) -> Tensor:
        """Decodes (N, *encoder.code_shape) to pictures (N, C, H, W) in [0, 1]."""
        return self.reconstruction.values(self.decoder(codes))

    def uses_damaged_pixels(self) -> bool:
        return not self.corruption.hides

    def damage(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        corrupted, _ = self.corruption(pictures)
        return corrupted, pictures.new_ones((len(pictures), 1, *pictures.shape[2:])).bool()

    def restore(self, damaged: Tensor, hidden: Tensor) -> Tensor:
        """Restores pictures, with hidden parts blanked where training blanked.

        So where only a part is hidden, its pixels are not looked at.
        """
        if self.corruption.hides:
            everything = hidden.flatten(1).all(dim=1).view(-1, 1, 1, 1)
            damaged = damaged.masked_fill(hidden & ~everything, 0.0)
        return self.decode(self.encoder.code(damaged))


def _normal_like(rows: Tensor) -> Tensor:
    """Draws standard normal numbers of the rows' shape, in float32.

    They are the same for a picture on any number of processes.
    """
    shape, like = rows.shape[1:], rows.detach().float()
    return own_rows(lambda num: like.new_empty(num, *shape).normal_(), len(rows))
