"""Servers that hang at their start: the supervisor handles everything else meanwhile."""

import os
import signal
import threading
import time
from pathlib import Path

import psycopg
import pytest

from mekiki.embedded import places, state
from mekiki.embedded.postgres import Postgres
from mekiki.embedded.process import Process
from mekiki.embedded.supervisor import Supervisor
from mekiki.embedded.supervisor.child import Child
from mekiki.embedded.valkey import Valkey
from tests.waiting import until


def is_answering(server: Postgres | Valkey) -> bool:
    try:
        server.ask()
    except (OSError, psycopg.Error):
        return False
    return True


@pytest.mark.parametrize("server_type", [Postgres, Valkey])
def test_hanging_server_does_not_delay_the_other_processes(
    tmp_path: Path, server_type: type[Postgres] | type[Valkey], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEKIKI_HOME", str(tmp_path))
    supervisor = Supervisor(home=tmp_path, host="127.0.0.1", port=0, web=False)
    server = (
        Postgres(tmp_path / "server", sync=False) if server_type is Postgres else Valkey(tmp_path / "server")
    )
    hanging = Child("postgres" if server_type is Postgres else "valkey", server)
    worker = Child(
        "worker", Process("worker", ["sleep", "60"], log=tmp_path / "log", pid_file=tmp_path / "pid")
    )
    supervisor.running += [hanging, worker]

    def check_children() -> None:
        for child in supervisor.running:
            supervisor._check_child(child, time.monotonic())

    try:
        supervisor._restart(hanging)
        supervisor._restart(worker)
        until(lambda: is_answering(server))
        os.kill(server.pid, signal.SIGSTOP)
        asked_by = []
        ask = server.ask
        monkeypatch.setattr(server, "ask", lambda: (asked_by.append(threading.current_thread()), ask()))
        for _ in range(3):
            before = worker.server.pid
            os.kill(before, signal.SIGKILL)
            until(lambda pid=before: (check_children(), worker.server.pid != pid)[1])
        # The supervisor itself never waits for the answer of a server: other threads ask for it.
        assert asked_by
        assert threading.current_thread() not in asked_by
        assert hanging.phase == state.STARTING
        os.kill(server.pid, signal.SIGCONT)
        until(lambda: (check_children(), hanging.phase == state.RUNNING)[1])
    finally:
        if server.pid:
            os.kill(server.pid, signal.SIGCONT)
        server.stop()
        worker.server.stop()
        if server_type is Postgres:
            places.delete_database(tmp_path / "server")
