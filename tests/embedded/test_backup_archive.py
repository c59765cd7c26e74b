"""The file of a backup, valid, damaged and hostile, and what a restore does with it."""

import io
import json
import os
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mekiki.config.plain import UnusableFileError, UserError
from mekiki.embedded import identity, places
from mekiki.embedded.backup import archive, restoring
from mekiki.embedded.backup.restoring import restore
from mekiki.embedded.lock import AlreadyRunningError, HomeLock


@pytest.fixture
def use_embedded_servers(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Remove DATABASE_URL for the rest of the test."""
    return lambda: monkeypatch.delenv("DATABASE_URL")


def write_backup(path: Path, entries: dict[str, bytes] | None = None) -> Path:
    """Write a backup with these entries and a correct list of checksums."""
    entries = (
        {archive.HEADER: b"{}", archive.DUMP: b"dump", "files/a": b"A" * 700} if entries is None else entries
    )
    with path.open("w+b") as file:
        writer = archive.Writer(file)
        for name, data in entries.items():
            writer.add(name, io.BytesIO(data), len(data), lambda count: None)
        writer.finish()
    return path


def read_all(path: Path) -> dict[str, bytes]:
    contents = {}
    with path.open("rb") as file:
        for entry in archive.Reader(file).entries():
            contents[entry.name] = entry.content(1 << 20)
    return contents


def test_archive_is_read_by_us_and_by_other_programs(tmp_path: Path) -> None:
    entries = {
        archive.HEADER: b"{}",
        archive.DUMP: os.urandom(5000),
        "files/" + "/".join(["a-long-folder-name"] * 12): b"",
        "models/目利き/\\odd\nname": b"1" * 512,
    }
    path = write_backup(tmp_path / "b.tar", entries)
    assert read_all(path) == entries
    subprocess.run(["tar", "xf", str(path)], cwd=tmp_path, check=True)
    subprocess.run(["sha256sum", "--check", "--quiet", "--strict", archive.SUMS], cwd=tmp_path, check=True)


def test_file_that_changes_while_it_is_read_is_stored_as_read(tmp_path: Path) -> None:
    with (tmp_path / "b.tar").open("w+b") as file:
        writer = archive.Writer(file)
        writer.add(archive.HEADER, io.BytesIO(b"{}"), 2, lambda count: None)
        writer.add("files/grown", io.BytesIO(b"123456"), 3, lambda count: None)
        writer.add("files/shrunk", io.BytesIO(b"123"), 6000, lambda count: None)
        writer.add("files/unknown", io.BytesIO(b"x" * 1300), None, lambda count: None)
        writer.finish()
    contents = read_all(tmp_path / "b.tar")
    assert (contents["files/grown"], contents["files/shrunk"]) == (b"123", b"123")
    assert contents["files/unknown"] == b"x" * 1300


def test_any_changed_byte_and_any_truncation_is_reported(tmp_path: Path) -> None:
    good = write_backup(tmp_path / "good.tar").read_bytes()
    content = read_all(tmp_path / "good.tar")
    bad = tmp_path / "bad.tar"
    for cut in range(0, len(good) - 1024, 300):
        bad.write_bytes(good[:cut])
        with pytest.raises(archive.DamagedError):
            read_all(bad)
    for position in range(0, len(good), 37):
        changed = bytearray(good)
        changed[position] ^= 0x20
        bad.write_bytes(changed)
        try:
            assert read_all(bad) == content  # bytes of a header that have no meaning, or padding
        except archive.DamagedError:
            continue
        assert position % 512 >= 100 or good[position] == 0
    bad.write_bytes(good + b"more")
    with pytest.raises(archive.DamagedError):
        read_all(bad)


def write_archive(path: Path, *members: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as tar:
        header = tarfile.TarInfo(archive.HEADER)
        header.size = 2
        tar.addfile(header, io.BytesIO(b"{}"))
        for archive_member in members:
            tar.addfile(
                archive_member, io.BytesIO(b"x" * archive_member.size) if archive_member.isreg() else None
            )
    return path


def archive_member(name: str, **fields: Any) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size = 1 if fields.get("type", tarfile.REGTYPE) == tarfile.REGTYPE else 0
    for field, value in fields.items():
        setattr(info, field, value)
    return info


@pytest.mark.parametrize(
    "bad",
    [
        archive_member("../outside"),
        archive_member("/etc/passwd"),
        archive_member("files/../../outside"),
        archive_member("files/./a"),
        archive_member("files//a"),
        archive_member("files"),
        archive_member("run/supervisor.lock"),
        archive_member("postgres/data/pg_hba.conf"),
        archive_member("home.json"),
        archive_member("files/link", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
        archive_member("files/link", type=tarfile.LNKTYPE, linkname="/etc/passwd"),
        archive_member("files/pipe", type=tarfile.FIFOTYPE),
        archive_member("files/device", type=tarfile.CHRTYPE),
        archive_member("files/folder", type=tarfile.DIRTYPE),
        archive_member("files/sparse", type=tarfile.GNUTYPE_SPARSE),
        archive_member("files/" + "n" * 5000),
        archive_member("files/pax", pax_headers={"comment": "x"}, type=tarfile.XHDTYPE),
    ],
    ids=lambda info: info.name[:40],
)
def test_archive_with_paths_outside_the_home_is_refused(bad: tarfile.TarInfo, tmp_path: Path) -> None:
    path = write_archive(tmp_path / "hostile.tar", bad)
    with pytest.raises(archive.DamagedError):
        read_all(path)


@pytest.mark.parametrize("name", [archive.HEADER, archive.DUMP, "files/a"])
def test_archive_with_a_repeated_entry_is_refused(
    name: str, tmp_path: Path, use_embedded_servers: Callable[[], None]
) -> None:
    use_embedded_servers()
    with (tmp_path / "b.tar").open("w+b") as file:
        writer = archive.Writer(file)
        content = {archive.HEADER: header(), archive.DUMP: b"x", "files/a": b"a"}
        for entry in (*content, name):
            writer.add(entry, io.BytesIO(content[entry]), len(content[entry]), lambda count: None)
        writer.finish()
    with pytest.raises(archive.DamagedError, match="twice"):
        restore(tmp_path / "b.tar", tmp_path / "home")
    assert not (tmp_path / "home").exists()


def test_entry_larger_than_the_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.tar"
    huge = tarfile.TarInfo(archive.HEADER)
    huge.size = 1 << 60
    path.write_bytes(huge.tobuf(tarfile.GNU_FORMAT) + bytes(2048))
    with pytest.raises(archive.DamagedError):
        read_all(path)


@pytest.mark.parametrize(
    "content",
    [b"", b"x", os.urandom(5000), bytes(20_000), b"PK\x03\x04" + bytes(600)],
    ids=["empty", "byte", "noise", "zeros", "zip"],
)
def test_file_that_is_not_a_backup_is_refused_and_leaves_nothing(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(archive.DamagedError, match="Nothing of it was kept"):
        restore(tmp_path / "file", tmp_path / "home")
    assert not (tmp_path / "home").exists()


def header(**changes: Any) -> bytes:
    database = {"bytes": 1, "migrations": [], "counts": {}, "server": "18"}
    return json.dumps(
        {"format": 1, "made_at": "", "folders": ["files"], "database": database, **changes}
    ).encode()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[]", "description"),
        (b"[" * 100_000, "description"),
        (b"\xff", "description"),
        (header(database=None), "description"),
        (header(format=2), "newer version"),
        (
            header(database={"bytes": 1, "counts": {}, "migrations": [["review", "9999_later"]]}),
            "newer version",
        ),
        (
            header(database={"bytes": 1, "counts": {}, "migrations": [["review", "0001_initial"]]}),
            "28d86b52",
        ),
        (header(database={"bytes": 10**18, "counts": {}, "migrations": []}), "MB left"),
    ],
    ids=["list", "deep", "bytes", "fields", "format", "migration", "old", "space"],
)
def test_unsupported_backup_is_refused_before_anything_is_written(
    content: bytes, message: str, tmp_path: Path, use_embedded_servers: Callable[[], None]
) -> None:
    use_embedded_servers()
    file = write_backup(tmp_path / "b.tar", {archive.HEADER: content, archive.DUMP: b"x"})
    with pytest.raises(UserError, match=message):
        restore(file, tmp_path / "home")
    assert not (tmp_path / "home").exists()


def test_invalid_dump_leaves_no_home(tmp_path: Path, use_embedded_servers: Callable[[], None]) -> None:
    use_embedded_servers()
    file = write_backup(tmp_path / "b.tar", {archive.HEADER: header(), archive.DUMP: b"x", "files/a": b"a"})
    with pytest.raises(UserError, match="pg_restore failed"):
        restore(file, tmp_path / "home")
    assert not (tmp_path / "home").exists()
    owners = [file.read_text() for place in places.SHARED_PLACES for file in place.glob("*/belongs-to")]
    assert not any(str(tmp_path) in owner for owner in owners)


def test_restore_does_not_change_a_folder_that_is_not_empty(tmp_path: Path) -> None:
    file = write_backup(tmp_path / "b.tar", {archive.HEADER: header(), archive.DUMP: b"x"})
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    with pytest.raises(UnusableFileError, match="not empty"):
        restore(file, tmp_path / "full")
    with pytest.raises(UnusableFileError, match="no folder"):
        restore(file, file)
    assert (tmp_path / "full" / "mine.txt").read_text() == "mine"


def test_second_restore_keeps_the_files_of_a_running_restore(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "files").mkdir(parents=True)
    (home / "files" / "a").write_bytes(b"restored by the first")
    (home / identity.RESTORING).touch()
    backup = write_backup(tmp_path / "b.tar", {archive.HEADER: header(), archive.DUMP: b"", "files/a": b"2"})
    with HomeLock(home), pytest.raises(AlreadyRunningError):
        restore(backup, home)
    assert (home / "files" / "a").read_bytes() == b"restored by the first"
    assert (home / identity.RESTORING).exists()


def test_restore_keeps_a_home_that_was_filled_while_it_waited(
    tmp_path: Path, use_embedded_servers: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    use_embedded_servers()
    home = tmp_path / "home"

    def fill_then_lock(folder: Path) -> HomeLock:
        identity.write(folder, identity.Identity.of(folder, identity.new_id()))
        (folder / "files").mkdir()
        return HomeLock(folder)

    monkeypatch.setattr(restoring, "HomeLock", fill_then_lock)
    backup = write_backup(tmp_path / "b.tar", {archive.HEADER: header(), archive.DUMP: b""})
    with pytest.raises(UnusableFileError, match="not empty"):
        restore(backup, home)
    assert (home / "files").is_dir() and identity.read(home) is not None


def test_named_pipe_is_refused_as_a_backup(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "b.tar")
    with pytest.raises(UnusableFileError):
        restore(tmp_path / "b.tar", tmp_path / "home")
    assert not (tmp_path / "home").exists()
