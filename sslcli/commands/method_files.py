"""A run's method as training left it, for `restore`: built from config.yaml, its state that of the last checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sslcli.commands import EXPERIMENTS
from sslcli.commands.encoder_files import read_encoder
from sslcli.commands.groups import groups
from sslcli.config import read, restored
from sslcli.errors import SslcliError

if TYPE_CHECKING:
    from sslcli.method import Method


def read_method(folder: Path) -> Method:
    """The trained method of a run of `pretrain` or `inpaint`, on the CPU, in eval mode.

    Raises SslcliError where the run has none, is not finished, or its files are damaged.
    """
    from torch import nn

    from sslcli.commands.training import PHASE, build_method
    from sslcli.engine.checkpoint import read_checkpoint

    saved = read(folder / "config.yaml")
    checkpoint = folder / PHASE / "last.pt"
    if "method" not in saved.choices:
        raise SslcliError(
            f"{folder} is a run of {saved.command}, which trains no method", "name a run of pretrain or inpaint"
        )
    files = read_encoder(folder)
    if not checkpoint.exists():
        raise SslcliError(f"{folder} has no {PHASE}/last.pt: only its encoder is left", "restore the file from a copy")
    config = restored(EXPERIMENTS[saved.command].load().Config, saved, groups([saved.choices["method"]]))
    method = build_method(config, files.preprocessing)
    modules = nn.ModuleDict(method.modules())
    try:
        modules.load_state_dict(read_checkpoint(checkpoint)["state"]["modules"])
    except RuntimeError as reason:
        message = f"{checkpoint} does not fit the run's config.yaml: {str(reason).splitlines()[0]}"
        raise SslcliError(message, "put both back as the run wrote them") from None
    modules.eval().requires_grad_(False)
    return method
