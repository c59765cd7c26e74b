"""The three database roles on the real server: the rights of each, and the site as the application."""

import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse

from mekiki.embedded.postgres import Postgres
from mekiki.embedded.roles import (
    APPLICATION,
    OWNER,
    REPORT,
    SUPERUSER,
    checking,
    connecting,
    passwords,
    rights,
)
from mekiki.embedded.supervisor import Platform, children
from tests.conftest import connect_as
from tests.roles import superuser_url, test_database_url

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(os.environ["MEKIKI_HOME"]) / "postgres"


def url_of(role: str) -> str:
    """Return the URL of the test database for one of the server's roles, with the password of its file."""
    role_passwords = passwords.read(FOLDER)
    assert role_passwords is not None
    return test_database_url(connecting.as_role(superuser_url(), role, role_passwords[role]))


@pytest.fixture
def application(db: None) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(url_of(APPLICATION), autocommit=True) as session:
        yield session


@pytest.mark.parametrize(
    "statement",
    [
        "COPY (SELECT 1) TO PROGRAM 'id'",
        "COPY auth_group FROM PROGRAM 'id'",
        "COPY (SELECT 1) TO '/tmp/mekiki-stolen'",
        "COPY auth_group FROM '/etc/passwd'",
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT pg_ls_dir('/')",
        "SELECT lo_import('/etc/passwd')",
        "SELECT pg_reload_conf()",
        (
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE usename = 'mekiki_owner' OR usename = 'mekiki'"
        ),
        "ALTER SYSTEM SET fsync = off",
        "SET session_replication_role = replica",
        "SELECT set_config('session_replication_role', 'replica', false)",
        "SET ROLE mekiki_owner",
        "SET ROLE mekiki",
        "SET SESSION AUTHORIZATION mekiki",
        "ALTER ROLE mekiki_app SUPERUSER",
        "ALTER ROLE mekiki_app CREATEROLE",
        "GRANT mekiki_owner TO mekiki_app",
        "CREATE ROLE mine",
        "CREATE DATABASE mine",
        "CREATE SCHEMA mine",
        "CREATE TABLE mine (n int)",
        "CREATE TABLE public.mine (n int)",
        "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE EVENT TRIGGER mine ON ddl_command_end EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "ALTER DATABASE mekiki SET session_replication_role = replica",
        "ALTER FUNCTION learning_drop_predictions(bigint) OWNER TO mekiki_app",
        (
            "CREATE OR REPLACE FUNCTION _pgtrigger_should_ignore(trigger_name name) RETURNS boolean"
            " LANGUAGE sql AS 'SELECT true'"
        ),
        "CREATE INDEX mine ON audit_event (kind)",
        "REINDEX TABLE audit_event",
        "CLUSTER audit_event USING event_by_kind",
        "DO $$ BEGIN LOCK TABLE audit_event IN ACCESS EXCLUSIVE MODE; END $$",
        "DELETE FROM django_migrations",
        "UPDATE django_content_type SET model = model",
    ],
)
def test_application_role_is_refused_privileged_statements(
    application: psycopg.Connection[Any], statement: str
) -> None:
    with pytest.raises(psycopg.Error) as refused:
        result = application.execute(statement)  # type: ignore[arg-type]
        if "pg_terminate" in statement:  # other sessions are hidden, or it is refused
            assert not any(row[0] for row in result.fetchall())
            raise psycopg.errors.InsufficientPrivilege
    assert isinstance(refused.value, psycopg.errors.InsufficientPrivilege), refused.value
    assert not Path("/tmp/mekiki-stolen").exists()


def test_only_the_application_role_has_no_excess_rights(
    application: psycopg.Connection[Any],
) -> None:
    evidence = rights.evidence_tables()
    assert len(evidence) >= 11
    assert checking.excess_privileges(application.cursor(), evidence) == []
    for role, codes in ((OWNER, {"owner", "create", "truncate", "evidence"}), (SUPERUSER, {"superuser"})):
        with psycopg.connect(url_of(role)) as session:
            excess_codes = {excess.code for excess in checking.excess_privileges(session.cursor(), evidence)}
            assert codes <= excess_codes, (role, excess_codes)
            assert all(str(excess) for excess in checking.excess_privileges(session.cursor(), evidence))


def test_functions_of_the_owner_have_no_other_effect(application: psycopg.Connection[Any]) -> None:
    """Unknown heads, the head in use, and temporary tables in place of the tables that the functions read."""
    for head in (0, -1, 2**62):
        assert application.execute("SELECT learning_open_predictions(%s)", [head]).fetchone() == (False,)
        assert application.execute("SELECT learning_index_predictions(%s)", [head]).fetchone() == (False,)
        application.execute("SELECT learning_drop_predictions(%s)", [head])
        application.execute("SELECT learning_drop_search_index(%s)", [head])
    application.execute("CREATE TEMP TABLE learning_head (id bigint)")
    application.execute("INSERT INTO learning_head VALUES (7)")
    application.execute("SET search_path = pg_temp, public")
    assert application.execute("SELECT public.learning_open_predictions(7)").fetchone() == (False,)
    with psycopg.connect(url_of(REPORT)) as session, pytest.raises(psycopg.errors.InsufficientPrivilege):
        session.execute("SELECT learning_hold_head(1)")
    with psycopg.connect(url_of(OWNER)) as session:
        functions = session.execute(
            "SELECT proname, proconfig::text FROM pg_proc"
            " WHERE prosecdef AND pronamespace = 'public'::regnamespace"
        ).fetchall()
    assert len(functions) >= 9 and {path for _name, path in functions} == {
        '{"search_path=pg_catalog, public, pg_temp"}'
    }


def test_report_role_can_only_read(db: None) -> None:
    with psycopg.connect(url_of(REPORT), autocommit=True) as session:
        for table in ("review_decision", "audit_event", "learning_prediction", "accounts_membership"):
            session.execute(f"SELECT count(*) FROM {table}")  # type: ignore[arg-type]
        session.execute("SELECT username, is_active FROM accounts_user")
        for secret in (
            "SELECT password FROM accounts_user",
            "SELECT * FROM accounts_user",
            "SELECT * FROM django_session",
            "SELECT * FROM accounts_logintry",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                session.execute(secret)  # type: ignore[arg-type]
        session.execute("SET default_transaction_read_only = off")
        for statement in (
            "INSERT INTO auth_group (name) VALUES ('mine')",
            "DELETE FROM jobs_job",
            "CREATE TABLE mine ()",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                session.execute(statement)  # type: ignore[arg-type]


def test_roles_need_their_password() -> None:
    file = FOLDER / passwords.FILE
    assert stat.S_IMODE(file.stat().st_mode) == 0o600 and file.stat().st_uid == os.geteuid()
    for role in (SUPERUSER, OWNER, APPLICATION, REPORT, "postgres"):
        for password in ("", "wrong"):
            with pytest.raises(psycopg.OperationalError, match="password"):
                psycopg.connect(connecting.as_role(superuser_url(), role, password))


@pytest.mark.django_db(transaction=True)
def test_review_freeze_and_prediction_work_with_the_application_role(settings: Any, tmp_path: Path) -> None:
    """HTTP requests and a worker's job on a connection with exactly the application's role."""
    from mekiki.audit.private_key import make_first_key
    from mekiki.audit.sealing import seal_new_rows
    from mekiki.exports.services import freeze
    from mekiki.learning.models import Prediction
    from mekiki.review.models import Decision
    from tests.review_setup import Station
    from workers.runner import run_job

    station = Station(items=2)
    user, admin = station.reviewer(), station.reviewer("admin")
    before = os.environ["DATABASE_URL"]
    connect_as(url_of(APPLICATION))
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_user, session_user")
            assert cursor.fetchone() == (APPLICATION, APPLICATION)
        settings.HOME = tmp_path
        make_first_key()
        client = Client()
        client.force_login(user)
        assert client.get(reverse("review", args=[station.dataset.slug])).status_code == 200
        station.answer(user, station.next(user)[0])
        station.undo(user)
        assert Decision.objects.count() == 2, "an answer and its undo"
        station.answer(user, station.next(user)[0])
        label_set = freeze(dataset=station.dataset, user=admin)
        assert run_job(str(label_set.job_id)) == "succeeded"
        assert label_set.entries.count() == 1
        assert seal_new_rows().rows
        from mekiki.learning import services

        head = station.head
        labels = [label.pk for label in station.labels]
        images = list(station.dataset.images.values_list("pk", flat=True))
        n = len(images)
        from tests.factories import HeadFactory

        newer = HeadFactory(dataset=station.dataset, label_ids=labels)
        stored = services.store_predictions(
            head=newer, image_ids=images, label_ids=labels[:1] * n, runner_up_ids=labels[1:2] * n,
            confidence=[0.5] * n, margin=[0.1] * n, entropy=[0.2] * n,
        )  # fmt: skip
        assert stored == n and Prediction.objects.filter(head=newer).count() == n
        services.index_predictions(head=newer)
        assert services.drop_replaced_predictions(station.dataset) == 1
        assert (
            Prediction.objects.filter(head=head).exists()
            and not Prediction.objects.filter(head=newer).exists()
        )
        with pytest.raises(Exception, match="in use"), connection.cursor() as cursor:
            cursor.execute("SELECT learning_drop_predictions(%s)", [head.pk])
    finally:
        connect_as(before)


def test_child_processes_do_not_get_the_owner_password(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DATABASE_OWNER_URL", "postgresql://owner:secret@host/mekiki")
    environment = children.child_environment(tmp_path, "postgresql://app:x@host/mekiki", "memory://")
    assert "secret" not in str(environment)


def test_older_home_gets_roles_and_a_lost_password_file_is_recreated(tmp_path: Path) -> None:
    server = Postgres(tmp_path / "home" / "postgres", sync=False, settings={"fsync": "off"})
    try:
        server.start()
        with psycopg.connect(server.superuser_url) as session:  # the tables belonged to the superuser
            session.execute("CREATE TABLE old (id bigint GENERATED BY DEFAULT AS IDENTITY, v vector(2))")
            session.execute("CREATE FUNCTION old_one() RETURNS int LANGUAGE sql AS 'SELECT 1'")
            session.execute("ALTER DATABASE mekiki OWNER TO mekiki")
        server.stop()
        (server.folder / passwords.FILE).unlink()
        before = dict(server.passwords)
        server.start()
        assert before != server.passwords
        with psycopg.connect(server.owner_url) as owner:
            owners = owner.execute(
                "SELECT pg_get_userbyid(relowner) FROM pg_class WHERE relname IN ('old', 'old_id_seq') UNION "
                "SELECT pg_get_userbyid(proowner) FROM pg_proc WHERE proname = 'old_one' UNION "
                "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'mekiki'"
            ).fetchall()
            assert owners == [(OWNER,)]
            owner.execute("ALTER TABLE old ADD COLUMN more int")
    finally:
        server.stop()
        from mekiki.embedded import places

        places.delete_database(server.folder)


def run_mekiki(*command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'platform'}:{ROOT}"} | variables
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "mekiki", *command],
        env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


@pytest.mark.slow
def test_statements_of_the_manual_create_separate_roles(tmp_path: Path) -> None:
    """A server of the user with other names, migrated and checked by our commands."""
    page = (ROOT / "docs" / "how-to" / "database-roles.md").read_text()
    blocks = [
        block.replace("mekiki_", "shop_").replace(" mekiki ", " shop ")
        for block in re.findall(r"```sql\n(.*?)```", page, re.DOTALL)
    ]
    assert len(blocks) == 2
    with psycopg.connect(superuser_url(), autocommit=True) as server:
        for statement in filter(str.strip, blocks[0].split(";")):
            server.execute(statement)  # type: ignore[arg-type]
    shop = superuser_url("shop")
    with psycopg.connect(shop, autocommit=True) as database:
        for statement in filter(
            str.strip, blocks[1].replace("EXTENSION", "EXTENSION IF NOT EXISTS").split(";")
        ):
            database.execute(statement)  # type: ignore[arg-type]
    variables = {
        "DATABASE_URL": connecting.as_role(shop, "shop_app", "app-password"),
        "DATABASE_OWNER_URL": connecting.as_role(shop, "shop_owner", "owner-password"),
        "DATABASE_REPORT_ROLE": "shop_report",
        "MEKIKI_LANGUAGE": "en",
    }
    process = run_mekiki("manage", "migrate", "--verbosity", "0", **variables)
    assert process.returncode == 0, process.stderr
    process = run_mekiki("roles", "--json", **variables)
    assert (process.returncode, json.loads(process.stdout)) == (0, {"role": "shop_app", "too_much": []})
    with psycopg.connect(connecting.as_role(shop, "shop_report", "report-password")) as report:
        assert report.execute("SELECT count(*) FROM review_decision").fetchone() == (0,)
    # One role for everything is reported.
    process = run_mekiki("roles", **variables | {"DATABASE_URL": variables["DATABASE_OWNER_URL"]})
    assert (
        process.returncode == 1
        and "it owns tables" in process.stdout
        and "database-roles.md" in process.stdout
    )


@pytest.mark.slow
def test_platform_runs_with_the_application_role(new_platform: Callable[..., Platform]) -> None:
    platform = new_platform(worker=False, beat=False).start()
    role_passwords = passwords.read(platform.home / "postgres")
    assert role_passwords is not None and connecting.role_of(platform.database_url) == APPLICATION
    for name, pid in platform.pids().items():
        environment = Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace")
        for role in (SUPERUSER, OWNER, REPORT):
            assert role_passwords[role] not in environment, name
            assert role_passwords[role] not in Path(f"/proc/{pid}/cmdline").read_bytes().decode(), name
    variables = {**platform.env, "MEKIKI_LANGUAGE": "en"}
    process = run_mekiki("roles", **variables)
    assert process.returncode == 0 and "nothing else" in process.stdout, process.stdout + process.stderr
    without_urls = {**variables, "DATABASE_URL": "", "BROKER_URL": ""}
    assert run_mekiki("manage", "migrate", "--verbosity", "0", **without_urls).returncode == 0
    with psycopg.connect(platform.database_url) as session:
        assert session.execute("SELECT username FROM accounts_user").fetchall() == [("admin",)]
