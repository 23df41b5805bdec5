"""Runs a task and prints its error, as the only module that prints errors."""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Callable

from sslcli.errors import Interrupted, SslcliError
from sslcli.processes import launched_rank

RANK0_REPORTS_WITHIN = 5.0
"""Seconds in which rank 0 prints an error of all ranks, and the launcher ends the others."""


def guarded(task: Callable[[], int], debug: bool) -> int:
    """Returns the task's exit status; prints an SslcliError in two lines."""
    try:
        status = task()
        sys.stdout.flush()  # a pipe that was closed is answered below, not at the very end
        return status
    except SslcliError as error:
        from sslcli.console import Console

        if debug:
            traceback.print_exc()
        if not _rank0_reports(error):
            Console().error(error)
        return error.exit_code
    except BrokenPipeError:  # the reader of the pipe has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as reason:
        from sslcli.console import Console

        if debug:
            traceback.print_exc()
        where = f": {reason.filename}" if reason.filename else ""
        fix = (
            "check the path, its permissions and the space left; debug=true tells where it happened"
        )
        Console().error(SslcliError(f"{reason.strerror or reason}{where}", fix))
        return 1
    except KeyboardInterrupt:
        print("\nstopped by Ctrl-C", file=sys.stderr)
        return 130


def _rank0_reports(error: SslcliError) -> bool:
    """Tells whether rank 0 prints this error, so that this rank does not.

    If all ranks raise the same user error, rank 0 prints it, and the launcher ends the other ranks
    while they wait here. If they are still alive afterwards, rank 0 did not raise it, and they
    print it. All ranks are interrupted together, so of an interruption rank 0 alone reports.
    """
    if launched_rank() > 0 and type(error) is SslcliError:
        time.sleep(RANK0_REPORTS_WITHIN)
    return launched_rank() > 0 and isinstance(error, Interrupted)
