"""`sslcli resume RUN`: goes on with a run that was interrupted, died or failed, bit for bit."""

from __future__ import annotations

import argparse
from pathlib import Path

from sslcli.commands.arguments import add_outputs, parse
from sslcli.commands.execution import resume
from sslcli.commands.groups import groups
from sslcli.console import Console
from sslcli.engine.run import read_facts, resolve_run


def main(arguments: list[str], console: Console) -> int:
    parser = argparse.ArgumentParser(prog="sslcli resume", description=__doc__)
    parser.add_argument(
        "run", help="the run's folder, the beginning of its name, or `last`: the newest that is not finished"
    )
    add_outputs(parser)
    given = parse(parser, arguments)
    folder = resolve_run(
        given.run, Path(given.outputs), " to resume", lambda run: read_facts(run).get("status") != "finished"
    )
    chosen = read_facts(folder).get("choices", {})
    resume(folder, groups(str(choice) for choice in chosen.values()), console)
    return 0
