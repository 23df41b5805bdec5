"""Stands before what operating systems do differently. Imports no torch.

What Windows has not (fcntl, resource, SIGHUP, os.pread, os.sysconf) is asked for here alone, and
has a stand-in. Tests make these things absent; Windows itself was not tried.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any


def _module(name: str) -> Any:
    """Returns a module of the standard library; None on systems without it."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


_fcntl, _resource = _module("fcntl"), _module("resource")

HANGUP: int | None = getattr(signal, "SIGHUP", None)
"""The signal of a closed terminal; None on systems without it."""
REQUEUE: int | None = getattr(signal, "SIGUSR1", None)
"""The signal by which a queue announces that a job's time is over; None without it."""
READ_ONLY = (
    os.O_RDONLY
    | getattr(os, "O_BINARY", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_CLOEXEC", 0)
)
"""Flags that open a file to be read as it is; a pipe in its place does not hang."""
_position = threading.Lock()


class HeldFile:
    """Takes a file's lock and holds it until `release`, or the process's end.

    `shared`: the file exists, and others may share its lock. Without, the file is made.
    """

    def __init__(self, path: Path, *, shared: bool = False) -> None:
        self._shared = shared
        self._file = path.open("rb" if shared else "ab")
        self._beside: Any = None
        if _fcntl is None:
            from filelock import FileLock

            self._beside = FileLock(f"{path}.held")

    def take(self) -> bool:
        """Tells whether it holds the lock now."""
        if self._beside is None:
            kind = _fcntl.LOCK_SH if self._shared else _fcntl.LOCK_EX
            try:
                _fcntl.flock(self._file, kind | _fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True
        with contextlib.suppress(TimeoutError):
            self._beside.acquire(blocking=False)
            return True
        return False

    def wait(self) -> None:
        """Waits until it holds the lock."""
        while not self.take():
            time.sleep(0.1)

    @property
    def changed(self) -> float:
        """Returns when the file was last touched, in seconds since 1970."""
        return os.fstat(self._file.fileno()).st_mtime

    def touch(self) -> None:
        os.utime(self._file.fileno() if os.utime in os.supports_fd else self._file.name)

    def release(self) -> None:
        self._file.close()
        if self._beside is not None:
            self._beside.release()


def user_number() -> int:
    """Returns the number by which files name their owner: 0 where they have none, on Windows."""
    return os.getuid() if hasattr(os, "getuid") else 0


def process_space() -> str | None:
    """Returns 8 hex digits of where a process's number means one process; None if unknown.

    That is one boot of a machine, and in it one container.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text()
        space = f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return None
    return hashlib.sha256(space.encode()).hexdigest()[:8]


def is_alive(process: int) -> bool:
    """Tells whether a process of this number exists; True where that cannot be told."""
    if _fcntl is None:  # on Windows signal 0 is Ctrl-C
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        return True
    return True


def give_way() -> None:
    """Gives a larger share of busy cores to other processes, where the system can do that."""
    if hasattr(os, "nice"):
        os.nice(max(0, 5 - os.nice(0)))


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kills a process that leads a session of its own, and what it has started there."""
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)  # type: ignore[attr-defined,unused-ignore]
    process.kill()


def sync_folder(folder: Path) -> None:
    """Brings a folder's entries onto the disk, where the system can do that."""
    if _fcntl is None:  # Windows opens no folder
        return
    directory = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def read_ahead(number: int, count: int, start: int) -> None:
    """Lets the system read a piece of an open file meanwhile, where it can."""
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(number, start, count, os.POSIX_FADV_WILLNEED)


def read_piece(number: int, count: int, start: int) -> bytes:
    """Returns up to `count` bytes of an open file from byte `start` on, from any thread."""
    if hasattr(os, "pread"):
        return os.pread(number, count, start)
    with _position:
        os.lseek(number, start, os.SEEK_SET)
        return os.read(number, count)


def write_at(number: int, content: bytes, start: int) -> None:
    """Writes into an open file from byte `start` on, from any thread."""
    if hasattr(os, "pwrite"):
        os.pwrite(number, content, start)
        return
    with _position:
        os.lseek(number, start, os.SEEK_SET)
        os.write(number, content)


def peak_memory_bytes() -> int | None:
    """Returns the most memory that this process has held; None where that is not known."""
    if _resource is None:
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return int(_resource.getrusage(_resource.RUSAGE_SELF).ru_maxrss) * unit


def memory_bytes() -> int | None:
    """Returns the machine's memory, or what a container may use of it; None: not known."""
    if not hasattr(os, "sysconf"):
        return None
    found = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with contextlib.suppress(OSError, ValueError):  # no container, or it says "max"
        found = min(found, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return found


def busy_seconds() -> float | None:
    """Returns how long the cores that this process may use were busy since boot, if known."""
    try:
        lines = Path("/proc/stat").read_text().splitlines()
    except OSError:
        return None
    cores = {f"cpu{core}" for core in os.sched_getaffinity(0)}
    ticks = 0
    for name, *values in (line.split() for line in lines if line.startswith("cpu")):
        if name in cores:
            user, nice, system, _idle, _iowait, irq, softirq = map(int, values[:7])
            ticks += user + nice + system + irq + softirq
    return ticks / os.sysconf("SC_CLK_TCK")
