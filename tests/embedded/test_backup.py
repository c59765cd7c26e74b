"""Backups and restores with real databases, real files and real processes."""

import hashlib
import http.cookiejar
import io
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tarfile
import threading
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.db import connection, connections

from mekiki.config.plain import UnusableFileError, UserError
from mekiki.embedded import history, identity, places
from mekiki.embedded.backup import archive, making
from mekiki.embedded.backup.making import back_up
from mekiki.embedded.backup.restoring import restore
from mekiki.embedded.supervisor import Platform
from tests.roles import made_at, superuser_url
from tests.waiting import until

NewPlatform = Callable[..., Platform]


def url_of(name: str = "") -> str:
    """Return the address of the tests' database, or of another database on the same server."""
    return superuser_url(name or connection.settings_dict["NAME"])


def empty_database(name: str) -> str:
    """Create an empty database and return its address."""
    with psycopg.connect(superuser_url(), autocommit=True) as cursor:
        cursor.execute(f"DROP DATABASE IF EXISTS {name}")
        cursor.execute(f"CREATE DATABASE {name}")
    return url_of(name)


@pytest.fixture
def site(transactional_db: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """Copy the home of this session.

    Its database is the tests' database, and it has few files.
    """
    monkeypatch.setenv("DATABASE_URL", url_of())
    shutil.rmtree(settings.HOME / "files", ignore_errors=True)
    yield Path(settings.HOME)
    for entry in tmp_path.iterdir():
        if entry.is_dir():
            places.delete_database(entry / "postgres")


@pytest.fixture
def use_embedded_servers(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Remove DATABASE_URL for the rest of the test."""
    return lambda: monkeypatch.delenv("DATABASE_URL")


def names_in(file: Path) -> list[str]:
    with tarfile.open(file) as tar:
        return tar.getnames()


@pytest.mark.slow
def test_backup_made_during_reviews_is_restored_on_another_path(
    site: Path, tmp_path: Path, use_embedded_servers: Callable[[], None], new_platform: NewPlatform
) -> None:
    from mekiki.audit.models import Event
    from mekiki.audit.private_key import settle_key
    from mekiki.exports.services import freeze
    from mekiki.exports.writing import write_label_set
    from mekiki.review.models import Decision
    from tests.exports.helpers import ignore_progress, make_judged
    from tests.factories import PASSWORD, ImageFactory
    from tests.review_setup import Station
    from verification.label_set.verify import verify

    judged = make_judged()
    settle_key()
    unfinished_set = freeze(
        dataset=judged.dataset, user=judged.admin, note="", include_images=True, machine_threshold=0.94
    )
    label_set = write_label_set(label_set=unfinished_set, progress=ignore_progress)
    station = Station(items=0)
    for _ in range(60):
        station.item(image=ImageFactory(dataset=station.dataset, stored=True))
    judged.admin.is_superuser = True
    judged.admin.save()
    (site / "models" / "line").mkdir(parents=True, exist_ok=True)
    (site / "models" / "line" / "weights.bin").write_bytes(b"weights")

    reviewer = station.reviewer()
    stop = threading.Event()

    def answer() -> None:
        try:
            while not stop.is_set():
                for leased in station.next(reviewer):
                    station.answer(reviewer, leased)
        finally:
            connections.close_all()

    answering_thread = threading.Thread(target=answer)
    answering_thread.start()
    until(lambda: Decision.objects.count() > 20)
    before = set(Decision.objects.values_list("pk", flat=True))
    file = tmp_path / "mekiki.tar"
    backup = back_up(site, file)
    stop.set()
    answering_thread.join()
    shutil.rmtree(site / "models")
    assert backup.left_out == []
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert history.last_backup(site)["file"] == str(file)  # type: ignore[index]
    assert list(tmp_path.glob(".*")) == []
    events = Event.objects.filter(dataset_id=judged.dataset.pk).count()

    use_embedded_servers()
    home = tmp_path / "elsewhere" / "工場 B"
    process = subprocess.run(
        [sys.executable, "-m", "mekiki", "restore", str(file), "--home", str(home)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    assert f"MEKIKI_HOME={home} mekiki up" in process.stdout
    assert not (home / identity.RESTORING).exists()
    assert stat.S_IMODE((home / "keys" / "signing.pem").stat().st_mode) == 0o600
    assert (home / "models" / "line" / "weights.bin").read_bytes() == b"weights"

    platform = new_platform(home=home, worker=False, beat=False).start()
    with psycopg.connect(platform.database_url) as restored:
        restored_ids = {pk for (pk,) in restored.execute("SELECT id FROM review_decision")}
        assert before <= restored_ids
        query = "SELECT count(*) FROM audit_event WHERE dataset_id = %s"
        assert restored.execute(query, [judged.dataset.pk]).fetchone() == (events,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            restored.execute("DELETE FROM audit_event")
    # The login works, and the label set is the same, signed by the same key.
    opener = urllib.request.build_opener(
        urllib.request.HTTPCookieProcessor(jar := http.cookiejar.CookieJar())
    )
    opener.open(platform.url)
    token = next(cookie.value for cookie in jar if cookie.name == "csrftoken")
    fields = {"username": "admin", "password": PASSWORD, "csrfmiddlewaretoken": token}
    with opener.open(f"{platform.url}accounts/login/", urllib.parse.urlencode(fields).encode()) as page:
        assert "login" not in page.url
    stored = home / "files" / label_set.file
    original_bytes = (site / "files" / label_set.file).read_bytes()
    assert stored.read_bytes() == original_bytes
    assert verify(stored).ok
    key = Path("keys") / "signing.pem"
    assert (home / key).read_bytes() == (site / key).read_bytes()
    environment = {**platform.env, "DATABASE_URL": "", "BROKER_URL": ""}
    process = subprocess.run(
        [sys.executable, "-m", "mekiki", "status", "--json"], env=environment, capture_output=True, text=True
    )
    state = json.loads(process.stdout)
    assert (process.returncode, state["running"], state["url"]) == (0, True, platform.url)
    assert set(state["processes"]) == {"postgres", "valkey", "web"}
    assert state["database"]["images"] == 72
    # The new home is an independent platform, and the old one may continue.
    assert identity.read(home) is not None
    assert identity.read(home) != identity.read(site)


def test_backup_reports_missing_and_damaged_files(site: Path, tmp_path: Path) -> None:
    from mekiki.datasets.storage import original_name
    from tests.factories import ImageFactory

    good, missing, damaged = (ImageFactory(stored=True) for _ in range(3))
    files = site / "files"
    (files / original_name(missing.dataset_id, missing.sha256)).unlink()
    (files / original_name(damaged.dataset_id, damaged.sha256)).write_bytes(b"other bytes")
    (files / "link").symlink_to("/etc/passwd")
    os.mkfifo(files / "pipe")
    (files / ".draft-left").write_bytes(b"half")
    backup = back_up(site, tmp_path / "b.tar", keys=False, models=False)
    report = "\n".join(backup.left_out)
    assert len(backup.left_out) == 4
    assert f"{missing.sha256}: the file is missing" in report
    assert f"{damaged.sha256}: the file on the disk is damaged" in report
    assert "files/link" in report
    assert "files/pipe" in report
    names = names_in(tmp_path / "b.tar")
    assert f"files/{original_name(good.dataset_id, good.sha256)}" in names
    assert not any(name.startswith(("keys/", "models/")) or "draft" in name for name in names)
    process = run_backup(tmp_path / "c.tar", site, "--json")
    assert process.returncode == 3
    assert len(json.loads(process.stdout)["left_out"]) == 4


def run_backup(file: Path, home: Path, *options: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "MEKIKI_HOME": str(home)}
    environment["PYTHONPATH"] = os.pathsep.join(p for p in sys.path if p)
    command = [sys.executable, "-m", "mekiki", "backup", str(file), *options]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_backup_overwrites_no_file_and_excludes_itself(site: Path, tmp_path: Path) -> None:
    (tmp_path / "there.tar").write_text("mine")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (site / "files").mkdir(exist_ok=True)
    for target in (
        tmp_path / "there.tar",
        tmp_path / "dangling",
        tmp_path / "missing" / "b.tar",
        site / "files" / "b.tar",
    ):
        with pytest.raises(UnusableFileError):
            back_up(site, target)
    assert (tmp_path / "there.tar").read_text() == "mine"
    backup = back_up(site, tmp_path)
    assert backup.file.parent == tmp_path
    assert backup.file.suffix == ".tar"


def test_backup_without_enough_space_writes_nothing(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = shutil._ntuple_diskusage(10**9, 10**9, 1000)  # type: ignore[attr-defined]
    monkeypatch.setattr(making.shutil, "disk_usage", lambda folder: full)
    with pytest.raises(UserError, match="Nothing was written"):
        back_up(site, tmp_path / "b.tar")
    assert list(tmp_path.iterdir()) == []


def test_backup_that_fills_the_disk_leaves_no_file(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(archive.Writer, "finish", fail)
    with pytest.raises(OSError, match="No space"):
        back_up(site, tmp_path / "b.tar")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_killed_backup_leaves_no_file_and_can_be_repeated(
    site: Path, tmp_path: Path, use_embedded_servers: Callable[[], None]
) -> None:
    with (site / "models-large").open("wb") as large:
        large.truncate(150 << 20)
    (site / "models").mkdir(exist_ok=True)
    (site / "models-large").rename(site / "models" / "large.bin")
    environment = {**os.environ, "MEKIKI_HOME": str(site)}
    environment["PYTHONPATH"] = os.pathsep.join(p for p in sys.path if p)
    file = tmp_path / "b.tar"
    try:

        def start(*arguments: str) -> subprocess.Popen[bytes]:
            command = [sys.executable, "-m", "mekiki", *arguments]
            return subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)

        backup = start("backup", str(file))
        until(lambda: any(p.stat().st_size > 30 << 20 for p in tmp_path.glob(".*.partial")))
        backup.send_signal(signal.SIGKILL)
        backup.wait()
        assert not file.exists()
        second_backup = back_up(site, file)
        assert second_backup.bytes > 150 << 20
        assert [p.name for p in tmp_path.iterdir()] == ["b.tar"]

        # SIGTERM and Ctrl-C clean up at once.
        terminated_backup = start("backup", str(tmp_path / "c.tar"))
        until(lambda: bool(list(tmp_path.glob(".*.partial"))))
        terminated_backup.send_signal(signal.SIGTERM)
        assert terminated_backup.wait(30) == 130
        assert [p.name for p in tmp_path.iterdir()] == ["b.tar"]

        # A killed restore leaves a home that does not start, and the next restore begins again.
        use_embedded_servers()
        environment.pop("DATABASE_URL")
        home = tmp_path / "home"
        killed_restore = start("restore", str(file), "--home", str(home))
        until(lambda: (home / "models" / "large.bin").exists())
        killed_restore.send_signal(signal.SIGKILL)
        killed_restore.wait()
        with pytest.raises(UserError, match="interrupted"):
            identity.check_identity(home)
        assert restore(file, home).home == home
        assert identity.check_identity(home) is None
    finally:
        shutil.rmtree(site / "models", ignore_errors=True)


def test_stopped_home_is_backed_up_and_restored_to_an_external_database(
    tmp_path: Path, use_embedded_servers: Callable[[], None], monkeypatch: pytest.MonkeyPatch, site: Path
) -> None:
    """The server is started for the backup, and the restore writes to DATABASE_URL."""
    from mekiki.audit.models import Event
    from tests.factories import UserFactory

    UserFactory(username="kept")
    made_at(Event, datetime(2001, 1, 1, tzinfo=UTC), "at", kind="test.happened")
    first_backup = back_up(site, tmp_path / "first.tar")
    use_embedded_servers()
    home = restore(first_backup.file, tmp_path / "home").home
    second_backup = back_up(home, tmp_path / "second.tar")
    assert second_backup.left_out == []

    def read_user_names(url: str) -> list[tuple[str, ...]]:
        with psycopg.connect(url) as database:
            return database.execute("SELECT username FROM accounts_user").fetchall()

    external_url = empty_database("restored_elsewhere")
    monkeypatch.setenv("DATABASE_URL", external_url)
    restore(second_backup.file, tmp_path / "third")
    assert read_user_names(external_url) == [("kept",)]
    with psycopg.connect(
        external_url
    ) as database:  # a restore keeps times that an insertion could not have now
        query = "SELECT count(*) FROM audit_event WHERE at = '2001-01-01T00:00:00Z'"
        assert database.execute(query).fetchone() == (1,)
    assert not (tmp_path / "third" / "postgres").exists()
    # A restore never writes to a database that is in use.
    with pytest.raises(UserError, match="holds tables already"):
        restore(second_backup.file, tmp_path / "fourth")
    assert not (tmp_path / "fourth").exists()
    # A damaged backup leaves nothing in the database either.
    empty_url = empty_database("stays_empty")
    monkeypatch.setenv("DATABASE_URL", empty_url)
    truncated = tmp_path / "cut.tar"
    truncated.write_bytes(second_backup.file.read_bytes()[:-2048])
    with pytest.raises(archive.DamagedError):
        restore(truncated, tmp_path / "fifth")
    with psycopg.connect(empty_url) as database:
        assert database.execute("SELECT to_regclass('accounts_user')").fetchone() == (None,)
    assert not (tmp_path / "fifth").exists()


def copy_with_changed_header(backup: Path, path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """ "Write a copy of the backup with a changed header and correct checksums."""
    with tarfile.open(backup) as tar, path.open("w+b") as file:
        writer = archive.Writer(file)
        for info in tar.getmembers()[:-1]:
            content = tar.extractfile(info).read()  # type: ignore[union-attr]
            if info.name == archive.HEADER:
                header = json.loads(content)
                change(header)
                content = json.dumps(header).encode()
            writer.add(info.name, io.BytesIO(content), len(content), lambda count: None)
        writer.finish()
    return path


@pytest.mark.parametrize("external", [True, False], ids=["external", "embedded"])
def test_backup_with_a_wrong_row_count_is_refused_and_leaves_nothing(
    site: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    use_embedded_servers: Callable[[], None],
    external: bool,
) -> None:
    from mekiki.review.models import Decision
    from tests.factories import UserFactory

    # Names that look like the end of a table's rows, and a user of two lines.
    for name in ("\\.", "one\ntwo", "COPY public.accounts_user (id) FROM stdin;"):
        user = UserFactory()
        type(user).objects.filter(pk=user.pk).update(first_name=name)
    assert not Decision.objects.exists()
    backup = back_up(site, tmp_path / "good.tar")

    def add_one_user(header: dict[str, Any]) -> None:
        header["database"]["counts"]["accounts_user"] += 1

    invalid_backup = copy_with_changed_header(backup.file, tmp_path / "bad.tar", add_one_user)
    url = empty_database("other_rows")
    if external:
        monkeypatch.setenv("DATABASE_URL", url)
    else:
        use_embedded_servers()
    with pytest.raises(archive.DamagedError, match="Nothing of it was kept"):
        restore(invalid_backup, tmp_path / "home")
    assert not (tmp_path / "home").exists()
    # The same home and the same database take the good backup.
    assert restore(backup.file, tmp_path / "home").home == tmp_path / "home"
    if external:
        with psycopg.connect(url) as database:
            assert database.execute("SELECT count(*) FROM accounts_user").fetchone() == (3,)


def test_tampered_backup_is_refused_and_its_file_is_reported(
    site: Path, tmp_path: Path, use_embedded_servers: Callable[[], None]
) -> None:
    from tests.factories import ImageFactory

    image = ImageFactory(stored=True)
    backup = back_up(site, tmp_path / "b.tar")
    content = (
        site / "files" / f"datasets/{image.dataset_id}/originals/{image.sha256[:2]}/{image.sha256}"
    ).read_bytes()
    original = backup.file.read_bytes()
    assert hashlib.sha256(content).hexdigest() == image.sha256
    backup.file.write_bytes(original.replace(content, content[:-9] + b"tampered!"))
    use_embedded_servers()
    with pytest.raises(archive.DamagedError, match=image.sha256):
        restore(backup.file, tmp_path / "home")
    assert not (tmp_path / "home").exists()


def test_waiting_uploads_are_restored_to_a_new_path(site: Path, tmp_path: Path) -> None:
    from mekiki.datasets.models import ImportBatch
    from mekiki.datasets.services import relocate_uploads, start_upload
    from tests.factories import DatasetFactory, UserFactory

    admin = UserFactory()
    batch = start_upload(dataset=DatasetFactory(admin=admin), user=admin)
    (Path(batch.location) / "a").write_bytes(b"a picture")
    folder = ImportBatch.objects.create(
        dataset=batch.dataset, source="folder", location="/srv/camera/incoming/1"
    )
    backup = back_up(site, tmp_path / "b.tar")
    assert f"incoming/{batch.pk}/a" in names_in(backup.file)
    assert relocate_uploads() == 0
    ImportBatch.objects.filter(pk=batch.pk).update(location=f"/old/home/incoming/{batch.pk}")
    assert relocate_uploads() == 1
    batch.refresh_from_db()
    folder.refresh_from_db()
    assert Path(batch.location) == site / "incoming" / str(batch.pk)
    assert folder.location == "/srv/camera/incoming/1"
