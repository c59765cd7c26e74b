"""What an earlier run left running: found by its pid files, recognised beyond doubt, and ended."""

import contextlib
import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path

import psutil

from mekiki.embedded.process import birth, recorded, remembered


def end_leftover(
    pid_file: Path, *, number: int = signal.SIGTERM, grace: float = 5.0, home: Path | None = None
) -> int:
    """End the process a pid file of an earlier run names, and what belongs to it; its number, 0 when nothing was left.

    By the signal `number`, after `grace` seconds by force. With `home`, also what is left of its process group after
    its own end: members that carry this home in their environment. A process that is not ours is never touched.
    """
    pid, born = recorded(pid_file)
    leader = remembered(pid_file)
    family = {} if leader is None else {p.pid: p for p in [leader, *_descendants(leader)]}
    # While somebody else has the number, so may a group: ours is gone.
    if home is not None and pid and (leader is not None or _is_gone(pid, born)):
        family |= {p.pid: p for p in _group(pid, home)}
    pid_file.unlink(missing_ok=True)
    if not family:
        return 0
    for process in [leader] if leader else family.values():
        with contextlib.suppress(psutil.Error):
            process.send_signal(number)
    left = _wait(family.values(), grace)
    for process in left:
        with contextlib.suppress(psutil.Error):
            process.kill()
    _wait(left, 5.0)
    return pid


def _is_gone(pid: int, born: str) -> bool:
    """Is there no other process of this number?"""
    try:
        return birth(pid) == born
    except psutil.Error:
        return True


def _descendants(process: psutil.Process) -> list[psutil.Process]:
    with contextlib.suppress(psutil.Error):
        return process.children(recursive=True)
    return []


def _group(number: int, home: Path) -> list[psutil.Process]:
    """The members of a process group that work on this home."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and os.getpgid(process.pid) == number and _works_on(process, home):
                found.append(process)
    return found


def _works_on(process: psutil.Process, home: Path) -> bool:
    return process.environ().get("MEKIKI_HOME") == str(home)


def _wait(processes: Iterable[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Those that still run after at most so many seconds. One that ended and was not yet reaped has ended."""
    deadline = time.monotonic() + seconds
    left = list(processes)
    while left:
        left = [process for process in left if _runs(process)]
        if not left or time.monotonic() > deadline:
            break
        time.sleep(0.02)
    return left


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
