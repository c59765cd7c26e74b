"""Processes of an earlier run: ended only if they certainly belong to this home.

Also the files that must be written on a full disk.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from mekiki.embedded import endpoints, state
from mekiki.embedded.leftovers import terminate_stale_process
from mekiki.embedded.lock import HomeLock
from mekiki.embedded.process import Process, process_of_pid_file, rotate, start_time, write_pid_file
from mekiki.embedded.small_files import write_small
from tests.small_disk import fill, mounted, room
from tests.waiting import until

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


@pytest.fixture
def foreign_process(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process that works on the home and does not belong to it, in its own group."""
    environment = {**os.environ, "MEKIKI_HOME": str(tmp_path)}
    process = subprocess.Popen(SLEEP, env=environment, start_new_session=True)
    yield process
    process.kill()
    process.wait()


@pytest.mark.parametrize(
    "content", ["{pid} 1.00\n", "{pid} another-boot/17\n", "{pid}\n", "0 0\n", "-1 x\n", "", "\0"]
)
def test_process_with_a_reused_pid_is_not_ended(
    tmp_path: Path, foreign_process: subprocess.Popen[bytes], content: str
) -> None:
    file = tmp_path / "web.pid"
    file.write_text(content.format(pid=foreign_process.pid))
    assert terminate_stale_process(file, home=tmp_path) == 0
    assert foreign_process.poll() is None
    assert not file.exists()


def test_process_group_of_a_killed_server_is_ended_even_if_it_ignores_sigterm(tmp_path: Path) -> None:
    """The child processes of the web server, after the server and the supervisor were killed."""
    code = (
        "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); os.fork(); "
        "os.write(1, b'.'); time.sleep(60)"
    )
    environment = {**os.environ, "MEKIKI_HOME": str(tmp_path)}
    leader = subprocess.Popen([sys.executable, "-c", code], env=environment, start_new_session=True,
                              stdout=subprocess.PIPE)  # fmt: skip
    assert leader.stdout is not None
    assert [leader.stdout.read(1), leader.stdout.read(1)] == [b".", b"."]
    file = tmp_path / "web.pid"
    write_pid_file(file, leader.pid)
    (member,) = psutil.Process(leader.pid).children()
    leader.kill()
    leader.wait()
    assert terminate_stale_process(file, home=tmp_path / "another", grace=0.2) == 0
    assert member.is_running()
    file.write_text(f"{leader.pid} gone\n")
    assert terminate_stale_process(file, home=tmp_path, grace=0.2) == leader.pid
    until(lambda: not member.is_running() or member.status() == psutil.STATUS_ZOMBIE)


def test_pid_file_identifies_the_process_after_a_clock_change(
    tmp_path: Path, foreign_process: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "web.pid"
    write_pid_file(file, foreign_process.pid)
    # Process start times are computed from the boot time, which changes with the clock.
    monkeypatch.setattr(psutil, "boot_time", lambda: 0.0)
    process = process_of_pid_file(file)
    assert process is not None
    assert process.pid == foreign_process.pid
    assert start_time(foreign_process.pid) == start_time(foreign_process.pid)
    assert start_time(os.getpid()) != start_time(foreign_process.pid)


def test_state_of_processes_is_read_only_from_a_live_supervisor(
    tmp_path: Path, foreign_process: subprocess.Popen[bytes]
) -> None:
    (tmp_path / "run").mkdir()
    exit_record = {"at": state.now(), "code": -signal.SIGKILL, "error": "", "memory": None}
    child = {
        "phase": "waiting",
        "pid": None,
        "since": None,
        "restarts": 3,
        "last_exit": exit_record,
        "next_try": None,
    }
    state.write(tmp_path, {"worker": child})
    stored = state.read(tmp_path)
    assert stored.children == {"worker": child}
    (row,) = state.attention(stored)
    assert row["title"] == "Worker"
    assert "killed by signal 9 (out of memory?)" in row["text"]
    # The file of a dead supervisor proves nothing.
    text = json.loads(state.path(tmp_path).read_text())
    state.path(tmp_path).write_text(json.dumps({**text, "pid": foreign_process.pid}))
    assert state.read(tmp_path).children == {}
    for invalid_text in ("", "[]", "{", '{"unknown": 1}', "\0" * 100):
        state.path(tmp_path).write_text(invalid_text)
        assert state.read(tmp_path) == state.State()


def test_home_on_a_full_disk_can_be_locked_and_described(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", 4) as home:
        (home / "run").mkdir()
        (home / "logs").mkdir()
        write_small(home / "run" / "state.json", "{}")
        endpoints.write(home, endpoints.Endpoints(web_url="before"))
        log = home / "logs" / "web.log"
        log.write_bytes(b"x" * 500_000)
        server = Process("web", SLEEP, log=log, pid_file=home / "run" / "web.pid")
        server.start()
        server.stop()
        fill(home)
        assert room(home) == 0

        # A file that was written once can be written again, completely or not at all.
        with HomeLock(home):
            endpoints.write(home, endpoints.Endpoints(web_url="after"))
            assert endpoints.read(home).web_url == "after"
        state.write(home, {"web": {"phase": "running"}})
        assert state.read(home).children == {"web": {"phase": "running"}}
        with pytest.raises(OSError, match="No space left"):
            write_small(home / "run" / "new.json", "x")
        assert [f.name for f in (home / "run").iterdir() if f.name.startswith(".")] == []

        # A child starts, is recorded, and is ended.
        server.start()
        process = process_of_pid_file(home / "run" / "web.pid")
        assert process is not None
        assert process.pid == server.pid
        assert server.stop()

        # A log that is too long frees its space, although there is no space for the older lines.
        rotate(log, 100_000)
        assert log.stat().st_size == 0
        assert not log.with_name("web.log.1").exists()
        assert room(home) > 400_000
