"""A copied or moved home: real copies by `cp -a`, of a running and of a stopped home."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from mekiki.config.plain import UserError
from mekiki.embedded import endpoints, identity, places
from mekiki.embedded.lock import HomeLock
from mekiki.embedded.roles import connecting
from mekiki.embedded.supervisor import Platform, PlatformError
from tests.embedded.conftest import EMBEDDED

NewPlatform = Callable[..., Platform]


def copy(source: Path, target: Path) -> Path:
    subprocess.run(["cp", "-a", str(source), str(target)], check=True)
    return target


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """Create a home that was used, with a database outside it when root runs the tests."""
    folder = tmp_path / "工場 A"
    folder.mkdir(mode=0o700)
    for name in ("run", "logs"):
        (folder / name).mkdir()
    real, _account = places.database_folder(folder / "postgres")
    (real / "data").mkdir()
    identity.check_identity(folder)
    yield folder
    for left in tmp_path.iterdir():
        if left.is_dir():
            places.delete_database(left / "postgres")


def test_a_copy_is_refused_while_the_original_exists_and_nothing_changes(home: Path, tmp_path: Path) -> None:
    twin = copy(home, tmp_path / "copy")
    before = sorted((p.name, p.lstat().st_mtime_ns) for p in twin.rglob("*"))
    with pytest.raises(identity.CopiedHomeError) as refused:
        identity.check_identity(twin)
    assert str(home) in str(refused.value)
    assert "mekiki backup" in str(refused.value)
    assert "mekiki restore" in str(refused.value)
    assert sorted((p.name, p.lstat().st_mtime_ns) for p in twin.rglob("*")) == before
    assert identity.check_identity(home) is None


def test_a_copy_of_a_copy_and_a_copy_reached_through_a_link_are_refused(home: Path, tmp_path: Path) -> None:
    second = copy(copy(home, tmp_path / "copy"), tmp_path / "second")
    (tmp_path / "link").symlink_to(second)
    for folder in (second, (tmp_path / "link").resolve()):
        with pytest.raises(identity.CopiedHomeError):
            identity.check_identity(folder)


@pytest.mark.parametrize("text", ["", "half {", "[1, 2]", "3", '{"pid": 7}', '"\\ud800"', "null"])
def test_a_lock_file_with_other_contents_still_names_its_home(home: Path, text: str) -> None:
    with HomeLock(home) as lock:
        lock.path.write_text(text)
        with pytest.raises(UserError, match="already runs") as refused, HomeLock(home):
            pass
    assert str(home) in str(refused.value)


def test_the_same_home_through_a_link_is_the_same_home(home: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(home)
    assert identity.check_identity(tmp_path / "link") is None
    assert identity.check_identity(home) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_the_same_home_through_a_bind_mount_is_the_same_home(home: Path, tmp_path: Path) -> None:
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    done = subprocess.run(["mount", "--bind", str(home), str(mounted)], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("this machine allows no mounts")
    try:
        assert identity.check_identity(mounted) is None
        assert identity.check_identity(home) is None
        with HomeLock(home), pytest.raises(UserError, match="already runs"), HomeLock(mounted):
            pass
    finally:
        subprocess.run(["umount", str(mounted)], check=True)


def test_moved_home_starts_with_one_message(home: Path, tmp_path: Path) -> None:
    moved = home.rename(tmp_path / "renamed")
    message = identity.check_identity(moved)
    assert message is not None
    assert str(home) in message
    assert identity.check_identity(moved) is None
    # By copying and deleting, as to another disk.
    copied = copy(moved, tmp_path / "copied")
    shutil.rmtree(moved)
    (copied / "run" / "web.pid").write_text(f"{os.getpid()} 0\n")
    message = identity.check_identity(copied)
    assert message is not None
    assert str(moved) in message
    # The notes about processes belong to the original folder.
    assert not list((copied / "run").glob("*.pid"))
    if os.geteuid() == 0:
        assert places.database_owner(copied / "postgres") == copied / "postgres"


def test_copy_of_a_running_home_is_recognised(home: Path, tmp_path: Path) -> None:
    if (home / "postgres").is_symlink():  # as for an ordinary user, whose database lies inside the home
        places.delete_database(home / "postgres")
        (home / "postgres" / "data").mkdir(parents=True)
    (home / "postgres" / "data" / "postmaster.pid").write_text("1\n/elsewhere\n")
    copied = copy(home, tmp_path / "copied")
    shutil.rmtree(home)
    message = identity.check_identity(copied)
    assert message is not None
    assert "while its database was running" in message


def test_the_original_put_back_in_place_of_a_copy_is_refused(home: Path, tmp_path: Path) -> None:
    """The copy has the path of the original. As root, both would open one database."""
    twin = copy(home, tmp_path / "copy")
    away = home.rename(tmp_path / "away")
    twin.rename(home)
    assert identity.check_identity(home) is None
    with pytest.raises(identity.CopiedHomeError):
        identity.check_identity(away)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root keeps the database outside the home")
def test_a_copied_home_of_an_older_version_is_known_by_its_database(home: Path, tmp_path: Path) -> None:
    (home / identity.FILE).unlink()
    twin = copy(home, tmp_path / "copy")
    with pytest.raises(identity.CopiedHomeError, match="is a copy"):
        identity.check_identity(twin)
    shutil.rmtree(home)
    identity.check_identity(twin)
    assert places.database_owner(twin / "postgres") == twin / "postgres"


def test_damaged_or_hostile_note_does_not_prevent_the_start(home: Path) -> None:
    for content in ("", "[]", "{}", "null", '{"id": 1, "path": 2, "device": 3, "inode": 4}', "\0" * 9):
        (home / identity.FILE).write_text(content)
        assert identity.check_identity(home) is None
        assert json.loads((home / identity.FILE).read_text())["path"] == str(home)


def as_another_user(act: Callable[[], object], user: str = "nobody") -> str:
    """Return the output of a command of another user.

    The process is forked, with all modules loaded.
    """
    import pwd

    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        message = "done"
        try:
            entry = pwd.getpwnam(user)
            os.setgroups([])
            os.setgid(entry.pw_gid)
            os.setuid(entry.pw_uid)
            act()
        except UserError as problem:
            message = str(problem)
        except BaseException as problem:
            message = f"CRASH {problem!r}"
        os.write(writer, message.encode(errors="replace"))
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        message = pipe.read().decode()
    os.waitpid(child, 0)
    return message


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")
def test_another_user_gets_the_name_of_the_owner(home: Path, tmp_path: Path) -> None:
    def take() -> None:
        with HomeLock(home):
            pass

    # Parallel test runs add their own folder to the path.
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.geteuid() and folder.is_relative_to(
            Path(tempfile.gettempdir()) / "pytest-of-root"
        ):
            folder.chmod(0o755)
    home.chmod(0o755)
    message = as_another_user(take)
    assert str(home) in message
    assert "root" in message
    assert "MEKIKI_HOME" in message
    # A copy whose original no longer exists.
    twin = copy(home, tmp_path / "theirs")
    if (twin / "postgres").is_symlink():
        (twin / "postgres").unlink()
    subprocess.run(["chown", "-R", "nobody", str(twin)], check=True)
    home.chmod(0o700)
    message = as_another_user(lambda: identity.check_identity(twin))
    assert str(home) in message
    assert "cannot be seen" in message


def test_addresses_in_a_copied_home_are_not_used(home: Path, tmp_path: Path) -> None:
    with HomeLock(home):
        endpoints.write(
            home, endpoints.Endpoints("postgresql://original/", "redis://original", "", os.getpid())
        )
        twin = copy(home, tmp_path / "copy")
        assert endpoints.read(home).database_url == "postgresql://original/"
        assert endpoints.read(twin) == endpoints.Endpoints()
    assert endpoints.read(home) == endpoints.Endpoints()


@pytest.mark.slow
def test_a_copy_of_a_running_home_touches_nothing_of_the_original(
    new_platform: NewPlatform, tmp_path: Path
) -> None:
    original = new_platform("original", worker=False, beat=False)
    original.start()
    before = original.pids()
    twin = copy(original.home, tmp_path / "twin")
    with pytest.raises(PlatformError) as refused:
        new_platform(home=twin, worker=False, beat=False).start()
    assert str(original.home) in str(refused.value)
    assert original.alive()
    assert original.pids() == before
    # A command on the copy does not reach the original either.
    environment = {**original.env, **EMBEDDED, "MEKIKI_HOME": str(twin)}
    done = subprocess.run(
        [sys.executable, "-m", "mekiki", "retrain", "nothing"],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert "not running" in done.stderr
    # A stopped copy is refused too. Without the original it starts and has its data.
    owner = connecting.owner_url(original.home, original.database_url)
    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute("CREATE TABLE proof (n int)")
    original.stop()
    shutil.rmtree(twin)
    copy(original.home, twin)
    with pytest.raises(PlatformError, match="is a copy"):
        new_platform(home=twin, worker=False, beat=False).start()
    shutil.rmtree(original.home)
    moved = new_platform(home=twin, worker=False, beat=False).start()
    with psycopg.connect(connecting.owner_url(moved.home, moved.database_url)) as connection:
        assert connection.execute("SELECT count(*) FROM proof").fetchone() == (0,)
    assert str(original.home) in (twin / "logs" / "mekiki.log").read_text()
