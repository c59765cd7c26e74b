"""A platform that is asked to stop while it starts."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.embedded.conftest import EMBEDDED, processes_of
from tests.waiting import until

# A server that replays its log refuses connections for minutes.
PROGRAM = """
import sys
from pathlib import Path
import {module} as module
from mekiki.config import env
env.use_settings()
import django
django.setup()
from mekiki.embedded.supervisor import Supervisor

def refuse(*_arguments):
    (home / "waiting").touch()
    {refuse}

home = Path(sys.argv[1])
module.{server}.{ask} = refuse
sys.exit(Supervisor(home=home, host="127.0.0.1", port=0, web=False, worker=False, beat=False).run())
"""
REFUSED = "import psycopg; raise psycopg.OperationalError('the database system is starting up')"


@pytest.mark.parametrize(
    ("module", "server", "ask", "refuse"),
    [
        ("mekiki.embedded.postgres", "Postgres", "ask", REFUSED),
        ("mekiki.embedded.valkey", "Valkey", "_is_answering", "return False"),
    ],
    ids=["postgres", "valkey"],
)
def test_signal_ends_the_wait_for_a_server(
    module: str, server: str, ask: str, refuse: str, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    program = PROGRAM.format(module=module, server=server, ask=ask, refuse=refuse)
    variables = {**os.environ, **EMBEDDED, "MEKIKI_HOME": str(home)}
    variables["PYTHONPATH"] = os.pathsep.join(part for part in sys.path if part)
    command = [sys.executable, "-c", program, str(home)]
    with subprocess.Popen(command, env=variables) as platform:
        try:
            until((home / "waiting").exists)
            platform.send_signal(signal.SIGTERM)
            assert platform.wait(40) == 0
        finally:
            platform.kill()
    assert processes_of(home) == []
