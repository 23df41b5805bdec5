"""`sslcli inpaint`: trains a context encoder to fill holes, and scores it on the holes of test pictures, beside what fills
them without training. Importing this does not import torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sslcli.commands import pretrain
from sslcli.commands.pretrain import label, settle
from sslcli.engine.run import Run
from sslcli.errors import SslcliError, require
from sslcli.method import MethodConfig
from sslcli.methods.context_encoder import ContextEncoderConfig
from sslcli.settings import setting

if TYPE_CHECKING:
    from sslcli.console import Console

__all__ = ["Config", "label", "run", "settle"]


@dataclass(kw_only=True)
class Config(pretrain.Config):
    """Every knob of inpainting: those of pretraining, and how many pictures are scored."""

    num_scored: int | None = setting(500, "test pictures that are scored, the same for every filler; null: all")

    def __post_init__(self) -> None:
        super().__post_init__()
        count = self.num_scored
        require(count is None or count > 0, "num_scored", count, "positive", "500 is the default, null scores all")
        fits = not isinstance(self.method, MethodConfig) or isinstance(self.method, ContextEncoderConfig)
        if not fits:
            name = type(self.method).__name__.removesuffix("Config")
            raise SslcliError(
                f"inpaint trains what fills holes, and {name} does not", "leave method out, or use pretrain"
            )


def run(config: Config, run: Run, console: Console) -> None:
    """Trains from the run's last checkpoint, or from the start; then fills, scores and shows."""
    from sslcli.commands.inpainting import Filling, warn_of_a_winner, warn_without_biharmonic
    from sslcli.commands.training import finish, train_method

    warn_without_biharmonic(console)
    trained = train_method(config, run, console, lambda watch: warn_of_a_winner(watch, console))
    if trained is None:
        return
    filling = Filling.of(trained, config.num_scored, console)
    filling.save(run)
    finish(trained, run, **filling.metrics())
    filling.report(run, console)
