"""Evidence is append-only.

The application's role is refused by its rights, and the owner by triggers.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.apps import apps
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from mekiki.audit.models import Event, SigningKey
from mekiki.audit.services import record
from mekiki.audit.triggers import APPEND_ONLY, NO_DELETE
from mekiki.datasets.models import AuditShareChange, ChangedFile
from mekiki.labeling.models import SchemaVersion
from mekiki.learning.models import EmbeddingRemoval
from mekiki.quality.models import (
    CertificateAudit,
    CertificateCheck,
    CertificateForecast,
    CertificateImage,
    StreamAudit,
    StreamImage,
    StudyAnswer,
    StudyImage,
    StudyReport,
    StudyReportFile,
)
from mekiki.review.models import AuditRetirement, Decision, GoldImage
from tests import factories
from tests.quality.study_setup import study_draft
from tests.roles import as_owner, made_at

pytestmark = pytest.mark.django_db

# Every table of the platform belongs to one of the three sets. Rows of evidence are only added.
EVIDENCE = {
    "audit_event": "what happened, by whom",
    "audit_seal": "what was there, signed",
    "audit_sealleaves": "the hashes of the sealed rows",
    "audit_sealtimestamp": "when an authority saw a seal",
    "audit_signingkey": "which keys signed",
    "datasets_auditsharechange": "which images belong to the audit reserve",
    "datasets_changedfile": "which stored files had another hash",
    "datasets_datasetaddress": "which dataset an address belongs to",
    "exports_labelsetentry": "the labels of a label set",
    "labeling_guidelineversion": "which guideline of a label reviewers were shown, and when",
    "labeling_prompt": "the prompts a head was made from",
    "labeling_promptset": "their versions",
    "labeling_schemaversion": "which labels reviewers could choose, and when",
    "learning_embeddingremoval": "which heads cannot be repeated from the same vectors",
    "learning_encoder": "which weights made an embedding",
    "learning_encoderprobe": "what these weights compute",
    "learning_evaluation": "the accuracy that was stated",
    "learning_head": "the head behind a prediction",
    "learning_headtraininglabel": "what it was trained on",
    "quality_certificateaudit": "which images were drawn to test a certificate",
    "quality_certificatecheck": "what the test of a certificate stated",
    "quality_certificateforecast": "what was forecast before a certificate",
    "quality_certificateimage": "the frozen predictions of a certificate",
    "quality_streamimage": "the frozen predictions of the later images of a certificate",
    "quality_studyanswer": "what people answered in a study",
    "quality_studyreport": "the agreement that was stated",
    "quality_studyreportfile": "the hash of the file that was delivered",
    "review_auditretirement": "which audited labels heads were trained on",
    "review_decision": "what people answered",
}
# Rows that stay. Some of their columns are fixed from the start or from a certain moment.
KEPT = {
    "exports_labelset": "fixed once it is frozen",
    "quality_certificate": "its protocol is fixed from the start",
    "quality_certificateplan": "its statement is fixed; the forecast is added once",
    "quality_certificatestream": "its seed and share are fixed; the state of its audits moves",
    "quality_streamaudit": "which later images were drawn; the order in which they ended is added",
    "quality_study": "its state moves; its design is fixed when it starts",
    "review_goldimage": "its end is set once",
}
# State, and rows that can be derived or requested again. The events record who changed them.
MUTABLE = {
    "datasets_metadatafield",
    "datasets_metadatavalue",
    "review_bulkact",
    "review_excludedimage",
    "review_imagetag",
    "review_savedview",
    "review_tag",
    "accounts_knownplace", "accounts_logintry", "accounts_membership", "accounts_outgoingmail",
    "accounts_passwordreset", "accounts_session",
    "accounts_sitesettings", "accounts_user", "accounts_user_groups", "accounts_user_user_permissions",
    "audit_sealcheck", "datasets_dataset", "datasets_datasetusage", "datasets_image", "datasets_imagename",
    "datasets_importbatch", "datasets_importproblem", "datasets_pixelwindow", "datasets_platformquota",
    "jobs_job",
    "labeling_label", "labeling_promptdraft", "learning_prompttrial",
    "learning_champion", "learning_embedding", "learning_embeddingchange",
    "learning_encoderchange", "learning_encodingproblem", "learning_longprompt", "learning_prediction",
    "learning_textembedding", "learning_heatmap", "learning_promptembedding", "review_whypanel",
    "learning_trainingrun", "learning_workerdifference", "learning_workerreport", "review_confirmedlabel",
    "jobs_inhand", "quality_machinelabel",
    "learning_nearduplicatesurvey", "learning_nearduplicategrouping", "learning_groupedimage",
    "quality_studyimage", "quality_studylabel", "quality_studyreviewer",  # fixed at the start
    # An item without a decision is deleted with its image (keep_answered); how an image was drawn is fixed.
    "review_queueitem",
    "datasets_seenfile", "datasets_watchedfolder", "review_importedlabel", "review_importedname",
    "review_lease", "review_referenceimage", "review_streamoverlap",
    "review_assignment", "review_requalification",
    "review_requalificationquestion", "review_reviewpreferences",
}  # fmt: skip
OF_OTHERS = ("account_", "auth_", "django_", "mfa_", "socialaccount_", "usersessions_")

STATEMENTS = [
    "UPDATE {table} SET {column} = {column}",
    "DELETE FROM {table}",
    "DELETE FROM {table} WHERE {column} = (SELECT max({column}) FROM {table})",
    "TRUNCATE {table}",
    "TRUNCATE {table} CASCADE",
    "WITH gone AS (DELETE FROM {table} RETURNING *) SELECT count(*) FROM gone",
    (
        "INSERT INTO {table} SELECT * FROM {table}"
        " ON CONFLICT ({key}) DO UPDATE SET {column} = excluded.{column}"
    ),
    "MERGE INTO {table} t USING (SELECT 1) s ON true WHEN MATCHED THEN DELETE",
]
# Statements that would remove the protection itself.
POWER = [
    "SET session_replication_role = replica",
    "ALTER TABLE {table} DISABLE TRIGGER ALL",
    "ALTER TABLE {table} OWNER TO CURRENT_USER",
    "DROP TABLE {table} CASCADE",
    "CREATE RULE forget AS ON INSERT TO {table} DO INSTEAD NOTHING",
    (
        "CREATE TRIGGER mine BEFORE INSERT ON {table}"
        " FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()"
    ),
    "ALTER TABLE {table} ADD COLUMN mine int",
]


def tables_with(trigger: str) -> set[str]:
    """Return the tables of the models with this trigger."""
    return {
        model._meta.db_table
        for model in apps.get_models()
        if trigger in {entry.name for entry in getattr(model._meta, "triggers", [])}
    }


def test_every_table_is_classified() -> None:
    known = set(EVIDENCE) | set(KEPT) | MUTABLE
    tables = {model._meta.db_table for model in apps.get_models(include_auto_created=True)}
    missing = {table for table in tables - known if not table.startswith(OF_OTHERS)}
    assert not missing, f"is it evidence (append_only), kept (no_delete) or mutable? {sorted(missing)}"
    assert tables_with(APPEND_ONLY) == set(EVIDENCE) and tables_with(NO_DELETE) == set(KEPT)


@pytest.fixture
def rows(signing_key: Any) -> None:
    """Create one row in every table of evidence, so that there is something to protect."""
    from mekiki.audit.models import Seal, SealTimeStamp
    from mekiki.audit.sealing import seal_new_rows
    from mekiki.exports.services import freeze
    from mekiki.exports.writing import write_label_set
    from mekiki.learning.models import EncoderProbe, HeadTrainingLabel
    from tests.exports.helpers import ignore_progress, make_judged

    judged = make_judged()
    write_label_set(label_set=freeze(dataset=judged.dataset, user=judged.admin), progress=ignore_progress)
    HeadTrainingLabel.objects.create(
        head=judged.head,
        image=judged.images[0],
        label=judged.labels[0],
        decision_id=Decision.objects.first().pk,
    )
    EncoderProbe.objects.create(
        encoder=judged.head.encoder, version=1, vectors=b"", host="here", processor="x"
    )
    SchemaVersion.objects.create(dataset=judged.dataset, version=99, digest="0" * 64, labels=[])
    AuditShareChange.objects.create(dataset=judged.dataset, before=0.1, after=0.2)
    AuditRetirement.objects.create(dataset=judged.dataset, labels=1)
    decision = Decision.objects.filter(label__isnull=False).first()
    GoldImage.objects.create(
        dataset=judged.dataset,
        image=decision.image,
        label=decision.label,
        source="expert",
        decision=decision,
        created_by=judged.admin,
    )
    ChangedFile.objects.create(dataset=judged.dataset, kind="k", object_id="o", expected="a", actual="b")
    EmbeddingRemoval.objects.create(dataset=judged.dataset, encoder=judged.head.encoder, removed=1)
    certificate = factories.CertificateFactory(dataset=judged.dataset)
    image = judged.images[0]
    CertificateImage.objects.create(
        certificate=certificate, image=image, label=judged.labels[0], confidence=1, critical_probability=0,
        rank=1, audit_position=1,
    )  # fmt: skip
    item = factories.QueueItemFactory(dataset=judged.dataset, image=image, state="done")
    CertificateAudit.objects.create(certificate=certificate, number=1, image=image, item=item)
    CertificateCheck.objects.create(
        certificate=certificate, audits=1, errors=0, unresolved=0, regions=[1], region_audits=[1],
        region_errors=[0], p_values=[0.5], certified=0,
    )  # fmt: skip
    plan = factories.CertificatePlanFactory(dataset=judged.dataset)
    CertificateForecast.objects.create(
        plan=plan, alpha=0.05, limit=10, levels=[1.0], images=[1, 1, 1], audits=[1, 1, 1], answers=1,
        granted=1, minutes=1,
    )  # fmt: skip
    factories.CertificateStreamFactory(certificate=certificate)
    StreamImage.objects.create(
        certificate=certificate, number=1, image=image, label=judged.labels[0], confidence=1,
        critical_probability=0, is_audited=True,
    )  # fmt: skip
    later = factories.QueueItemFactory(dataset=judged.dataset, image=image, state="done")
    StreamAudit.objects.create(certificate=certificate, number=1, image=image, item=later)
    store_study(judged)
    assert seal_new_rows().rows
    SealTimeStamp.objects.create(
        seal=Seal.objects.first(), reply=b"", authority="nobody", stamped_at=timezone.now()
    )


def store_study(judged: Any) -> None:
    """Create a study with an answer and a report."""
    study = study_draft(judged.dataset, judged.admin, [judged.admin])
    image = StudyImage.objects.create(study=study, image=judged.images[0])
    StudyAnswer.objects.create(
        reviewer=study.reviewers.all()[0], image=image, run=1, label=judged.labels[0], client_key=uuid4()
    )
    report = StudyReport.objects.create(study=study, version=1, figures={}, digest="d", software="s")
    StudyReportFile.objects.create(report=report, language="en", name="n", sha256="s", size=1)


def execute(sql: str) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql)


def contents(table: str) -> list[tuple]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT t::text FROM {table} t ORDER BY 1")
        return cursor.fetchall()


def fill_statement(statement: str, table: str) -> str:
    model = next(m for m in apps.get_models() if m._meta.db_table == table)
    keys = [field.column for field in model._meta.pk_fields]
    return statement.format(table=table, column=keys[0], key=", ".join(keys))


def test_the_application_is_refused_by_its_rights(rows: None) -> None:
    for table in (*EVIDENCE, *KEPT):
        before = contents(table)
        assert before, table
        for statement in STATEMENTS:
            if table in KEPT and ("SET" in statement and "DELETE" not in statement):
                continue  # some columns may change
            with pytest.raises(DatabaseError, match="permission denied"):
                execute(fill_statement(statement, table))
        for statement in POWER:
            with pytest.raises(
                DatabaseError, match=r"permission denied|must be owner|must be able to SET ROLE"
            ):
                execute(fill_statement(statement, table))
        assert contents(table) == before


def test_the_owner_is_refused_by_triggers(rows: None) -> None:
    for table in (*EVIDENCE, *KEPT):
        before = contents(table)
        for statement in STATEMENTS:
            if table in KEPT and ("SET" in statement and "DELETE" not in statement):
                continue
            with as_owner(), pytest.raises(DatabaseError, match=r"[Cc]annot|append-only"):
                execute(fill_statement(statement, table))
        assert contents(table) == before


def test_session_settings_do_not_disable_the_triggers(rows: None) -> None:
    """A setting of pgtrigger makes a session ignore triggers, and any session can change settings."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT string_agg(tgname, ',') FROM pg_trigger WHERE tgname LIKE 'pgtrigger_%'")
        cursor.execute("SELECT set_config('pgtrigger.ignore', %s, true)", [f"{{{cursor.fetchone()[0]}}}"])
    assert record(kind="test.happened").at > timezone.now() - timedelta(hours=1)
    event = Event.objects.create(kind="test.happened", at=datetime(2001, 1, 1, tzinfo=UTC))
    event.refresh_from_db()
    assert event.at > timezone.now() - timedelta(hours=1)
    with as_owner(), pytest.raises(DatabaseError, match="Cannot"):
        execute("DELETE FROM review_decision")
    with pytest.raises(DatabaseError, match="Cannot"):
        execute("UPDATE exports_labelset SET note = 'another' WHERE state = 'frozen'")


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("UPDATE exports_labelset SET note = 'x'", "Cannot update"),
        ("UPDATE exports_labelset SET state = 'freezing'", "Cannot update"),
        ("UPDATE review_queueitem SET propensity = 1", "Cannot update"),
        ("UPDATE review_queueitem SET stream = 'uncertain'", "Cannot update"),
        ("UPDATE datasets_image SET audit_key = 0.9", "Cannot update"),
        ("UPDATE datasets_image SET sha256 = md5(sha256)", "Cannot update"),
        ("UPDATE datasets_image SET created_at = created_at - interval '1 year'", "Cannot update"),
        ("UPDATE datasets_dataset SET seed = 'mine'", "Cannot update"),
        (
            "INSERT INTO exports_labelsetentry"
            " (label_set_id, position, image_id, label_id, decision_id, opinions) "
            "SELECT id, 999, 1, 1, 1, 1 FROM exports_labelset",
            "frozen label set",
        ),
    ],
)
def test_columns_that_decide_about_figures_are_fixed(rows: None, statement: str, message: str) -> None:
    with pytest.raises(DatabaseError, match=message):
        execute(statement)


DATED = {
    "audit_event": "at",
    "audit_sealtimestamp": "at",
    "audit_signingkey": "at",
    "datasets_auditsharechange": "changed_at",
    "datasets_changedfile": "noticed_at",
    "datasets_datasetaddress": "created_at",
    "exports_labelset": "created_at",
    "labeling_guidelineversion": "created_at",
    "labeling_promptset": "created_at",
    "labeling_schemaversion": "created_at",
    "learning_embeddingremoval": "removed_at",
    "learning_encoder": "created_at",
    "learning_encoderprobe": "created_at",
    "learning_evaluation": "created_at",
    "learning_head": "created_at",
    "quality_certificate": "created_at",
    "quality_certificateaudit": "drawn_at",
    "quality_certificatecheck": "created_at",
    "quality_certificatestream": "started_at",
    "quality_streamimage": "accepted_at",
    "review_auditretirement": "retired_at",
    "review_decision": "created_at",
}


def test_the_database_sets_the_times() -> None:
    """An inserted row with another time gets the time of its insertion."""
    long_ago, ahead = datetime(2001, 1, 1, tzinfo=UTC), datetime(2101, 1, 1, tzinfo=UTC)
    makers: dict[str, Callable[..., object]] = {
        "audit_event": lambda **time: Event.objects.create(kind="test.happened", **time),
        "datasets_auditsharechange": lambda **time: AuditShareChange.objects.create(
            dataset=factories.DatasetFactory(), before=0.1, after=0.2, **time
        ),
        "datasets_changedfile": lambda **time: ChangedFile.objects.create(
            dataset=factories.DatasetFactory(), kind="k", object_id="o", expected="a", actual="b", **time
        ),
        "learning_embeddingremoval": lambda **time: EmbeddingRemoval.objects.create(
            dataset=factories.DatasetFactory(), encoder=factories.EncoderFactory(), removed=1, **time
        ),
        "review_auditretirement": lambda **time: AuditRetirement.objects.create(
            dataset=factories.DatasetFactory(), labels=1, **time
        ),
        "audit_signingkey": lambda **time: SigningKey.objects.create(
            fingerprint=uuid4().hex, act="made", **time
        ),
        "exports_labelset": lambda **time: make_label_set(**time),
        "labeling_promptset": factories.PromptSetFactory,
        "quality_certificate": factories.CertificateFactory,
        "learning_encoder": factories.EncoderFactory,
        "learning_evaluation": factories.EvaluationFactory,
        "learning_head": factories.HeadFactory,
        "review_decision": factories.DecisionFactory,
    }
    for table, make in makers.items():
        for given_time in (long_ago, ahead):
            with transaction.atomic():
                row = make(**{DATED[table]: given_time})
            row.refresh_from_db()  # type: ignore[attr-defined]
            difference = abs(getattr(row, DATED[table]) - timezone.now())
            assert difference < timedelta(minutes=10), (table, given_time)
    event = record(kind="test.happened")
    assert isinstance(event.at, datetime) and abs(event.at - timezone.now()) < timedelta(minutes=10)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT t.relname FROM pg_trigger g JOIN pg_class t ON t.oid = g.tgrelid"
            " WHERE g.tgname LIKE 'pgtrigger_set_time_%'"
        )
        assert {name for (name,) in cursor.fetchall()} >= set(DATED)


def make_label_set(**time: datetime) -> object:
    from mekiki.exports.models import LabelSet

    return LabelSet.objects.create(dataset=factories.DatasetFactory(), version=1, **time)


@pytest.mark.parametrize("model", [Event, Decision])
def test_the_orm_is_refused(model: type) -> None:
    factories.DecisionFactory()
    record(kind="test.happened", data={"n": 1})
    row = model.objects.latest("pk")
    for act in (
        row.save,
        row.delete,
        model.objects.all().delete,
        lambda: model.objects.update(kind="other"),
        lambda: model.objects.bulk_update([row], ["kind"]),
    ):
        with pytest.raises(DatabaseError), transaction.atomic():
            act()
    assert model.objects.filter(pk=row.pk, kind=row.kind).exists()


def test_deleting_objects_of_decisions_is_refused() -> None:
    """A cascade from an image or a dataset stops at the decisions."""
    decision = factories.DecisionFactory()
    for row in (decision.image, decision.dataset, decision.user, decision.label):
        with as_owner(), pytest.raises(DatabaseError), transaction.atomic():
            type(row).objects.filter(pk=row.pk)._raw_delete("default")
            execute("SET CONSTRAINTS ALL IMMEDIATE")
    assert Decision.objects.filter(pk=decision.pk).exists()


def test_failed_transaction_leaves_no_event() -> None:
    before = Event.objects.count()
    with pytest.raises(RuntimeError), transaction.atomic():
        record(kind="test.undone")
        raise RuntimeError
    assert Event.objects.count() == before


def test_an_event_keeps_the_name_its_actor_had() -> None:
    user = factories.UserFactory(username="before")
    event = record(kind="test.happened", actor=user, target=user)
    user.username = "after"
    user.save()
    event.refresh_from_db()
    assert (event.actor_name, event.actor_id, event.object_type) == ("before", user.pk, "user")
    assert event.at is not None


def test_made_at_creates_rows_with_given_times() -> None:
    then = datetime(2001, 1, 1, tzinfo=UTC)
    event = made_at(Event, then, "at", kind="test.happened")
    event.refresh_from_db()
    assert event.at == then
