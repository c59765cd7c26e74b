"""The room that is kept for the database: given up on a full disk, made again when there is room."""

from pathlib import Path

from mekiki.embedded.ballast import Ballast
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


def test_a_disk_too_small_for_the_reserve_has_none(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", 4) as folder:
        ballast = Ballast(folder, 1024 * MB)
        assert ballast.look() == ""
        assert list(folder.iterdir()) == []
