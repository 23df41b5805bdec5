"""The promises of methods as one call, or as tests that pytest collects."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from sslcli.method import MethodConfig
from sslcli.nets.encoder_config import ConvNetConfig, EncoderConfig
from sslcli.testing.promises import PROMISES
from sslcli.testing.trial import Trial


def check_method(config: MethodConfig, encoder: EncoderConfig | None = None) -> None:
    """Checks every promise, with a tiny convnet where no other encoder is given.

    Raises AssertionError where one is not kept, and SslcliError where the loop refuses a step.
    """
    trial = _trial(config, encoder)
    for name, check in PROMISES.items():
        with tempfile.TemporaryDirectory(prefix=f"sslcli-{name}-") as folder:
            check(trial, Path(folder))


def method_tests(
    config: MethodConfig, encoder: EncoderConfig | None = None
) -> Callable[[str, Path], None]:
    """Returns a test for every promise: `test_mine = method_tests(MineConfig())`.

    `encoder` as for `check_method`: let it be as small as the method can bear.
    """
    import pytest

    trial = _trial(config, encoder)

    @pytest.mark.parametrize("promise", list(PROMISES))
    def test(promise: str, tmp_path: Path) -> None:
        PROMISES[promise](trial, tmp_path)

    return test


def _trial(config: MethodConfig, encoder: EncoderConfig | None) -> Trial:
    return Trial(config, encoder or ConvNetConfig(width=4))
