"""Real processes that do one job each and may be killed, without the start of a worker.

The start of a worker imports Django and torch, which takes some seconds of a processor. Here one process
imports them once (tests/workers/preloaded.py), and each worker is a copy of that process.
"""

import multiprocessing
import os
import sys
from collections.abc import Callable
from multiprocessing import forkserver
from typing import Any

from tests.roles import test_database_url

_workers = multiprocessing.get_context("forkserver")


def run_in_worker(function: Callable[..., None], *arguments: Any) -> int:
    """Call a function in a process of its own, which uses the test database. Return the exit status.

    The function belongs to a module that the process can import.
    """
    _start_server()
    worker = _workers.Process(target=_connect_and_call, args=(test_database_url(), function, arguments))
    worker.start()
    worker.join()
    status = worker.exitcode
    worker.close()
    assert status is not None
    return status


def _start_server() -> None:
    _workers.set_forkserver_preload(["tests.workers.preloaded"])
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    try:
        forkserver.ensure_running()
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


def _connect_and_call(database_url: str, function: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    from django.db import connection

    from mekiki.embedded.endpoints import database

    connection.settings_dict.update(
        {key: database(database_url)[key] for key in ("NAME", "USER", "PASSWORD")}
    )
    function(*arguments)
    connection.close()
