"""A memory limit that the kernel enforces by killing a process, as on a machine without free memory."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

# folder of the groups, file of the limit, file that counts the kills (cgroup v1, v2)
HIERARCHIES = (
    (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes", "memory.oom_control"),
    (Path("/sys/fs/cgroup"), "memory.max", "memory.events"),
)


@dataclass(frozen=True)
class MemoryLimit:
    """A control group with a memory limit. Processes join it by `join`."""

    folder: Path
    counter: str

    def join(self) -> None:
        """Put this process into the group. Used as `preexec_fn`."""
        (self.folder / "cgroup.procs").write_text(str(os.getpid()))

    def kills(self) -> int:
        """Return how many of its processes the kernel has killed because of the limit."""
        lines = (self.folder / self.counter).read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.split()[0] == "oom_kill")


@contextmanager
def limited(megabytes: int) -> Iterator[MemoryLimit]:
    """Create a group with this limit, or skip the test if this user or kernel cannot create one."""
    for parent, bound, counter in HIERARCHIES:
        folder = parent / f"mekiki-test-{os.getpid()}"
        try:
            folder.mkdir()
        except OSError:
            continue
        try:
            (folder / bound).write_text(str(megabytes << 20))
            limit = MemoryLimit(folder, counter)
            limit.kills()
        except (OSError, StopIteration):
            folder.rmdir()
            continue
        try:
            yield limit
        finally:
            folder.rmdir()
        return
    pytest.skip(
        "No control group with a bound on memory can be made here (it needs root and a writable cgroup)."
    )
