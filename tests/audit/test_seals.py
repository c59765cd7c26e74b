"""Sealing and checking: a change below a seal is reported, and no row is missed."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction

from mekiki.audit.models import Event, Seal, SealLeaves
from mekiki.audit.sealed_tables import EVENTS, sealed_tables
from mekiki.audit.sealing import has_rows_to_seal, seal_new_rows, signed_facts_of, unsealed_count
from mekiki.audit.services import record
from mekiki.audit.verification import check_database
from mekiki.datasets.models import AuditShareChange
from mekiki.review.models import AuditRetirement, Decision
from tests import factories
from tests.roles import as_owner
from verification import merkle

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("signing_key")]


@contextmanager
def owner_of_the_database() -> Iterator[Callable[[str], None]]:
    """Run the block with the rights of a database owner who switches the triggers off."""
    with as_owner(triggers=False), connection.cursor() as cursor:
        yield cursor.execute


def findings() -> list[tuple[str, str]]:
    report = check_database()
    for finding in report.findings:
        assert finding.sentence()
    return [(f.code, f.detail.get("id", f.detail.get("seal", ""))) for f in report.findings]


@pytest.fixture
def sealed() -> list[int]:
    """Create five events under one seal and a decision under another, and return the ids of the events."""
    factories.DecisionFactory(note="a scratch at the edge", shown={"confidence": 0.25, "label_name": "傷"})
    ids = [record(kind="test.happened", data={"n": n}).pk for n in range(5)]
    seal_new_rows()
    assert findings() == []
    return ids


def test_seals_cover_every_row_once_and_follow_each_other(sealed: list[int]) -> None:
    assert not has_rows_to_seal() and seal_new_rows().seals == []
    assert unsealed_count() == 0
    record(kind="test.happened", data={"later": 1})
    assert has_rows_to_seal() and unsealed_count() == 1
    sealing = seal_new_rows()
    assert (sealing.rows, len(sealing.seals)) == (1, 1)
    seals = list(Seal.objects.order_by("number"))
    assert [seal.number for seal in seals] == [1, 2, 3]
    assert {seal.table for seal in seals} == {"events", "decisions"}
    assert sum(s.rows for s in seals) == Event.objects.count() + Decision.objects.count()
    hashes = [signed_facts_of(seal).hash() for seal in seals]
    assert [bytes(seal.previous) for seal in seals] == [b"", *hashes[:2]]
    assert bytes(seals[-1].log_root) == merkle.root_of(hashes)
    # RFC 9162: the newest root contains every seal and is consistent with every older root.
    newest = bytes(seals[-1].log_root)
    for index, seal in enumerate(seals):
        assert merkle.is_included(hashes[index], index, 3, merkle.inclusion_proof(hashes, index), newest)
        proof = merkle.consistency_proof(hashes, index + 1)
        assert merkle.is_consistent(index + 1, 3, (bytes(seal.log_root), newest), proof)
    report = check_database()
    assert report.ok and (report.seals, report.unsealed) == (3, 0)


def test_events_of_sealing_require_no_new_seal(sealed: list[int]) -> None:
    record(kind="job.queued", data={"kind": "seal"})
    record(kind="job.succeeded", data={"kind": "check_seals"})
    assert not has_rows_to_seal()
    record(kind="job.queued", data={"kind": "train"})
    assert has_rows_to_seal()


@pytest.mark.parametrize("table", sealed_tables(), ids=lambda table: table.name)
def test_every_column_is_in_the_sealed_record(table: Any) -> None:
    model = {
        "events": Event,
        "decisions": Decision,
        "audit_share_changes": AuditShareChange,
        "audit_retirements": AuditRetirement,
    }[table.name]
    columns = {field.column for field in model._meta.concrete_fields} - {"note"}  # its hash is there
    assert columns <= set(table.columns)


def test_a_changed_row_is_named(sealed: list[int]) -> None:
    with owner_of_the_database() as execute:
        execute(f"UPDATE audit_event SET data = '{{\"n\": 7}}' WHERE id = {sealed[2]}")
    assert findings() == [("row_changed", str(sealed[2]))]


@pytest.mark.parametrize(
    "change",
    [
        "note = 'none'",
        "label_id = (SELECT max(id) FROM labeling_label)",
        "milliseconds = 7",
        "created_at = created_at - interval '1 day'",
        "shown = '{}'",
        "client_key = gen_random_uuid()",
        "late = true",
    ],
)
def test_a_changed_decision_is_named(sealed: list[int], change: str) -> None:
    decision = Decision.objects.get()
    factories.LabelFactory(dataset=decision.dataset)
    with owner_of_the_database() as execute:
        execute(f"UPDATE review_decision SET {change}")
    assert findings() == [("row_changed", str(decision.pk))]


def test_the_rows_that_decide_about_the_audit_sample_are_sealed() -> None:
    dataset = factories.DatasetFactory()
    share = AuditShareChange.objects.create(dataset=dataset, before=0.1, after=0.5)
    retired = AuditRetirement.objects.create(dataset=dataset, labels=3)
    seal_new_rows()
    assert findings() == []
    with owner_of_the_database() as execute:
        execute("UPDATE datasets_auditsharechange SET before = 0.4")
        execute("DELETE FROM review_auditretirement")
    changed_rows = [(f.code, f.detail["table"], f.detail["id"]) for f in check_database().findings]
    assert sorted(changed_rows) == [
        ("row_changed", "audit_share_changes", str(share.pk)),
        ("row_removed", "audit_retirements", str(retired.pk)),
    ]


def test_exchanged_image_is_named(sealed: list[int]) -> None:
    decision = Decision.objects.get()
    with owner_of_the_database() as execute:
        execute(f"UPDATE datasets_image SET sha256 = '{'0' * 64}' WHERE id = {decision.image_id}")
    assert findings() == [("row_changed", str(decision.pk))]


def test_a_removed_row_is_named(sealed: list[int]) -> None:
    with owner_of_the_database() as execute:
        execute(f"DELETE FROM audit_event WHERE id IN ({sealed[1]}, {sealed[4]})")
    assert findings() == [("row_removed", str(sealed[1])), ("row_removed", str(sealed[4]))]


def test_a_back_dated_row_is_named(sealed: list[int]) -> None:
    with owner_of_the_database() as execute:
        execute(f"DELETE FROM audit_event WHERE id = {sealed[1]}")
        execute(
            "INSERT INTO audit_event (id, at, kind, actor_name, object_type, object_id, data) "
            f"VALUES ({sealed[0] - 1000}, now() - interval '1 year', 'test.invented', '', '', '', '{{}}')"
        )
    assert findings() == [("row_inserted", str(sealed[0] - 1000)), ("row_removed", str(sealed[1]))]


def test_exchanged_rows_are_named(sealed: list[int]) -> None:
    first, second = sealed[0], sealed[3]
    with owner_of_the_database() as execute:
        execute(f"UPDATE audit_event SET id = -1 WHERE id = {first}")
        execute(f"UPDATE audit_event SET id = {first} WHERE id = {second}")
        execute(f"UPDATE audit_event SET id = {second} WHERE id = -1")
    assert findings() == [("row_moved", str(first)), ("row_moved", str(second))]


def test_change_of_a_row_together_with_its_hash_is_detected(sealed: list[int]) -> None:
    seal = Seal.objects.get(table="events")
    with owner_of_the_database() as execute:
        execute(f"UPDATE audit_event SET kind = 'test.other' WHERE id = {sealed[2]}")
        hashes = b"".join(leaf for _pk, leaf in EVENTS.leaves(after=None, upto=None))
        execute(f"UPDATE audit_sealleaves SET hashes = '\\x{hashes.hex()}' WHERE seal_id = {seal.pk}")
    assert findings() == [("leaves", str(seal.pk)), ("rows_differ", str(seal.pk))]


def test_a_changed_or_missing_seal_is_named(sealed: list[int]) -> None:
    record(kind="test.happened")
    seal_new_rows()
    with owner_of_the_database() as execute:
        execute("UPDATE audit_seal SET sealed_at = sealed_at - interval '1 day' WHERE number = 1")
    # Its signature is wrong, the tree of seals has another root, and the next seal names another seal.
    assert ("seal_changed", "1") in findings() and ("seal_chain", "2") in findings()
    with owner_of_the_database() as execute:
        execute("DELETE FROM audit_sealleaves WHERE seal_id = 1")
        execute("DELETE FROM audit_seal WHERE number = 1")
    assert ("seal_missing", "1") in findings()


def test_recreated_seals_differ_from_a_head_kept_elsewhere(sealed: list[int]) -> None:
    """A person who controls the database and the key can create every seal again.

    A printed head of the seals shows it.
    """
    from verification.checking import Head

    newest = Seal.objects.order_by("-number").first()
    assert newest is not None
    head = Head(newest.number, bytes(newest.log_root))
    assert check_database(heads=[head]).ok
    with owner_of_the_database() as execute:
        execute(f"UPDATE audit_event SET kind = 'test.other' WHERE id = {sealed[2]}")
        execute("DELETE FROM audit_sealleaves")
        execute("DELETE FROM audit_seal")
    assert [f.code for f in check_database(heads=[head]).findings] == ["head"]
    seal_new_rows()
    assert check_database().ok
    assert [f.code for f in check_database(heads=[head]).findings] == ["head"]


def test_the_newest_seal_must_be_by_the_given_key(sealed: list[int], signing_key: Any) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from mekiki.audit.private_key import rotate_key
    from verification.signing import public_pem

    first_key = signing_key.public_pem.encode()
    assert check_database(keys=[first_key]).ok
    rotate_key()
    seal_new_rows()
    assert check_database(keys=[first_key]).ok  # the first key signed for the second
    other = public_pem(Ed25519PrivateKey.generate())
    assert [f.code for f in check_database(keys=[other]).findings] == ["key_other"]


def test_row_that_json_cannot_express_is_sealed() -> None:
    for value in ('{"n": 1e400}', '{"n": 123456789012345678901234567890}', json.dumps({"deep": [[[{}]]]})):
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO audit_event (kind, actor_name, object_type, object_id, data) "
                "VALUES ('test.odd', '', '', '', %s)",
                [value],
            )
    assert seal_new_rows().rows == 4  # and the event of the key
    assert findings() == []
    with owner_of_the_database() as execute:
        execute("UPDATE audit_event SET data = '{\"n\": 1e401}' WHERE data = '{\"n\": 1e400}'")
    assert [code for code, _pk in findings()] == ["row_changed"]


def test_many_rows_get_several_seals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mekiki.audit.sealing.MOST_ROWS", 3)
    for n in range(7):
        record(kind="test.happened", data={"n": n})
    assert [s.rows for s in Seal.objects.filter(number__in=seal_new_rows().seals).order_by("number")] == [
        3,
        3,
        2,
    ]
    assert findings() == []


def test_seals_cannot_be_changed_through_the_application(sealed: list[int]) -> None:
    from django.db import DatabaseError

    for act in (
        lambda: Seal.objects.update(rows=1),
        lambda: SealLeaves.objects.all().delete(),
        lambda: Seal.objects.filter(number=1).delete(),
    ):
        with pytest.raises(DatabaseError), transaction.atomic():
            act()


@pytest.mark.django_db(transaction=True)
def test_row_that_commits_late_is_sealed_and_blocks_no_writer(tmp_path: Path) -> None:
    """A transaction that holds a lower id delays the seal until it ends.

    Other transactions can write meanwhile.
    """
    is_written, may_commit = threading.Event(), threading.Event()

    def write_late() -> None:
        with transaction.atomic():
            record(kind="test.late")
            is_written.set()
            may_commit.wait(20)
        connection.close()

    writer = threading.Thread(target=write_late)
    writer.start()
    try:
        assert is_written.wait(10)
        early = record(kind="test.early")  # a higher id, committed first
        waiting = seal_new_rows(patience=0.2)
        assert waiting.seals == [] and waiting.waiting == ["events"]
        record(kind="test.meanwhile")  # no lock blocks the writers
    finally:
        may_commit.set()
        writer.join()
    assert seal_new_rows(patience=10).waiting == []
    seal = Seal.objects.get()
    late = Event.objects.get(kind="test.late")
    assert seal.first_id <= late.pk < early.pk <= seal.last_id and seal.rows == Event.objects.count()
    assert findings() == []
