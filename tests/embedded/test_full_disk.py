"""The real platform on a disk that is full.

The site continues, work waits with its reason, and it resumes automatically. The tests need root to mount a
small disk. They are skipped elsewhere.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import ResponseError

from mekiki.embedded import places
from mekiki.embedded.secrets import make_home
from mekiki.embedded.supervisor import Platform
from mekiki.embedded.valkey import Valkey
from mekiki.simulation.clients import HttpClient
from tests.conftest import PREFIX
from tests.e2e.killing import Site
from tests.embedded.conftest import EMBEDDED
from tests.factories import png
from tests.small_disk import fill, mounted
from tests.waiting import until

MB = 1024 * 1024


@contextmanager
def small_disk(megabytes: int) -> Iterator[Path]:
    """Mount a disk that the database's system user can reach, unlike pytest's folders."""
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
    folder.chmod(0o755)
    try:
        with mounted(folder, megabytes):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_the_broker_takes_messages_on_a_full_disk() -> None:
    with small_disk(32) as disk:
        server = Valkey(disk / "valkey")
        server.start()
        client = Redis(unix_socket_path=str(server.socket))
        try:
            assert server.keeps_messages and client.config_get("appendonly") == {"appendonly": "yes"}
            filler = fill(disk)

            def refused() -> bool:
                try:
                    client.rpush("queue", "x" * 10_000)
                except ResponseError as error:
                    return "AOF" in str(error)
                return False

            assert until(refused)
            server.keep_messages(False)
            assert until(lambda: not server.keeps_messages)
            client.rpush("queue", "message")

            # The platform also starts on a full disk.
            os.kill(server.pid, signal.SIGKILL)
            assert until(lambda: not server.alive())
            server.start()
            client.rpush("queue", "later")
            assert not server.keeps_messages

            # With free space again it keeps the old data and the new.
            filler.unlink()
            server.keep_messages(True)
            assert until(lambda: server.keeps_messages)
            # The platform does not stop while it writes.
            assert until(lambda: client.info("persistence")["aof_rewrite_in_progress"] == 0)
            server.stop()
            server.start()
            assert client.lrange("queue", 0, -1) == [b"later"]
        finally:
            client.close()
            server.stop()


class Station:
    """A running platform on a small disk, with its users and a dataset that waits for answers."""

    def __init__(self, disk: Path) -> None:
        self.disk, home = disk, make_home(disk / "home")
        self.database = disk / "database"
        if os.geteuid() == 0:  # root's database lies in another folder; here it is on the same disk
            places.private_folder(self.database, places.system_account())
            (home / "postgres").symlink_to(self.database)
        else:
            self.database = home / "postgres"
        # The database's log grows by 16 MB, so the ballast must hold at least two steps.
        few = {"MEKIKI_WEB_WORKERS": "1", "MEKIKI_WORKER_CONCURRENCY": "1"}
        self.platform = Platform(home, quiet=True, env={**EMBEDDED, **few, "MEKIKI_RESERVE_MB": "160"})
        self.platform.start()
        self.site = Site(self.platform, ["parts", "more"])
        for slug, first in (("parts", 0), ("more", 50)):
            (disk / slug).mkdir()
            for number in range(first, first + 12):
                (disk / slug / f"{number}.png").write_bytes(png(number))
        self.site.bring_in("parts", disk / "parts")
        assert until(lambda: self.site.finished("parts"), 120)
        self.reviewer, self.admin = self._door("vanishing"), self._door("admin")
        self.answered = 0

    def _door(self, name: str) -> HttpClient:
        return HttpClient(self.platform.url, "parts", name, self.site.passwords[name])

    def answer(self) -> None:
        """Answer one image. The answer is stored when this returns."""
        label = self.site.one("SELECT min(id) FROM labeling_label")
        self.reviewer.answer(self.reviewer.next(1)[0], "correct", label)
        self.answered += 1
        assert self.site.one("SELECT count(*) FROM review_decision") == self.answered

    def page(self, path: str) -> str:
        """Return a page as an admin sees it."""
        return self.admin._open(f"{self.admin.url}{path}").decode()

    def status(self) -> tuple[int, dict[str, Any]]:
        """Return the output of `mekiki status` and its exit status."""
        command = [sys.executable, "-m", "mekiki", "status", "--json"]
        done = subprocess.run(command, env=self.platform.env, capture_output=True, text=True, timeout=60)
        return done.returncode, json.loads(done.stdout)

    def ask_for_import(self, folder: str, slug: str = "more") -> str:
        """Queue an import by the command line and return the id of its job."""
        output = self.site._manage("import", slug, str(self.disk / folder), "--user", "admin", "--json")
        return json.loads(output)["job"]

    def job(self, job_id: str) -> tuple[str, str]:
        """Return (state, reason for waiting) of a job."""
        return self.site.query("SELECT state, waiting_for FROM jobs_job WHERE id = %s", job_id)[0]

    def works(self) -> bool:
        """Return whether the site answers."""
        try:
            with urllib.request.urlopen(self.platform.url, timeout=10) as answer:
                return answer.status == 200
        except OSError:
            return False

    def kill(self, name: str) -> None:
        """Kill a part (SIGKILL) and wait until it runs again."""
        before = self.platform.pids()[name]
        os.kill(before, signal.SIGKILL)
        assert until(lambda: self.platform.pids().get(name, before) != before, 60), name


@pytest.fixture(scope="module")
def station() -> Iterator[Station]:
    with small_disk(700) as disk:
        made = None
        try:
            made = Station(disk)
            yield made
        finally:
            if made is not None:
                made.site.close()
                made.platform.stop()


@pytest.mark.slow
def test_a_full_disk(station: Station) -> None:
    site, ballast = station.site, station.database / "ballast"
    assert until(ballast.exists)
    filler = fill(station.disk)
    assert until(lambda: not ballast.exists())

    # Answers use the reserved space. Imports wait, and every user can read why.
    station.answer()
    job = station.ask_for_import("more")
    assert until(lambda: station.job(job) == ("queued", "disk_full"), 60)
    code, status = station.status()
    assert code == 3 and any("Less than the reserve" in row["text"] for row in status["attention"])
    assert "Less than the reserve" in station.page("/system/")
    assert "the disk is nearly full" in station.page("/d/more/activity/")

    # Without any free byte, an answer is refused with the reason. A killed part is started again.
    second = station.disk / "second"
    filler.rename(second)
    fill(station.disk)
    with suppress_no_room():
        station.answer()
    for name in ("valkey", "web", "worker"):
        station.kill(name)
    assert until(station.works, 60)
    with suppress_no_room():
        station.answer()
    assert until(lambda: state_of(station, "valkey") == "running")

    # With free space, everything continues automatically.
    second.unlink()
    (station.disk / "filler").unlink()
    assert until(lambda: station.job(job)[0] == "succeeded", 90), site.jobs("more")
    assert until(lambda: site.finished("more"), 90), site.jobs("more")
    assert until(ballast.exists)
    assert until(lambda: station.status()[0] == 0, 30), station.status()
    station.answer()


@contextmanager
def suppress_no_room() -> Iterator[None]:
    try:
        yield
    except RuntimeError as refused:
        assert " answered 507" in str(refused) and "The disk of the server is full" in str(refused)


def state_of(station: Station, name: str) -> str:
    from mekiki.embedded import state

    return str(state.read(station.platform.home).children[name]["phase"])


@pytest.mark.slow
def test_a_media_folder_that_cannot_be_written(station: Station) -> None:
    files = station.platform.home / "files"
    shutil.copytree(station.disk / "more", station.disk / "third")
    (station.disk / "third" / "new.png").write_bytes(png(200))
    subprocess.run(["mount", "--bind", str(files), str(files)], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(files)], check=True)
        job = station.ask_for_import("third")
        assert until(lambda: station.job(job) == ("queued", "read_only"), 60)
        code, status = station.status()
        assert code == 3 and any("cannot be written" in row["text"] for row in status["attention"])
        station.answer()
        question = station.reviewer.next(1)[0]
        assert station.reviewer._open(f"{station.reviewer.url}/d/parts/images/{question['sha256']}/display")
    finally:
        subprocess.run(["umount", "--lazy", str(files)], check=True)
    assert until(lambda: station.job(job)[0] == "succeeded", 90)
    assert until(lambda: station.status()[0] == 0, 30)
