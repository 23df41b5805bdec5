"""Says what a planned run takes, in a table and in sentences that can be acted on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from sslcli.experiments.linear_eval_config import Config as LinearEvalConfig
from sslcli.jobs.job import resolved
from sslcli.text import duration
from sslcli.tools.plan.evaluating import evaluating
from sslcli.tools.plan.evaluation_report import report_evaluation
from sslcli.tools.plan.machine import Machine, size
from sslcli.tools.plan.measure import images_per_second, require_here
from sslcli.tools.plan.needed import Plan
from sslcli.tools.plan.subjects import subjects_of

if TYPE_CHECKING:
    from sslcli.console import Console

UNCOUNTED = (
    "memory counts the tensors of a step; what kernels, libraries and fragments take is not in it"
)


def report(command: str, config: Any, machine: Machine, measure: bool, console: Console) -> None:
    """Prints the plan of a command; `measure`: takes real steps for it.

    Raises SslcliError where the command would at its start, or where none can be measured here.
    """
    found = resolved(command, config)
    if isinstance(found, LinearEvalConfig):
        evaluation = evaluating(found, machine.elsewhere)
        report_evaluation(evaluation, machine, measure, console)
        return
    subjects = subjects_of(command, found, machine, console.track)
    if measure:
        require_here(subjects[0].compute)
    for subject in subjects:
        _report(Plan(subject, machine), measure, console)
    console.say(UNCOUNTED)


def _report(plan: Plan, measure: bool, console: Console) -> None:
    times = plan.subject.times
    often = f"{times} times, one after another: " if times > 1 else ""
    console.say(f"{often}{plan.in_words}")
    console.columns(f"plan of {plan.subject.title}", rows(plan))
    for sentence in sentences(plan):
        console.say(sentence)
    if measure:
        console.say(measured(plan))


def rows(plan: Plan) -> list[tuple[str, str]]:
    """Returns what is counted, by name."""
    subject, step, num = plan.subject, plan.step, plan.machine.processes
    each = " in each process" if num > 1 else ""
    lines = [
        (
            "memory",
            f"{size(step.peak)} at most{each}; {size(step.held)} of it between two steps "
            f"({subject.compute.device.type}, {subject.compute.precision})",
        ),
        ("work", f"{step.flops / 1e9:,.3g} GFLOP a step{each}, forward and backward"),
        ("disk", f"{size(plan.on_disk)} of checkpoints and encoders"),
    ]
    if num > 1:
        sent = f"{size(plan.sent)} of gradients a step from each of {num} processes"
        lines.append(("sent", f"{sent}, and the rows that the method compares across the batch"))
    if subject.cached:
        lines.append(("picture cache", f"{size(subject.cached)} on disk, once for all runs"))
    return lines


def sentences(plan: Plan) -> Iterator[str]:
    """Yields what would not work, what fits, and how long it takes at least."""
    subject, machine = plan.subject, plan.machine
    if subject.batch_size > subject.num_images:
        yield (
            f"{subject.batch_key}={subject.batch_size} would be refused: there are "
            f"{subject.num_images:,} training pictures"
        )
    if subject.batch_size % machine.processes:
        yield (
            f"{subject.batch_key}={subject.batch_size} would be refused: "
            f"{machine.processes} processes cannot share it evenly"
        )
    if subject.compute.shards and machine.processes > 1:
        yield (
            "counted as replicas: runtime.parallel=shard holds less between two steps, by up to "
            f"{size(plan.shared_out)} in each process"
        )
    if machine.memory is not None:
        yield from _fits(plan, machine.memory)
    if machine.teraflops is not None:
        work = subject.times * plan.num_steps * plan.step.flops
        yield (
            f"a bound, not a forecast: {work:.3g} operations take at least "
            f"{duration(work / (machine.teraflops * 1e12))} at {machine.teraflops:g} TFLOP/s"
        )


def _fits(plan: Plan, memory: int) -> Iterator[str]:
    subject, peak, room = plan.subject, plan.step.peak, size(memory)
    key, batch = subject.batch_key, subject.batch_size
    most = plan.largest_batch(memory)
    if peak > memory:
        yield f"{key}={batch} does not fit in {room}: a step takes {size(peak)}"
        if plan.can_be_chunked:
            chunk = plan.largest_chunks(memory)
            if chunk is not None:
                taken = size(plan.needs(batch, chunk).peak)
                yield f"method.chunk_size={chunk} lets it fit, in {taken}, for more time"
            else:
                yield "nor does it with any method.chunk_size that was tried"
    if not most:
        yield f"no batch fits in {room}: choose a smaller encoder, or smaller pictures"
    elif most >= subject.num_images // plan.machine.processes * plan.machine.processes:
        yield f"fits in {room} with any batch, up to {key}={most}, all training pictures"
    else:
        yield f"fits in {room} up to about {key}={most}"


def measured(plan: Plan) -> str:
    """Returns how fast real steps are here, and how long all of them would take."""
    subject = plan.subject
    speed = images_per_second(subject)
    seconds = subject.times * plan.num_steps * subject.batch_size / speed
    name = subject.compute.name
    return (
        f"measured here, {name}: {speed:,.0f} images/s, so {duration(seconds)} for all steps, "
        "without validation and saving"
    )
