"""One child process of a home: its process group, its log, and an end without leftovers.

A child dies with its parent (PR_SET_PDEATHSIG on Linux). A process that survives its parent (a grandchild, a
server that ends slowly) is recognised at the next start by its pid file. The pid file holds process id and
time of birth, so that a reused process id is never mistaken for our process (leftovers.py).
"""

import contextlib
import ctypes
import os
import pwd
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import psutil

from mekiki.embedded.small_files import write_small

PR_SET_PDEATHSIG = 1
LOG_BYTES = 10 * 1024 * 1024
# Loaded before any fork, because nothing may be imported between fork and exec.
LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


@dataclass(frozen=True)
class Account:
    """The system user a process runs as."""

    name: str
    uid: int
    gid: int

    @classmethod
    def current(cls) -> "Account":
        """Return the user of this process.

        The user id may have no name, as in some containers.
        """
        return cls.of(os.geteuid(), os.getegid())

    @classmethod
    def of(cls, uid: int, gid: int) -> "Account":
        """Return the account of a user id."""
        try:
            return cls(pwd.getpwuid(uid).pw_name, uid, gid)
        except KeyError:
            return cls(str(uid), uid, gid)

    def popen_arguments(self) -> dict[str, object]:
        """Return the arguments that subprocess needs to run as this user.

        They are empty if this process already runs as this user.
        """
        if self.uid == os.geteuid():
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}


def process_group(death_signal: int, oom_score: int = 0, nice: int = 0) -> Callable[[], None]:
    """Return a preexec function that creates a process group and sets the signal for the parent's death.

    `oom_score` (0 to 1000): with a value above 0, the kernel kills this process before others when memory
    runs out. `nice` (0 to 19): with a higher value, the process gets less processor time beside others.
    """
    parent = os.getpid()
    score = str(oom_score).encode() if oom_score > 0 and sys.platform == "linux" else b""

    def prepare() -> None:
        os.setpgid(0, 0)
        if LIBC is not None:
            LIBC.prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
            if os.getppid() != parent:  # the parent died between fork and prctl
                os._exit(1)
        if nice:
            os.nice(nice)
        if score:
            with contextlib.suppress(OSError):
                handle = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
                os.write(handle, score)
                os.close(handle)

    return prepare


def rotate(log: Path, limit: int = LOG_BYTES) -> None:
    """Move a log larger than `limit` bytes to NAME.1, and keep the file that its writer has open.

    If the disk has no space for NAME.1, the content is discarded, so that a log never fills a disk.
    """
    with contextlib.suppress(OSError):
        if log.stat().st_size > limit:
            old = log.with_name(log.name + ".1")
            try:
                old.write_bytes(log.read_bytes())
            except OSError:
                old.unlink(missing_ok=True)
            os.truncate(log, 0)


def open_log(log: Path) -> BinaryIO:
    """Return the log, opened at its end.

    Returns the null device if the log cannot be created, on a full or read-only disk.
    """
    try:
        return log.open("ab")
    except OSError:
        return Path(os.devnull).open("ab")


def last_lines(log: Path, count: int = 12) -> list[str]:
    """Return the last lines of a log, for a message about the end of a process."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 16_384))
            return file.read().decode(errors="replace").splitlines()[-count:]
    except OSError:
        return []


class Process:
    """A child process with a log and a pid file.

    `command` and `env` are read at each start, so a caller may change them between starts. With `user` the
    child runs as that account, which only root can do. The child gets `death_signal` when this process dies,
    and `stop_signal` when `stop` is called.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        pid_file: Path,
        env: Mapping[str, str] | None = None,
        user: Account | None = None,
        cwd: Path | None = None,
        pass_fds: Sequence[int] = (),
        death_signal: int = signal.SIGTERM,
        stop_signal: int = signal.SIGTERM,
        stop_grace: float = 10.0,
        oom_score: int = 0,
        nice: int = 0,
    ) -> None:
        self.name, self.command, self.log, self.pid_file = name, list(command), log, pid_file
        self.env, self.user, self.cwd, self.pass_fds = env, user, cwd, tuple(pass_fds)
        self.death_signal, self.stop_signal, self.stop_grace = death_signal, stop_signal, stop_grace
        self.oom_score, self.nice = oom_score, nice
        self.child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Return the process id, or 0 if the process was never started."""
        return self.child.pid if self.child else 0

    @property
    def returncode(self) -> int | None:
        """Return the exit code, or None before the start and while the process runs."""
        return self.child.returncode if self.child else None

    def start(self) -> None:
        """Start the process. Raises OSError if the program cannot be run."""
        self.log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        rotate(self.log)
        with open_log(self.log) as log:
            self.child = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=None if self.env is None else dict(self.env),
                cwd=self.cwd,
                pass_fds=self.pass_fds,
                preexec_fn=process_group(self.death_signal, self.oom_score, self.nice),
                **(self.user.popen_arguments() if self.user else {}),  # type: ignore[call-overload]
            )
        write_pid_file(self.pid_file, self.child.pid)

    def alive(self) -> bool:
        """Return whether the process runs.

        After its end, the rest of its process group is killed, once.
        """
        if self.child is None or self.child.returncode is not None:
            return False
        # Check without reaping. The ids of a dead leader and of its group are not reused before the leader is
        # reaped, so the group can be killed safely.
        if os.waitid(os.P_PID, self.child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            return True
        self.send(signal.SIGKILL)
        self.child.wait()
        return False

    def send(self, number: int, *, leader_only: bool = False) -> None:
        """Send a signal to the process group, or to the leader alone."""
        if self.child is None or self.child.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(self.child.pid, number) if leader_only else os.killpg(self.child.pid, number)

    def wait(self, seconds: float) -> bool:
        """Wait for the end of the process, and return whether it has ended."""
        deadline = time.monotonic() + seconds
        while self.alive():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True

    def stop(self) -> bool:
        """Send `stop_signal` to the leader, and kill the group after `stop_grace` seconds.

        Returns True if the process ended without being killed.
        """
        self.send(self.stop_signal, leader_only=True)
        if self.wait(self.stop_grace):
            return True
        self.send(signal.SIGKILL)
        self.wait(5.0)
        return False


def start_time(pid: int) -> str:
    """Return the start time of a process, in a form that a change of the clock does not affect.

    Raises psutil.Error if there is no such process.
    """
    if sys.platform == "linux":
        try:
            boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
            # The command name in brackets may hold any character. starttime is the 22nd field, in clock ticks
            # since boot.
            ticks = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[19]
        except (OSError, IndexError):
            raise psutil.NoSuchProcess(pid) from None
        return f"{boot}/{ticks}"
    return f"{psutil.Process(pid).create_time():.2f}"


def write_pid_file(pid_file: Path, pid: int) -> None:
    """Write a pid file with process id and time of birth.

    On a disk without space the child runs without a pid file.
    """
    with contextlib.suppress(psutil.Error, OSError):
        pid_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_small(pid_file, f"{pid} {start_time(pid)}\n")


def read_pid_file(pid_file: Path) -> tuple[int, str]:
    """Return (process id, time of birth) of a pid file, or (0, "") if the file holds none."""
    try:
        number, born = pid_file.read_text().split()
        return int(number), born
    except (OSError, ValueError):
        return 0, ""


def process_of_pid_file(pid_file: Path) -> psutil.Process | None:
    """Return the process that a pid file names, if that process still runs."""
    number, born = read_pid_file(pid_file)
    try:
        if number <= 0 or start_time(number) != born:
            return None
        process = psutil.Process(number)
        return process if process.status() != psutil.STATUS_ZOMBIE else None
    except psutil.Error:
        return None
