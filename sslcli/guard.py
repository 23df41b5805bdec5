"""The only place that prints an error."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable

from sslcli.errors import SslcliError


def guarded(task: Callable[[], int], debug: bool) -> int:
    """The task's exit status; a user's mistake becomes two lines and its own status."""
    try:
        return task()
    except SslcliError as error:
        from sslcli.console import Console

        if debug:
            traceback.print_exc()
        if type(error) is not SslcliError or os.environ.get("RANK", "0") == "0":  # of torchrun's processes one says it
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
