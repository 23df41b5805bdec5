"""Opens what `linear-eval` measures: an encoder, its ceiling and its baselines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from torch import Tensor

from sslcli.data.images import Pixels
from sslcli.data.needs import require_labels_or_targets, require_nothing
from sslcli.errors import SslcliError
from sslcli.evaluation.features import feature_maps, features, pixel_maps, pixels, require_fit
from sslcli.experiments.given import compared_encoder, keep_given, names_of, open_given
from sslcli.experiments.linear_eval_config import Config
from sslcli.experiments.session import Need, Session, open_evaluation
from sslcli.experiments.subject_config import RAW_PIXELS, UNTRAINED
from sslcli.nets.encoder import Encoder
from sslcli.runs.folder import Run
from sslcli.runs.results import Value
from sslcli.text import hydra_path
from sslcli.trained.encoder import build_untrained, load_trained
from sslcli.trained.encoder_files import EncoderFiles, read_encoder, run_of, without_weights

if TYPE_CHECKING:
    from sslcli.console import Console

Extract: TypeAlias = Callable[[Pixels], Tensor]
"""Maps pictures (N, H, W, C) to features (N, D), or to what places hold (N, D, h, w)."""


def opened(
    config: Config, run: Run, console: Console
) -> tuple[Session, EncoderFiles, EncoderFiles | None]:
    """Opens the session, and reads what is evaluated and, if there is one, its ceiling.

    Raises SslcliError where the ceiling is of another network, or the data do not fit.
    """
    ceiling = None if config.ceiling is None else read_encoder(Path(config.ceiling))
    if config.run is None:
        session, files = open_given(
            "linear-eval", run, config, console, config.seed, need_of(config)
        )
        require_same_network(config, files, ceiling)
        if ceiling is not None:
            require_fit(session.splits.train.images, ceiling.preprocessing)
        if config.keep_encoder:
            keep_given(files, session)
        return session, files, ceiling
    files = config.read(Path(config.run))
    require_same_network(config, files, ceiling)
    sources = [files] if ceiling is None else [files, ceiling]
    session = open_evaluation(
        "linear-eval",
        run,
        sources,
        config.data,
        config.runtime,
        console,
        config.data_root,
        need_of(config),
    )
    return session, files, ceiling


def need_of(config: Config) -> Need:
    """Returns the check of what the evaluation needs of its data."""
    return require_labels_or_targets if config.masks is None else require_nothing


def require_same_network(config: Config, files: EncoderFiles, ceiling: EncoderFiles | None) -> None:
    """Raises SslcliError unless the ceiling, if there is one, trained the same network."""
    if ceiling is None:
        return
    same = without_weights(ceiling.config) == without_weights(files.config)
    if same and type(ceiling.config) is type(files.config):
        return
    evaluated_one = config.run or files.folder
    message = (
        f"{hydra_path('ceiling', ceiling.folder)} trained another network than {evaluated_one}"
    )
    fix = "make one of this encoder: sslcli finetune encoder=… data=… init=random"
    if config.run is not None:
        this = hydra_path("run", config.run)
        fix = f"make one of this: sslcli finetune {this} init=random"
    raise SslcliError(message, fix)


def build_extractors(
    config: Config,
    files: EncoderFiles,
    ceiling: EncoderFiles | None,
    session: Session,
    places: bool = False,
) -> dict[str, Extract]:
    """Returns the compared extractors, by name; with `places` of maps (N, D, h, w)."""
    compute = session.compute

    def extract_with(encoder: Encoder, source: EncoderFiles) -> Extract:
        compute.to_device(encoder)
        if config.runtime.compile:
            encoder.compile()
        of = feature_maps if places else features
        return lambda images: of(encoder, images, source.preprocessing, compute.device)

    extractors: dict[str, Extract] = {}
    for name, found in compared_encoders(config, files, ceiling, session):
        if found is not None:
            extractors[name] = extract_with(*found)
        elif places:
            side = extractors["trained_encoder"](session.splits.val.images[:1]).shape[2]
            extractors[name] = partial(pixel_maps, side=side, device=compute.device)
        else:
            extractors[name] = lambda images: pixels(images).to(compute.device)
    return extractors


def learned_by_baselines(config: Config, console: Console) -> dict[str, Value]:
    """Says and returns from how many labels baselines have learned, of those that have."""
    found: dict[str, Value] = {}
    for name, weights in zip(names_of(config.compared), config.compared, strict=True):
        run = run_of(weights)
        labels = 0 if run is None else read_encoder(run).labels
        if labels:
            console.warn(f"{name} learned from {labels:,} labels")
            found[f"{name}_learned_from_labels"] = labels
    return found


def compared_encoders(
    config: Config, files: EncoderFiles, ceiling: EncoderFiles | None, session: Session
) -> Iterator[tuple[str, tuple[Encoder, EncoderFiles] | None]]:
    """Yields what is compared by name: encoders on the CPU with their files; None: raw pixels."""

    def cut(encoder: Encoder) -> Encoder:
        return encoder if config.layer is None else encoder.up_to(config.layer)

    yield "trained_encoder", (cut(load_trained(files)), files)
    for name, baseline in zip(names_of(config.compared), config.compared, strict=True):
        if baseline == UNTRAINED:
            yield "untrained_encoder", (cut(build_untrained(files)), files)
        elif baseline == RAW_PIXELS:
            yield RAW_PIXELS, None
        else:
            other = compared_encoder(baseline, files, session, config.seed, name, config.pool)
            yield name, (load_trained(other), other)
    if ceiling is not None:
        yield "supervised_ceiling", (load_trained(ceiling), ceiling)
