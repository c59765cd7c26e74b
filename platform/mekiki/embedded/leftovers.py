"""Processes that an earlier run left behind: they are identified by their pid files and ended."""

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
    """End the process that a pid file names, and return its process id, or 0 if no process was left.

    The process gets the signal `number`, and after `grace` seconds it is killed. Its descendants are ended
    too. With `home`, members of its process group are also ended, even if the process itself has ended, if
    they carry this home in their environment. Processes that are not ours are never touched.
    """
    pid, born = recorded(pid_file)
    leader = remembered(pid_file)
    family = {} if leader is None else {p.pid: p for p in [leader, *_descendants(leader)]}
    # If another process has this id now, its group may have this id too, and our group no longer exists.
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
    """Return whether no other process has this process id."""
    try:
        return birth(pid) == born
    except psutil.Error:
        return True


def _descendants(process: psutil.Process) -> list[psutil.Process]:
    with contextlib.suppress(psutil.Error):
        return process.children(recursive=True)
    return []


def _group(number: int, home: Path) -> list[psutil.Process]:
    """Return the members of a process group that work on this home."""
    members = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and os.getpgid(process.pid) == number and _works_on(process, home):
                members.append(process)
    return members


def _works_on(process: psutil.Process, home: Path) -> bool:
    return process.environ().get("MEKIKI_HOME") == str(home)


def _wait(processes: Iterable[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Return the processes that still run after at most `seconds` seconds.

    A process that ended but was not reaped counts as ended.
    """
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
