"""The room that is kept for the database: given up on a full disk, made again when there is room."""

import time
from pathlib import Path

import pytest

from mekiki.config import disk
from mekiki.embedded.ballast import Ballast
from mekiki.embedded.process import Process
from mekiki.embedded.supervisor import Supervisor
from mekiki.embedded.supervisor.child import Child
from tests.small_disk import fill, mounted, room

MB = 1024 * 1024


def test_the_ballast_is_given_up_in_need_and_made_again(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", 16) as folder:
        ballast = Ballast(folder, 8 * MB)
        assert ballast.look() == "made"
        assert ballast.path.stat().st_blocks * 512 == 2 * MB
        assert ballast.look() == ""
        filler = fill(folder, leave=MB)
        assert ballast.look() == ""
        filler.unlink()
        filler = fill(folder)
        assert ballast.look() == "given up"
        assert room(folder) == 2 * MB
        # Not made again before the reserve is free beside it.
        assert ballast.look() == ""
        filler.unlink()
        filler = fill(folder, leave=9 * MB)
        assert ballast.look() == ""
        filler.unlink()
        assert ballast.look() == "made"


def test_the_supervisor_says_what_is_short_and_starts_who_waited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mounted(tmp_path / "disk", 16) as folder:
        monkeypatch.setenv("MEKIKI_HOME", str(folder / "home"))
        monkeypatch.setenv("MEKIKI_RESERVE_MB", "8")
        supervisor = Supervisor(home=folder / "home", host="127.0.0.1", port=0)
        supervisor._ballast = Ballast(folder, 8 * MB)
        worker = Child("worker", Process("worker", ["false"], log=folder / "log", pid_file=folder / "pid"))
        supervisor.running.append(worker)
        for _ in range(8):
            worker.ended()
        assert worker.due > time.monotonic() + 20
        supervisor._look_at_disk()
        filler = fill(folder)
        supervisor._look_at_disk()
        assert not supervisor._ballast.path.exists()
        filler.unlink()
        supervisor._look_at_disk()
        assert worker.due <= time.monotonic()
        said = (folder / "home" / "logs" / "mekiki.log").read_text()
        for words in ("was released", "less than 8 MB is free", "There is free space on the disk again"):
            assert words in said
    # A disk that is gone stops nobody either: it is reported.
    monkeypatch.setattr("os.statvfs", lambda folder: (_ for _ in ()).throw(OSError(116, "Stale file handle")))
    supervisor._look_at_disk()
    assert supervisor._shortage == disk.READ_ONLY


def test_a_disk_too_small_for_the_reserve_has_none(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", 4) as folder:
        ballast = Ballast(folder, 1024 * MB)
        assert ballast.look() == ""
        assert list(folder.iterdir()) == []
