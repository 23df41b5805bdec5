"""Creates, starts and resumes one run of any experiment, and records its end."""

from __future__ import annotations

import contextlib
import io
import signal
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import yaml

from sslcli.config import identity
from sslcli.console import Console
from sslcli.engine.signals import interrupted_by_signals
from sslcli.errors import Interrupted, RunFailed, SslcliError, is_out_of_memory, unknown
from sslcli.experiments.groups import GROUPS
from sslcli.experiments.table import EXPERIMENTS
from sslcli.files import expanded
from sslcli.input_files import with_absolute_files
from sslcli.jobs.changed_code import Provenance, note_provenance, require_same_provenance
from sslcli.jobs.job_state import newest_record
from sslcli.jobs.requeue import begun_before, job_facts, queue_again
from sslcli.jobs.tracking import tracked
from sslcli.processes import launched_as, name_lost_processes
from sslcli.runs.find import new_folder
from sslcli.runs.folder import Run, read_facts
from sslcli.saved import Saved, choices_of, read, to_config, to_yaml
from sslcli.system import HANGUP
from sslcli.text import first_line, shell_path
from sslcli.trackers.table import require_trackers
from sslcli.trained.data import moved


def start(
    command: str, config: Any, overrides: list[str], console: Console, folder: Path | None = None
) -> Path:
    """Runs a command in a new folder, and returns it.

    The folder is `folder`, or a new one under the config's runtime.outputs.
    """
    _require_fit_for_processes(command)
    config = resolved(command, config)
    if launched_as().rank:
        return _follow(command, config)
    before = begun_before(command, config, overrides) if folder is None else None
    if before is not None and read_facts(before).get("status") == "finished":
        console.say(f"finished before this job was queued again: {before}")
        return before
    folder = before or create(command, config, overrides, folder)
    resume(folder, console)
    return folder


def create(command: str, config: Any, overrides: list[str], folder: Path | None = None) -> Path:
    """Makes the folder of a waiting run, which `resume` starts; returns it.

    `config` is resolved.
    """
    module = EXPERIMENTS[command].load_config()
    provenance = Provenance.of(config)
    choices = choices_of(config, GROUPS)
    files = {
        "config.yaml": to_yaml(command, config, GROUPS),
        "overrides.yaml": yaml.safe_dump(overrides, allow_unicode=True),
    }
    facts = {
        "status": "waiting",
        "command": command,
        "choices": choices,
        "identity": identity(command, config, provenance.files),
        **asdict(provenance),
        "started": time.time(),
        **job_facts(),
    }
    try:
        outputs = expanded(config.runtime.outputs)
        folder = folder or new_folder(outputs / command / module.folder_label(config, choices))
        folder.mkdir(parents=True, exist_ok=True)
        with Run.create(folder, files, facts):
            return folder
    except OSError as reason:
        raise refused_by_system(
            reason, "set runtime.outputs to a folder that can be written"
        ) from reason


def resolved(command: str, config: Any) -> Any:
    """Returns the config with absolute paths for names of runs and relative paths.

    Raises SslcliError where a run, a file that the config reads, or a tracker is not there.
    """
    require_trackers(config.runtime.all_trackers)
    return with_absolute_files(EXPERIMENTS[command].load_config().resolve(config))


def resume(folder: Path, console: Console, accept_changed_code: bool = False) -> None:
    """Continues a run from its last checkpoint.

    Raises SslcliError where it is finished, another process works on it, or its code has changed
    and that is not accepted.
    """
    command, config = saved_config(folder)
    _require_fit_for_processes(command)
    if launched_as().rank:
        # Else this rank would wait for rank 0, which has refused the run.
        _require_resumable(folder, read_facts(folder), config, accept_changed_code)
        _follow(command, config)
    else:
        _continue(folder, command, config, console, accept_changed_code)


def _follow(command: str, config: Any) -> Path:
    """Does rank 0's work on another rank, silently, in a temporary folder."""
    nowhere = io.StringIO()
    with tempfile.TemporaryDirectory(prefix="sslcli-") as scratch:
        folder = create(command, config, [], Path(scratch) / "run")
        _continue(folder, *saved_config(folder), Console(nowhere, nowhere))
    return folder


def _require_fit_for_processes(command: str) -> None:
    num = launched_as().size
    if num > 1 and not EXPERIMENTS[command].by_processes:
        message = f"{num} processes were started together, and {command} is done by one"
        raise SslcliError(message, f"start it without torchrun or srun: sslcli {command} …")


def _continue(
    folder: Path,
    command: str,
    config: Any,
    console: Console,
    accept_changed_code: bool = False,
) -> None:
    with Run(folder) as run:
        _require_resumable(folder, run.facts, config, accept_changed_code)
        recorded = run.facts.get("files", {})
        if identity(command, config, recorded) != run.facts.get("identity"):
            message = (
                f"{folder}/config.yaml was changed since the run began: "
                "it would end as a mixture of two"
            )
            raise SslcliError(
                message, "put it back as it was, or start a run of its own with the new values"
            )
        note_provenance(run, command, config)
        run.update(status="running", error=None)
        config = _with_moved_data(config, run.facts.get("data_root"))
        leads = launched_as().rank == 0
        with tracked(run, config.runtime.all_trackers if leads else [], console):
            _run(EXPERIMENTS[command].load_work, config, run, console)


def _with_moved_data(config: Any, root: str | None) -> Any:
    """Returns the config with its data at `root`, the path of `resume --data-root`."""
    if root is None:
        return config
    if config.data is None:
        return replace(config, data_root=root)
    return replace(config, data=moved(config.data, root))


def move_data(folder: Path, root: str) -> None:
    """Notes in run.json that an unfinished run's data are now at `root`.

    Raises SslcliError where nothing is there; run.json then stays as it was.
    """
    data = saved_config(folder)[1].data
    if data is None:  # those of the run that it evaluates
        noted = str(expanded(root).absolute())
        is_there = Path(noted).exists()
    else:
        now = moved(data, root)
        noted, is_there = str(now.root), now.is_there()
    if not is_there:
        fix = f"say where they are: sslcli resume {shell_path(folder)} --data-root FOLDER"
        raise SslcliError(f"there are no data at {noted}", fix)
    with Run(folder) as run:
        run.update(data_root=noted)


def require_unfinished(folder: Path, facts: dict[str, Any]) -> None:
    if facts.get("status") == "finished":
        raise SslcliError(
            f"{folder} is finished", f"run it again: sslcli rerun {shell_path(folder)}"
        )


def _require_resumable(
    folder: Path, facts: dict[str, Any], config: Any, accept_changed_code: bool
) -> None:
    require_unfinished(folder, facts)
    if not accept_changed_code:
        require_same_provenance(folder, facts, config)


def saved_config(folder: Path) -> tuple[str, Any]:
    """Returns the command and the config of a run."""
    saved = read(folder / "config.yaml")
    return saved.command, config_of(saved)


def config_of(saved: Saved) -> Any:
    """Returns a saved config as its command's dataclass."""
    if saved.command not in EXPERIMENTS:
        raise unknown("command", saved.command, list(EXPERIMENTS))
    return to_config(EXPERIMENTS[saved.command].load_config().Config, saved, GROUPS)


def _run(load_work: Callable[[], Any], config: Any, run: Run, console: Console) -> None:
    """Runs the command, and writes into run.json how it ended.

    A signal that comes while the command is imported ends it in the same way.
    """
    fix = f"go on: sslcli resume {shell_path(run.folder)}"
    try:
        log = run.folder / "log.txt"
        with interrupted_by_signals(fix), console.logged(log), name_lost_processes():
            load_work().run(config, run, console)
    except Interrupted as stop:
        if stop.signal_number == HANGUP and run.facts["status"] == "finished":
            raise BrokenPipeError from None  # nobody reads its last words, and nothing is lost
        _record_end(run, "interrupted", stop)
        if launched_as().rank == 0:
            queue_again(stop, console)
        raise
    except KeyboardInterrupt:
        by_hand = Interrupted("stopped by Ctrl-C", fix, signal.SIGINT)
        _record_end(run, "interrupted", by_hand)
        raise by_hand from None
    except OSError as reason:
        failure = refused_by_system(
            reason, f"correct that, then: sslcli resume {shell_path(run.folder)}"
        )
        _record_end(run, "failed", failure)
        raise failure from reason
    except (MemoryError, RuntimeError) as reason:
        if not is_out_of_memory(reason):
            _record_end(run, "failed", reason)
            raise
        smaller = "use a smaller batch_size or method.chunk_size, or free memory"
        message = f"memory ran out: {first_line(reason)}"
        failure = RunFailed(message, f"{smaller}; then: sslcli resume {shell_path(run.folder)}")
        _record_end(run, "failed", failure)
        raise failure from reason
    except BaseException as reason:
        _record_end(run, "refused" if _is_refusal(reason, run) else "failed", reason)
        raise


def _is_refusal(reason: BaseException, run: Run) -> bool:
    """Tells whether the run was asked for what cannot be done, and has nothing to go on from."""
    asked = isinstance(reason, SslcliError) and reason.exit_code == SslcliError.exit_code
    return asked and not newest_record(run.folder)


def _record_end(run: Run, status: str, reason: BaseException) -> None:
    """Records the run's end; a full disk may refuse, then the run reads as `died`."""
    with contextlib.suppress(OSError):
        if run.facts["status"] != "finished":  # an error after that does not undo it
            run.update(status=status, error=str(reason))


def refused_by_system(reason: OSError, fix: str) -> RunFailed:
    """Returns the system's refusal, such as a full disk, as an error with a fix."""
    where = f": {reason.filename}" if reason.filename else ""
    return RunFailed(f"{reason.strerror or reason}{where}", fix)
