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
from tests import prepared_homes
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


def test_broker_accepts_messages_on_a_full_disk() -> None:
    with small_disk(32) as disk:
        server = Valkey(disk / "valkey")
        server.start()
        client = Redis(unix_socket_path=str(server.socket))
        try:
            assert server.keeps_messages and client.config_get("appendonly") == {"appendonly": "yes"}
            filler = fill(disk)

            def is_refused() -> bool:
                try:
                    client.rpush("queue", "x" * 10_000)
                except ResponseError as error:
                    return "AOF" in str(error)
                return False

            until(is_refused)
            server.keep_messages(False)
            until(lambda: not server.keeps_messages)
            client.rpush("queue", "message")

            # The platform also starts on a full disk.
            os.kill(server.pid, signal.SIGKILL)
            until(lambda: not server.alive())
            server.start()
            client.rpush("queue", "later")
            assert not server.keeps_messages

            # With free space again it keeps the old data and the new.
            filler.unlink()
            server.keep_messages(True)
            until(lambda: server.keeps_messages)
            # The platform does not stop while it writes.
            until(lambda: client.info("persistence")["aof_rewrite_in_progress"] == 0)
            server.stop()
            server.start()
            assert client.lrange("queue", 0, -1) == [b"later"]
        finally:
            client.close()
            server.stop()


class PlatformOnSmallDisk:
    """A running platform on a small disk, with its users and a dataset that waits for answers."""

    def __init__(self, disk: Path) -> None:
        self.disk, home = disk, make_home(disk / "home")
        self.database = disk / "database"
        if os.geteuid() == 0:  # root's database lies in another folder; here it is on the same disk
            places.private_folder(self.database, places.system_account())
            (home / "postgres").symlink_to(self.database)
        else:
            self.database = home / "postgres"
            self.database.mkdir(mode=0o700)
        prepared_homes.copy_cluster(self.database)
        # The database's log grows by 16 MB, so the ballast must hold at least two steps.
        self.platform = Platform(home, quiet=True, env={**EMBEDDED, "MEKIKI_RESERVE_MB": "160"})
        self.platform.start()
        self.site = Site(self.platform, ["parts", "more"])
        for slug, first in (("parts", 0), ("more", 50)):
            (disk / slug).mkdir()
            for number in range(first, first + 12):
                (disk / slug / f"{number}.png").write_bytes(png(number))
        self.site.bring_in("parts", disk / "parts")
        until(lambda: self.site.finished("parts"))
        self.reviewer, self.admin = self._client_of("vanishing"), self._client_of("admin")
        self.answered = 0

    def _client_of(self, name: str) -> HttpClient:
        return HttpClient(self.platform.url, "parts", name, self.site.passwords[name])

    def answer(self) -> None:
        """Answer one image. The answer is stored when this returns."""
        label = self.site.first_value("SELECT min(id) FROM labeling_label")
        self.reviewer.answer(self.reviewer.next(1)[0], "correct", label)
        self.answered += 1
        assert self.site.first_value("SELECT count(*) FROM review_decision") == self.answered

    def page(self, path: str) -> str:
        """Return a page as an admin sees it."""
        return self.admin._open(f"{self.admin.url}{path}").decode()

    def status(self) -> tuple[int, dict[str, Any]]:
        """Return the output of `mekiki status` and its exit status."""
        command = [sys.executable, "-m", "mekiki", "status", "--json"]
        process = subprocess.run(command, env=self.platform.env, capture_output=True, text=True, timeout=60)
        return process.returncode, json.loads(process.stdout)

    def request_import(self, folder: str, slug: str = "more") -> str:
        """Queue an import by the command line and return the id of its job."""
        output = self.site._manage("import", slug, str(self.disk / folder), "--user", "admin", "--json")
        return json.loads(output)["job"]

    def job(self, job_id: str) -> tuple[str, str]:
        """Return (state, reason for waiting) of a job."""
        return self.site.query("SELECT state, waiting_for FROM jobs_job WHERE id = %s", job_id)[0]

    def is_serving(self) -> bool:
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
        until(lambda: self.platform.pids().get(name, before) != before, f"{name} is restarted")


@pytest.fixture(scope="module")
def platform_on_small_disk(django_db_setup: None) -> Iterator[PlatformOnSmallDisk]:
    with small_disk(700) as disk:
        small_platform = None
        try:
            small_platform = PlatformOnSmallDisk(disk)
            yield small_platform
        finally:
            if small_platform is not None:
                small_platform.site.close()
                small_platform.platform.stop()


@pytest.mark.slow
def test_platform_on_a_full_disk_continues_and_recovers(platform_on_small_disk: PlatformOnSmallDisk) -> None:
    site, ballast = platform_on_small_disk.site, platform_on_small_disk.database / "ballast"
    until(ballast.exists)
    filler = fill(platform_on_small_disk.disk)
    until(lambda: not ballast.exists())

    # Answers use the reserved space. Imports wait, and every user can read why.
    platform_on_small_disk.answer()
    job = platform_on_small_disk.request_import("more")
    until(lambda: platform_on_small_disk.job(job) == ("queued", "disk_full"))
    code, status = platform_on_small_disk.status()
    assert code == 3 and any("Less than the reserve" in row["text"] for row in status["attention"])
    assert "Less than the reserve" in platform_on_small_disk.page("/system/")
    assert "the disk is nearly full" in platform_on_small_disk.page("/d/more/activity/")

    # Without any free byte, an answer is refused with the reason. A killed part is started again.
    second = platform_on_small_disk.disk / "second"
    filler.rename(second)
    fill(platform_on_small_disk.disk)
    with allow_full_disk_error():
        platform_on_small_disk.answer()
    for name in ("valkey", "web", "worker"):
        platform_on_small_disk.kill(name)
    until(platform_on_small_disk.is_serving)
    with allow_full_disk_error():
        platform_on_small_disk.answer()
    until(lambda: phase_of(platform_on_small_disk, "valkey") == "running")

    # With free space, everything continues automatically.
    second.unlink()
    (platform_on_small_disk.disk / "filler").unlink()
    until(lambda: platform_on_small_disk.job(job)[0] == "succeeded")
    until(lambda: site.finished("more"))
    until(ballast.exists)
    until(lambda: platform_on_small_disk.status()[0] == 0)
    platform_on_small_disk.answer()


@contextmanager
def allow_full_disk_error() -> Iterator[None]:
    try:
        yield
    except RuntimeError as refused:
        assert " answered 507" in str(refused) and "The disk of the server is full" in str(refused)


def phase_of(platform_on_small_disk: PlatformOnSmallDisk, name: str) -> str:
    from mekiki.embedded import state

    return str(state.read(platform_on_small_disk.platform.home).children[name]["phase"])


@pytest.mark.slow
def test_import_waits_while_the_media_folder_is_read_only(
    platform_on_small_disk: PlatformOnSmallDisk,
) -> None:
    files = platform_on_small_disk.platform.home / "files"
    shutil.copytree(platform_on_small_disk.disk / "more", platform_on_small_disk.disk / "third")
    (platform_on_small_disk.disk / "third" / "new.png").write_bytes(png(200))
    subprocess.run(["mount", "--bind", str(files), str(files)], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(files)], check=True)
        job = platform_on_small_disk.request_import("third")
        until(lambda: platform_on_small_disk.job(job) == ("queued", "read_only"))
        code, status = platform_on_small_disk.status()
        assert code == 3 and any("cannot be written" in row["text"] for row in status["attention"])
        platform_on_small_disk.answer()
        leased = platform_on_small_disk.reviewer.next(1)[0]
        assert platform_on_small_disk.reviewer._open(
            f"{platform_on_small_disk.reviewer.url}/d/parts/images/{leased['sha256']}/display"
        )
    finally:
        subprocess.run(["umount", "--lazy", str(files)], check=True)
    until(lambda: platform_on_small_disk.job(job)[0] == "succeeded")
    until(lambda: platform_on_small_disk.status()[0] == 0)
