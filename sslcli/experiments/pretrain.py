"""Trains an encoder without labels, by any method.

`inpaint` shares `train_method` and `finish`.
"""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sslcli import processes
from sslcli.data.batches import Batches, LabelledBatches
from sslcli.data.images import evenly_spaced
from sslcli.data.needs import require_labels
from sslcli.data.resize import at_resolution, splits_at
from sslcli.engine.profile import Profiling, require_enough
from sslcli.engine.train import Pictures, ProgressListener
from sslcli.errors import SslcliError
from sslcli.evaluation.monitor import Monitor
from sslcli.evaluation.restoration_monitor import RestorationMonitor
from sslcli.evaluation.view_features import NUM_VIEWED, view_features
from sslcli.experiments.figures import save_figures, save_views
from sslcli.experiments.given import first_encoder
from sslcli.experiments.keep import best_epoch, keep_before, keeper
from sslcli.experiments.pretrain_config import Config
from sslcli.experiments.pretrain_warnings import (
    say_normal,
    size_in_words,
    warn_of_known_failure,
    warn_of_own_statistics,
    warn_of_teachers_range,
    warn_of_wide_code,
)
from sslcli.experiments.remembering import Remembering, suggest_low_rate
from sslcli.experiments.session import Session, Training, open_session, train_phase
from sslcli.experiments.suited import suited
from sslcli.method import (
    Decoding,
    Evaluate,
    LabelReader,
    Method,
    Restorer,
)
from sslcli.runs.folder import Run, Validation, read_records
from sslcli.seeding import derive_seed
from sslcli.text import duration
from sslcli.trained.encoder import write_encoder
from sslcli.trained.encoder_files import kept_snapshots
from sslcli.trained.method import PHASE, method_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from sslcli.console import Console

VALIDATION = (
    Validation("knn_accuracy"),
    Validation("restored_psnr", given="damaged_psnr"),
)
"""The metrics by which pretraining runs are chosen: the first that was measured.

A training loss is not among them: it does not compare across temperatures, batch sizes or views.
"""


@dataclass(frozen=True)
class Trained:
    """Holds the outcome of `train_method`."""

    session: Session
    method: Method
    images_per_second: float


def run(config: Config, run: Run, console: Console) -> None:
    """Trains from the last checkpoint or the start; writes encoder and figures."""
    trained = train_method(
        config, open_session(run, config.runtime, config.data, console, config.method.draws_crops())
    )
    if trained is not None:
        finish(trained)
        report(trained.session)


def train_method(
    config: Config,
    session: Session,
    wrap_listener: Callable[[ProgressListener], ProgressListener] = lambda listener: listener,
    labels_may_be_seen: bool = True,
) -> Trained | None:
    """Trains from the run's last checkpoint or the start, and writes the encoder.

    Raises SslcliError, before the first step, where the encoder has seen labels, or will, and must
    not.
    Returns None in every process but rank 0, which alone writes.
    """
    run, compute, splits = session.run, session.compute, session.splits
    method, known_labels = build(config, session)
    num_labels = count_labels(method, session)
    seen_labels = num_labels + known_labels
    if seen_labels and not labels_may_be_seen:
        message = f"the encoder learns from {seen_labels:,} labels, which would not be counted"
        raise SslcliError(message, "choose a method, weights and a teacher that saw none")
    normal = method.normal(config.batch_size)
    reads_labels = isinstance(method, LabelReader)
    kind, part = (LabelledBatches, splits.train) if reads_labels else (Batches, splits.pretraining)
    pictures: Pictures[Any] = kind(part, config.batch_size, config.seed, compute.device)
    num_steps = config.epochs * pictures.steps_per_epoch
    chosen = suited(config)
    if chosen:
        session.console.say(f"as suits {type(method).__name__}: {' '.join(chosen)}")
    run.update(
        derived={
            "num_steps": num_steps,
            "steps_per_epoch": pictures.steps_per_epoch,
            "peak_learning_rate": config.optim.peak_learning_rate(config.batch_size),
            "parameters": sum(p.numel() for p in method.encoder.parameters()),
            "suited": chosen,
            "labels": num_labels,
            "normal_loss": normal._asdict(),
            "known_to_fail": config.method.known_to_fail(config.batch_size),
        },
    )
    in_epoch, num = pictures.steps_per_epoch, config.batch_size
    session.console.say(size_in_words(method, method.encoder, num_steps, in_epoch, num))
    say_normal(normal, session.console)
    warn_of_known_failure(config, session.console)
    save_views(session, method, pictures, derive_seed(config.seed, PHASE, 0))
    training = training_of(config, session, method, pictures, seen_labels)
    profile = run.folder / "profile"
    with contextlib.ExitStack() as profiling:

        def listener_of(shown: ProgressListener) -> ProgressListener:
            wrapped = wrap_listener(shown)
            if not config.profile:
                return wrapped
            return profiling.enter_context(Profiling(wrapped, profile, compute.device))

        if config.profile:
            require_enough(num_steps)
        label = type(method).__name__
        speed = train_phase(session, PHASE, training, config, label, listener_of)
    if config.profile and not profile.exists():
        session.console.warn(
            "profile=true: fewer steps were left than it needs when the run was resumed; "
            "nothing is written"
        )
    leads = processes.rank() == 0
    processes.leave()
    if not leads:
        return None
    shape = method.preprocessing
    write_encoder(run.folder, method.encoder, config.encoder, shape, config.seed, seen_labels)
    return Trained(session, method, speed)


def training_of(
    config: Config, session: Session, method: Method, pictures: Pictures[Any], labels: int
) -> Training:
    """States how the method is trained, measured and kept; it has seen `labels` labels."""
    in_epoch, begins = pictures.steps_per_epoch, config.encoder.weights is not None
    num_steps = config.epochs * in_epoch
    evaluate = evaluation(session, method, config.knn_every * in_epoch, num_steps)
    if begins:
        suggest_low_rate(config.optim, session.console)
        evaluate = Remembering(evaluate, session.run, session.console.warn)
    keep = keeper(config, session.run.folder, method, in_epoch, labels)
    kept, frozen = keep_before(keep, evaluate), config.encoder.frozen_epochs * in_epoch
    training = Training(method, pictures, config.optim, kept, num_steps, config.seed)
    return replace(training, evaluate_first=begins, frozen_steps=frozen)


def build(config: Config, session: Session) -> tuple[Method, int]:
    """Returns the config's method before training, on the device.

    And the number of labels that its first weights are known to have learned from.
    """
    encoder, shape, labels = first_encoder(
        config.encoder, session, config.seed, method=config.method
    )
    method = method_of(config.method, encoder, shape, config.seed)
    warn_of_wide_code(config, method, session.console)
    warn_of_teachers_range(method, session)
    for module in method.modules().values():
        session.compute.to_device(module, sees_all=module in method.whole_batch_parts())
    warn_of_own_statistics(method, session.console)
    if config.runtime.compile:
        encoders = method.called_encoders()
        if not encoders:
            message = f"runtime.compile=true does nothing for {type(method).__name__}: "
            message += "it asks its encoder for codes or tokens"
            raise SslcliError(message, "leave it out")
        for encoder in encoders:
            encoder.compile()
    return method, labels


def count_labels(method: Method, session: Session) -> int:
    """Returns how many labels the method learns from: none, unless its type says so.

    Those that a teacher learned from count too. Raises SslcliError where it needs labels that the
    pictures do not have.
    """
    if not isinstance(method, LabelReader):
        before = method.labels_before()
        if before:
            session.console.say(f"what teaches {type(method).__name__} saw {before:,} labels")
        return before
    require_labels(session.splits, f"{type(method).__name__}, which learns from them,")
    num_labels = len(session.splits.train)
    session.console.say(f"{type(method).__name__} learns from {num_labels:,} labels")
    return num_labels


def evaluation(session: Session, method: Method, knn_every: int, num_steps: int) -> Evaluate:
    """Returns the measurement of validation during training; `knn_every` counts steps."""
    compute, stored = session.compute, session.splits
    splits = splits_at(stored, method.preprocessing.resolution)
    squares = at_resolution(stored.val, stored.val.resolution)
    viewed = evenly_spaced(len(squares), NUM_VIEWED)
    monitor = Monitor(
        method.encoder,
        method.preprocessing,
        splits.train,
        splits.val,
        knn_every,
        num_steps,
        compute.device,
        session.console.warn,
        lambda num: view_features(method, squares.images[viewed], compute.device, num),
    )
    if not isinstance(method, Restorer):
        return monitor
    restoration = RestorationMonitor(method, method.modules(), splits.val, compute)
    return lambda step: {**monitor(step), **restoration(step)}


def finish(trained: Trained, **metrics: float) -> None:
    """Draws the figures, and finishes the run with pretraining's last records and `metrics`."""
    session, method = trained.session, trained.method
    records = read_records(session.run.folder)
    save_figures(session, method, records)
    last: dict[str, Any] = {}
    for record in records:
        if record["phase"] != PHASE:  # worth trains classifiers after it
            continue
        skipped = ("phase", "step", "epoch", "timing")
        last.update({k: v for k, v in record.items() if k not in skipped})
    if isinstance(method, Decoding):
        shape, code = method.preprocessing, method.encoder.code_shape
        last["compression_ratio"] = shape.channels * shape.resolution**2 / math.prod(code)
    speed = trained.images_per_second
    throughput = {"images_per_second": round(speed, 1)} if speed else {}
    peak = session.compute.peak_memory_bytes()
    validation = next((metric for metric in VALIDATION if metric.metric in last), None)
    best = best_epoch(records, kept_snapshots(session.run.folder))
    if best is not None:
        session.console.say(best)
    session.run.finish({**last, **metrics}, validation, peak_memory_bytes=peak, **throughput)


def report(session: Session) -> None:
    """Prints the final table."""
    facts = session.run.facts
    rows = [(name.replace("_", " "), f"{value:.4g}") for name, value in facts["metrics"].items()]
    rows += [
        ("images/s", f"{facts.get('images_per_second', 0):.0f}"),
        ("time", duration(facts["seconds"])),
    ]
    if facts["peak_memory_bytes"] is not None:
        rows.append(("peak memory", f"{facts['peak_memory_bytes'] / 2**20:.0f} MiB"))
    session.console.table("", ("pretrained", ""), rows)
    session.console.say(f"run: {session.run.folder}")
