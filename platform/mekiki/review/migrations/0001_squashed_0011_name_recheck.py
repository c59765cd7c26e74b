"""Every table of this app. It replaces the migrations from before the first release (docs/decisions/0036)."""

from django.conf import settings
from django.db import migrations, models
from django.db.models.functions import Now
from pgtrigger.compiler import Trigger, UpsertTriggerSql

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
    ]

    initial = True

    dependencies = [
        ("accounts", "0001_squashed_0013_mails"),
        ("datasets", "0001_squashed_0017_changed_files"),
        ("labeling", "0001_squashed_0006_first_guideline_versions"),
        ("learning", "0001_squashed_0022_embedding_removals"),
    ]

    operations = [
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
                        choices=[("waiting", "waiting"), ("done", "done"), ("withdrawn", "withdrawn")],
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
                            ("stream__in", ["uncertain", "diverse", "audit", "gold", "recheck"])
                        ),
                        name="stream_is_known",
                    ),
                ],
                "triggers": [
                    Trigger(
                        name="no_delete",
                        sql=UpsertTriggerSql(
                            func="RAISE EXCEPTION 'pgtrigger: Cannot delete rows from % table', TG_TABLE_NAME;",
                            hash="248ebc74e17d13c35eb57b1602e5d721f99d3a4a",
                            operation="DELETE",
                            pgid="pgtrigger_no_delete_077d4",
                            table="review_queueitem",
                            when="BEFORE",
                        ),
                    ),
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
                            condition='WHEN (OLD."dataset_id" IS DISTINCT FROM (NEW."dataset_id") OR OLD."head_id" IS DISTINCT FROM (NEW."head_id") OR OLD."image_id" IS DISTINCT FROM (NEW."image_id") OR OLD."propensity" IS DISTINCT FROM (NEW."propensity") OR OLD."stream" IS DISTINCT FROM (NEW."stream"))',
                            func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;",
                            hash="b18bfa6b6b20c96b26e0df2336beb9c20ebaf8b3",
                            operation="UPDATE",
                            pgid="pgtrigger_fixed_columns_3a7a6",
                            table="review_queueitem",
                            when="BEFORE",
                        ),
                    ),
                ],
            },
        ),
        migrations.RunSQL(NAMES, migrations.RunSQL.noop),
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
                    models.ForeignKey(on_delete=models.CASCADE, related_name="leases", to="review.queueitem"),
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
                        null=True, on_delete=models.CASCADE, related_name="decisions", to="review.queueitem"
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(fields=["dataset", "-id"], name="decision_of_dataset"),
                    models.Index(fields=["user", "dataset", "-id"], name="decision_of_reviewer"),
                    models.Index(fields=["user", "dataset", "created_at"], name="decision_of_the_day"),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("user", "client_key"), name="answer_recorded_once"),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("kind__in", ["confirm", "correct"]), ("label__isnull", False)),
                            models.Q(("kind__in", ["skip", "flag"]), ("label__isnull", True)),
                            models.Q(
                                ("kind", "undo"), ("label__isnull", True), ("supersedes__isnull", False)
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
                ("label", models.ForeignKey(on_delete=models.PROTECT, related_name="+", to="labeling.label")),
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
    ]
