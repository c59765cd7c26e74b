"""Freezing: what a label set contains, that it is exact, and that it survives a kill."""

import csv
import io
import json
import os
import subprocess
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import DatabaseError, OperationalError, connection, transaction

from mekiki.audit.models import Event, Seal
from mekiki.config import csv_files
from mekiki.exports import selectors, snapshot, writing
from mekiki.exports.models import LabelSet
from mekiki.exports.services import freeze, retry
from mekiki.exports.writing import write_label_set
from mekiki.jobs.models import Job, Kind, State
from mekiki.labeling.services import update_label
from mekiki.learning.models import Champion
from mekiki.learning.services import promote
from mekiki.review.adjustments import ViewAdjustments
from mekiki.review.models import ConfirmedLabel
from tests import factories
from tests.exports.helpers import Judged, ignore_progress, path_of
from tests.review_setup import Station
from tests.roles import set_fixed
from verification.label_set import format as form
from verification.label_set.verify import verify


def rows_of(path: Path) -> list[dict]:
    with zipfile.ZipFile(path) as archive:
        return [json.loads(line) for line in archive.read(form.ROWS).splitlines()]


def test_freeze_seals_the_decisions_first(judged: Judged) -> None:
    assert not Seal.objects.exists()
    frozen = write_label_set(
        label_set=freeze(dataset=judged.dataset, user=judged.admin), progress=ignore_progress
    )
    assert Seal.objects.filter(table="decisions").exists() and verify(path_of(frozen)).ok


def test_a_label_set_of_machine_labels_alone_needs_no_seal(judged: Judged) -> None:
    ConfirmedLabel.objects.all().delete()
    draft = freeze(dataset=judged.dataset, user=judged.admin, machine_threshold=0.94)
    file = path_of(write_label_set(label_set=draft, progress=ignore_progress))
    with zipfile.ZipFile(file) as archive:
        assert archive.read(form.SEALS) == b""
    assert verify(file).ok


def test_every_label_carries_its_lineage(judged: Judged, frozen: LabelSet) -> None:
    rows = {row["image_sha256"]: row for row in rows_of(path_of(frozen))}
    people = {row["image_sha256"]: row for row in rows.values() if row["source"] == "human"}
    assert set(people) == {image.sha256 for image in judged.images[:8]}
    for confirmed in ConfirmedLabel.objects.select_related("decision", "label", "image"):
        row = people[confirmed.image.sha256]
        assert (row["label"], row["label_id"], row["critical"]) == (
            confirmed.label.name,
            confirmed.label_id,
            confirmed.label.critical,
        )
        assert row["file_name"] == confirmed.image.name
        assert row["reviewer"] == "=reviewer"
        assert row["decision_id"] == confirmed.decision_id
        assert row["decision_kind"] == confirmed.decision.kind
        assert row["decided_at"][:19] == confirmed.decision.created_at.isoformat()[:19]
        assert row["stream"] == confirmed.decision.shown["stream"]
        assert row["propensity"] == confirmed.decision.shown["propensity"]
        assert row["head"] == {"version": judged.head.version, "digest": judged.head.digest}
        assert row["prompt_set"]["digest"] == judged.head.prompt_set.digest
        assert row["encoder"] == {"name": "pocket", "digest": judged.head.encoder.digest}
        assert row["opinions"] == 1 and row["late"] is False
        assert row["metadata"] == {"camera": "1", "line": "A"}
        if confirmed.decision.shown["blind"]:
            assert row["blind"] is True and row["shown"] is None
        else:
            assert row["shown"]["label_id"] == confirmed.decision.shown["label"]
            assert row["shown"]["confidence"] == confirmed.decision.shown["confidence"]
            assert row["shown"]["calibrated"] is True


def test_adjusted_view_of_a_decision_is_in_its_sealed_record_only(judged: Judged) -> None:
    station = Station(items=2)
    user = station.reviewer("admin")
    adjusted, original = station.next(user, 2)
    station.answer(user, adjusted, view=ViewAdjustments(gamma=1.5, channel="red"))
    station.answer(user, original)
    label_set = freeze(dataset=station.dataset, user=user)
    label_set = write_label_set(label_set=label_set, progress=ignore_progress)
    report = verify(path_of(label_set))
    assert report.ok, report.problems
    with_view, without = sorted(rows_of(path_of(label_set)), key=lambda row: row["decision_id"])
    assert with_view["sealed"]["shown"].pop("view") == {"gamma": 1.5, "channel": "red"}
    assert with_view["sealed"]["shown"] == without["sealed"]["shown"]
    assert set(with_view["shown"]) == {"label", "label_id", "confidence", "calibrated"}


def test_machine_labels_are_confident_uncritical_and_of_unreviewed_images(
    judged: Judged, frozen: LabelSet
) -> None:
    machine = [row for row in rows_of(path_of(frozen)) if row["source"] == "uncertified"]
    # 8 was flagged by a reviewer, 10 is predicted critical, and 9 and 11 remain.
    assert {row["image_sha256"] for row in machine} == {judged.images[n].sha256 for n in (9, 11)}
    for row in machine:
        assert row["confidence"] >= 0.94 and not row["critical"]
        assert row["reviewer"] is None and row["decision_id"] is None
    assert (frozen.human_labels, frozen.machine_labels) == (8, 2)


def test_images_waiting_for_a_blind_audit_get_no_machine_label(judged: Judged) -> None:
    set_fixed(judged.images[9].queue_items.get(), stream="audit")
    assert judged.images[11].queue_items.get().stream == "uncertain"
    assert selectors.machine_label_count(judged.dataset, 0.94) == 1
    draft = freeze(dataset=judged.dataset, user=judged.admin, machine_threshold=0.94)
    label_set = write_label_set(label_set=draft, progress=ignore_progress)
    machine = [row["image_sha256"] for row in rows_of(path_of(label_set)) if row["source"] == "uncertified"]
    assert machine == [judged.images[11].sha256]


@pytest.mark.django_db(transaction=True)
def test_fixing_entries_delays_promotions_but_not_answers() -> None:
    station = Station(items=1)
    reviewer, admin = station.reviewer(), station.reviewer("admin")
    leased = station.next(reviewer)[0]
    factories.ConfirmedLabelFactory(dataset=station.dataset, label=station.labels[0])
    challenger = factories.HeadFactory(dataset=station.dataset, prompt_set=station.head.prompt_set)
    draft = freeze(dataset=station.dataset, user=admin)
    outcomes: dict[str, Exception | None] = {}

    def run_in_thread(name: str, action: Callable[[], Any]) -> None:
        def run() -> None:
            try:
                with connection.cursor() as cursor:
                    cursor.execute("SET lock_timeout = '1s'")
                action()
                outcomes[name] = None
            except OperationalError as error:
                outcomes[name] = error
            finally:
                connection.close()

        thread = threading.Thread(target=run)
        thread.start()
        thread.join(30)

    with transaction.atomic():
        snapshot.take_snapshot(draft)
        run_in_thread("answer", lambda: station.answer(reviewer, leased))
        run_in_thread("promote", lambda: promote(head=challenger, reason={"code": "by_hand"}))
    assert outcomes["answer"] is None, "a reviewer waited for an export"
    assert "lock timeout" in str(outcomes["promote"]), "the predictions could have been dropped meanwhile"


def test_label_set_without_a_threshold_has_no_machine_labels(judged: Judged) -> None:
    update_label(label=judged.labels[1], user=judged.admin, code="SZ2")
    label_set = freeze(dataset=judged.dataset, user=judged.admin)
    label_set = write_label_set(label_set=label_set, progress=ignore_progress)
    assert {row["source"] for row in rows_of(path_of(label_set))} == {"human"}
    report = verify(path_of(label_set))
    assert report.ok, report.problems
    assert report.summary["counts"] == {"labels": 8, "human": 8, "machine": 0, "images": 0}
    with zipfile.ZipFile(path_of(label_set)) as archive:
        schema = json.loads(archive.read(form.SCHEMA))
    codes = [label.get("code") for label in schema["labels"]]
    assert codes == [None, "SZ2", None], "a label without a code has no key, as before codes"


def test_table_equals_the_rows_and_contains_no_formula(frozen: LabelSet) -> None:
    with zipfile.ZipFile(path_of(frozen)) as archive:
        raw = archive.read(form.TABLE)
    assert raw.startswith(b"\xef\xbb\xbf")
    table = list(csv.DictReader(io.StringIO(raw.decode("utf-8-sig"), newline="")))
    rows = rows_of(path_of(frozen))
    assert len(table) == len(rows) == 10
    for cells, row in zip(table, rows, strict=True):
        assert not any((cell or "").startswith(tuple("=+-@＝＋－＠\t\r\n")) for cell in cells.values())
        assert csv_files.cell_text(cells["file_name"]) == row["file_name"]
        assert csv_files.cell_text(cells["label"]) == row["label"]
        assert json.loads(cells["metadata"]) == row["metadata"]
    assert any(cells["file_name"].startswith("'=cmd") for cells in table)


def test_same_entries_give_the_same_bytes(judged: Judged, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process was killed after the entries were fixed. Later changes do not change the file."""
    label_set = freeze(dataset=judged.dataset, user=judged.admin, include_images=True, machine_threshold=0.94)

    class KilledError(BaseException):
        pass

    def die_late(done: int, total: int) -> None:
        if done > 3:
            raise KilledError

    with pytest.raises(KilledError):
        write_label_set(label_set=label_set, progress=die_late)
    first = write_label_set(label_set=label_set, progress=ignore_progress)
    first_bytes = path_of(first).read_bytes()
    # The same label set as if the last mark had been lost after the data changed.
    Champion.objects.all().delete()
    judged.head.prediction_set.all().delete()
    judged.labels[0].name = "fine"
    judged.labels[0].save()
    for image in judged.images[9:]:
        factories.ConfirmedLabelFactory(dataset=judged.dataset, image=image, label=judged.labels[2])
    path_of(first).unlink()
    first.state = LabelSet.State.FREEZING
    monkeypatch.setattr(writing.snapshot, "take_snapshot", lambda _label_set: first)
    with path_of(first).open("w+b") as file:
        writing._write(first, file, ignore_progress)
    assert path_of(first).read_bytes() == first_bytes


def test_a_killed_attempt_leaves_no_file_behind(judged: Judged) -> None:
    label_set = freeze(dataset=judged.dataset, user=judged.admin)
    first = write_label_set(label_set=label_set, progress=ignore_progress)
    folder = path_of(first).parent
    (folder / f".draft-{judged.dataset.pk}-v2-left").write_bytes(b"half a file")
    second = freeze(dataset=judged.dataset, user=judged.admin)
    write_label_set(label_set=second, progress=ignore_progress)
    assert sorted(p.name for p in folder.iterdir()) == ["v1.zip", "v2.zip"]
    assert path_of(first).stat().st_mode & 0o777 == 0o600


def test_frozen_label_set_cannot_be_changed(frozen: LabelSet) -> None:
    before = path_of(frozen).read_bytes()
    again = write_label_set(label_set=frozen, progress=ignore_progress)
    assert again.frozen_at == frozen.frozen_at
    assert path_of(frozen).read_bytes() == before
    assert Event.objects.filter(kind="label_set.frozen").count() == 1
    with pytest.raises(DatabaseError), transaction.atomic():
        LabelSet.objects.filter(pk=frozen.pk).update(note="another")
    with pytest.raises(DatabaseError), transaction.atomic():
        frozen.entries.update(label_id=1)


def test_freeze_creates_a_version_a_job_and_an_event(judged: Judged) -> None:
    first = freeze(dataset=judged.dataset, user=judged.admin, note=" for the audit ")
    second = freeze(dataset=judged.dataset, user=judged.admin)
    assert (first.version, second.version, first.note) == (1, 2, "for the audit")
    jobs = Job.objects.filter(kind=Kind.FREEZE)
    assert {job.payload["label_set"] for job in jobs} == {first.pk, second.pk}
    assert first.job in jobs
    assert Event.objects.filter(kind="label_set.requested", actor_id=judged.admin.pk).count() == 2


def test_freeze_is_refused_to_reviewers_and_for_invalid_values(judged: Judged) -> None:
    with pytest.raises(PermissionDenied):
        freeze(dataset=judged.dataset, user=judged.reviewer)
    with pytest.raises(ValidationError):
        freeze(dataset=judged.dataset, user=judged.admin, note="x" * 301)
    for threshold in (0, -1, 1.01, float("nan")):
        with pytest.raises(ValidationError):
            freeze(dataset=judged.dataset, user=judged.admin, machine_threshold=threshold)
    empty = factories.DatasetFactory(admin=judged.admin)
    with pytest.raises(ValidationError, match="nothing to export"):
        freeze(dataset=empty, user=judged.admin)
    assert not LabelSet.objects.exists()


def test_uncalibrated_confidence_sets_no_label(judged: Judged) -> None:
    Champion.objects.all().delete()
    factories.ChampionFactory(head=factories.HeadFactory(dataset=judged.dataset, calibrated=False))
    with pytest.raises(ValidationError, match="calibrated"):
        freeze(dataset=judged.dataset, user=judged.admin, machine_threshold=0.9)


def test_a_champion_replaced_before_the_job_began_is_noticed(judged: Judged) -> None:
    label_set = freeze(dataset=judged.dataset, user=judged.admin, machine_threshold=0.9)
    Champion.objects.update(head=factories.HeadFactory(dataset=judged.dataset, calibrated=False))
    with pytest.raises(ValidationError, match="calibrated"):
        write_label_set(label_set=label_set, progress=ignore_progress)
    label_set.refresh_from_db()
    assert label_set.state == LabelSet.State.FREEZING and not label_set.entries.exists()


def test_failed_freeze_can_be_requested_again(judged: Judged) -> None:
    label_set = freeze(dataset=judged.dataset, user=judged.admin)
    Job.objects.filter(pk=label_set.job_id).update(state=State.FAILED, error="disk full")
    again = retry(label_set=label_set, user=judged.admin)
    assert again.job_id != label_set.job_id and again.job.state == State.QUEUED
    with pytest.raises(PermissionDenied):
        retry(label_set=label_set, user=judged.reviewer)
    frozen = write_label_set(label_set=label_set, progress=ignore_progress)
    with pytest.raises(ValidationError):
        retry(label_set=frozen, user=judged.admin)


def test_a_damaged_original_is_named_and_nothing_is_stored(judged: Judged) -> None:
    from django.core.files.storage import default_storage

    from mekiki.datasets.storage import original_name

    damaged_image = judged.images[2]
    Path(default_storage.path(original_name(judged.dataset.pk, damaged_image.sha256))).write_bytes(b"rotten")
    label_set = freeze(dataset=judged.dataset, user=judged.admin, include_images=True)
    with pytest.raises(writing.DamagedImageError, match=damaged_image.sha256):
        write_label_set(label_set=label_set, progress=ignore_progress)
    assert not Path(default_storage.path(writing.stored_name(label_set))).exists()


def test_the_key_is_private_and_openssl_agrees_with_the_signature(frozen: LabelSet, tmp_path: Path) -> None:
    from django.conf import settings

    assert (settings.HOME / "keys" / "signing.pem").stat().st_mode & 0o777 == 0o600
    with zipfile.ZipFile(path_of(frozen)) as archive:
        for name in form.SEALING:
            archive.extract(name, tmp_path)
    command = (
        "openssl pkeyutl -verify -pubin -inkey public_key.pem -rawin -in manifest.json -sigfile manifest.sig"
    )
    process = subprocess.run(
        command.split(), cwd=tmp_path, env={"PATH": os.environ["PATH"]}, capture_output=True
    )
    assert process.returncode == 0, process.stderr


def test_progress_rises_to_the_total(judged: Judged) -> None:
    progress_calls: list[tuple[int, int]] = []
    label_set = freeze(dataset=judged.dataset, user=judged.admin, include_images=True)
    write_label_set(label_set=label_set, progress=lambda done, total: progress_calls.append((done, total)))
    assert {total for _done, total in progress_calls} == {16}
    done = [d for d, _total in progress_calls]
    assert done == sorted(done) and done[0] == 0 and done[-1] == 16


def test_accuracy_statement_equals_the_evaluation_of_the_audit(frozen: LabelSet) -> None:
    accuracy = verify(path_of(frozen)).summary["accuracy"]
    assert (accuracy["n"], accuracy["correct"], accuracy["low"], accuracy["high"]) == (40, 36, 0.77, 0.96)
    assert accuracy["estimate"] == 0.9
    assert "90.0 %" in accuracy["statement"]["en"] and "90.0 %" in accuracy["statement"]["ja"]


def test_entries_that_an_older_version_fixed_keep_their_format(judged: Judged) -> None:
    draft = snapshot.take_snapshot(freeze(dataset=judged.dataset, user=judged.admin, machine_threshold=0.94))
    older = {name: value for name, value in draft.snapshot.items() if name != "machine"}
    set_fixed(draft, snapshot=older)
    path = path_of(write_label_set(label_set=LabelSet.objects.get(), progress=ignore_progress))
    assert verify(path).ok
    assert {row["source"] for row in rows_of(path)} == {"human", "machine"}
    with zipfile.ZipFile(path) as archive:
        assert json.loads(archive.read(form.MANIFEST))["format_version"] == 2
