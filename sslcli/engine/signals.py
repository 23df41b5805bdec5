"""Turns Ctrl-C, SIGTERM, SIGHUP and SIGUSR1 into requests to stop a run.

SIGHUP means a closed terminal; SIGUSR1, from a queue, that the job's time is over. The loop answers
the requests between two steps.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType

from sslcli.errors import Interrupted
from sslcli.system import HANGUP, REQUEUE

FROM_OUTSIDE = tuple(number for number in (signal.SIGTERM, HANGUP, REQUEUE) if number is not None)
"""Signals by which the system or a queue asks a program to stop."""


@dataclass
class StopRequest:
    """Holds the number of the first signal that came, or None."""

    signal_number: int | None = None


@contextlib.contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Notes the first signal; a second one raises KeyboardInterrupt.

    SIGHUP may come twice for one terminal: from the system, and from a write that it refused.
    """
    request = StopRequest()

    def note(number: int) -> None:
        if request.signal_number is None:
            request.signal_number = number
        elif number != HANGUP:
            raise KeyboardInterrupt

    with _handled((signal.SIGINT, *FROM_OUTSIDE), note):
        yield request


@contextlib.contextmanager
def interrupted_by_signals(fix: str) -> Iterator[None]:
    """Makes signals from outside raise Interrupted, as Ctrl-C raises KeyboardInterrupt."""

    def interrupt(number: int) -> None:
        raise _Came(number)

    try:
        with _handled(FROM_OUTSIDE, interrupt):
            yield
    except _Came as came:
        message = f"stopped by signal {came.number}"
        raise Interrupted(message, fix, came.number) from None


class _Came(KeyboardInterrupt):
    """Carries a signal out of the code that it came in.

    No `except Exception` there, such as that around a picture's decoder, may take it for a fault.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@contextlib.contextmanager
def _handled(numbers: tuple[int, ...], handle: Callable[[int], None]) -> Iterator[None]:
    """Makes signals call `handle` inside the context, in the main thread alone."""
    if threading.current_thread() is not threading.main_thread():
        yield  # other threads cannot catch signals
        return
    terminals = [descriptor for descriptor in (0, 1, 2) if os.isatty(descriptor)]

    def on_signal(number: int, _: FrameType | None) -> None:
        _replace_closed(terminals)
        handle(number)

    # An ignored SIGHUP, as under nohup, stays ignored.
    ignored = HANGUP is not None and signal.getsignal(HANGUP) is signal.SIG_IGN
    caught = [number for number in numbers if not (number == HANGUP and ignored)]
    before = {number: signal.signal(number, on_signal) for number in caught}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _replace_closed(terminals: list[int]) -> None:
    """Redirects closed terminals to /dev/null; printing there would prevent saving."""
    for descriptor in terminals:
        if not os.isatty(descriptor):
            nowhere = os.open(os.devnull, os.O_RDWR)
            os.dup2(nowhere, descriptor)
            os.close(nowhere)
