"""Inspects a data set, and tells what was found: as text, as JSON, as a page."""

from __future__ import annotations

import argparse
import json
import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from sslcli.data.parts import is_ignored
from sslcli.data.picture_names import is_deep_picture, is_picture
from sslcli.errors import SslcliError, require
from sslcli.files import expanded, write_atomically
from sslcli.tools.inspect.advice import advise
from sslcli.tools.inspect.as_text import show
from sslcli.tools.inspect.as_values import values
from sslcli.tools.inspect.catalogue import catalogue_of
from sslcli.tools.inspect.checks import CHECKS
from sslcli.tools.inspect.copies import find_copies
from sslcli.tools.inspect.findings import Seen, in_order
from sslcli.tools.inspect.pictures import Catalogue
from sslcli.tools.inspect.summary import summary_of
from sslcli.tools.inspect.survey import survey_of
from sslcli.tools.inspect.words import Asked, understand

if TYPE_CHECKING:
    from sslcli.console import Console
    from sslcli.tools.table import Compose

TABLES_BESIDE = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet", ".txt", ".json", ".md")
"""Endings of files that describe pictures, and are none."""


def inspect(given: argparse.Namespace, console: Console, compose: Compose) -> None:
    require(given.at_most > 0, "--at-most", given.at_most, "positive", "leave it out")
    workers = given.workers
    require(workers is None or workers > 0, "--workers", workers, "positive", "leave it out")
    asked = understand(given.words, compose)
    target = None if given.to is None else expanded(given.to)
    file = None if given.json in (None, "-") else expanded(given.json)
    _require_new(target, file)
    seen = look(asked, given.at_most, workers, console)
    found = in_order(seen, CHECKS)
    if given.json is not None:
        text = json.dumps(values(asked, seen, found), indent=2, allow_nan=False)
        if file is None:
            print(text)
        else:
            write_atomically(file, f"{text}\n".encode())
    if given.json != "-":
        show(asked, seen, found, console)
    if target is not None:
        from sslcli.tools.inspect.page import write_page  # draws

        page = write_page(target, asked, seen, found)
        if given.json != "-":
            console.say(f"page: {page} (any browser opens it, without a network)")


def look(asked: Asked, at_most: int, workers: int | None, console: Console) -> Seen:
    """Looks at the pictures, and gathers all that findings are made of."""
    catalogue = catalogue_of(asked.config, console.track)
    survey = survey_of(catalogue, at_most, workers, console.track)
    summary = summary_of(catalogue, survey)
    copies = find_copies(survey)
    advice = advise(asked, catalogue, summary, copies)
    others = other_files(catalogue)
    return Seen(catalogue, survey, summary, copies, advice, asked.config, others)


def _require_new(target: Path | None, file: Path | None) -> None:
    """Raises SslcliError where something would be overwritten, before anything slow."""
    if target is not None and target.exists() and (not target.is_dir() or any(target.iterdir())):
        what = "is a folder with files in it" if target.is_dir() else "is a file"
        raise SslcliError(f"--to {target} {what}, and nothing is overwritten", "name a new folder")
    if file is not None and file.exists():
        raise SslcliError(f"--json {file} exists, and nothing is overwritten", "name a new file")
    if file is not None and not file.absolute().parent.is_dir():
        raise SslcliError(f"--json {file}: its folder does not exist", "name one that does")


def other_files(catalogue: Catalogue) -> dict[str, int]:
    """Counts files beside the pictures that nothing reads, by their ending.

    Those that are left out for their kind (.npy beside PNG) are in the catalogue's notes.
    """
    found: Counter[str] = Counter()
    if catalogue.root is None:
        return {}
    for _, folders, names in os.walk(catalogue.root):
        folders[:] = [name for name in folders if not is_ignored(name)]
        for name in names:
            ending = Path(name).suffix.lower()
            known = is_picture(name) or is_deep_picture(name) or ending in TABLES_BESIDE
            if not known and not is_ignored(name):
                found[ending or "without an ending"] += 1
    return dict(found)
