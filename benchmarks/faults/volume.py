"""A small separate file system for the platform's home.

It can be filled without harm to the machine.
"""

import contextlib
import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

FREE_AT_LEAST = 4096


# Folder of root's databases, outside the home (mekiki.embedded.places).
DATABASES = Path("/var/lib/mekiki")
INSIDE = "CHAOS_HAS_OWN_MOUNTS"


def enter_own_mounts() -> None:
    """Start this program again with mounts that no other process sees.

    Does nothing without root or without the program `unshare`.
    """
    if os.geteuid() == 0 and not os.environ.get(INSIDE) and shutil.which("unshare"):
        os.environ[INSIDE] = "1"
        os.execvp("unshare", ["unshare", "--mount", "--propagation", "private", sys.executable, *sys.argv])


class Volume:
    """A tmpfs of `megabytes` mounted on `place`, which also holds root's databases.

    `mounted` is False if this user may not mount one.
    """

    def __init__(self, place: Path, megabytes: int) -> None:
        self.place = place
        self.mounted = False
        self._covered: list[Path] = []
        place.mkdir(parents=True, exist_ok=True)
        if os.environ.get(INSIDE):
            options = f"size={megabytes}m,mode=0755"
            subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], check=True)
            for folder in (place / "databases", DATABASES):
                folder.mkdir(mode=0o755, parents=True, exist_ok=True)
            subprocess.run(["mount", "--bind", str(place / "databases"), str(DATABASES)], check=True)
            # Shared memory that killed processes leave behind is freed with these mounts.
            subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=1777", "tmpfs", "/dev/shm"], check=True)
            self.mounted = True

    @property
    def _filler(self) -> Path:
        return self.place / "filler"

    def fill(self) -> int:
        """Write until nothing more fits; return the bytes written."""
        written, block = 0, b"\0" * (1 << 20)
        with self._filler.open("wb", buffering=0) as file:
            while len(block) >= FREE_AT_LEAST:
                try:
                    written += file.write(block)
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    block = block[: len(block) // 2]
        return written

    def free(self) -> None:
        """Free the space again."""
        with contextlib.suppress(FileNotFoundError):
            self._filler.unlink()

    @contextlib.contextmanager
    def read_only(self, folder: Path) -> Iterator[None]:
        """Make a folder refuse writes, like a network disk that lost its write permission."""
        subprocess.run(["mount", "--bind", str(folder), str(folder)], check=True)
        try:
            subprocess.run(["mount", "-o", "remount,bind,ro", str(folder)], check=True)
            yield
        finally:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)

    def cover(self, folder: Path) -> Path:
        """Mount a copy of a folder over it, for this run only; return the copy, which may be changed."""
        copy = self.place.parent / f"{folder.name}-copy"
        shutil.copytree(folder, copy, symlinks=True)
        subprocess.run(["mount", "--bind", str(copy), str(folder)], check=True)
        self._covered.append(folder)
        return copy

    def close(self) -> None:
        """Unmount the file system; its content is lost."""
        self.free()
        if self.mounted:
            for place in (*self._covered, "/dev/shm", DATABASES, self.place):
                subprocess.run(["umount", "--lazy", str(place)], check=False, capture_output=True)
