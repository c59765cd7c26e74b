"""Every table of this app. It replaces the migrations from before the first release (docs/decisions/0036)."""

from django.conf import settings
from django.db import migrations, models
from django.db.models.functions import Now
from pgtrigger.compiler import Trigger, UpsertTriggerSql

from mekiki.config.create_models import CreateModels


class Migration(migrations.Migration):
    replaces = [
        ("exports", "0001_initial"),
        ("exports", "0002_entries"),
        ("exports", "0003_reserve_labels"),
        ("exports", "0004_append_only_evidence"),
        ("exports", "0001_squashed_0004_append_only_evidence"),
        ("exports", "0005_certificate"),
    ]

    initial = True

    dependencies = [
        ("accounts", "0001_squashed_0013_mails"),
        ("datasets", "0001_squashed_0027_import_options"),
        ("jobs", "0001_squashed_0017_pause_and_import_kinds"),
        ("quality", "0001_squashed_0012_fast_frozen_pools"),
    ]

    operations = [
        CreateModels(
            migrations.CreateModel(
                name="LabelSet",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("version", models.PositiveIntegerField()),
                    ("note", models.CharField(blank=True, default="", max_length=300, verbose_name="note")),
                    ("include_images", models.BooleanField(default=False, verbose_name="with images")),
                    ("machine_threshold", models.FloatField(null=True)),
                    (
                        "state",
                        models.CharField(
                            choices=[
                                ("freezing", "being frozen"),
                                ("frozen", "frozen"),
                                ("failed", "failed"),
                            ],
                            default="freezing",
                            max_length=10,
                        ),
                    ),
                    ("file", models.CharField(default="", max_length=300)),
                    ("size", models.PositiveBigIntegerField(default=0)),
                    ("sha256", models.CharField(default="", max_length=64)),
                    ("manifest_sha256", models.CharField(default="", max_length=64)),
                    ("human_labels", models.PositiveIntegerField(default=0)),
                    ("machine_labels", models.PositiveIntegerField(default=0)),
                    ("created_at", models.DateTimeField(db_default=Now(), editable=False)),
                    ("frozen_at", models.DateTimeField(null=True)),
                    (
                        "created_by",
                        models.ForeignKey(null=True, on_delete=models.SET_NULL, to=settings.AUTH_USER_MODEL),
                    ),
                    (
                        "dataset",
                        models.ForeignKey(
                            on_delete=models.CASCADE, related_name="label_sets", to="datasets.dataset"
                        ),
                    ),
                    ("job", models.ForeignKey(null=True, on_delete=models.SET_NULL, to="jobs.job")),
                    ("snapshot", models.JSONField(default=dict)),
                    ("reserve_labels", models.PositiveIntegerField(null=True)),
                    (
                        "certificate",
                        models.ForeignKey(
                            null=True, on_delete=models.PROTECT, related_name="+", to="quality.certificate"
                        ),
                    ),
                ],
                options={
                    "ordering": ["-version"],
                    "constraints": [
                        models.UniqueConstraint(
                            fields=("dataset", "version"), name="one_label_set_per_version"
                        ),
                        models.CheckConstraint(
                            condition=models.Q(
                                ("certificate__isnull", True),
                                ("machine_threshold__isnull", True),
                                _connector="OR",
                            ),
                            name="certified_or_uncertified_labels",
                        ),
                    ],
                    "triggers": [
                        Trigger(
                            name="frozen",
                            sql=UpsertTriggerSql(
                                condition="WHEN (OLD.\"state\" = 'frozen')",
                                func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;",
                                hash="367c0007040f2f3abbab6967620e6f70bf85ca0b",
                                operation="UPDATE",
                                pgid="pgtrigger_frozen_51cc6",
                                table="exports_labelset",
                                when="BEFORE",
                            ),
                        ),
                        Trigger(
                            name="no_delete",
                            sql=UpsertTriggerSql(
                                func="RAISE EXCEPTION 'pgtrigger: Cannot delete rows from % table', TG_TABLE_NAME;",
                                hash="e925b66cdac420b9e293116efeebcd42d239059b",
                                operation="DELETE",
                                pgid="pgtrigger_no_delete_b028c",
                                table="exports_labelset",
                                when="BEFORE",
                            ),
                        ),
                        Trigger(
                            name="no_truncate",
                            sql=UpsertTriggerSql(
                                func="RAISE EXCEPTION 'this table is append-only';",
                                hash="051ac1a5425ee7426af7b16326bb40d4a26238fc",
                                level="STATEMENT",
                                operation="TRUNCATE",
                                pgid="pgtrigger_no_truncate_3486f",
                                table="exports_labelset",
                                when="BEFORE",
                            ),
                        ),
                        Trigger(
                            name="fixed_columns",
                            sql=UpsertTriggerSql(
                                condition='WHEN (OLD."created_at" IS DISTINCT FROM (NEW."created_at") OR OLD."created_by_id" IS DISTINCT FROM (NEW."created_by_id") OR OLD."dataset_id" IS DISTINCT FROM (NEW."dataset_id") OR OLD."version" IS DISTINCT FROM (NEW."version"))',
                                func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;",
                                hash="a16f0afcbae353cd534272ca59f0e83c566ea2d0",
                                operation="UPDATE",
                                pgid="pgtrigger_fixed_columns_8b0b3",
                                table="exports_labelset",
                                when="BEFORE",
                            ),
                        ),
                        Trigger(
                            name="set_time",
                            sql=UpsertTriggerSql(
                                func="NEW.created_at := pg_catalog.statement_timestamp(); RETURN NEW;",
                                hash="fa838c398a1c917227dae98fb336aefe63c71c11",
                                operation="INSERT",
                                pgid="pgtrigger_set_time_50f02",
                                table="exports_labelset",
                                when="BEFORE",
                            ),
                        ),
                    ],
                },
            ),
            migrations.CreateModel(
                name="LabelSetEntry",
                fields=[
                    (
                        "pk",
                        models.CompositePrimaryKey(
                            "label_set_id",
                            "position",
                            blank=True,
                            editable=False,
                            primary_key=True,
                            serialize=False,
                        ),
                    ),
                    ("position", models.BigIntegerField()),
                    ("image_id", models.BigIntegerField()),
                    ("label_id", models.BigIntegerField()),
                    ("decision_id", models.BigIntegerField(null=True)),
                    ("opinions", models.PositiveIntegerField()),
                    ("head_id", models.BigIntegerField(null=True)),
                    ("confidence", models.FloatField(null=True)),
                    (
                        "label_set",
                        models.ForeignKey(
                            db_index=False,
                            on_delete=models.CASCADE,
                            related_name="entries",
                            to="exports.labelset",
                        ),
                    ),
                ],
                options={
                    "constraints": [
                        models.CheckConstraint(
                            condition=models.Q(
                                models.Q(
                                    ("confidence__isnull", True),
                                    ("decision_id__isnull", False),
                                    ("head_id__isnull", True),
                                ),
                                models.Q(
                                    ("confidence__isnull", False),
                                    ("decision_id__isnull", True),
                                    ("head_id__isnull", False),
                                ),
                                _connector="OR",
                            ),
                            name="entry_of_person_or_machine",
                        )
                    ],
                    "triggers": [
                        Trigger(
                            name="append_only",
                            sql=UpsertTriggerSql(
                                func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;",
                                hash="9ddd5c5578be4a4ed4f570c9200766450fd78e37",
                                operation="UPDATE OR DELETE",
                                pgid="pgtrigger_append_only_c336c",
                                table="exports_labelsetentry",
                                when="BEFORE",
                            ),
                        ),
                        Trigger(
                            name="no_truncate",
                            sql=UpsertTriggerSql(
                                func="RAISE EXCEPTION 'this table is append-only';",
                                hash="1e2472dccab091d1d90e09f343a4d9b5c315569c",
                                level="STATEMENT",
                                operation="TRUNCATE",
                                pgid="pgtrigger_no_truncate_9cf84",
                                table="exports_labelsetentry",
                                when="BEFORE",
                            ),
                        ),
                        Trigger(
                            name="none_added",
                            sql=UpsertTriggerSql(
                                func="""
IF EXISTS (SELECT FROM exports_labelset WHERE state = 'frozen' AND id IN (SELECT DISTINCT label_set_id FROM added)) THEN
    RAISE EXCEPTION 'Cannot add entries to a frozen label set';
END IF;
RETURN NULL;
""",
                                hash="c9b1a4c29e4a9e1260b78cb671cc0a7f51124201",
                                level="STATEMENT",
                                operation="INSERT",
                                pgid="pgtrigger_none_added_5e7f0",
                                referencing="REFERENCING NEW TABLE AS added ",
                                table="exports_labelsetentry",
                                when="AFTER",
                            ),
                        ),
                    ],
                },
            ),
        )
    ]
