"""Gives an encoder the weights that its config names, and says what became of each tensor."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from sslcli.choices import name_in
from sslcli.config import values_of
from sslcli.errors import SslcliError
from sslcli.nets.encoder import Encoder
from sslcli.nets.encoder_config import EncoderConfig
from sslcli.nets.encoders import ENCODERS
from sslcli.nets.given_config import PUBLIC, Fed
from sslcli.nets.timm_config import TimmConfig
from sslcli.nets.weight_fit import (
    Change,
    Fit,
    best_fit,
    deeper,
    first_layer,
    load_fit,
    not_finite,
    numbers_of,
)
from sslcli.nets.weight_guess import network_in
from sslcli.nets.weight_names import PLAIN, Tensors, plain_name
from sslcli.provenance import hash_of
from sslcli.text import as_word
from sslcli.trained.encoder_files import without_weights
from sslcli.trained.weights_file import (
    Normalization,
    noted_labels,
    noted_normalization,
    read_tables,
    weights_path,
)

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
MOST_NAMED = 6
"""Tensors of a kind that a message names; of more it gives the number."""


@dataclass(frozen=True)
class Given:
    """Holds what an encoder was given, and from where.

    `fed`: the mean and deviation of what the weights were trained on; None: nobody knows, and the
    data's own are taken. `labels`: those that the weights are known to have learned from.
    """

    path: Path
    digest: str
    fit: Fit
    fed: Normalization | None
    labels: int

    def record(self) -> dict[str, Any]:
        """Returns all of it as plain values."""
        fit = self.fit
        return {
            "file": str(self.path),
            "hash": self.digest,
            "names": fit.candidate.described(),
            "fits_as_well": list(fit.others),
            "share": fit.share,
            "loaded": fit.same,
            "reshaped": [change._asdict() for change in fit.reshaped],
            "differing": [change._asdict() for change in fit.differing],
            "missing": fit.missing,
            "unexpected": fit.unexpected,
            "fed": None if self.fed is None else self.fed._asdict(),
        }

    def rows(self) -> list[tuple[str, str, str]]:
        """Returns the lines of the table: what became of tensors, how many, and which."""
        fit = self.fit
        kinds = {
            "loaded": _groups(fit.same),
            "reshaped": "; ".join(f"{change.name} {change.how}" for change in fit.reshaped),
            "shape differs": _changes(fit.differing),
            "missing": named(fit.missing),
            "unexpected": named(fit.unexpected),
        }
        numbers = [
            len(fit.same), len(fit.reshaped), len(fit.differing), len(fit.missing),
            len(fit.unexpected),
        ]  # fmt: skip
        return [
            (kind, str(number), which)
            for (kind, which), number in zip(kinds.items(), numbers, strict=True)
        ]

    def sentences(self) -> list[str]:
        """Returns what is said above the table."""
        fit = self.fit
        said = [
            f"weights: {self.path}",
            f"they have {fit.candidate.described()}, and give {fit.num_loaded} of "
            f"{fit.num_expected} tensors, {percent(fit.share)} of the encoder's numbers",
        ]
        if fit.others:
            taken = fit.candidate.place or "the whole file"
            said.append(
                f"{' and '.join(fit.others)} fits as well; {taken} is taken "
                "(encoder.weights_part=… takes another)"
            )
        fed = "of the pictures at hand, as nobody says what the weights were trained on"
        if self.fed is not None:
            mean, std = (", ".join(f"{v:.3g}" for v in values) for values in self.fed[:2])
            fed = f"{mean} and {std}: {self.fed.source}"
        return [*said, f"mean and deviation of the input: {fed} (encoder.weights_fed chooses)"]


def give_weights(encoder: Encoder, config: EncoderConfig, channels: int) -> Given:
    """Loads the weights that the config names into the encoder.

    Raises SslcliError where they cannot be had, hold less of the encoder than is asked for, are of
    a deeper network, or are not finite.
    """
    assert config.weights is not None, "ask only of a config that names weights"
    public = config.public_weights() if config.weights == PUBLIC else None
    path = weights_path(Path(config.weights)) if public is None else public.fetched()
    tables = read_tables(path)
    fit = best_fit(tables, encoder, config.weights_part)
    if fit is None:
        _refuse_unknown(path, config, tables)
    require_good(path, config, tables, fit, encoder)
    fed = None
    if config.weights_fed is Fed.imagenet:
        fed = Normalization(*IMAGENET, "ImageNet's, as encoder.weights_fed says")
    elif config.weights_fed is Fed.auto:
        noted = None if public is None else Normalization(public.mean, public.std, public.source)
        fed = noted or noted_normalization(path) or _assumed(config, fit, tables)
    load_fit(encoder, fit)
    labels = 0 if public is not None else noted_labels(path)
    return Given(path, hash_of({"": path}), fit, for_channels(fed, channels), labels)


def require_good(
    path: Path, config: EncoderConfig, tables: Mapping[str, Tensors], fit: Fit, encoder: Encoder
) -> None:
    """Raises SslcliError unless the fit gives what is asked for, of the same network."""
    own, least = numbers_of(encoder), config.weights_share
    extra = deeper(fit, own)
    loaded = {*fit.same, *(change.name for change in fit.reshaped)}
    inputs = [name for name in own if name == first_layer(own) or plain_name(name) == "pos_embed"]
    lost = [name for name in inputs if name not in loaded]
    fix = _suggestion(tables, config)
    if fit.share < least:
        message = (
            f"encoder.weights: {path} gives {fit.num_loaded} of {fit.num_expected} tensors, "
            f"{percent(fit.share)} of the encoder's numbers, less than {percent(least)}"
        )
        raise SslcliError(f"{message}{_what_lacks(fit)}", fix)
    differs = fit.candidate.naming.differs
    if differs:
        message = f"encoder.weights: the network of {path} {differs}: its features would be others"
        raise SslcliError(message, "give weights of torchvision's ResNet, or of a run")
    if lost and least > 0:
        message = f"encoder.weights: {path} does not fit where the encoder sees the pictures"
        raise SslcliError(f"{message}{_what_lacks(fit, lost)}", fix)
    if extra:
        message = f"encoder.weights: the network of {path} has more inside than the encoder"
        raise SslcliError(f"{message}: {named(extra)}", fix)
    broken = not_finite(fit)
    if broken:
        message = f"encoder.weights: {path} holds numbers that are not finite, in {named(broken)}"
        raise SslcliError(message, "take weights from before the training diverged")


def _refuse_unknown(path: Path, config: EncoderConfig, tables: Mapping[str, Tensors]) -> NoReturn:
    held = [f"{table}/{name}".lstrip("/") for table, names in tables.items() for name in names]
    part = config.weights_part
    where = "" if part is None else f" where the place holds {part!r}"
    message = f"encoder.weights: {path} holds no tensors that could be the encoder's{where}"
    raise SslcliError(f"{message}; it holds {named(held)}", _suggestion(tables, config))


def _suggestion(tables: Mapping[str, Tensors], config: EncoderConfig) -> str:
    """Returns the fix: the words that choose the network of the file, where it is known."""
    found = network_in(tables)
    same = found is not None and without_weights(found) == without_weights(config)
    if found is None or (same and type(found) is type(config)):
        return "choose the encoder that these are weights of, or give other weights"
    default = values_of(type(found)())
    others = {key: value for key, value in values_of(found).items() if value != default[key]}
    words = [f"encoder={name_in(ENCODERS, found)}"]
    words += [f"encoder.{key}={as_word(value)}" for key, value in others.items()]
    return f"the file holds another network: {' '.join(words)}"


def _what_lacks(fit: Fit, names: Iterable[str] | None = None) -> str:
    """Returns what is missing and what differs, by parts of the network."""
    chosen = None if names is None else set(names)
    missing = [name for name in fit.missing if chosen is None or name in chosen]
    differing = [change for change in fit.differing if chosen is None or change.name in chosen]
    said = ""
    if missing:
        said += f"; missing: {_groups(missing)}"
    if differing:
        said += f"; of another shape: {_changes(differing)}"
    if fit.unexpected and chosen is None:
        said += f"; it also holds {named(fit.unexpected)}"
    return said


def _groups(names: Iterable[str]) -> str:
    """Returns how many tensors there are of each part: `conv1 (1), layer1 (20)`."""
    counts = Counter(plain_name(name).split(".")[0] for name in names)
    return ", ".join(f"{part} ({number})" for part, number in counts.items())


def _changes(changes: list[Change]) -> str:
    return named([f"{c.name} {list(c.before)} for {list(c.after)}" for c in changes])


def named(names: list[str]) -> str:
    """Returns the names, of many the first ones and the number of the others."""
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def percent(share: float) -> str:
    """Returns a share in percent, which is 100 % only where nothing is missing."""
    return f"{int(1000 * share) / 10:g} %"


def _assumed(
    config: EncoderConfig, fit: Fit, tables: Mapping[str, Tensors]
) -> Normalization | None:
    """Returns what files of this kind were usually fed; None where that varies."""
    table = tables.get("", {})
    if fit.candidate.naming is not PLAIN or fit.candidate.place:
        return None
    classifier = table.get("fc.weight")
    if classifier is not None and not bool(classifier.any()):
        return None  # sslcli's own export, whose pictures may be any
    if isinstance(config, TimmConfig):
        try:
            usual = config.public_weights()
        except SslcliError:
            return None
        return Normalization(usual.mean, usual.std, usual.source)
    return Normalization(*IMAGENET, "ImageNet's, as files of torchvision and timm were fed")


def for_channels(fed: Normalization | None, channels: int) -> Normalization | None:
    """Returns the values for so many channels: of grey pictures their means over the colours."""
    if fed is None or len(fed.mean) == len(fed.std) == channels:
        return fed
    if channels == 1:
        mean, std = (sum(values) / len(values) for values in (fed.mean, fed.std))
        return Normalization((mean,), (std,), f"{fed.source}, its mean over the colours")
    return None
