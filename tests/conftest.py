"""Fixtures that all tests share: one embedded PostgreSQL, a broker on request, a temporary home.

Settings are read from the environment when Django loads. Therefore `pytest_configure` starts the server and
sets the environment before Django is set up. pyproject.toml names no settings module for that reason.
"""

import contextlib
import gc
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from mekiki.embedded.postgres import Postgres

# The speed at which a machine generates examples is no property of the code.
settings.register_profile("mekiki", deadline=None, suppress_health_check=[HealthCheck.too_slow])
# For the state machines alone, in the background: --hypothesis-profile=long (CONTRIBUTING.md).
settings.register_profile(
    "long",
    deadline=None,
    suppress_health_check=list(HealthCheck),
    max_examples=int(os.environ.get("MEKIKI_TEST_EXAMPLES", "200")),
    stateful_step_count=80,
    database=None,
    print_blob=True,
)
settings.load_profile("mekiki")

# Never use the home, database or broker of the person who runs the tests.
for name in [n for n in os.environ if n.startswith("MEKIKI_") and not n.startswith("MEKIKI_TEST_")]:
    del os.environ[name]
# Other tests compute all the time. A worker of a lower priority would get hardly any processor time.
os.environ["MEKIKI_WORKER_NICE"] = "0"
# Every process of a worker imports torch, which takes some seconds of a processor. test_up.py and
# test_journey.py run the platform with its default number of processes.
os.environ.update(MEKIKI_WORKER_CONCURRENCY="1", MEKIKI_WEB_WORKERS="1")

PREFIX = "mekiki-tests-"
_session: dict[str, object] = {}


def _sweep_dead_sessions() -> None:
    """Delete the homes of killed test runs. The name of a home contains the number of its process."""
    from mekiki.embedded import places

    for home in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        number = home.name.removeprefix(PREFIX).split("-")[0]
        if number.isdigit() and not psutil.pid_exists(int(number)):
            with contextlib.suppress(OSError):
                places.delete_database(home / "postgres")
                shutil.rmtree(home, ignore_errors=True)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Start the database and configure Django to use it."""
    if config.getoption("help", False) or config.getoption("version", 0):
        return
    if config.getoption("numprocesses", None) and not hasattr(config, "workerinput"):
        # This process only hands out tests to other processes (pytest-xdist), which have their own databases.
        return
    gc.disable()  # until everything is imported (pytest_collection_finish)
    from mekiki.embedded.postgres import Postgres

    _sweep_dead_sessions()
    home = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
    # The data is temporary, so nothing has to wait for the disk.
    unsafe = {
        "fsync": "off",
        "full_page_writes": "off",
        "synchronous_commit": "off",
        "shared_buffers": "128MB",
    }
    server = Postgres(home / "postgres", settings=unsafe, sync=False)
    _session.update(home=home, server=server)
    server.start()
    os.environ.update(
        MEKIKI_HOME=str(home),
        DATABASE_URL=_make_test_role(server),
        MEKIKI_TEST_SUPERUSER_URL=server.superuser_url,
        MEKIKI_TEST_OWNER_URL=server.owner_url,
        # Messages go nowhere unless a test requests `broker`. Jobs are durable without messages.
        BROKER_URL="memory://",
        DJANGO_SETTINGS_MODULE="mekiki.config.settings",
    )
    import django
    from django.conf import settings as django_settings

    django.setup()
    django_settings.PASSWORD_HASHERS = ["tests.fast_hasher.FastHasher"]


def pytest_collection_finish() -> None:
    """Collect garbage from now on, without a look at the modules and the tests, which stay until the end."""
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that took long in a complete run, and put the files with the most seconds first."""
    from tests.slow import seconds_of_slow_tests

    seconds = seconds_of_slow_tests()
    for item in items:
        if item.nodeid.partition("[")[0] in seconds:
            item.add_marker(pytest.mark.slow)
    of_file: Counter[str] = Counter()
    for name, of_test in seconds.items():
        of_file[name.partition("::")[0]] += of_test
    items.sort(key=lambda item: -of_file[item.nodeid.partition("::")[0]])


def _make_test_role(server: "Postgres") -> str:
    """Create the role that tests connect as, and return its URL.

    It has the rights of the application and may become the superuser by SET ROLE.
    """
    import psycopg

    from mekiki.embedded.roles import APPLICATION, OWNER, SUPERUSER
    from mekiki.embedded.roles.connecting import as_role
    from tests.roles import TEST_ROLE

    with psycopg.connect(server.superuser_url, autocommit=True) as connection:
        connection.execute(f"ALTER ROLE {OWNER} CREATEDB")  # of the test database
        connection.execute(f"CREATE ROLE {TEST_ROLE} LOGIN PASSWORD 'test' IN ROLE {APPLICATION}")
        connection.execute(f"GRANT {OWNER}, {SUPERUSER} TO {TEST_ROLE} WITH INHERIT FALSE, SET TRUE")
    with psycopg.connect(
        server.superuser_url.replace("/mekiki?", "/template1?"), autocommit=True
    ) as connection:
        connection.execute("CREATE EXTENSION vector")  # the owner may not
    return as_role(server.url, TEST_ROLE, "test")


def connect_as(url: str) -> None:
    """Give this process's connection another role on the same database."""
    from django.db import connection

    from mekiki.embedded.endpoints import database

    connection.close()
    connection.settings_dict.update({key: database(url)[key] for key in ("USER", "PASSWORD")})


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings: None) -> None:
    """Let the owner create the test database and migrate it."""
    from tests.roles import OWNER_URL

    connect_as(os.environ[OWNER_URL])


@pytest.fixture(scope="session")
def django_db_setup(
    django_test_environment: None, django_db_blocker: Any, django_db_modify_db_settings: None
) -> Iterator[None]:
    """Create the test database. Tests run in it with the rights of the application."""
    from django.db import connection
    from django.test import TransactionTestCase

    from tests import migrated_database
    from tests.emptying import delete_all_rows
    from tests.roles import grant_rights

    with django_db_blocker.unblock():
        migrated_database.create()
        grant_rights()
    connect_as(os.environ["DATABASE_URL"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", lambda self: delete_all_rows())
        yield
    connection.close()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the database and delete the home, also after a failure or Ctrl-C."""
    from mekiki.embedded import places
    from mekiki.embedded.postgres import Postgres

    server, home = _session.get("server"), _session.get("home")
    if isinstance(server, Postgres) and isinstance(home, Path):
        server.stop()
        places.delete_database(home / "postgres")
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(autouse=True)
def _language_of_the_site() -> Iterator[None]:
    """Reset the language and the time zone, which a request leaves active in this thread."""
    from django.utils import timezone, translation

    translation.deactivate()
    timezone.deactivate()
    yield
    translation.deactivate()
    timezone.deactivate()


@pytest.fixture
def index_builder(transactional_db: None) -> Iterator[None]:
    """Run the thread that builds search indexes, as `mekiki up` does, and delete the indexes afterwards."""
    from mekiki.learning.search import index
    from mekiki.learning.search.keeper import IndexBuilder
    from tests.roles import OWNER_URL, test_database_url

    builder = IndexBuilder(test_database_url(os.environ[OWNER_URL]), poll_seconds=0.05)
    builder.start()
    yield
    builder.stop()
    for encoder_id in index.index_states():
        index.drop(encoder_id)


@pytest.fixture(scope="session")
def _valkey() -> Iterator[str]:
    from mekiki.embedded.valkey import Valkey

    home = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
    server = Valkey(home / "valkey")
    try:
        yield server.start()
    finally:
        server.stop()
        shutil.rmtree(home, ignore_errors=True)


def _connect_to(broker_url: str) -> None:
    from kombu import pools

    from mekiki.config.celery import app

    app.conf.broker_url = app.conf.broker_read_url = app.conf.broker_write_url = broker_url
    # kombu pools connections for the whole process, and celery keeps one pool of each kind.
    pools.reset()
    app._pool = app.amqp._producer_pool = None


@pytest.fixture
def broker(_valkey: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Start a real, empty broker and return its URL.

    The Celery application of this process sends to it. Child processes get BROKER_URL.
    """
    from mekiki.config.celery import app

    before = app.conf.broker_url
    monkeypatch.setenv("BROKER_URL", _valkey)
    _connect_to(_valkey)
    with app.connection_for_write() as connection:
        connection.default_channel.client.flushall()
    yield _valkey
    _connect_to(before)


@pytest.fixture
def silent_broker() -> Iterator[None]:
    """Start a broker that accepts every connection and never answers, like a stopped process."""
    import socket

    from mekiki.config.celery import app
    from mekiki.jobs.broker import rest

    before = app.conf.broker_url
    home = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(home / "broker.sock"))
        listener.listen(128)
        _connect_to(f"redis+socket://{home}/broker.sock")
        rest.end()
        yield
    _connect_to(before)
    rest.end()
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def photographs() -> Path:
    """Return the folder of the real NEU photographs (MEKIKI_TEST_PHOTOS), or skip the test with a reason."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data" / "neu-surface-defects"
    folder = Path(os.environ.get("MEKIKI_TEST_PHOTOS") or default)
    if not folder.is_dir():
        pytest.skip(
            f"NO PHOTOGRAPHS at {folder}: set MEKIKI_TEST_PHOTOS to the folder of NEU surface defects"
        )
    return folder
