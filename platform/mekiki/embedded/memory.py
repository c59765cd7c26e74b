"""The number of processes that the kernel killed for lack of memory."""

import contextlib
from pathlib import Path

COUNTERS = (
    (Path("/sys/fs/cgroup/memory.events"), "oom_kill"),  # this container (cgroup v2)
    (Path("/sys/fs/cgroup/memory/memory.oom_control"), "oom_kill"),  # this container (cgroup v1)
    (Path("/proc/vmstat"), "oom_kill"),  # the whole machine
)


def out_of_memory_kills() -> int | None:
    """Return the number of processes killed for lack of memory since the machine started.

    Returns None on a system that does not count them.
    """
    kills = [count for file, name in COUNTERS if (count := _count(file, name)) is not None]
    return max(kills) if kills else None


def _count(file: Path, name: str) -> int | None:
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in file.read_text().splitlines():
            if line.split()[0] == name:
                return int(line.split()[1])
    return None
