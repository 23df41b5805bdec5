"""What survives training: `encoder.safetensors`, and `encoder.json` with what is needed to build and to feed it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sslcli.config import name_in, typed, unknown, values_of
from sslcli.engine.run import resolve_run, write_atomically
from sslcli.errors import SslcliError, quoted
from sslcli.method import Preprocessing
from sslcli.nets.encoders import ENCODERS, EncoderConfig
from sslcli.seeding import derive_seed

if TYPE_CHECKING:
    from sslcli.nets.encoder import Encoder

FORMAT = 1
JSON = "encoder.json"
WEIGHTS = "encoder.safetensors"


@dataclass(frozen=True)
class EncoderFiles:
    """A run's encoder as it lies in the folder; `seed` is the run's, from which its untrained twin is made. `labels`: learned
    from so many, 0 by a self-supervised method."""

    folder: Path
    config: EncoderConfig
    preprocessing: Preprocessing
    seed: int
    labels: int = 0

    def load(self) -> Encoder:
        """The trained encoder, in eval mode. Raises SslcliError unless every weight is there and none is left over."""
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        from sslcli.engine.train import kept_generators

        with kept_generators():  # a notebook's random numbers are none of our business
            encoder = self.untrained()
        path = self.folder / WEIGHTS
        try:
            encoder.load_state_dict(load_file(path), strict=True)
        except FileNotFoundError:
            raise SslcliError(
                f"{self.folder} has no {WEIGHTS}", "let its pretraining finish: `sslcli resume`"
            ) from None
        except (SafetensorError, RuntimeError) as reason:
            message = f"{path} does not hold the encoder that {JSON} describes: {' '.join(str(reason).split())[:200]}"
            raise SslcliError(message, "restore both files from the run that wrote them") from None
        return encoder.eval()

    def untrained(self) -> Encoder:
        """The same encoder as it was before training, in eval mode."""
        encoder = initial_encoder(self.config, self.preprocessing.channels, self.preprocessing.resolution, self.seed)
        return encoder.eval()


def initial_encoder(config: EncoderConfig, channels: int, resolution: int, seed: int) -> Encoder:
    """An encoder with the random weights that a run of `seed` starts from."""
    from sslcli.engine.train import seed_generators

    seed_generators(derive_seed(seed, "encoder"))
    return config.build(channels, resolution)


def write_encoder(
    folder: Path, encoder: Encoder, config: EncoderConfig, preprocessing: Preprocessing, seed: int, labels: int = 0
) -> None:
    from safetensors.torch import save

    description: dict[str, Any] = {
        "format": FORMAT,
        "encoder": name_in(ENCODERS, config),
        "config": values_of(config),
        "width": encoder.width,
        "seed": seed,
        "labels": labels,
        "resolution": preprocessing.resolution,
        "channels": preprocessing.channels,
        "mean": list(preprocessing.mean),
        "std": list(preprocessing.std),
    }
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in encoder.state_dict().items()}
    write_atomically(folder / WEIGHTS, save(state))
    write_atomically(folder / JSON, (json.dumps(description, indent=2) + "\n").encode())


def resolve_encoder_run(name: str, outputs: str | Path) -> Path:
    """The run with an encoder that `name` names: its folder, the beginning of its name under `outputs`, or `last`: the newest
    that learned without labels, whatever was fine-tuned from it since."""
    return resolve_run(name, Path(outputs).expanduser(), " with an encoder", _has_pretrained)


def require_unlabelled(folder: Path) -> None:
    """Raises SslcliError where the run's encoder has learned from labels: what is said of few labels would not count them."""
    labels = read_encoder(folder).labels
    if labels:
        message = f"{folder} learned from {labels:,} labels, which would not be counted"
        raise SslcliError(message, "name the pretrained run that it began with")


def _has_pretrained(folder: Path) -> bool:
    return (folder / JSON).exists() and read_encoder(folder).labels == 0


def read_encoder(folder: Path) -> EncoderFiles:
    """Raises SslcliError where the run has no encoder, or one of another format."""
    path = folder / JSON
    if not path.exists():
        raise SslcliError(
            f"{folder} has no encoder: there is no {JSON}", f"if it was interrupted: sslcli resume {quoted(folder)}"
        )
    try:
        described = json.loads(path.read_text())
        if described["format"] != FORMAT:
            message = f"{path} has format {described['format']!r}; this version of sslcli reads format {FORMAT}"
            raise SslcliError(message, "use the version that wrote it")
        if described["encoder"] not in ENCODERS:
            raise unknown("encoder", described["encoder"], list(ENCODERS))
        config = typed(ENCODERS[described["encoder"]], described["config"], "encoder")
        mean, std = tuple(map(float, described["mean"])), tuple(map(float, described["std"]))
        preprocessing = Preprocessing(int(described["resolution"]), int(described["channels"]), mean, std)
        return EncoderFiles(folder, config, preprocessing, int(described["seed"]), int(described.get("labels", 0)))
    except (ValueError, KeyError, TypeError) as reason:
        raise SslcliError(f"{path} is damaged: {reason!r}", "restore it from the run that wrote it") from None
