"""A label set shows rulings of adjudicators, and its verifier checks them."""

import json
import uuid
from pathlib import Path

import pytest
from django.utils import timezone

from mekiki.audit.private_key import load_key
from mekiki.exports.models import LabelSet
from mekiki.exports.services import freeze
from mekiki.exports.writing import write_label_set
from mekiki.review import services
from mekiki.review.models import Decision, QueueItem
from tests import factories
from tests.exports.helpers import Judged, ignore_progress, path_of
from tests.exports.test_proofs import rows_in, with_rows
from tests.exports.test_verify import codes, contents_of, pack, reseal
from verification.label_set import format as form
from verification.label_set.verify import verify

pytestmark = pytest.mark.django_db


def freeze_labels(judged: Judged) -> LabelSet:
    draft = freeze(
        dataset=judged.dataset, user=judged.admin, note="", include_images=False, machine_threshold=None
    )
    return write_label_set(label_set=draft, progress=ignore_progress)


def rule_on_image(judged: Judged) -> Decision:
    """Let two reviewers disagree about the tenth image, and the admin rule."""
    item = QueueItem.objects.get(image=judged.images[9])
    QueueItem.objects.filter(pk=item.pk).update(overlap=2)
    for label in judged.labels[:2]:
        user = factories.UserFactory()
        factories.MembershipFactory(dataset=judged.dataset, user=user, role="reviewer")
        lease = item.leases.create(
            user=user,
            slot=0,
            expires_at=timezone.now(),
            ended_at=timezone.now(),
            shown={"stream": "uncertain", "propensity": 0.25, "blind": False},
        )
        services.answer(
            dataset=judged.dataset,
            user=user,
            item_id=item.pk,
            lease_id=lease.pk,
            kind="correct",
            label=label,
            client_key=uuid.uuid4(),
        )
    return services.rule(
        dataset=judged.dataset,
        user=judged.admin,
        item_id=item.pk,
        label_id=judged.labels[2].pk,
        note="a secret reason",
        client_key=uuid.uuid4(),
    )


def test_ruling_is_in_the_lineage_and_verified(judged: Judged, tmp_path: Path) -> None:
    before = freeze_labels(judged)
    assert json.loads(contents_of(path_of(before))[form.MANIFEST])["format_version"] == 2
    ruling = rule_on_image(judged)
    label_set = freeze_labels(judged)
    contents = contents_of(path_of(label_set))
    assert json.loads(contents[form.MANIFEST])["format_version"] == 3
    row = next(row for row in rows_in(contents) if row["decision_kind"] == "rule")
    assert (row["decision_id"], row["label"], row["reviewer"], row["opinions"]) == (
        ruling.pk,
        "=dent",
        "admin",
        3,
    )
    assert row["shown"] is None and len(row["sealed"]["shown"]["decisions"]) == 2
    assert all(b"secret reason" not in content for content in contents.values()), "notes are for colleagues"
    report = verify(path_of(label_set))
    assert report.ok, [str(p) for p in report.problems]


def test_label_of_a_ruling_is_exported_after_its_answers_were_undone(judged: Judged) -> None:
    rule_on_image(judged)
    for answer in Decision.objects.filter(item__image=judged.images[9], kind="correct"):
        services.undo(dataset=judged.dataset, user=answer.user, client_key=uuid.uuid4())
    rows = rows_in(contents_of(path_of(freeze_labels(judged))))
    assert [row["opinions"] for row in rows if row["decision_kind"] == "rule"] == [1]


def test_verifier_refuses_a_ruling_in_an_older_format_and_one_without_a_reason(
    judged: Judged, tmp_path: Path
) -> None:
    rule_on_image(judged)
    contents = contents_of(path_of(freeze_labels(judged)))
    older = dict(contents)
    manifest = json.loads(older[form.MANIFEST])
    manifest["format_version"] = 2
    older[form.MANIFEST] = form.canonical(manifest)
    forged = reseal(older, load_key()[1])
    assert "row" in codes(verify(pack(forged, tmp_path / "older.zip")))
    rows = rows_in(contents)
    next(row for row in rows if row["decision_kind"] == "rule")["sealed"]["note_sha256"] = ""
    silent = reseal(with_rows(contents, rows), load_key()[1])
    assert "row" in codes(verify(pack(silent, tmp_path / "silent.zip")))
