"""`sslcli report` writes one self-contained HTML page about a run or several."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from sslcli.errors import SslcliError
from sslcli.files import expanded, write_atomically
from sslcli.report.frame import written_about
from sslcli.report.html_page import ORIGIN, page, require_plotly
from sslcli.runs.find import resolve_run
from sslcli.runs.summary import Summary, summaries
from sslcli.tools.arguments import add_outputs, parse, require_free

if TYPE_CHECKING:
    from sslcli.console import Console

FILE = "report.html"


def main(arguments: list[str], console: Console) -> int:
    given = parse(_parser(), arguments)
    require_plotly()
    folder = _folder(given.run, expanded(given.outputs))
    target = expanded(given.output) if given.output else folder / FILE
    about = "/".join(folder.resolve().parts[-3:])
    require_free([target], given.force or _is_own(target, folder, about))

    from sslcli.tools.report.run_page import run_report
    from sslcli.tools.report.sweep_page import sweep_report

    title, parts = (
        run_report(Summary.of(folder))
        if _is_run(folder)
        else sweep_report(folder, summaries(folder))
    )
    content = page(about, title, parts)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(target, content)
    except OSError as reason:
        raise SslcliError(
            f"{target} cannot be written: {reason.strerror}",
            "--output FILE writes the report elsewhere",
        ) from None
    console.say(
        f"report: {target} ({len(content) / 1e6:.1f} MB; any browser opens it, without a network)"
    )
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sslcli report", description=__doc__)
    parser.add_argument(
        "run",
        metavar="RUN|SWEEP",
        help="the folder of a run or a sweep, the beginning of its name, or `last`; "
        "or any folder that holds runs",
    )
    parser.add_argument(
        "--output", metavar="FILE", help=f"the page (default: {FILE} in the folder itself)"
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="overwrite FILE, whatever it is; an older report of the same run needs no --force",
    )
    add_outputs(parser)
    return parser


def _folder(name: str, outputs: Path) -> Path:
    folder = expanded(name)
    if not folder.is_dir():
        from sslcli.jobs.sweep_results import find_sweep

        return find_sweep(name, outputs) or resolve_run(name, outputs)
    if not _is_run(folder) and not summaries(folder):
        raise SslcliError(
            f"there are no runs in {folder.absolute()}", "name a run, or a folder that holds runs"
        )
    return folder


def _is_run(folder: Path) -> bool:
    """Tells whether a folder is a run's; a damaged one may lack one of the files."""
    return (folder / "run.json").exists() or (folder / "config.yaml").exists()


def _is_own(target: Path, folder: Path, about: str) -> bool:
    """Tells whether the file is a report of the same run.

    It lies in the run's folder, which may have been moved, or it holds the last three folders of
    the run's path.
    """
    if not target.is_file():
        return False
    with target.open("rb") as file:
        written = written_about(file.read(10_000), ORIGIN)
    return written == about or (written is not None and target.parent.samefile(folder))
