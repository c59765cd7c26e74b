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
from mekiki.embedded.leftovers import end_leftover
from mekiki.embedded.lock import HomeLock
from mekiki.embedded.process import Process, birth, remember, remembered, rotate
from mekiki.embedded.small_files import write_small
from tests.small_disk import fill, mounted, room
from tests.waiting import until

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


@pytest.fixture
def stranger(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
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
    tmp_path: Path, stranger: subprocess.Popen[bytes], content: str
) -> None:
    file = tmp_path / "web.pid"
    file.write_text(content.format(pid=stranger.pid))
    assert end_leftover(file, home=tmp_path) == 0
    assert stranger.poll() is None
    assert not file.exists()


def test_the_group_of_a_killed_server_is_ended_with_those_who_ignore_the_signal(tmp_path: Path) -> None:
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
    remember(file, leader.pid)
    (member,) = psutil.Process(leader.pid).children()
    leader.kill()
    leader.wait()
    assert end_leftover(file, home=tmp_path / "another", grace=0.2) == 0
    assert member.is_running()
    file.write_text(f"{leader.pid} gone\n")
    assert end_leftover(file, home=tmp_path, grace=0.2) == leader.pid
    assert until(lambda: not member.is_running() or member.status() == psutil.STATUS_ZOMBIE, 5)


def test_a_pid_file_names_the_process_whatever_the_clock_says(
    tmp_path: Path, stranger: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "web.pid"
    remember(file, stranger.pid)
    # Process start times are computed from the boot time, which changes with the clock.
    monkeypatch.setattr(psutil, "boot_time", lambda: 0.0)
    process = remembered(file)
    assert process is not None
    assert process.pid == stranger.pid
    assert birth(stranger.pid) == birth(stranger.pid)
    assert birth(os.getpid()) != birth(stranger.pid)


def test_what_is_read_about_processes_belongs_to_a_supervisor_that_lives(
    tmp_path: Path, stranger: subprocess.Popen[bytes]
) -> None:
    (tmp_path / "run").mkdir()
    ended = {"at": state.now(), "code": -signal.SIGKILL, "error": "", "memory": None}
    child = {
        "phase": "waiting",
        "pid": None,
        "since": None,
        "restarts": 3,
        "last_exit": ended,
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
    state.path(tmp_path).write_text(json.dumps({**text, "pid": stranger.pid}))
    assert state.read(tmp_path).children == {}
    for broken in ("", "[]", "{", '{"unknown": 1}', "\0" * 100):
        state.path(tmp_path).write_text(broken)
        assert state.read(tmp_path) == state.State()


def test_on_a_full_disk_a_home_is_still_held_and_described(tmp_path: Path) -> None:
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
        process = remembered(home / "run" / "web.pid")
        assert process is not None
        assert process.pid == server.pid
        assert server.stop()

        # A log that is too long frees its space, although there is no space for the older lines.
        rotate(log, 100_000)
        assert log.stat().st_size == 0
        assert not log.with_name("web.log.1").exists()
        assert room(home) > 400_000
