"""The disk space that is reserved for the database: released on a full disk, reserved again later."""

import time
from pathlib import Path

import pytest

from mekiki.config import disk
from mekiki.embedded.ballast import ReserveFile
from mekiki.embedded.process import Process
from mekiki.embedded.supervisor import Supervisor
from mekiki.embedded.supervisor.child import Child
from tests.small_disk import fill, mounted, room

MB = 1024 * 1024


def test_ballast_is_released_on_a_full_disk_and_reserved_again(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", 16) as folder:
        ballast = ReserveFile(folder, 8 * MB)
        assert ballast.adjust() == "made"
        assert ballast.path.stat().st_blocks * 512 == 2 * MB
        assert ballast.adjust() == ""
        filler = fill(folder, leave=MB)
        assert ballast.adjust() == ""
        filler.unlink()
        filler = fill(folder)
        assert ballast.adjust() == "given up"
        assert room(folder) == 2 * MB
        # It is not reserved again before the other reserve is free as well.
        assert ballast.adjust() == ""
        filler.unlink()
        filler = fill(folder, leave=9 * MB)
        assert ballast.adjust() == ""
        filler.unlink()
        assert ballast.adjust() == "made"


def test_supervisor_reports_the_full_disk_and_starts_waiting_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mounted(tmp_path / "disk", 16) as folder:
        monkeypatch.setenv("MEKIKI_HOME", str(folder / "home"))
        monkeypatch.setenv("MEKIKI_RESERVE_MB", "8")
        supervisor = Supervisor(home=folder / "home", host="127.0.0.1", port=0)
        supervisor._ballast = ReserveFile(folder, 8 * MB)
        worker = Child("worker", Process("worker", ["false"], log=folder / "log", pid_file=folder / "pid"))
        supervisor.running.append(worker)
        for _ in range(8):
            worker.ended()
        assert worker.next_start > time.monotonic() + 20
        supervisor._check_disk()
        filler = fill(folder)
        supervisor._check_disk()
        assert not supervisor._ballast.path.exists()
        filler.unlink()
        supervisor._check_disk()
        assert worker.next_start <= time.monotonic()
        log = (folder / "home" / "logs" / "mekiki.log").read_text()
        for message in ("was released", "less than 8 MB is free", "There is free space on the disk again"):
            assert message in log
    # A missing disk stops nothing. It is reported.
    monkeypatch.setattr("os.statvfs", lambda folder: (_ for _ in ()).throw(OSError(116, "Stale file handle")))
    supervisor._check_disk()
    assert supervisor._shortage == disk.READ_ONLY


def test_disk_too_small_for_the_reserve_gets_no_reserve_file(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", 4) as folder:
        ballast = ReserveFile(folder, 1024 * MB)
        assert ballast.adjust() == ""
        assert list(folder.iterdir()) == []
