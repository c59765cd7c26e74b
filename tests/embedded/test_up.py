"""`mekiki up` as a user sees it: it serves, refuses, restarts and stops."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.request import urlopen

import psutil
import psycopg
import pytest

from mekiki.embedded import endpoints, state
from mekiki.embedded.supervisor import Platform, PlatformError
from tests import migrated_database
from tests.embedded.conftest import DEFAULT_PROCESSES, EMBEDDED, processes_of
from tests.roles import superuser_url
from tests.waiting import until

CHILDREN = ("postgres", "valkey", "web", "worker", "search", "sweeper", "beat")
NewPlatform = Callable[..., Platform]


def run_mekiki(platform: Platform, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command in another shell on the same home."""
    environment = {**platform.env, **EMBEDDED} if platform.env else {**os.environ, **EMBEDDED}
    environment["MEKIKI_HOME"] = str(platform.home)
    environment.setdefault("PYTHONPATH", os.pathsep.join(p for p in sys.path if p))
    command = [sys.executable, "-m", "mekiki", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


def open_page(platform: Platform) -> int:
    with urlopen(platform.url, timeout=20) as answer:
        return answer.status


@pytest.mark.slow
def test_platform_serves_restarts_and_stops(new_platform: NewPlatform) -> None:
    """One platform for checks that would each need a start."""
    platform = new_platform(
        "目利き's home, with spaces", first_start=True, env={**EMBEDDED, **DEFAULT_PROCESSES}
    )
    platform.start()
    home = platform.home

    # It serves its first page, keeps its home private, and every part runs.
    assert open_page(platform) == 200
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert set(platform.pids()) == set(CHILDREN)
    assert "torch" not in Path(f"/proc/{platform.pids()['web']}/maps").read_text()

    # No child process and no log has the first admin's password. Root gets one warning.
    password = platform.admin[1].encode()
    for pid in platform.pids().values():
        for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
            environ = Path(f"/proc/{process.pid}/environ").read_bytes()
            assert b"MEKIKI_ADMIN_PASSWORD" not in environ and password not in environ, process
    logs = {file.name: file.read_bytes() for file in (home / "logs").glob("*.log")}
    assert not [name for name, text in logs.items() if password in text]
    assert logs["mekiki.log"].count(b"runs as root") == int(os.geteuid() == 0)

    # Another shell finds the servers. The first admin exists once.
    process_of_shell = run_mekiki(
        platform,
        "manage",
        "shell",
        "-c",
        "from mekiki.accounts.models import User; "
        "print('admins', *User.objects.values_list('username', 'is_superuser'))",
    )
    assert "admins ('admin', True)" in process_of_shell.stdout, process_of_shell.stderr

    # A second `up` refuses, and names the process that uses the home and its address.
    second = run_mekiki(platform, "up", "--port", "0")
    assert second.returncode != 0
    assert str(platform.pid) in second.stderr
    assert platform.url in second.stderr
    assert str(home) in second.stderr

    # A killed part is started again, the others continue, the address stays, and the log reports it.
    for name in CHILDREN:
        before = platform.pids()[name]
        os.kill(before, signal.SIGKILL)
        until(lambda n=name, b=before: platform.pids().get(n, b) != b, f"{name} is restarted")
        until(lambda: open_page(platform) == 200)
    log = (home / "logs" / "mekiki.log").read_text()
    assert log.count("killed by signal 9") == len(CHILDREN)
    assert platform.alive()

    # SIGTERM stops everything in order and leaves no process.
    until(lambda: set(platform.pids()) == set(CHILDREN))
    platform.stop()
    assert platform.child is not None and platform.child.returncode == 0
    assert processes_of(home) == []
    stopped = [line.split(" ok   ")[1] for line in log_after(home, "Stopping")]
    assert stopped == [
        f"{title} stopped"
        for title in ("Schedule", "Sweeper", "Search worker", "Worker", "Web", "Valkey", "PostgreSQL")
    ]

    # The command says what to do.
    refused = run_mekiki(platform, "manage", "showmigrations")
    assert refused.returncode != 0
    assert "mekiki up" in refused.stderr
    assert str(home) in refused.stderr
    assert "Traceback" not in refused.stderr


def log_after(home: Path, word: str) -> list[str]:
    lines = (home / "logs" / "mekiki.log").read_text().splitlines()
    start = max(i for i, line in enumerate(lines) if word in line)
    return lines[start + 1 :]


def test_port_in_use_is_reported_before_anything_starts(new_platform: NewPlatform) -> None:
    platform = new_platform(first_start=True)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        refused = run_mekiki(platform, "up", "--port", str(port))
    assert refused.returncode != 0
    assert f"Port {port} is in use" in refused.stderr
    assert "--port" in refused.stderr
    assert not (platform.home / "postgres").exists()


def test_external_servers_replace_the_embedded_servers(new_platform: NewPlatform, _valkey: str) -> None:
    external_url = superuser_url("theirs")
    with psycopg.connect(superuser_url(), autocommit=True) as connection:
        connection.execute("CREATE DATABASE theirs")
    # Migrations on another server: test_roles.py, at the first start: above.
    migrated_database.load_into("theirs")
    platform = new_platform(
        first_start=True,
        env={"DATABASE_URL": external_url, "BROKER_URL": _valkey},
        worker=False,
        beat=False,
    )
    platform.start()
    assert set(platform.pids()) == {"web"}
    assert open_page(platform) == 200
    assert not (platform.home / "postgres").exists()
    with psycopg.connect(external_url) as connection:
        assert connection.execute("SELECT username FROM accounts_user").fetchall() == [("admin",)]
    platform.stop()
    assert processes_of(platform.home) == []
    # Processes of others continue.
    with psycopg.connect(external_url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_platform_that_cannot_start_reports_the_reason(new_platform: NewPlatform) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(PlatformError, match=f"Port {port} is in use"):
            new_platform(first_start=True, port=port).start()


def test_invalid_variable_is_reported(new_platform: NewPlatform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEKIKI_PORT", "eighty")
    refused = run_mekiki(new_platform(first_start=True), "up")
    assert refused.returncode != 0
    assert refused.stderr.strip() == "MEKIKI_PORT must be a whole number, not 'eighty'."


@pytest.mark.slow
def test_platform_starts_again_after_a_killed_supervisor(new_platform: NewPlatform) -> None:
    """On a home with a path longer than a socket's path may be, and on the same port, at once."""
    home = "/".join(["a-folder-with-a-rather-long-name"] * 6)
    first = new_platform(home).start()
    before = first.pids()
    assert first.child is not None
    port = int(first.url.rsplit(":", 1)[1].strip("/"))
    # A request that is being answered keeps the web server, and its port, for some seconds.
    open_request = socket.create_connection(("127.0.0.1", port))
    open_request.sendall(
        b"POST /accounts/login/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\nhalf of it"
    )
    os.kill(first.pid, signal.SIGKILL)
    first.child.wait()
    second = new_platform(home=first.home, port=port).start()
    open_request.close()
    assert open_page(second) == 200
    until(
        lambda: (
            not any(psutil.pid_exists(p) and psutil.Process(p).ppid() != second.pid for p in before.values())
        )
    )
    own_pids = {second.pid, *(p.pid for p in psutil.Process(second.pid).children(recursive=True))}
    assert {p.pid for p in processes_of(second.home)} <= own_pids


@pytest.mark.slow
def test_site_is_available_while_a_part_keeps_crashing(new_platform: NewPlatform) -> None:
    platform = new_platform(worker=False, beat=False)
    platform.start()
    web, postgres = platform.pids()["web"], platform.pids()["postgres"]
    killed: set[int] = set()

    def kill(name: str) -> None:
        pid = platform.pids().get(name, 0)
        if pid and pid not in killed:
            killed.add(pid)
            os.kill(pid, signal.SIGKILL)

    def child(name: str) -> dict[str, object]:
        return state.read(platform.home).children[name]

    # The broker dies at once whenever it is started.
    until(lambda: (kill("valkey"), int(str(child("valkey")["restarts"])) >= 5)[1])
    assert platform.alive()
    assert open_page(platform) == 200
    assert (platform.pids()["web"], platform.pids()["postgres"]) == (web, postgres)

    # The command and the site know why it died.
    process = run_mekiki(platform, "status", "--json")
    assert json.loads(process.stdout)["children"]["valkey"]["last_exit"]["code"] == -signal.SIGKILL
    log = (platform.home / "logs" / "mekiki.log").read_text()
    assert "Valkey ended 5 times in a row" in log
    assert str(platform.home / "logs" / "valkey.log") in log

    # Without the disturbance it recovers, and nothing needs attention.
    until(lambda: child("valkey")["phase"] == "running")
    assert run_mekiki(platform, "status").returncode == 0
    platform.stop()
    assert processes_of(platform.home) == []
    assert endpoints.read(platform.home).pid == 0
    assert state.read(platform.home).children == {}
