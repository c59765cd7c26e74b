"""Every table of this app. It replaces the migrations from before the first release (docs/decisions/0036)."""

import uuid

import django.core.validators
from django.conf import settings
from django.db import migrations, models
from django.db.models.functions import Lower, Now
from pgtrigger.compiler import Trigger, UpsertTriggerSql

from mekiki.config.create_models import CreateModels

# The column was once called `opinions`. In homes that began with the replaced migrations, its constraints still
# have that name, and a later migration must find the same names everywhere. Before PostgreSQL 18, NOT NULL has
# no name.
NAMES = """
ALTER TABLE review_queueitem
    RENAME CONSTRAINT review_queueitem_overlap_check TO review_queueitem_opinions_check;
DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_constraint WHERE conname = 'review_queueitem_overlap_not_null') THEN
        ALTER TABLE review_queueitem
            RENAME CONSTRAINT review_queueitem_overlap_not_null TO review_queueitem_opinions_not_null;
    END IF;
END $$;
"""


class Migration(migrations.Migration):
    replaces = [
        ("review", "0001_initial"),
        ("review", "0002_lease_history"),
        ("review", "0003_audit_indexes"),
        ("review", "0004_first_audit_answer"),
        ("review", "0005_fill_first_audit_answer"),
        ("review", "0006_audit_label_has_its_time"),
        ("review", "0007_append_only_evidence"),
        ("review", "0008_times_of_the_database"),
        ("review", "0009_overlap"),
        ("review", "0010_audit_retirements"),
        ("review", "0011_name_recheck"),
        ("review", "0001_squashed_0011_name_recheck"),
        ("review", "0002_decision_reason"),
        ("review", "0003_decision_without_label"),
        ("review", "0004_queueitem_assigned_to"),
        ("review", "0005_queueitem_set_aside"),
        ("review", "0006_reference_images"),
        ("review", "0007_rulings"),
        ("review", "0008_streamoverlap"),
        ("review", "0009_disputes"),
        ("review", "0010_gold"),
        ("review", "0011_assignments"),
        ("review", "0012_requalification"),
        ("review", "0013_known_answers"),
        ("review", "0014_why_panels"),
        ("review", "0015_review_preferences"),
        ("review", "0016_stream_certify"),
        ("review", "0017_saved_views_and_bulk_acts"),
        ("review", "0018_imported_labels"),
    ]

    initial = True

    dependencies = [
        ("accounts", "0001_squashed_0013_mails"),
        ("datasets", "0001_squashed_0027_import_options"),
        ("labeling", "0001_squashed_0007_schema_versions"),
        ("learning", "0001_squashed_0027_imported_training_labels"),
    ]

    operations = [
        CreateModels(
            migrations.CreateModel(
                name="QueueItem",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    (
                        "stream",
                        models.CharField(
                            choices=[
                                ("uncertain", "uncertain"),
                                ("diverse", "diverse"),
                                ("audit", "audit"),
                                ("gold", "gold"),
                                ("recheck", "review again"),
                                ("certify", "certificate audit"),
                                ("repeat", "hidden repeat"),
                            ],
                            max_length=10,
                        ),
                    ),
                    ("propensity", models.FloatField()),
                    ("position", models.FloatField()),
                    ("overlap", models.PositiveSmallIntegerField(default=1)),
                    (
                        "state",
                        models.CharField(
                            choices=[
                                ("waiting", "waiting"),
                                ("done", "done"),
                                ("withdrawn", "withdrawn"),
                                ("set_aside", "set aside"),
                            ],
                            default="waiting",
                            max_length=10,
                        ),
                    ),
                    ("created_at", models.DateTimeField(db_default=Now(), editable=False)),
                    ("finished_at", models.DateTimeField(null=True)),
                    (
                        "dataset",
                        models.ForeignKey(
                            on_delete=models.CASCADE, related_name="queue_items", to="datasets.dataset"
                        ),
                    ),
                    ("head", models.ForeignKey(null=True, on_delete=models.PROTECT, to="learning.head")),
                    (
                        "image",
                        models.ForeignKey(
                            on_delete=models.CASCADE, related_name="queue_items", to="datasets.image"
                        ),
                    ),
                    (
                        "assigned_to",
                        models.ForeignKey(
                            db_index=False,
                            null=True,
                            on_delete=models.SET_NULL,
                            related_name="+",
                            to=settings.AUTH_USER_MODEL,
                        ),
                    ),
                    ("disputed_at", models.DateTimeField(null=True)),
                    (
                        "repeats",
                        models.ForeignKey(
                            db_index=False,
                            null=True,
                            on_delete=models.PROTECT,
                            related_name="+",
                            to="review.decision",
                        ),
                    ),
                    (
                        "gold",
                        models.ForeignKey(
                            db_index=False,
                            null=True,
                            on_delete=models.PROTECT,
                            related_name="items",
                            to="review.goldimage",
                        ),
                    ),
                ],
                options={
                    "indexes": [
                        models.Index(
                            condition=models.Q(("state", "waiting")),
                            fields=["dataset", "position", "id"],
                            name="queue_next",
                        ),
                        models.Index(
                            condition=models.Q(("stream", "audit")), fields=["dataset"], name="queue_audit"
                        ),
                        models.Index(
                            condition=models.Q(("assigned_to__isnull", False), ("state", "waiting")),
                            fields=["assigned_to", "dataset"],
                            name="queue_assigned",
                        ),
                        models.Index(
                            condition=models.Q(("disputed_at__isnull", False)),
                            fields=["dataset", "id"],
                            name="queue_disputed",
                        ),
                        models.Index(
                            condition=models.Q(("stream__in", ["gold", "repeat"])),
                            fields=["dataset", "finished_at"],
                            name="queue_tests",
                        ),
                    ],
                    "constraints": [
                        models.UniqueConstraint(
                            condition=models.Q(("state", "waiting")),
                            fields=("dataset", "image"),
                            name="image_waits_once",
                        ),
                        models.CheckConstraint(
                            condition=models.Q(("propensity__gt", 0), ("propensity__lte", 1)),
                            name="propensity_is_probability",
                        ),
                        models.CheckConstraint(
                            condition=models.Q(
                                ("disputed_at__isnull", True), ("overlap__gte", 2), _connector="OR"
                            ),
                            name="dispute_needs_two_reviewers",
                        ),
                        models.CheckConstraint(
                            condition=models.Q(
                                ("gold__isnull", True),
                                models.Q(("overlap", 1), ("stream", "gold")),
                                _connector="OR",
                            ),
                            name="known_label_is_of_gold_item",
                        ),
                        models.CheckConstraint(
                            condition=models.Q(
                                ("repeats__isnull", True),
                                models.Q(("overlap", 1), ("stream", "repeat")),
                                _connector="OR",
                            ),
                            name="repeated_decision_is_of_repeat",
                        ),
                        models.CheckConstraint(
                            condition=models.Q(
                                (
                                    "stream__in",
                                    ["uncertain", "diverse", "audit", "gold", "recheck", "certify", "repeat"],
                                )
                            ),
                            name="stream_is_known",
                        ),
                    ],
                    "triggers": [
                        Trigger(
                            name="no_truncate",
                            sql=UpsertTriggerSql(
                                func="RAISE EXCEPTION 'this table is append-only';",
                                hash="2df2b11ffa5ff3f211046dca5c3063ad7e47aa80",
                                level="STATEMENT",
                                operation="TRUNCATE",
                                pgid="pgtrigger_no_truncate_8ca43",
                                table="review_queueitem",
                                when="BEFORE",
                            ),
                        ),
                        Trigger(
                            name="fixed_columns",
                            sql=UpsertTriggerSql(
                                condition='WHEN (OLD."dataset_id" IS DISTINCT FROM (NEW."dataset_id") OR OLD."gold_id" IS DISTINCT FROM (NEW."gold_id") OR OLD."head_id" IS DISTINCT FROM (NEW."head_id") OR OLD."image_id" IS DISTINCT FROM (NEW."image_id") OR OLD."propensity" IS DISTINCT FROM (NEW."propensity") OR OLD."repeats_id" IS DISTINCT FROM (NEW."repeats_id") OR OLD."stream" IS DISTINCT FROM (NEW."stream"))',
                                func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;",
                                hash="6e7171396cfb82a355717fcff0b5516d4572cd32",
                                operation="UPDATE",
                                pgid="pgtrigger_fixed_columns_3a7a6",
                                table="review_queueitem",
                                when="BEFORE",
                            ),
                        ),
                        Trigger(
                            name="keep_answered",
                            sql=UpsertTriggerSql(
                                func="""
                    IF EXISTS (SELECT FROM review_decision WHERE item_id = OLD.id) THEN
                        RAISE EXCEPTION 'an item with a decision stays';
                    END IF;
                    RETURN OLD;
                """,
                                hash="7aeeadd275a0b7571af55e538dbcda5fc7fa2bca",
                                operation="DELETE",
                                pgid="pgtrigger_keep_answered_d1ff9",
                                table="review_queueitem",
                                when="BEFORE",
                            ),
                        ),
                    ],
                },
            ),
            migrations.CreateModel(
                name="Lease",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("slot", models.PositiveSmallIntegerField(default=0)),
                    ("expires_at", models.DateTimeField()),
                    ("created_at", models.DateTimeField(db_default=Now(), editable=False)),
                    ("user", models.ForeignKey(on_delete=models.CASCADE, to=settings.AUTH_USER_MODEL)),
                    (
                        "item",
                        models.ForeignKey(
                            on_delete=models.CASCADE, related_name="leases", to="review.queueitem"
                        ),
                    ),
                    ("ended_at", models.DateTimeField(null=True)),
                    ("shown", models.JSONField(default=dict)),
                ],
                options={
                    "indexes": [
                        models.Index(
                            condition=models.Q(("ended_at__isnull", True)),
                            fields=["expires_at"],
                            name="lease_expiry",
                        ),
                        models.Index(
                            condition=models.Q(("ended_at__isnull", False)),
                            fields=["ended_at"],
                            name="lease_history",
                        ),
                    ],
                    "constraints": [
                        models.UniqueConstraint(
                            condition=models.Q(("ended_at__isnull", True)),
                            fields=("item", "slot"),
                            name="one_lease_per_slot",
                        ),
                        models.UniqueConstraint(
                            condition=models.Q(("ended_at__isnull", True)),
                            fields=("user", "item"),
                            name="one_lease_per_reviewer",
                        ),
                    ],
                },
            ),
            migrations.CreateModel(
                name="Decision",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    (
                        "kind",
                        models.CharField(
                            choices=[
                                ("confirm", "confirmed"),
                                ("correct", "corrected"),
                                ("skip", "skipped"),
                                ("flag", "flagged"),
                                ("undo", "undone"),
                                ("rule", "ruled"),
                            ],
                            max_length=10,
                        ),
                    ),
                    ("note", models.TextField(default="", max_length=2000)),
                    ("shown", models.JSONField(default=dict)),
                    ("client_key", models.UUIDField()),
                    ("late", models.BooleanField(default=False)),
                    ("milliseconds", models.PositiveIntegerField(null=True)),
                    ("created_at", models.DateTimeField(db_default=Now(), editable=False)),
                    (
                        "dataset",
                        models.ForeignKey(
                            on_delete=models.CASCADE, related_name="decisions", to="datasets.dataset"
                        ),
                    ),
                    (
                        "image",
                        models.ForeignKey(
                            on_delete=models.CASCADE, related_name="decisions", to="datasets.image"
                        ),
                    ),
                    (
                        "label",
                        models.ForeignKey(
                            null=True, on_delete=models.PROTECT, related_name="+", to="labeling.label"
                        ),
                    ),
                    (
                        "supersedes",
                        models.OneToOneField(
                            null=True,
                            on_delete=models.PROTECT,
                            related_name="superseded_by",
                            to="review.decision",
                        ),
                    ),
                    ("user", models.ForeignKey(on_delete=models.PROTECT, to=settings.AUTH_USER_MODEL)),
                    (
                        "item",
                        models.ForeignKey(
                            null=True,
                            on_delete=models.CASCADE,
                            related_name="decisions",
                            to="review.queueitem",
                        ),
                    ),
                    (
                        "reason",
                        models.CharField(
                            blank=True,
                            choices=[
                                ("unclear", "unclear image"),
                                ("not_in_list", "not in the list of labels"),
                                ("expert", "needs an expert"),
                                ("bad_image", "bad image (blurred, dark)"),
                                ("wrong_object", "wrong object"),
                                ("duplicate", "duplicate"),
                                ("other", "other reason"),
                            ],
                            db_default="",
                            default="",
                            max_length=12,
                        ),
                    ),
                ],
                options={
                    "indexes": [
                        models.Index(fields=["dataset", "-id"], name="decision_of_dataset"),
                        models.Index(fields=["user", "dataset", "-id"], name="decision_of_reviewer"),
                        models.Index(fields=["user", "dataset", "created_at"], name="decision_of_the_day"),
                        models.Index(
                            condition=models.Q(("kind__in", ["skip", "flag"])),
                            fields=["dataset", "-id"],
                            name="decision_without_label",
                        ),
                        models.Index(
                            condition=models.Q(("shown__stream__in", ["gold", "repeat"])),
                            fields=["dataset", "user", "-id"],
                            name="decision_on_known",
                        ),
                    ],
                    "constraints": [
                        models.UniqueConstraint(fields=("user", "client_key"), name="answer_recorded_once"),
                        models.CheckConstraint(
                            condition=models.Q(
                                ("reason", ""),
                                models.Q(
                                    ("kind", "skip"),
                                    ("reason__in", ["unclear", "not_in_list", "expert", "other"]),
                                ),
                                models.Q(
                                    ("kind", "flag"),
                                    ("reason__in", ["bad_image", "wrong_object", "duplicate", "other"]),
                                ),
                                _connector="OR",
                            ),
                            name="reason_fits_decision",
                        ),
                        models.CheckConstraint(
                            condition=models.Q(
                                models.Q(("kind__in", ["confirm", "correct"]), ("label__isnull", False)),
                                models.Q(("kind__in", ["skip", "flag"]), ("label__isnull", True)),
                                models.Q(
                                    ("kind", "undo"), ("label__isnull", True), ("supersedes__isnull", False)
                                ),
                                models.Q(
                                    ("item__isnull", False),
                                    ("kind", "rule"),
                                    ("label__isnull", False),
                                    models.Q(("note", ""), _negated=True),
                                ),
                                _connector="OR",
                            ),
                            name="decision_has_what_it_needs",
                        ),
                    ],
                    "triggers": [
                        Trigger(
                            name="append_only",
                            sql=UpsertTriggerSql(
                                func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;",
                                hash="689b0dbfbf5e0d046475eb031c5b5193a782042c",
                                operation="UPDATE OR DELETE",
                                pgid="pgtrigger_append_only_9406c",
                                table="review_decision",
                                when="BEFORE",
                            ),
                        ),
                        Trigger(
                            name="no_truncate",
                            sql=UpsertTriggerSql(
                                func="RAISE EXCEPTION 'this table is append-only';",
                                hash="cd243573350f38aab8e16d98fcd8f428e4318030",
                                level="STATEMENT",
                                operation="TRUNCATE",
                                pgid="pgtrigger_no_truncate_c0bee",
                                table="review_decision",
                                when="BEFORE",
                            ),
                        ),
                        Trigger(
                            name="set_time",
                            sql=UpsertTriggerSql(
                                func="NEW.created_at := pg_catalog.statement_timestamp(); RETURN NEW;",
                                hash="9fa19b525e2b1c413c7f2db5be808fbda2b8abf5",
                                operation="INSERT",
                                pgid="pgtrigger_set_time_cae6d",
                                table="review_decision",
                                when="BEFORE",
                            ),
                        ),
                    ],
                },
            ),
            migrations.CreateModel(
                name="ConfirmedLabel",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    (
                        "stream",
                        models.CharField(
                            choices=[
                                ("uncertain", "uncertain"),
                                ("diverse", "diverse"),
                                ("audit", "audit"),
                                ("gold", "gold"),
                                ("recheck", "review again"),
                                ("certify", "certificate audit"),
                                ("repeat", "hidden repeat"),
                            ],
                            max_length=10,
                        ),
                    ),
                    ("in_training", models.BooleanField()),
                    ("updated_at", models.DateTimeField(db_default=Now())),
                    (
                        "dataset",
                        models.ForeignKey(
                            on_delete=models.CASCADE, related_name="confirmed_labels", to="datasets.dataset"
                        ),
                    ),
                    (
                        "image",
                        models.OneToOneField(
                            on_delete=models.CASCADE, related_name="confirmed_label", to="datasets.image"
                        ),
                    ),
                    (
                        "label",
                        models.ForeignKey(on_delete=models.PROTECT, related_name="+", to="labeling.label"),
                    ),
                    (
                        "decision",
                        models.ForeignKey(on_delete=models.PROTECT, related_name="+", to="review.decision"),
                    ),
                    (
                        "audit_label",
                        models.ForeignKey(
                            db_index=False,
                            null=True,
                            on_delete=models.PROTECT,
                            related_name="+",
                            to="labeling.label",
                        ),
                    ),
                    ("audited_at", models.DateTimeField(null=True)),
                ],
                options={
                    "indexes": [
                        models.Index(fields=["dataset", "label"], name="confirmed_by_label"),
                        models.Index(
                            condition=models.Q(("in_training", True)),
                            fields=["dataset", "updated_at"],
                            name="confirmed_for_training",
                        ),
                        models.Index(
                            condition=models.Q(("stream", "audit")),
                            fields=["dataset", "label"],
                            name="confirmed_audit",
                        ),
                    ],
                    "constraints": [
                        models.CheckConstraint(
                            condition=models.Q(
                                models.Q(("audit_label__isnull", True), ("audited_at__isnull", True)),
                                models.Q(
                                    ("audit_label__isnull", False),
                                    ("audited_at__isnull", False),
                                    ("stream", "audit"),
                                ),
                                _connector="OR",
                            ),
                            name="audit_label_has_its_time",
                        )
                    ],
                },
            ),
            migrations.CreateModel(
                name="AuditRetirement",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("labels", models.PositiveIntegerField()),
                    ("retired_at", models.DateTimeField(db_default=Now(), editable=False)),
                    (
                        "dataset",
                        models.ForeignKey(
                            on_delete=models.CASCADE, related_name="audit_retirements", to="datasets.dataset"
                        ),
                    ),
                ],
                options={
                    "constraints": [
                        models.CheckConstraint(
                            condition=models.Q(("labels__gte", 1)), name="retirement_moves_labels"
                        )
                    ],
                    "triggers": [
                        Trigger(
                            name="append_only",
                            sql=UpsertTriggerSql(
                                func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;",
                                hash="4b66c32e87f9449dc1c4825774977a22875d8ac1",
                                operation="UPDATE OR DELETE",
                                pgid="pgtrigger_append_only_ca2c0",
                                table="review_auditretirement",
                                when="BEFORE",
                            ),
                        ),
                        Trigger(
                            name="no_truncate",
                            sql=UpsertTriggerSql(
                                func="RAISE EXCEPTION 'this table is append-only';",
                                hash="30b48e55acd5bc9d18f6d7fcf6266aab4ad5f75d",
                                level="STATEMENT",
                                operation="TRUNCATE",
                                pgid="pgtrigger_no_truncate_4ce47",
                                table="review_auditretirement",
                                when="BEFORE",
                            ),
                        ),
                        Trigger(
                            name="set_time",
                            sql=UpsertTriggerSql(
                                func="NEW.retired_at := pg_catalog.statement_timestamp(); RETURN NEW;",
                                hash="ca45b3179b82b1bdd7561ade65cbcc299e9749ca",
                                operation="INSERT",
                                pgid="pgtrigger_set_time_d43a5",
                                table="review_auditretirement",
                                when="BEFORE",
                            ),
                        ),
                    ],
                },
            ),
            migrations.CreateModel(
                name="ReferenceImage",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("accepted", models.BooleanField()),
                    ("note", models.CharField(blank=True, default="", max_length=200)),
                    ("created_at", models.DateTimeField(db_default=Now(), editable=False)),
                    (
                        "created_by",
                        models.ForeignKey(
                            on_delete=models.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                        ),
                    ),
                    (
                        "image",
                        models.ForeignKey(
                            on_delete=models.CASCADE, related_name="reference_of", to="datasets.image"
                        ),
                    ),
                    (
                        "label",
                        models.ForeignKey(
                            on_delete=models.CASCADE, related_name="reference_images", to="labeling.label"
                        ),
                    ),
                ],
                options={
                    "ordering": ["-accepted", "id"],
                    "constraints": [
                        models.UniqueConstraint(
                            fields=("label", "image"), name="one_reference_per_label_and_image"
                        )
                    ],
                },
            ),
            migrations.CreateModel(
                name="StreamOverlap",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    (
                        "stream",
                        models.CharField(
                            choices=[
                                ("uncertain", "uncertain"),
                                ("diverse", "diverse"),
                                ("audit", "audit"),
                                ("recheck", "review again"),
                            ],
                            max_length=10,
                        ),
                    ),
                    ("overlap", models.PositiveSmallIntegerField()),
                    (
                        "dataset",
                        models.ForeignKey(
                            on_delete=models.CASCADE, related_name="stream_overlaps", to="datasets.dataset"
                        ),
                    ),
                ],
                options={
                    "constraints": [
                        models.UniqueConstraint(fields=("dataset", "stream"), name="one_overlap_per_stream"),
                        models.CheckConstraint(
                            condition=models.Q(("stream__in", ["uncertain", "diverse", "audit", "recheck"])),
                            name="stream_of_overlap_is_known",
                        ),
                        models.CheckConstraint(
                            condition=models.Q(("overlap__gte", 1), ("overlap__lte", 9)),
                            name="stream_overlap_in_range",
                        ),
                    ]
                },
            ),
            migrations.CreateModel(
                name="GoldImage",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    (
                        "source",
                        models.CharField(
                            choices=[
                                ("ruling", "adjudicated"),
                                ("agreement", "several reviewers agreed"),
                                ("expert", "confirmed by an admin"),
                            ],
                            max_length=10,
                        ),
                    ),
                    ("created_at", models.DateTimeField(db_default=Now(), editable=False)),
                    ("ended_at", models.DateTimeField(null=True)),
                    (
                        "created_by",
                        models.ForeignKey(
                            on_delete=models.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                        ),
                    ),
                    (
                        "dataset",
                        models.ForeignKey(
                            on_delete=models.CASCADE, related_name="gold_images", to="datasets.dataset"
                        ),
                    ),
                    (
                        "decision",
                        models.ForeignKey(on_delete=models.PROTECT, related_name="+", to="review.decision"),
                    ),
                    (
                        "image",
                        models.ForeignKey(
                            on_delete=models.CASCADE, related_name="gold_images", to="datasets.image"
                        ),
                    ),
                    (
                        "label",
                        models.ForeignKey(on_delete=models.PROTECT, related_name="+", to="labeling.label"),
                    ),
                ],
                options={
                    "indexes": [models.Index(fields=["dataset", "-id"], name="gold_of_dataset")],
                    "constraints": [
                        models.UniqueConstraint(
                            condition=models.Q(("ended_at__isnull", True)),
                            fields=("image",),
                            name="one_gold_label_per_image",
                        ),
                        models.CheckConstraint(
                            condition=models.Q(("source__in", ["ruling", "agreement", "expert"])),
                            name="gold_source_is_known",
                        ),
                    ],
                    "triggers": [
                        Trigger(
                            name="no_delete",
                            sql=UpsertTriggerSql(
                                func="RAISE EXCEPTION 'pgtrigger: Cannot delete rows from % table', TG_TABLE_NAME;",
                                hash="1eb0a75da2ab092d19dafc0100e831d7dd1a7e42",
                                operation="DELETE",
                                pgid="pgtrigger_no_delete_67eaa",
                                table="review_goldimage",
                                when="BEFORE",
                            ),
                        ),
                        Trigger(
                            name="no_truncate",
                            sql=UpsertTriggerSql(
                                func="RAISE EXCEPTION 'this table is append-only';",
                                hash="8903c1b068839953176f23154c09c7ba759a5421",
                                level="STATEMENT",
                                operation="TRUNCATE",
                                pgid="pgtrigger_no_truncate_914ed",
                                table="review_goldimage",
                                when="BEFORE",
                            ),
                        ),
                        Trigger(
                            name="fixed_columns",
                            sql=UpsertTriggerSql(
                                condition='WHEN (OLD."created_at" IS DISTINCT FROM (NEW."created_at") OR OLD."created_by_id" IS DISTINCT FROM (NEW."created_by_id") OR OLD."dataset_id" IS DISTINCT FROM (NEW."dataset_id") OR OLD."decision_id" IS DISTINCT FROM (NEW."decision_id") OR OLD."image_id" IS DISTINCT FROM (NEW."image_id") OR OLD."label_id" IS DISTINCT FROM (NEW."label_id") OR OLD."source" IS DISTINCT FROM (NEW."source"))',
                                func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;",
                                hash="4f9a7f467477b8fa5da44a34881380eab489610f",
                                operation="UPDATE",
                                pgid="pgtrigger_fixed_columns_219d2",
                                table="review_goldimage",
                                when="BEFORE",
                            ),
                        ),
                        Trigger(
                            name="ended_once",
                            sql=UpsertTriggerSql(
                                condition='WHEN (OLD."ended_at" IS NOT NULL)',
                                func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;",
                                hash="e5a8215992a8474976454178c4decaafb5acf1b6",
                                operation="UPDATE",
                                pgid="pgtrigger_ended_once_8a406",
                                table="review_goldimage",
                                when="BEFORE",
                            ),
                        ),
                        Trigger(
                            name="set_time",
                            sql=UpsertTriggerSql(
                                func="NEW.created_at := pg_catalog.statement_timestamp(); RETURN NEW;",
                                hash="3afbb4ae77777f874d7019ce3e45272646be2adc",
                                operation="INSERT",
                                pgid="pgtrigger_set_time_a0b0f",
                                table="review_goldimage",
                                when="BEFORE",
                            ),
                        ),
                    ],
                },
            ),
            migrations.CreateModel(
                name="Assignment",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("key", models.CharField(blank=True, default="", max_length=100)),
                    ("value", models.CharField(blank=True, default="", max_length=200)),
                    ("strict", models.BooleanField(default=False)),
                    ("created_at", models.DateTimeField(db_default=Now(), editable=False)),
                    (
                        "created_by",
                        models.ForeignKey(
                            on_delete=models.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                        ),
                    ),
                    (
                        "dataset",
                        models.ForeignKey(
                            on_delete=models.CASCADE, related_name="assignments", to="datasets.dataset"
                        ),
                    ),
                    (
                        "label",
                        models.ForeignKey(
                            null=True, on_delete=models.CASCADE, related_name="+", to="labeling.label"
                        ),
                    ),
                    (
                        "user",
                        models.ForeignKey(
                            on_delete=models.CASCADE, related_name="assignments", to=settings.AUTH_USER_MODEL
                        ),
                    ),
                ],
                options={
                    "constraints": [
                        models.CheckConstraint(
                            condition=models.Q(
                                models.Q(("key", ""), ("label__isnull", False), ("value", "")),
                                models.Q(
                                    ("label__isnull", True),
                                    models.Q(("key", ""), _negated=True),
                                    models.Q(("value", ""), _negated=True),
                                ),
                                _connector="OR",
                            ),
                            name="assignment_is_one_part",
                        ),
                        models.UniqueConstraint(
                            condition=models.Q(("label__isnull", False)),
                            fields=("dataset", "user", "label"),
                            name="label_assigned_once",
                        ),
                        models.UniqueConstraint(
                            condition=models.Q(("label__isnull", True)),
                            fields=("dataset", "user", "key", "value"),
                            name="metadata_assigned_once",
                        ),
                    ]
                },
            ),
            migrations.CreateModel(
                name="Requalification",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    (
                        "state",
                        models.CharField(
                            choices=[
                                ("due", "due"),
                                ("running", "test begun"),
                                ("passed", "passed"),
                                ("failed", "not passed"),
                                ("repeated", "not passed, test offered again"),
                                ("waived", "waived by an admin"),
                            ],
                            default="due",
                            max_length=10,
                        ),
                    ),
                    ("gold_right", models.PositiveIntegerField()),
                    ("gold_answers", models.PositiveIntegerField()),
                    ("bound", models.FloatField()),
                    ("asked", models.PositiveSmallIntegerField(default=0)),
                    ("right", models.PositiveSmallIntegerField(default=0)),
                    ("created_at", models.DateTimeField(db_default=Now(), editable=False)),
                    ("begun_at", models.DateTimeField(null=True)),
                    ("ended_at", models.DateTimeField(null=True)),
                    (
                        "closed_by",
                        models.ForeignKey(
                            null=True, on_delete=models.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                        ),
                    ),
                    (
                        "dataset",
                        models.ForeignKey(
                            on_delete=models.CASCADE, related_name="requalifications", to="datasets.dataset"
                        ),
                    ),
                    (
                        "user",
                        models.ForeignKey(
                            on_delete=models.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                        ),
                    ),
                ],
                options={
                    "indexes": [
                        models.Index(fields=["dataset", "user", "-id"], name="requalification_newest")
                    ],
                    "constraints": [
                        models.UniqueConstraint(
                            condition=models.Q(("state__in", ["due", "running", "failed"])),
                            fields=("dataset", "user"),
                            name="one_open_requalification",
                        ),
                        models.CheckConstraint(
                            condition=models.Q(("right__lte", models.F("asked"))), name="right_of_asked"
                        ),
                        models.CheckConstraint(
                            condition=models.Q(("gold_right__lte", models.F("gold_answers"))),
                            name="gold_right_of_answers",
                        ),
                        models.CheckConstraint(
                            condition=models.Q(
                                models.Q(
                                    ("begun_at__isnull", True), ("ended_at__isnull", True), ("state", "due")
                                ),
                                models.Q(
                                    ("begun_at__isnull", False),
                                    ("ended_at__isnull", True),
                                    ("state", "running"),
                                ),
                                models.Q(
                                    ("begun_at__isnull", False),
                                    ("ended_at__isnull", False),
                                    ("state__in", ["passed", "failed"]),
                                ),
                                models.Q(
                                    ("closed_by__isnull", False),
                                    ("ended_at__isnull", False),
                                    ("state__in", ["repeated", "waived"]),
                                ),
                                _connector="OR",
                            ),
                            name="requalification_has_its_times",
                        ),
                    ],
                },
            ),
            migrations.CreateModel(
                name="RequalificationQuestion",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("position", models.PositiveSmallIntegerField()),
                    ("answered_at", models.DateTimeField(null=True)),
                    (
                        "answer",
                        models.ForeignKey(
                            null=True, on_delete=models.PROTECT, related_name="+", to="labeling.label"
                        ),
                    ),
                    (
                        "image",
                        models.ForeignKey(on_delete=models.PROTECT, related_name="+", to="datasets.image"),
                    ),
                    (
                        "label",
                        models.ForeignKey(on_delete=models.PROTECT, related_name="+", to="labeling.label"),
                    ),
                    (
                        "requalification",
                        models.ForeignKey(
                            on_delete=models.CASCADE, related_name="questions", to="review.requalification"
                        ),
                    ),
                ],
                options={
                    "constraints": [
                        models.UniqueConstraint(
                            fields=("requalification", "position"), name="one_question_at_a_position"
                        ),
                        models.UniqueConstraint(fields=("requalification", "image"), name="image_asked_once"),
                        models.CheckConstraint(
                            condition=models.Q(
                                models.Q(("answer__isnull", True), ("answered_at__isnull", True)),
                                models.Q(("answer__isnull", False), ("answered_at__isnull", False)),
                                _connector="OR",
                            ),
                            name="answer_has_its_time",
                        ),
                    ]
                },
            ),
            migrations.CreateModel(
                name="WhyPanel",
                fields=[
                    (
                        "id",
                        models.UUIDField(
                            default=uuid.uuid4, editable=False, primary_key=True, serialize=False
                        ),
                    ),
                    ("shown", models.JSONField(default=dict)),
                    ("created_at", models.DateTimeField(db_default=Now(), editable=False)),
                    (
                        "head",
                        models.ForeignKey(
                            db_index=False, on_delete=models.CASCADE, related_name="+", to="learning.head"
                        ),
                    ),
                    (
                        "image",
                        models.ForeignKey(on_delete=models.CASCADE, related_name="+", to="datasets.image"),
                    ),
                    (
                        "label",
                        models.ForeignKey(
                            db_index=False, on_delete=models.CASCADE, related_name="+", to="labeling.label"
                        ),
                    ),
                    (
                        "lease",
                        models.ForeignKey(
                            null=True, on_delete=models.CASCADE, related_name="+", to="review.lease"
                        ),
                    ),
                    (
                        "runner_up",
                        models.ForeignKey(
                            db_index=False,
                            null=True,
                            on_delete=models.CASCADE,
                            related_name="+",
                            to="labeling.label",
                        ),
                    ),
                    (
                        "user",
                        models.ForeignKey(
                            db_index=False,
                            on_delete=models.CASCADE,
                            related_name="+",
                            to=settings.AUTH_USER_MODEL,
                        ),
                    ),
                ],
                options={
                    "indexes": [models.Index(fields=["created_at"], name="why_panel_by_age")],
                    "constraints": [
                        models.UniqueConstraint(
                            fields=("user", "image", "lease", "head"),
                            name="one_why_panel_per_lease_and_head",
                            nulls_distinct=False,
                        )
                    ],
                },
            ),
            migrations.CreateModel(
                name="ReviewPreferences",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    (
                        "layout",
                        models.CharField(
                            choices=[
                                ("standard", "standard"),
                                ("left", "left hand"),
                                ("right", "right hand"),
                            ],
                            default="standard",
                            max_length=10,
                        ),
                    ),
                    ("keys", models.JSONField(blank=True, default=dict)),
                    ("single_keys", models.BooleanField(default=True)),
                    ("keep_zoom", models.BooleanField(default=False)),
                    ("keep_adjustments", models.BooleanField(default=False)),
                    (
                        "goal",
                        models.PositiveIntegerField(
                            blank=True,
                            null=True,
                            validators=[
                                django.core.validators.MinValueValidator(1),
                                django.core.validators.MaxValueValidator(10000),
                            ],
                        ),
                    ),
                    ("goal_began_at", models.DateTimeField(blank=True, null=True)),
                    (
                        "break_minutes",
                        models.PositiveIntegerField(
                            blank=True,
                            null=True,
                            validators=[
                                django.core.validators.MinValueValidator(5),
                                django.core.validators.MaxValueValidator(240),
                            ],
                        ),
                    ),
                    (
                        "user",
                        models.OneToOneField(
                            on_delete=models.CASCADE,
                            related_name="review_preferences",
                            to=settings.AUTH_USER_MODEL,
                        ),
                    ),
                ],
                options={
                    "constraints": [
                        models.CheckConstraint(
                            condition=models.Q(
                                models.Q(("goal__isnull", True), ("goal_began_at__isnull", True)),
                                models.Q(("goal__gte", 1), ("goal_began_at__isnull", False)),
                                _connector="OR",
                            ),
                            name="review_goal_has_its_time",
                        ),
                        models.CheckConstraint(
                            condition=models.Q(
                                ("break_minutes__isnull", True), ("break_minutes__gte", 5), _connector="OR"
                            ),
                            name="break_after_some_work",
                        ),
                    ]
                },
            ),
            migrations.CreateModel(
                name="Tag",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("name", models.CharField(max_length=80)),
                    ("created_at", models.DateTimeField(db_default=Now(), editable=False)),
                    (
                        "dataset",
                        models.ForeignKey(
                            on_delete=models.CASCADE, related_name="tags", to="datasets.dataset"
                        ),
                    ),
                ],
                options={
                    "ordering": ["name", "id"],
                    "constraints": [
                        models.UniqueConstraint(models.F("dataset"), Lower("name"), name="one_tag_per_name")
                    ],
                },
            ),
            migrations.CreateModel(
                name="ImageTag",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    (
                        "image",
                        models.ForeignKey(
                            db_index=False,
                            on_delete=models.CASCADE,
                            related_name="image_tags",
                            to="datasets.image",
                        ),
                    ),
                    (
                        "tag",
                        models.ForeignKey(
                            db_index=False,
                            on_delete=models.CASCADE,
                            related_name="image_tags",
                            to="review.tag",
                        ),
                    ),
                ],
                options={
                    "indexes": [models.Index(fields=["tag", "image"], name="image_by_tag")],
                    "constraints": [
                        models.UniqueConstraint(fields=("image", "tag"), name="tag_once_per_image")
                    ],
                },
            ),
            migrations.CreateModel(
                name="BulkAct",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    (
                        "act",
                        models.CharField(
                            choices=[
                                ("queue", "Send to review"),
                                ("tag", "Tag"),
                                ("untag", "Remove the tag"),
                            ],
                            max_length=10,
                        ),
                    ),
                    ("query", models.TextField(blank=True, default="")),
                    ("image_ids", models.JSONField(null=True)),
                    ("view_name", models.CharField(blank=True, default="", max_length=80)),
                    ("through", models.BigIntegerField()),
                    ("last_image", models.BigIntegerField(default=0)),
                    ("changed", models.PositiveIntegerField(default=0)),
                    ("unchanged", models.PositiveIntegerField(default=0)),
                    ("left_out", models.PositiveIntegerField(default=0)),
                    ("created_at", models.DateTimeField(db_default=Now(), editable=False)),
                    ("finished_at", models.DateTimeField(null=True)),
                    (
                        "created_by",
                        models.ForeignKey(
                            on_delete=models.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                        ),
                    ),
                    (
                        "dataset",
                        models.ForeignKey(
                            on_delete=models.CASCADE, related_name="bulk_acts", to="datasets.dataset"
                        ),
                    ),
                    (
                        "tag",
                        models.ForeignKey(
                            db_index=False,
                            null=True,
                            on_delete=models.CASCADE,
                            related_name="+",
                            to="review.tag",
                        ),
                    ),
                ],
                options={
                    "constraints": [
                        models.CheckConstraint(
                            condition=models.Q(
                                models.Q(("act", "queue"), ("tag__isnull", True)),
                                models.Q(("act__in", ["tag", "untag"]), ("tag__isnull", False)),
                                _connector="OR",
                            ),
                            name="bulk_act_has_its_tag",
                        )
                    ]
                },
            ),
            migrations.CreateModel(
                name="SavedView",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("name", models.CharField(max_length=80, verbose_name="name")),
                    ("query", models.TextField()),
                    ("created_at", models.DateTimeField(db_default=Now(), editable=False)),
                    (
                        "created_by",
                        models.ForeignKey(
                            on_delete=models.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                        ),
                    ),
                    (
                        "dataset",
                        models.ForeignKey(
                            on_delete=models.CASCADE, related_name="saved_views", to="datasets.dataset"
                        ),
                    ),
                ],
                options={
                    "ordering": ["name", "id"],
                    "constraints": [
                        models.UniqueConstraint(models.F("dataset"), Lower("name"), name="one_view_per_name")
                    ],
                },
            ),
            migrations.CreateModel(
                name="ImportedLabel",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("author", models.CharField(default="", max_length=200)),
                    ("predicted", models.BooleanField(default=False)),
                    ("created_at", models.DateTimeField(db_default=Now(), editable=False)),
                    (
                        "image",
                        models.ForeignKey(
                            on_delete=models.CASCADE, related_name="imported_labels", to="datasets.image"
                        ),
                    ),
                    (
                        "name",
                        models.ForeignKey(
                            on_delete=models.CASCADE, related_name="labels", to="review.importedname"
                        ),
                    ),
                ],
                options={
                    "constraints": [
                        models.UniqueConstraint(
                            fields=("image", "name", "author", "predicted"), name="imported_label_once"
                        )
                    ],
                    "triggers": [
                        Trigger(
                            name="no_update",
                            sql=UpsertTriggerSql(
                                func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;",
                                hash="4ab8512980c22cf23995153202bdc0322edfa996",
                                operation="UPDATE",
                                pgid="pgtrigger_no_update_fed7d",
                                table="review_importedlabel",
                                when="BEFORE",
                            ),
                        ),
                        Trigger(
                            name="no_truncate",
                            sql=UpsertTriggerSql(
                                func="RAISE EXCEPTION 'this table is append-only';",
                                hash="43abe4f051363c8e3f3c5e5a74031d1365d814e7",
                                level="STATEMENT",
                                operation="TRUNCATE",
                                pgid="pgtrigger_no_truncate_b365d",
                                table="review_importedlabel",
                                when="BEFORE",
                            ),
                        ),
                        Trigger(
                            name="set_time",
                            sql=UpsertTriggerSql(
                                func="NEW.created_at := pg_catalog.statement_timestamp(); RETURN NEW;",
                                hash="ab6a25338ab7dd470a8cc87077714cf3500ae8bd",
                                operation="INSERT",
                                pgid="pgtrigger_set_time_7af7d",
                                table="review_importedlabel",
                                when="BEFORE",
                            ),
                        ),
                    ],
                },
            ),
            migrations.CreateModel(
                name="ImportedName",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("text", models.CharField(max_length=200)),
                    (
                        "batch",
                        models.ForeignKey(
                            on_delete=models.CASCADE, related_name="label_names", to="datasets.importbatch"
                        ),
                    ),
                    (
                        "label",
                        models.ForeignKey(
                            null=True,
                            on_delete=models.SET_NULL,
                            related_name="imported_names",
                            to="labeling.label",
                        ),
                    ),
                ],
                options={
                    "constraints": [
                        models.UniqueConstraint(fields=("batch", "text"), name="one_name_per_import")
                    ]
                },
            ),
        ),
        migrations.RunSQL(NAMES, migrations.RunSQL.noop),
    ]
