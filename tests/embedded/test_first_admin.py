"""The first start of a home asks on a terminal for the first admin."""

import contextlib
import os
import pty
import re
import select
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.test import Client

from mekiki.accounts.models import User
from mekiki.embedded import places
from mekiki.embedded.supervisor import first
from mekiki.embedded.supervisor.console import Console
from tests import prepared_homes
from tests.embedded.conftest import EMBEDDED, processes_of


class Terminal:
    """`mekiki up` on its own terminal, as a user sees it."""

    def __init__(self, home: Path) -> None:
        self.home, self.output = home, ""
        environment = {**os.environ, **EMBEDDED, "MEKIKI_HOME": str(home)}
        environment["PYTHONPATH"] = os.pathsep.join(p for p in sys.path if p)
        command = [sys.executable, "-m", "mekiki", "up", "--port", "0", "--no-worker", "--no-beat"]
        self.pid, self.handle = pty.fork()
        if self.pid == 0:
            # The signals as a shell leaves them: the program that runs these tests may ignore them.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            signal.signal(signal.SIGHUP, signal.SIG_DFL)
            os.execve(command[0], command, environment)

    def until(self, text: str, seconds: float = 60.0) -> str:
        """Read until `text` appears and return the output since the last call."""
        deadline = time.monotonic() + seconds
        while text not in self.output:
            assert time.monotonic() < deadline, f"{text!r} did not appear:\n{self.output}"
            if select.select([self.handle], [], [], 0.2)[0]:
                try:
                    self.output += os.read(self.handle, 4096).decode(errors="replace")
                except OSError:
                    break
        assert text in self.output, self.output
        before, self.output = self.output.split(text, 1)
        return before

    def interrupt_until(self, text: str) -> None:
        """Press Ctrl-C until `text` appears.

        Python's readline loses a signal that arrives just before it waits for a key. A user presses again.
        """
        deadline = time.monotonic() + 60
        while text not in self.output:
            assert time.monotonic() < deadline, f"{text!r} did not appear:\n{self.output}"
            os.write(self.handle, b"\x03")
            for _ in range(10):
                if text not in self.output and select.select([self.handle], [], [], 0.2)[0]:
                    self.output += os.read(self.handle, 4096).decode(errors="replace")

    def type(self, text: str) -> None:
        os.write(self.handle, f"{text}\n".encode())

    def end(self) -> int:
        """Wait for the end of the process and return its exit status."""
        with contextlib.suppress(OSError):
            while os.read(self.handle, 4096):
                pass
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


@pytest.fixture
def home(tmp_path: Path, django_db_setup: None) -> Iterator[Path]:
    yield prepared_homes.prepare(tmp_path / "home")
    places.delete_database(tmp_path / "home" / "postgres")


@pytest.mark.slow
def test_first_start_asks_for_the_admin_and_stops_on_signals(home: Path) -> None:
    # Ctrl-C at the question stops everything in order.
    interrupted = Terminal(home)
    interrupted.until("Name [admin]: ")
    interrupted.interrupt_until("Stopping")
    os.write(interrupted.handle, b"\x03")  # An impatient user presses again. The stop goes on.
    interrupted.until("PostgreSQL stopped")
    assert interrupted.end() == 0
    assert processes_of(home) == []

    # The next start asks again, names the error of an answer, and continues with a valid answer.
    terminal = Terminal(home)
    terminal.until("Name [admin]: ")
    terminal.type("Mika")
    for first_password, second_password, message in (
        ("a long pass phrase", "another pass phrase", "differ"),
        ("short", "short", "12"),
    ):
        terminal.until("Password")
        terminal.type(first_password)
        terminal.until("Once more")
        terminal.type(second_password)
        terminal.until(message)
        terminal.until("Name [admin]: ")
        terminal.type("Mika")
    terminal.until("Password")
    terminal.type("a long pass phrase")
    terminal.until("Once more")
    terminal.type("a long pass phrase")
    output = terminal.until("Ctrl-C stops")
    assert "“Mika” made" in output
    assert "a long pass phrase" not in output
    address = re.search(r"http://[\d.]+:\d+/", output)
    assert address is not None
    os.kill(terminal.pid, signal.SIGHUP)  # the terminal is closed
    terminal.until("PostgreSQL stopped")
    assert terminal.end() == 0
    assert processes_of(home) == []


@pytest.mark.slow
def test_end_of_input_stops_all_processes(home: Path) -> None:
    terminal = Terminal(home)
    terminal.until("Name [admin]: ")
    os.write(terminal.handle, b"\x04")  # Ctrl-D
    assert "Traceback" not in terminal.until("PostgreSQL stopped")
    assert terminal.end() == 0
    assert processes_of(home) == []


@pytest.mark.django_db
def test_start_asks_for_another_name_if_the_given_name_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names, passwords = ["Mika"], ["short"] * 2 + ["a long pass phrase"] * 4
    monkeypatch.setattr("builtins.input", lambda _question: names.pop(0))
    monkeypatch.setattr("getpass.getpass", lambda _question: passwords.pop(0))
    # A Cyrillic letter among Latin ones. The first password is refused, which is no reason for another name.
    first._ask(Console(tmp_path / "log"), "\u0430da")
    assert [user.username for user in User.objects.all()] == ["Mika"]
    assert (names, passwords) == ([], [])


@pytest.mark.django_db
@pytest.mark.parametrize(("accepted", "language"), [("ja-JP,ja;q=0.9", "ja"), ("en-US", "en"), ("fr", "en")])
def test_first_admin_gets_the_language_of_the_browser(client: Client, accepted: str, language: str) -> None:
    first._create("愛子", "a long pass phrase")
    assert client.login(username="愛子", password="a long pass phrase")
    page = client.get("/", headers={"accept-language": accepted}).content.decode()
    assert f'<html lang="{language}"' in page
