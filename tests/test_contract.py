"""What every method of the table promises, whatever it does; and variants of it that train by other code."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from sslcli.augment.masks_config import MaskConfig, MaskKind
from sslcli.method import MethodConfig
from sslcli.methods import METHODS
from sslcli.methods.context_encoder import ContextEncoderConfig
from sslcli.methods.denoising_autoencoder import DenoisingAutoencoderConfig, Reconstruction
from sslcli.methods.simclr import SimCLRConfig
from sslcli.nets.encoder_config import ContextConfig, ConvNetConfig, EncoderConfig, MLPConfig
from sslcli.settings import REQUIRED
from sslcli.testing.promises import PROMISES
from sslcli.testing.trial import Trial

VARIANTS: dict[str, tuple[MethodConfig, EncoderConfig]] = {
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
    "simclr, in chunks": (SimCLRConfig(chunk_size=5, loss_block=3), ConvNetConfig(width=4)),
}
"""A method's name in place of its default, or that and what is another way."""


def needs_settings(config: type[MethodConfig]) -> bool:
    return any(field.default == REQUIRED for field in dataclasses.fields(config))


DEFAULTS = {
    name: (config(), ConvNetConfig(width=4))
    for name, config in METHODS.items()
    if not needs_settings(config)
}
CASES: dict[str, tuple[MethodConfig, EncoderConfig]] = {**DEFAULTS, **VARIANTS}
"""What is trained, by name: every method as it is by default, and the variants."""


@pytest.mark.parametrize("promise", list(PROMISES))
@pytest.mark.parametrize("name", list(CASES))
def test_a_method_keeps_its_promises(name: str, promise: str, tmp_path: Path) -> None:
    PROMISES[promise](Trial(*CASES[name]), tmp_path)


def test_every_method_is_tried() -> None:
    assert set(METHODS) <= {name.partition(",")[0] for name in CASES}
