"""`mekiki audit …` and `mekiki key …` as real processes: exit statuses and messages."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from mekiki.audit.models import Event, SigningKey
from mekiki.audit.private_key import make_first_key
from mekiki.audit.sealing import seal_new_rows
from mekiki.audit.services import record
from tests.config.test_command_line import files_in, run_commands
from tests.roles import as_owner, test_database_url

pytestmark = pytest.mark.django_db(transaction=True)

Answers = list[tuple[int, str]]
Run = Callable[..., Answers]


@pytest.fixture
def home(settings: Any, tmp_path: Path) -> Path:
    settings.HOME = tmp_path / "home"
    settings.HOME.mkdir(mode=0o700)
    return tmp_path / "home"


@pytest.fixture
def run(home: Path, tmp_path: Path) -> Run:
    """Run commands one after the other in one new process, on this home and the database of the test."""
    work = tmp_path / "work"
    work.mkdir()

    def call(*commands: str, **variables: str) -> Answers:
        defaults = {"DATABASE_URL": test_database_url(), "MEKIKI_HOME": str(home), "MEKIKI_LANGUAGE": "en"}
        return run_commands([command.split() for command in commands], work, **(defaults | variables))

    return call


@pytest.fixture
def work(tmp_path: Path, run: Run) -> Path:
    """Return the folder where the commands run."""
    return tmp_path / "work"


@pytest.fixture
def sealed(home: Path) -> list[int]:
    """Create ten sealed events and return their ids."""
    make_first_key()
    ids = [record(kind="test.happened", data={"n": n}).pk for n in range(10)]
    assert seal_new_rows().rows
    return ids


def tamper(sql: str, *values: Any) -> None:
    with as_owner(triggers=False), connection.cursor() as cursor:
        cursor.execute(sql, values)


def test_commands_without_key_or_seal_name_the_next_step(run: Run) -> None:
    answers = run(
        "key list",
        "key rotate",
        "audit head",
        "audit stamp-request a.tsq",
        "audit verify",
        "audit export a.zip",
    )
    statuses = [status for status, _output in answers]
    assert statuses == [0, 1, 1, 1, 0, 1]
    for (_status, output), expected in zip(
        answers,
        [
            "mekiki key make",
            "mekiki key make",
            "every ten minutes",
            "every ten minutes",
            "every ten minutes",
            "every ten minutes",
        ],
        strict=True,
    ):
        assert expected in output and "Traceback" not in output, output


def test_commands_without_a_platform_name_the_command_to_start_it(tmp_path: Path) -> None:
    commands = [["audit", "verify"], ["audit", "head"], ["key", "list"], ["key", "make"]]
    variables = {"MEKIKI_HOME": str(tmp_path / "none"), "MEKIKI_LANGUAGE": "en"}
    for status, output in run_commands(commands, tmp_path, **variables):
        assert status == 1 and "mekiki up" in output and "Traceback" not in output
    assert files_in(tmp_path) == []


def test_verify_accepts_unchanged_rows_and_refuses_wrong_arguments(
    run: Run, work: Path, sealed: list[int]
) -> None:
    (_, head), (_, as_json), (status, output), (_, pems) = run(
        "audit head", "audit head --json", "audit verify", "key list --json"
    )
    assert status == 0 and "Every sealed row is as it was sealed." in output
    facts = json.loads(as_json)
    assert "Seal 1, made" in head and f"--head 1:{facts['log_root']}" in head
    (work / "key.pem").write_text(json.loads(pems)[0]["public_pem"])
    (work / "other.txt").write_text("no key")
    good = f"1:{facts['log_root']}"
    answers = run(
        f"audit verify --head {good} --key key.pem",
        "audit verify --json",
        f"audit verify --head 1:{'0' * 64}",
        "audit verify --head seven",
        "audit verify --key other.txt",
        "audit verify --key missing.pem",
        "audit verify --nonsense",
        "audit nonsense",
        "audit stamp-request a.tsq",
        "audit stamp-request a.tsq",
        "audit stamp-add key.pem",
        "audit stamp-add missing.tsr",
    )
    assert [status for status, _output in answers] == [0, 0, 1, 2, 2, 2, 2, 2, 0, 2, 1, 2], answers
    assert json.loads(answers[1][1])["ok"] is True
    assert "does not match the given head" in answers[2][1] and "is not a head" in answers[3][1]
    assert (work / "a.tsq").stat().st_size > 30 and "nothing was replaced" in answers[9][1]
    assert not any("Traceback" in output for _status, output in answers)


def test_every_row_that_differs_is_named(run: Run, sealed: list[int]) -> None:
    changed, removed, one, other = sealed[1], sealed[3], sealed[5], sealed[7]
    tamper("UPDATE audit_event SET actor_name = 'mallory' WHERE id = %s", changed)
    tamper("DELETE FROM audit_event WHERE id = %s", removed)
    tamper("UPDATE audit_event SET id = -1 WHERE id = %s", one)
    tamper("UPDATE audit_event SET id = %s WHERE id = %s", one, other)
    tamper("UPDATE audit_event SET id = %s WHERE id = -1", other)
    first = Event.objects.order_by("pk").values_list("pk", flat=True)[0]
    inserted = first - 1
    tamper("INSERT INTO audit_event (id, kind, actor_name, object_type, object_id, data, at) "
           "VALUES (%s, 'test.forged', '', '', '', '{}', now())", inserted)  # fmt: skip
    (status, output), (_, as_json) = run("audit verify", "audit verify --json")
    assert status == 1
    ((_, japanese),) = run("audit verify", MEKIKI_LANGUAGE="ja")
    assert f"行 {changed}" in japanese
    assert f"row {changed} was changed" in output
    assert f"row {removed} of seal 1 was removed" in output
    assert f"row {inserted} was inserted" in output
    assert f"row {one} has the content that was sealed as row {other}" in output and "re-ordered" in output
    codes = {finding["code"] for finding in json.loads(as_json)["findings"]}
    assert codes == {"row_changed", "row_removed", "row_inserted", "row_moved"}


def test_exported_file_is_verified_and_other_files_are_refused(
    run: Run, work: Path, sealed: list[int], tmp_path: Path
) -> None:
    (work / "key.pem").write_text(SigningKey.objects.get().public_pem)
    assert [
        status
        for status, _output in run("audit export a.zip", "audit export a.zip", "audit export none/a.zip")
    ] == [
        0,
        1,
        1,
    ]
    whole = (work / "a.zip").read_bytes()
    (work / "cut.zip").write_bytes(whole[: len(whole) // 2])
    (work / "garbage.zip").write_bytes(b"garbage" * 1000)
    (work / "empty.zip").write_bytes(b"")
    with zipfile.ZipFile(work / "other.zip", "w") as archive:
        archive.writestr("labels.jsonl", "{}\n")
    with (
        zipfile.ZipFile(work / "a.zip") as source,
        zipfile.ZipFile(work / "huge.zip", "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for name in source.namelist():
            archive.writestr(name, b"{" * (1 << 25) if name == "seals.jsonl" else source.read(name))
    answers = run(
        "audit verify a.zip --key key.pem",
        "audit verify cut.zip",
        "audit verify garbage.zip",
        "audit verify empty.zip",
        "audit verify other.zip",
        "audit verify huge.zip",
        "audit verify missing.zip",
        "audit verify .",
    )
    assert [status for status, _output in answers] == [0, 1, 1, 1, 1, 1, 2, 2], answers
    assert "✓" in answers[0][1]
    for _status, output in answers[1:6]:
        assert "not an audit file" in output and "Traceback" not in output, output
    assert "too long" in answers[5][1] and "cannot be read" in answers[6][1]


def test_keys_are_made_replaced_and_listed(run: Run, home: Path) -> None:
    answers = run("key make", "key make", "key make --if-none", "key rotate", "key rotate --lost", "key list")
    assert [status for status, _output in answers] == [0, 1, 0, 0, 1, 0], answers
    assert "already" in answers[1][1] and "without --lost" in answers[4][1]
    assert len(answers[5][1].strip().splitlines()) == 2
    file = home / "keys" / "signing.pem"
    file.rename(file.with_suffix(".away"))
    answers = run("key rotate", "key make --if-none", "key rotate --lost", "key list", "key list --json")
    assert [status for status, _output in answers] == [1, 1, 0, 0, 0], answers
    assert "mekiki key rotate --lost" in answers[0][1] and "no new key was created" in answers[1][1]
    assert "lost" in answers[3][1].splitlines()[0]
    assert [key["act"] for key in json.loads(answers[4][1])] == ["replaced", "rotated", "made"]


def test_a_passphrase_opens_the_key_and_another_does_not(run: Run) -> None:
    ((status, _output),) = run("key make", MEKIKI_SIGNING_PASSPHRASE="four words of mine")
    assert status == 0
    ((without, output), (other, refused), (right, _)) = (
        *run("key rotate"),
        *run("key rotate", MEKIKI_SIGNING_PASSPHRASE="five words of another"),
        *run("key rotate", MEKIKI_SIGNING_PASSPHRASE="four words of mine"),
    )
    assert (without, other, right) == (1, 1, 0)
    assert "MEKIKI_SIGNING_PASSPHRASE is not set" in output and "does not open" in refused
    assert "five words" not in refused and SigningKey.objects.count() == 2
