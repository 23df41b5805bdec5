"""Edits the pictures that the arguments name. Imports torch only once they can be read."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sslcli.data.picture_file import read_picture
from sslcli.errors import SslcliError
from sslcli.files import expanded
from sslcli.tools.arguments import require_free
from sslcli.tools.edit.save import require_savable, save_frames, suffix_of, targets_of
from sslcli.tools.edit.wish import Form, Wish
from sslcli.tools.restore.pictures import Job, Naming, is_jpeg, plan_jobs, told
from sslcli.trained.able_runs import DECODES, resolve_able_run

if TYPE_CHECKING:
    from sslcli.console import Console
    from sslcli.tools.edit.editor import Edit


def edit_pictures(wish: Wish, given: argparse.Namespace, console: Console) -> int:
    """Returns 0 when every picture was edited, 1 when some were left out."""
    sources = [expanded(word) for word in given.pictures]
    jobs = _plan(sources, given.output, wish)
    targets = {job: targets_of(job, wish) for job in jobs}
    require_free([target for several in targets.values() for target in several], given.force)
    run = resolve_able_run(given.run, Path(given.outputs), DECODES)
    alone = len(sources) == 1 and not sources[0].is_dir()
    done = _edit_all(run, wish, given, targets, alone, console)
    return told(console, "edited", jobs, done, alone)


def _plan(sources: list[Path], output: str | None, wish: Wish) -> list[Job]:
    naming = Naming("edit", "edited", partial(suffix_of, wish.form))
    jobs = plan_jobs(sources, output if wish.form is not Form.pictures else None, naming)
    if wish.form is not Form.pictures or output is None:
        return jobs
    folder = expanded(output)
    if folder.exists() and not folder.is_dir():
        message = f"--output {folder} is a file, but needs to be a folder here"
        raise SslcliError(message, "name a folder")
    if len(jobs) == 1:
        return [Job(jobs[0].source, jobs[0].name, folder)]
    return [Job(job.source, job.name, folder / job.name.with_suffix("")) for job in jobs]


def _edit_all(
    run: Path,
    wish: Wish,
    given: argparse.Namespace,
    targets: dict[Job, list[Path]],
    alone: bool,
    console: Console,
) -> list[Path]:
    """Edits every picture; returns what was written for each that was not left out."""
    if any(wish.form is not Form.pictures and is_jpeg(job.target) for job in targets):
        console.warn("JPEG changes every pixel a little, a .png keeps those that are not edited")
    edit: Edit | None = None
    done: list[Path] = []
    jobs = targets if alone else console.track(targets, total=len(targets), label="editing")
    for job in jobs:
        try:
            picture = read_picture(job.source)
            require_savable(picture, targets[job], wish.form)
            if edit is None:  # now, because importing torch takes seconds
                from sslcli.tools.edit.editor import load_editor

                edit = load_editor(run, wish, given, console)
            edited = edit(picture)
        except SslcliError as error:
            if alone or edit is None:
                raise
            console.warn(f"left out: {job.source}: {error.message}")
            continue
        for note in picture.notes:
            console.warn(f"{job.source}: {note}")
        save_frames(picture, edited.frames, targets[job], wish.form)
        done.append(targets[job][0])
        if edited.seen is not None and alone:
            console.say(f"seen in its code: {edited.seen[0]} before, {edited.seen[1]} after")
    return done
