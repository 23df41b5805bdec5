"""The only place that prints an error."""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Callable

from sslcli.errors import Interrupted, SslcliError
from sslcli.processes import rank_told

FIRST_TELLS = 5.0
"""Seconds in which the first of several processes says what is wrong, and whoever started them ends the others."""


def guarded(task: Callable[[], int], debug: bool) -> int:
    """The task's exit status; a user's mistake becomes two lines and its own status."""
    try:
        return task()
    except SslcliError as error:
        from sslcli.console import Console

        if debug:
            traceback.print_exc()
        if not _left_to_the_first(error):
            Console().error(error)
        return error.exit_code
    except BrokenPipeError:  # the reader of a pipe has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as reason:
        from sslcli.console import Console

        if debug:
            traceback.print_exc()
        where = f": {reason.filename}" if reason.filename else ""
        fix = "see to the path, its permissions and the space left; debug=true tells where it happened"
        Console().error(SslcliError(f"{reason.strerror or reason}{where}", fix))
        return 1
    except KeyboardInterrupt:
        print("\nstopped by Ctrl-C", file=sys.stderr)
        return 130


def _left_to_the_first(error: SslcliError) -> bool:
    """Whether this is another of several processes, and the first has the say: all were stopped.

    A mistake that each of them meets ends all of them while the first tells it, if the first met it too: this one gives it
    the time, and then tells it itself.
    """
    if rank_told() > 0 and type(error) is SslcliError:
        time.sleep(FIRST_TELLS)
    return rank_told() > 0 and isinstance(error, Interrupted)
