"""Every table of this app. It replaces the migrations from before the first release (docs/decisions/0036)."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import migrations, models
from django.db.models.functions import Now
from pgtrigger.compiler import Trigger, UpsertTriggerSql

from mekiki.config.create_models import CreateModels

# Functions with the owner's rights: statistics of the tables that a job has just filled. Without them
# PostgreSQL plans with the old numbers of rows until autovacuum has read the tables.
RIGHTS = "SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp"

FUNCTIONS = f"""
CREATE FUNCTION quality_analyze_labels() RETURNS void LANGUAGE plpgsql {RIGHTS} AS $$
BEGIN
    ANALYZE public.quality_machinelabel;
END $$;

CREATE FUNCTION quality_analyze_pools() RETURNS void LANGUAGE plpgsql {RIGHTS} AS $$
BEGIN
    ANALYZE public.quality_certificateimage;
END $$;

REVOKE EXECUTE ON FUNCTION quality_analyze_labels(), quality_analyze_pools() FROM PUBLIC;
"""

NO_FUNCTIONS = "DROP FUNCTION quality_analyze_labels(), quality_analyze_pools();"


class Migration(migrations.Migration):
    replaces = [
        ("quality", "0001_studies"),
        ("quality", "0002_certificates"),
        ("quality", "0003_evidence_of_checks"),
        ("quality", "0004_certificate_plans"),
        ("quality", "0005_machine_labels_of_each_certificate"),
        ("quality", "0006_certificate_streams"),
        ("quality", "0007_certificate_scope"),
        ("quality", "0008_certificate_stop_reasons"),
        ("quality", "0009_plan_scope"),
        ("quality", "0010_label_sizes"),
        ("quality", "0011_analyze_labels"),
        ("quality", "0012_fast_frozen_pools"),
    ]

    initial = True

    dependencies = [
        ("accounts", "0001_squashed_0013_mails"),
        ("datasets", "0001_squashed_0027_import_options"),
        ("jobs", "0001_squashed_0017_pause_and_import_kinds"),
        ("labeling", "0001_squashed_0007_schema_versions"),
        ("learning", "0001_squashed_0027_imported_training_labels"),
        ("review", "0001_squashed_0018_imported_labels"),
    ]

    operations = [
        CreateModels(
            migrations.CreateModel(
                name="Study",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("number", models.PositiveIntegerField()),
                    ("name", models.CharField(max_length=100, verbose_name="name")),
                    (
                        "state",
                        models.CharField(
                            choices=[
                                ("draft", "draft"),
                                ("running", "running"),
                                ("finished", "finished"),
                                ("cancelled", "cancelled"),
                            ],
                            default="draft",
                            max_length=10,
                        ),
                    ),
                    (
                        "method",
                        models.CharField(
                            choices=[
                                ("stratified", "equal numbers for each label, a part of them hard"),
                                ("random", "random"),
                            ],
                            max_length=10,
                        ),
                    ),
                    ("images_wanted", models.PositiveSmallIntegerField()),
                    ("boundary_percent", models.PositiveSmallIntegerField(default=0)),
                    ("runs", models.PositiveSmallIntegerField()),
                    ("pause_hours", models.PositiveSmallIntegerField(default=0)),
                    (
                        "reference",
                        models.CharField(
                            choices=[
                                ("none", "no reference labels"),
                                ("confirmed", "the confirmed labels of the images"),
                                ("person", "the answers of a reference person"),
                            ],
                            max_length=10,
                        ),
                    ),
                    ("seed", models.BigIntegerField()),
                    ("created_at", models.DateTimeField(db_default=Now(), editable=False)),
                    ("started_at", models.DateTimeField(null=True)),
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
                            on_delete=models.CASCADE, related_name="studies", to="datasets.dataset"
                        ),
                    ),
                    (
                        "job",
                        models.ForeignKey(
                            null=True, on_delete=models.SET_NULL, related_name="+", to="jobs.job"
                        ),
                    ),
                ],
                options={
                    "ordering": ["-number"],
                    "constraints": [
                        models.UniqueConstraint(fields=("dataset", "number"), name="one_study_per_number"),
                        models.CheckConstraint(
                            condition=models.Q(("runs__gte", 2), ("runs__lte", 3)), name="study_runs_in_range"
                        ),
                        models.CheckConstraint(
                            condition=models.Q(("boundary_percent__lte", 100), ("pause_hours__lte", 336)),
                            name="study_design_in_range",
                        ),
                        models.CheckConstraint(
                            condition=models.Q(
                                models.Q(
                                    ("ended_at__isnull", True),
                                    ("started_at__isnull", True),
                                    ("state", "draft"),
                                ),
                                models.Q(
                                    ("ended_at__isnull", True),
                                    ("started_at__isnull", False),
                                    ("state", "running"),
                                ),
                                models.Q(
                                    ("ended_at__isnull", False),
                                    ("started_at__isnull", False),
                                    ("state", "finished"),
                                ),
                                models.Q(("ended_at__isnull", False), ("state", "cancelled")),
                                _connector="OR",
                            ),
                            name="study_has_the_times_of_its_state",
                        ),
                    ],
                    "triggers": [
                        Trigger(
                            name="no_delete",
                            sql=UpsertTriggerSql(
                                func="RAISE EXCEPTION 'pgtrigger: Cannot delete rows from % table', TG_TABLE_NAME;",
                                hash="79739afd42e33f5db765bbac385a0a7249357eab",
                                operation="DELETE",
                                pgid="pgtrigger_no_delete_ef04e",
                                table="quality_study",
                                when="BEFORE",
                            ),
                        ),
                        Trigger(
                            name="no_truncate",
                            sql=UpsertTriggerSql(
                                func="RAISE EXCEPTION 'this table is append-only';",
                                hash="24131e0e50741b50bb053fb94593ac6b85df004a",
                                level="STATEMENT",
                                operation="TRUNCATE",
                                pgid="pgtrigger_no_truncate_b4b90",
                                table="quality_study",
                                when="BEFORE",
                            ),
                        ),
                        Trigger(
                            name="fixed_columns",
                            sql=UpsertTriggerSql(
                                condition='WHEN (OLD."created_at" IS DISTINCT FROM (NEW."created_at") OR OLD."created_by_id" IS DISTINCT FROM (NEW."created_by_id") OR OLD."dataset_id" IS DISTINCT FROM (NEW."dataset_id") OR OLD."number" IS DISTINCT FROM (NEW."number"))',
                                func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;",
                                hash="f816598bc180eea0b60b991fa3a34b17cf6b3d86",
                                operation="UPDATE",
                                pgid="pgtrigger_fixed_columns_5165e",
                                table="quality_study",
                                when="BEFORE",
                            ),
                        ),
                        Trigger(
                            name="set_time",
                            sql=UpsertTriggerSql(
                                func="NEW.created_at := pg_catalog.statement_timestamp(); RETURN NEW;",
                                hash="9e65cc1487fe32320cf954bd387ab501d05eb98a",
                                operation="INSERT",
                                pgid="pgtrigger_set_time_42e63",
                                table="quality_study",
                                when="BEFORE",
                            ),
                        ),
                        Trigger(
                            name="fixed_design",
                            sql=UpsertTriggerSql(
                                condition='WHEN (NOT (OLD."state" = \'draft\') AND (OLD."method" IS DISTINCT FROM (NEW."method") OR OLD."images_wanted" IS DISTINCT FROM (NEW."images_wanted") OR OLD."boundary_percent" IS DISTINCT FROM (NEW."boundary_percent") OR OLD."runs" IS DISTINCT FROM (NEW."runs") OR OLD."pause_hours" IS DISTINCT FROM (NEW."pause_hours") OR OLD."reference" IS DISTINCT FROM (NEW."reference") OR OLD."seed" IS DISTINCT FROM (NEW."seed") OR OLD."started_at" IS DISTINCT FROM (NEW."started_at")))',
                                func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;",
                                hash="8ac43cee2f8a0deedb9ad4131ac230061a7372a4",
                                operation="UPDATE",
                                pgid="pgtrigger_fixed_design_f1d59",
                                table="quality_study",
                                when="BEFORE",
                            ),
                        ),
                    ],
                },
            ),
            migrations.CreateModel(
                name="StudyImage",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("near_boundary", models.BooleanField(default=False)),
                    (
                        "drawn_for",
                        models.ForeignKey(
                            null=True, on_delete=models.PROTECT, related_name="+", to="labeling.label"
                        ),
                    ),
                    (
                        "image",
                        models.ForeignKey(on_delete=models.PROTECT, related_name="+", to="datasets.image"),
                    ),
                    (
                        "reference_label",
                        models.ForeignKey(
                            null=True, on_delete=models.PROTECT, related_name="+", to="labeling.label"
                        ),
                    ),
                    (
                        "study",
                        models.ForeignKey(
                            on_delete=models.CASCADE, related_name="images", to="quality.study"
                        ),
                    ),
                ],
                options={
                    "ordering": ["id"],
                    "constraints": [
                        models.UniqueConstraint(fields=("study", "image"), name="one_image_per_study")
                    ],
                    "triggers": [
                        Trigger(
                            name="fixed_after_start",
                            sql=UpsertTriggerSql(
                                declare="DECLARE changed bigint;",
                                func="""
            IF TG_OP = 'DELETE' THEN changed := OLD.study_id; ELSE changed := NEW.study_id; END IF;
            IF EXISTS (SELECT FROM quality_study WHERE id = changed AND state <> 'draft') THEN
                RAISE EXCEPTION 'The study has started: its images, labels and reviewers are fixed';
            END IF;
            IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
            RETURN NEW;
        """,
                                hash="9f2429369cd2697d6714ef62a2007008f2aa1a0c",
                                operation="INSERT OR UPDATE OR DELETE",
                                pgid="pgtrigger_fixed_after_start_38011",
                                table="quality_studyimage",
                                when="BEFORE",
                            ),
                        )
                    ],
                },
            ),
            migrations.CreateModel(
                name="StudyLabel",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("position", models.PositiveIntegerField()),
                    ("critical", models.BooleanField()),
                    (
                        "label",
                        models.ForeignKey(on_delete=models.PROTECT, related_name="+", to="labeling.label"),
                    ),
                    (
                        "study",
                        models.ForeignKey(
                            on_delete=models.CASCADE, related_name="labels", to="quality.study"
                        ),
                    ),
                ],
                options={
                    "ordering": ["position", "id"],
                    "constraints": [
                        models.UniqueConstraint(fields=("study", "label"), name="one_label_per_study")
                    ],
                    "triggers": [
                        Trigger(
                            name="fixed_after_start",
                            sql=UpsertTriggerSql(
                                declare="DECLARE changed bigint;",
                                func="""
            IF TG_OP = 'DELETE' THEN changed := OLD.study_id; ELSE changed := NEW.study_id; END IF;
            IF EXISTS (SELECT FROM quality_study WHERE id = changed AND state <> 'draft') THEN
                RAISE EXCEPTION 'The study has started: its images, labels and reviewers are fixed';
            END IF;
            IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
            RETURN NEW;
        """,
                                hash="522e0b098de298b333e3dd25dd60fb954e262123",
                                operation="INSERT OR UPDATE OR DELETE",
                                pgid="pgtrigger_fixed_after_start_84efc",
                                table="quality_studylabel",
                                when="BEFORE",
                            ),
                        )
                    ],
                },
            ),
            migrations.CreateModel(
                name="StudyReport",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("version", models.PositiveIntegerField()),
                    ("figures", models.JSONField()),
                    ("digest", models.CharField(max_length=64)),
                    ("software", models.CharField(max_length=100)),
                    ("created_at", models.DateTimeField(db_default=Now(), editable=False)),
                    (
                        "study",
                        models.ForeignKey(
                            on_delete=models.PROTECT, related_name="reports", to="quality.study"
                        ),
                    ),
                ],
                options={
                    "ordering": ["-version"],
                    "constraints": [
                        models.UniqueConstraint(
                            fields=("study", "version"), name="one_study_report_per_version"
                        )
                    ],
                    "triggers": [
                        Trigger(
                            name="append_only",
                            sql=UpsertTriggerSql(
                                func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;",
                                hash="1917444ef3807eb722c5f398f8011b7cc1f44f07",
                                operation="UPDATE OR DELETE",
                                pgid="pgtrigger_append_only_73ea1",
                                table="quality_studyreport",
                                when="BEFORE",
                            ),
                        ),
                        Trigger(
                            name="no_truncate",
                            sql=UpsertTriggerSql(
                                func="RAISE EXCEPTION 'this table is append-only';",
                                hash="52997973e580fdc6332a8ab802f87d00e8eab124",
                                level="STATEMENT",
                                operation="TRUNCATE",
                                pgid="pgtrigger_no_truncate_ecc58",
                                table="quality_studyreport",
                                when="BEFORE",
                            ),
                        ),
                        Trigger(
                            name="set_time",
                            sql=UpsertTriggerSql(
                                func="NEW.created_at := pg_catalog.statement_timestamp(); RETURN NEW;",
                                hash="735c4cb2f6fd7a4320944596ba76e8b4ca39aa24",
                                operation="INSERT",
                                pgid="pgtrigger_set_time_25ee0",
                                table="quality_studyreport",
                                when="BEFORE",
                            ),
                        ),
                    ],
                },
            ),
            migrations.CreateModel(
                name="StudyReportFile",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("language", models.CharField(max_length=10)),
                    ("name", models.CharField(max_length=300)),
                    ("sha256", models.CharField(max_length=64)),
                    ("size", models.PositiveBigIntegerField()),
                    (
                        "report",
                        models.ForeignKey(
                            on_delete=models.PROTECT, related_name="files", to="quality.studyreport"
                        ),
                    ),
                ],
                options={
                    "constraints": [
                        models.UniqueConstraint(
                            fields=("report", "language"), name="one_report_file_per_language"
                        )
                    ],
                    "triggers": [
                        Trigger(
                            name="append_only",
                            sql=UpsertTriggerSql(
                                func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;",
                                hash="baf99e922c4e9326300321c4dc4e19458c675161",
                                operation="UPDATE OR DELETE",
                                pgid="pgtrigger_append_only_9003e",
                                table="quality_studyreportfile",
                                when="BEFORE",
                            ),
                        ),
                        Trigger(
                            name="no_truncate",
                            sql=UpsertTriggerSql(
                                func="RAISE EXCEPTION 'this table is append-only';",
                                hash="9c2806d17592956632c2602f915d28a77267cbbf",
                                level="STATEMENT",
                                operation="TRUNCATE",
                                pgid="pgtrigger_no_truncate_9f6d0",
                                table="quality_studyreportfile",
                                when="BEFORE",
                            ),
                        ),
                    ],
                },
            ),
            migrations.CreateModel(
                name="StudyReviewer",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("is_reference", models.BooleanField(default=False)),
                    (
                        "study",
                        models.ForeignKey(
                            on_delete=models.CASCADE, related_name="reviewers", to="quality.study"
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
                    "ordering": ["id"],
                    "constraints": [
                        models.UniqueConstraint(fields=("study", "user"), name="invited_once"),
                        models.UniqueConstraint(
                            condition=models.Q(("is_reference", True)),
                            fields=("study",),
                            name="one_reference_person",
                        ),
                    ],
                    "triggers": [
                        Trigger(
                            name="fixed_after_start",
                            sql=UpsertTriggerSql(
                                declare="DECLARE changed bigint;",
                                func="""
            IF TG_OP = 'DELETE' THEN changed := OLD.study_id; ELSE changed := NEW.study_id; END IF;
            IF EXISTS (SELECT FROM quality_study WHERE id = changed AND state <> 'draft') THEN
                RAISE EXCEPTION 'The study has started: its images, labels and reviewers are fixed';
            END IF;
            IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
            RETURN NEW;
        """,
                                hash="afc261e462911238cda97daac54e2ba5efcb2a9d",
                                operation="INSERT OR UPDATE OR DELETE",
                                pgid="pgtrigger_fixed_after_start_7c5bf",
                                table="quality_studyreviewer",
                                when="BEFORE",
                            ),
                        )
                    ],
                },
            ),
            migrations.CreateModel(
                name="StudyAnswer",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("run", models.PositiveSmallIntegerField()),
                    ("shown", models.JSONField(default=dict)),
                    ("milliseconds", models.PositiveIntegerField(null=True)),
                    ("client_key", models.UUIDField()),
                    ("created_at", models.DateTimeField(db_default=Now(), editable=False)),
                    (
                        "label",
                        models.ForeignKey(
                            null=True, on_delete=models.PROTECT, related_name="+", to="labeling.label"
                        ),
                    ),
                    (
                        "image",
                        models.ForeignKey(
                            on_delete=models.PROTECT, related_name="answers", to="quality.studyimage"
                        ),
                    ),
                    (
                        "reviewer",
                        models.ForeignKey(
                            on_delete=models.PROTECT, related_name="answers", to="quality.studyreviewer"
                        ),
                    ),
                ],
                options={
                    "constraints": [
                        models.UniqueConstraint(
                            fields=("reviewer", "run", "image"), name="one_study_answer_per_run"
                        ),
                        models.UniqueConstraint(
                            fields=("reviewer", "client_key"), name="study_answer_recorded_once"
                        ),
                        models.CheckConstraint(
                            condition=models.Q(("run__gte", 1), ("run__lte", 3)), name="study_answer_in_a_run"
                        ),
                    ],
                    "triggers": [
                        Trigger(
                            name="append_only",
                            sql=UpsertTriggerSql(
                                func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;",
                                hash="17d768a0a326c19dc994d1b98401958eb9838316",
                                operation="UPDATE OR DELETE",
                                pgid="pgtrigger_append_only_7fa21",
                                table="quality_studyanswer",
                                when="BEFORE",
                            ),
                        ),
                        Trigger(
                            name="no_truncate",
                            sql=UpsertTriggerSql(
                                func="RAISE EXCEPTION 'this table is append-only';",
                                hash="85d93bd485c3364d6c73346a61dea2fcc2281305",
                                level="STATEMENT",
                                operation="TRUNCATE",
                                pgid="pgtrigger_no_truncate_f3e0b",
                                table="quality_studyanswer",
                                when="BEFORE",
                            ),
                        ),
                        Trigger(
                            name="set_time",
                            sql=UpsertTriggerSql(
                                func="NEW.created_at := pg_catalog.statement_timestamp(); RETURN NEW;",
                                hash="d1d9954998ef3c228b2b3ba50af5486332fe03c8",
                                operation="INSERT",
                                pgid="pgtrigger_set_time_590b3",
                                table="quality_studyanswer",
                                when="BEFORE",
                            ),
                        ),
                    ],
                },
            ),
            migrations.CreateModel(
                name="Certificate",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("version", models.PositiveIntegerField()),
                    (
                        "state",
                        models.CharField(
                            choices=[
                                ("freezing", "being frozen"),
                                ("auditing", "audit running"),
                                ("passed", "certified"),
                                ("failed", "not certified"),
                                ("cancelled", "cancelled"),
                                ("accepting", "labels being set"),
                                ("accepted", "labels set by machine"),
                                ("suspended", "suspended"),
                                ("revoked", "revoked"),
                            ],
                            default="freezing",
                            max_length=10,
                        ),
                    ),
                    ("alpha", models.FloatField()),
                    ("delta", models.FloatField()),
                    ("limit", models.PositiveIntegerField()),
                    ("levels", ArrayField(base_field=models.FloatField(), size=None)),
                    (
                        "test",
                        models.CharField(
                            choices=[
                                ("planned", "planned: a fixed number of audited images"),
                                ("watched", "watched: stop at any time"),
                            ],
                            default="watched",
                            max_length=10,
                        ),
                    ),
                    ("critical_bound", models.FloatField(null=True)),
                    ("delta_critical", models.FloatField(default=0)),
                    ("alpha_by_label", models.JSONField(blank=True, default=dict)),
                    ("overlap", models.PositiveSmallIntegerField(default=1)),
                    ("public_words", models.CharField(blank=True, default="", max_length=500)),
                    ("note", models.CharField(blank=True, default="", max_length=300)),
                    ("seed", models.BinaryField(max_length=32, null=True)),
                    ("commitment", models.CharField(default="", max_length=64)),
                    ("pool_digest", models.CharField(default="", max_length=64)),
                    ("pool", models.PositiveIntegerField(default=0)),
                    ("candidates", models.PositiveIntegerField(default=0)),
                    ("critical_label", models.PositiveIntegerField(default=0)),
                    ("critical_risk", models.PositiveIntegerField(default=0)),
                    ("not_embedded", models.PositiveIntegerField(default=0)),
                    ("frozen_at", models.DateTimeField(null=True)),
                    ("region", models.PositiveIntegerField(default=0)),
                    ("audits", models.PositiveIntegerField(default=0)),
                    ("errors", models.PositiveIntegerField(default=0)),
                    ("ended_at", models.DateTimeField(null=True)),
                    ("accepted", models.PositiveIntegerField(default=0)),
                    ("accepted_at", models.DateTimeField(null=True)),
                    ("stopped_at", models.DateTimeField(null=True)),
                    (
                        "stop_reason",
                        models.CharField(
                            blank=True,
                            choices=[
                                ("by_admin", "stopped by an admin"),
                                ("head_replaced", "another head was promoted"),
                                ("encoder_changed", "the encoder was changed"),
                                ("prompts_changed", "the prompts were changed"),
                                ("label_added", "a label was added"),
                                ("label_archived", "a label was archived or restored"),
                                ("label_critical", "a label was marked as critical"),
                                ("stream_errors", "the audits of later images show too many wrong labels"),
                                ("replaced", "replaced by a newer certificate"),
                            ],
                            default="",
                            max_length=20,
                        ),
                    ),
                    ("created_at", models.DateTimeField(db_default=Now(), editable=False)),
                    (
                        "batch",
                        models.ForeignKey(
                            null=True, on_delete=models.PROTECT, related_name="+", to="datasets.importbatch"
                        ),
                    ),
                    (
                        "created_by",
                        models.ForeignKey(
                            on_delete=models.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                        ),
                    ),
                    (
                        "dataset",
                        models.ForeignKey(
                            on_delete=models.CASCADE, related_name="certificates", to="datasets.dataset"
                        ),
                    ),
                    (
                        "head",
                        models.ForeignKey(
                            null=True, on_delete=models.PROTECT, related_name="+", to="learning.head"
                        ),
                    ),
                    (
                        "job",
                        models.ForeignKey(
                            null=True, on_delete=models.SET_NULL, related_name="+", to="jobs.job"
                        ),
                    ),
                    ("scope", models.JSONField(blank=True, default=dict)),
                    ("label_sizes", models.JSONField(blank=True, default=dict)),
                ],
                options={
                    "ordering": ["-version"],
                    "constraints": [
                        models.UniqueConstraint(
                            fields=("dataset", "version"), name="one_certificate_per_version"
                        ),
                        models.UniqueConstraint(
                            condition=models.Q(("state__in", ["freezing", "auditing", "accepting"])),
                            fields=("dataset",),
                            name="one_running_certificate",
                        ),
                        models.CheckConstraint(
                            condition=models.Q(
                                ("alpha__gte", 0), ("alpha__lt", 1), ("delta__gt", 0), ("delta__lt", 1)
                            ),
                            name="certificate_bounds_in_range",
                        ),
                        models.CheckConstraint(
                            condition=models.Q(("limit__gte", 1)), name="certificate_limit_at_least_one"
                        ),
                        models.CheckConstraint(
                            condition=models.Q(("overlap__gte", 1), ("overlap__lte", 3)),
                            name="certificate_overlap_in_range",
                        ),
                        models.CheckConstraint(
                            condition=models.Q(("region__lte", models.F("candidates"))),
                            name="region_of_candidates",
                        ),
                    ],
                    "triggers": [
                        Trigger(
                            name="no_delete",
                            sql=UpsertTriggerSql(
                                func="RAISE EXCEPTION 'pgtrigger: Cannot delete rows from % table', TG_TABLE_NAME;",
                                hash="fb53f9d4632193b6a4310e4bb2757eb1e234a5d5",
                                operation="DELETE",
                                pgid="pgtrigger_no_delete_0d4b3",
                                table="quality_certificate",
                                when="BEFORE",
                            ),
                        ),
                        Trigger(
                            name="no_truncate",
                            sql=UpsertTriggerSql(
                                func="RAISE EXCEPTION 'this table is append-only';",
                                hash="1d92404cb580b9f79fd0a5159eaade5c4fcca294",
                                level="STATEMENT",
                                operation="TRUNCATE",
                                pgid="pgtrigger_no_truncate_fabff",
                                table="quality_certificate",
                                when="BEFORE",
                            ),
                        ),
                        Trigger(
                            name="set_time",
                            sql=UpsertTriggerSql(
                                func="NEW.created_at := pg_catalog.statement_timestamp(); RETURN NEW;",
                                hash="fbc369923c1936b30ff2f524a672fbdd1ba18c47",
                                operation="INSERT",
                                pgid="pgtrigger_set_time_c6c87",
                                table="quality_certificate",
                                when="BEFORE",
                            ),
                        ),
                        Trigger(
                            name="fixed_columns",
                            sql=UpsertTriggerSql(
                                condition='WHEN (OLD."alpha" IS DISTINCT FROM (NEW."alpha") OR OLD."alpha_by_label" IS DISTINCT FROM (NEW."alpha_by_label") OR OLD."batch_id" IS DISTINCT FROM (NEW."batch_id") OR OLD."created_at" IS DISTINCT FROM (NEW."created_at") OR OLD."created_by_id" IS DISTINCT FROM (NEW."created_by_id") OR OLD."critical_bound" IS DISTINCT FROM (NEW."critical_bound") OR OLD."dataset_id" IS DISTINCT FROM (NEW."dataset_id") OR OLD."delta" IS DISTINCT FROM (NEW."delta") OR OLD."delta_critical" IS DISTINCT FROM (NEW."delta_critical") OR OLD."levels" IS DISTINCT FROM (NEW."levels") OR OLD."limit" IS DISTINCT FROM (NEW."limit") OR OLD."overlap" IS DISTINCT FROM (NEW."overlap") OR OLD."public_words" IS DISTINCT FROM (NEW."public_words") OR OLD."scope" IS DISTINCT FROM (NEW."scope") OR OLD."test" IS DISTINCT FROM (NEW."test") OR OLD."version" IS DISTINCT FROM (NEW."version"))',
                                func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;",
                                hash="48875bf8ce25d8c10272b090994616635578828a",
                                operation="UPDATE",
                                pgid="pgtrigger_fixed_columns_45d0e",
                                table="quality_certificate",
                                when="BEFORE",
                            ),
                        ),
                    ],
                },
            ),
            migrations.CreateModel(
                name="CertificateAudit",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("number", models.PositiveIntegerField()),
                    ("drawn_at", models.DateTimeField(db_default=Now(), editable=False)),
                    (
                        "certificate",
                        models.ForeignKey(
                            on_delete=models.CASCADE, related_name="drawn", to="quality.certificate"
                        ),
                    ),
                    (
                        "image",
                        models.ForeignKey(on_delete=models.PROTECT, related_name="+", to="datasets.image"),
                    ),
                    (
                        "item",
                        models.OneToOneField(
                            on_delete=models.PROTECT, related_name="certificate_audit", to="review.queueitem"
                        ),
                    ),
                ],
                options={
                    "constraints": [
                        models.UniqueConstraint(
                            fields=("certificate", "number"), name="one_audit_per_number"
                        ),
                        models.UniqueConstraint(fields=("certificate", "image"), name="image_audited_once"),
                    ],
                    "triggers": [
                        Trigger(
                            name="append_only",
                            sql=UpsertTriggerSql(
                                func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;",
                                hash="465fc68731171970fc29cfd5f9f14299b51a1fe0",
                                operation="UPDATE OR DELETE",
                                pgid="pgtrigger_append_only_3c067",
                                table="quality_certificateaudit",
                                when="BEFORE",
                            ),
                        ),
                        Trigger(
                            name="no_truncate",
                            sql=UpsertTriggerSql(
                                func="RAISE EXCEPTION 'this table is append-only';",
                                hash="a232541dad3d2050e003f61634f22788db99fdb3",
                                level="STATEMENT",
                                operation="TRUNCATE",
                                pgid="pgtrigger_no_truncate_58610",
                                table="quality_certificateaudit",
                                when="BEFORE",
                            ),
                        ),
                        Trigger(
                            name="set_time",
                            sql=UpsertTriggerSql(
                                func="NEW.drawn_at := pg_catalog.statement_timestamp(); RETURN NEW;",
                                hash="ac585000894bd096ebe49c51e63380f9fa226f37",
                                operation="INSERT",
                                pgid="pgtrigger_set_time_5bad4",
                                table="quality_certificateaudit",
                                when="BEFORE",
                            ),
                        ),
                    ],
                },
            ),
            migrations.CreateModel(
                name="CertificateCheck",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("audits", models.PositiveIntegerField()),
                    ("errors", models.PositiveIntegerField()),
                    ("unresolved", models.PositiveIntegerField()),
                    ("regions", ArrayField(base_field=models.PositiveIntegerField(), size=None)),
                    ("region_audits", ArrayField(base_field=models.PositiveIntegerField(), size=None)),
                    ("region_errors", ArrayField(base_field=models.PositiveIntegerField(), size=None)),
                    ("p_values", ArrayField(base_field=models.FloatField(), size=None)),
                    ("certified", models.PositiveIntegerField()),
                    ("left", models.PositiveIntegerField(default=0)),
                    ("promised", models.PositiveIntegerField(default=0)),
                    ("missed_critical", models.PositiveIntegerField(default=0)),
                    ("whole_pool", models.PositiveIntegerField(default=0)),
                    ("created_at", models.DateTimeField(db_default=Now(), editable=False)),
                    (
                        "certificate",
                        models.ForeignKey(
                            on_delete=models.CASCADE, related_name="checks", to="quality.certificate"
                        ),
                    ),
                    ("evidence", ArrayField(base_field=models.FloatField(), default=list, size=None)),
                    (
                        "region_open",
                        ArrayField(base_field=models.PositiveIntegerField(), default=list, size=None),
                    ),
                ],
                options={
                    "ordering": ["-id"],
                    "triggers": [
                        Trigger(
                            name="append_only",
                            sql=UpsertTriggerSql(
                                func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;",
                                hash="49fc343837ffb14960fcefaa28c60ca27d570331",
                                operation="UPDATE OR DELETE",
                                pgid="pgtrigger_append_only_2fe08",
                                table="quality_certificatecheck",
                                when="BEFORE",
                            ),
                        ),
                        Trigger(
                            name="no_truncate",
                            sql=UpsertTriggerSql(
                                func="RAISE EXCEPTION 'this table is append-only';",
                                hash="0e4be1e71bb23173e098434626f732c772dc4551",
                                level="STATEMENT",
                                operation="TRUNCATE",
                                pgid="pgtrigger_no_truncate_31dd0",
                                table="quality_certificatecheck",
                                when="BEFORE",
                            ),
                        ),
                        Trigger(
                            name="set_time",
                            sql=UpsertTriggerSql(
                                func="NEW.created_at := pg_catalog.statement_timestamp(); RETURN NEW;",
                                hash="bcdb05e6ee820966e97e65416e833e5c3e04bcb3",
                                operation="INSERT",
                                pgid="pgtrigger_set_time_f83fe",
                                table="quality_certificatecheck",
                                when="BEFORE",
                            ),
                        ),
                    ],
                },
            ),
            migrations.CreateModel(
                name="CertificateImage",
                fields=[
                    (
                        "pk",
                        models.CompositePrimaryKey(
                            "certificate_id",
                            "image_id",
                            blank=True,
                            editable=False,
                            primary_key=True,
                            serialize=False,
                        ),
                    ),
                    ("confidence", models.FloatField()),
                    ("critical_probability", models.FloatField()),
                    ("rank", models.PositiveIntegerField()),
                    ("audit_position", models.PositiveIntegerField()),
                    (
                        "certificate",
                        models.ForeignKey(
                            db_constraint=False,
                            db_index=False,
                            on_delete=models.CASCADE,
                            related_name="images",
                            to="quality.certificate",
                        ),
                    ),
                    (
                        "image",
                        models.ForeignKey(
                            db_constraint=False,
                            db_index=False,
                            on_delete=models.DO_NOTHING,
                            related_name="+",
                            to="datasets.image",
                        ),
                    ),
                    (
                        "label",
                        models.ForeignKey(
                            db_constraint=False,
                            db_index=False,
                            on_delete=models.PROTECT,
                            related_name="+",
                            to="labeling.label",
                        ),
                    ),
                ],
                options={
                    "indexes": [
                        models.Index(fields=["certificate", "audit_position"], name="certificate_audit_order")
                    ],
                    "triggers": [
                        Trigger(
                            name="append_only",
                            sql=UpsertTriggerSql(
                                func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;",
                                hash="5a0401b318dc2184cebd12cadca1d00131677ddd",
                                operation="UPDATE OR DELETE",
                                pgid="pgtrigger_append_only_808cf",
                                table="quality_certificateimage",
                                when="BEFORE",
                            ),
                        ),
                        Trigger(
                            name="no_truncate",
                            sql=UpsertTriggerSql(
                                func="RAISE EXCEPTION 'this table is append-only';",
                                hash="bdaede9a5436ddfd60ca3f33904ad990516b6663",
                                level="STATEMENT",
                                operation="TRUNCATE",
                                pgid="pgtrigger_no_truncate_2db38",
                                table="quality_certificateimage",
                                when="BEFORE",
                            ),
                        ),
                    ],
                },
            ),
            migrations.CreateModel(
                name="CertificatePlan",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("number", models.PositiveIntegerField()),
                    ("alpha", models.FloatField()),
                    ("delta", models.FloatField()),
                    (
                        "test",
                        models.CharField(
                            choices=[
                                ("planned", "planned: a fixed number of audited images"),
                                ("watched", "watched: stop at any time"),
                            ],
                            max_length=10,
                        ),
                    ),
                    ("critical_bound", models.FloatField(null=True)),
                    ("alpha_by_label", models.JSONField(blank=True, default=dict)),
                    ("overlap", models.PositiveSmallIntegerField(default=1)),
                    ("public_words", models.CharField(blank=True, default="", max_length=500)),
                    ("note", models.CharField(blank=True, default="", max_length=300)),
                    ("created_at", models.DateTimeField(db_default=Now(), editable=False)),
                    ("computed_at", models.DateTimeField(null=True)),
                    ("pool", models.PositiveIntegerField(default=0)),
                    ("candidates", models.PositiveIntegerField(default=0)),
                    ("critical_label", models.PositiveIntegerField(default=0)),
                    ("critical_risk", models.PositiveIntegerField(default=0)),
                    ("not_embedded", models.PositiveIntegerField(default=0)),
                    ("audited", models.PositiveIntegerField(default=0)),
                    ("audited_right", models.PositiveIntegerField(default=0)),
                    ("expected_errors", models.FloatField(default=0)),
                    ("seconds", models.FloatField(default=0)),
                    ("timed_decisions", models.PositiveIntegerField(default=0)),
                    (
                        "batch",
                        models.ForeignKey(
                            null=True, on_delete=models.PROTECT, related_name="+", to="datasets.importbatch"
                        ),
                    ),
                    (
                        "certificate",
                        models.OneToOneField(
                            null=True, on_delete=models.PROTECT, related_name="plan", to="quality.certificate"
                        ),
                    ),
                    (
                        "created_by",
                        models.ForeignKey(
                            on_delete=models.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                        ),
                    ),
                    (
                        "dataset",
                        models.ForeignKey(
                            on_delete=models.CASCADE, related_name="certificate_plans", to="datasets.dataset"
                        ),
                    ),
                    (
                        "head",
                        models.ForeignKey(
                            null=True, on_delete=models.PROTECT, related_name="+", to="learning.head"
                        ),
                    ),
                    (
                        "job",
                        models.ForeignKey(
                            null=True, on_delete=models.SET_NULL, related_name="+", to="jobs.job"
                        ),
                    ),
                    ("scope", models.JSONField(blank=True, default=dict)),
                ],
                options={
                    "ordering": ["-number"],
                    "constraints": [
                        models.UniqueConstraint(
                            fields=("dataset", "number"), name="one_certificate_plan_per_number"
                        ),
                        models.CheckConstraint(
                            condition=models.Q(
                                ("alpha__gte", 0), ("alpha__lt", 1), ("delta__gt", 0), ("delta__lt", 1)
                            ),
                            name="certificate_plan_bounds_in_range",
                        ),
                        models.CheckConstraint(
                            condition=models.Q(("overlap__gte", 1), ("overlap__lte", 3)),
                            name="certificate_plan_overlap_in_range",
                        ),
                    ],
                    "triggers": [
                        Trigger(
                            name="no_delete",
                            sql=UpsertTriggerSql(
                                func="RAISE EXCEPTION 'pgtrigger: Cannot delete rows from % table', TG_TABLE_NAME;",
                                hash="024bbcc749f2b475f6f2506afd841a36b9ce9b4e",
                                operation="DELETE",
                                pgid="pgtrigger_no_delete_f9627",
                                table="quality_certificateplan",
                                when="BEFORE",
                            ),
                        ),
                        Trigger(
                            name="no_truncate",
                            sql=UpsertTriggerSql(
                                func="RAISE EXCEPTION 'this table is append-only';",
                                hash="a6a7419db6704ef197dc73e0b158f641ae9892e4",
                                level="STATEMENT",
                                operation="TRUNCATE",
                                pgid="pgtrigger_no_truncate_5e357",
                                table="quality_certificateplan",
                                when="BEFORE",
                            ),
                        ),
                        Trigger(
                            name="set_time",
                            sql=UpsertTriggerSql(
                                func="NEW.created_at := pg_catalog.statement_timestamp(); RETURN NEW;",
                                hash="13825fea154d98d46e65ce30ee8ad9e27c4fd707",
                                operation="INSERT",
                                pgid="pgtrigger_set_time_3be9a",
                                table="quality_certificateplan",
                                when="BEFORE",
                            ),
                        ),
                        Trigger(
                            name="fixed_columns",
                            sql=UpsertTriggerSql(
                                condition='WHEN (OLD."alpha" IS DISTINCT FROM (NEW."alpha") OR OLD."alpha_by_label" IS DISTINCT FROM (NEW."alpha_by_label") OR OLD."batch_id" IS DISTINCT FROM (NEW."batch_id") OR OLD."created_at" IS DISTINCT FROM (NEW."created_at") OR OLD."created_by_id" IS DISTINCT FROM (NEW."created_by_id") OR OLD."critical_bound" IS DISTINCT FROM (NEW."critical_bound") OR OLD."dataset_id" IS DISTINCT FROM (NEW."dataset_id") OR OLD."delta" IS DISTINCT FROM (NEW."delta") OR OLD."note" IS DISTINCT FROM (NEW."note") OR OLD."number" IS DISTINCT FROM (NEW."number") OR OLD."overlap" IS DISTINCT FROM (NEW."overlap") OR OLD."public_words" IS DISTINCT FROM (NEW."public_words") OR OLD."scope" IS DISTINCT FROM (NEW."scope") OR OLD."test" IS DISTINCT FROM (NEW."test"))',
                                func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;",
                                hash="ac86311b33e23b98b75f54816fc982a8fa46fbc8",
                                operation="UPDATE",
                                pgid="pgtrigger_fixed_columns_8fac3",
                                table="quality_certificateplan",
                                when="BEFORE",
                            ),
                        ),
                    ],
                },
            ),
            migrations.CreateModel(
                name="CertificateForecast",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("alpha", models.FloatField()),
                    ("limit", models.PositiveIntegerField()),
                    ("levels", ArrayField(base_field=models.FloatField(), size=None)),
                    ("images", ArrayField(base_field=models.PositiveIntegerField(), size=3)),
                    ("audits", ArrayField(base_field=models.PositiveIntegerField(), size=3)),
                    ("answers", models.FloatField()),
                    ("granted", models.FloatField()),
                    ("minutes", models.FloatField()),
                    (
                        "plan",
                        models.ForeignKey(
                            on_delete=models.CASCADE, related_name="forecasts", to="quality.certificateplan"
                        ),
                    ),
                ],
                options={
                    "ordering": ["alpha", "limit"],
                    "constraints": [
                        models.UniqueConstraint(
                            fields=("plan", "alpha", "limit"), name="one_forecast_per_limit"
                        )
                    ],
                    "triggers": [
                        Trigger(
                            name="append_only",
                            sql=UpsertTriggerSql(
                                func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;",
                                hash="2cffe9a03ce92c465fbf2547e2963cade1b02a7f",
                                operation="UPDATE OR DELETE",
                                pgid="pgtrigger_append_only_84770",
                                table="quality_certificateforecast",
                                when="BEFORE",
                            ),
                        ),
                        Trigger(
                            name="no_truncate",
                            sql=UpsertTriggerSql(
                                func="RAISE EXCEPTION 'this table is append-only';",
                                hash="426f0eb6ad308c57d9aa57171c2feeee49e40c94",
                                level="STATEMENT",
                                operation="TRUNCATE",
                                pgid="pgtrigger_no_truncate_72037",
                                table="quality_certificateforecast",
                                when="BEFORE",
                            ),
                        ),
                    ],
                },
            ),
            migrations.CreateModel(
                name="MachineLabel",
                fields=[
                    (
                        "pk",
                        models.CompositePrimaryKey(
                            "certificate_id",
                            "image_id",
                            blank=True,
                            editable=False,
                            primary_key=True,
                            serialize=False,
                        ),
                    ),
                    ("confidence", models.FloatField()),
                    ("stream_number", models.PositiveIntegerField(default=0)),
                    (
                        "certificate",
                        models.ForeignKey(
                            db_index=False,
                            on_delete=models.PROTECT,
                            related_name="machine_labels",
                            to="quality.certificate",
                        ),
                    ),
                    (
                        "dataset",
                        models.ForeignKey(
                            db_index=False, on_delete=models.CASCADE, related_name="+", to="datasets.dataset"
                        ),
                    ),
                    (
                        "image",
                        models.ForeignKey(
                            db_constraint=False,
                            db_index=False,
                            on_delete=models.CASCADE,
                            related_name="machine_labels",
                            to="datasets.image",
                        ),
                    ),
                    (
                        "label",
                        models.ForeignKey(
                            db_index=False, on_delete=models.PROTECT, related_name="+", to="labeling.label"
                        ),
                    ),
                ],
                options={
                    "indexes": [
                        models.Index(fields=["dataset", "label"], name="machine_label_by_label"),
                        models.Index(fields=["image"], name="machine_label_of_image"),
                    ],
                    "triggers": [
                        Trigger(
                            name="insert_not_critical",
                            sql=UpsertTriggerSql(
                                func="""
IF EXISTS (
  SELECT FROM new_rows n JOIN labeling_label l ON l.id = n.label_id WHERE l.critical
) THEN
  RAISE EXCEPTION 'a critical label is never set by machine';
END IF;
RETURN NULL;
""",
                                hash="1499662025822303783aaa39059694f7cebd7d6a",
                                level="STATEMENT",
                                operation="INSERT",
                                pgid="pgtrigger_insert_not_critical_22a3c",
                                referencing="REFERENCING NEW TABLE AS new_rows ",
                                table="quality_machinelabel",
                                when="AFTER",
                            ),
                        ),
                        Trigger(
                            name="update_not_critical",
                            sql=UpsertTriggerSql(
                                func="""
IF EXISTS (
  SELECT FROM new_rows n JOIN labeling_label l ON l.id = n.label_id WHERE l.critical
) THEN
  RAISE EXCEPTION 'a critical label is never set by machine';
END IF;
RETURN NULL;
""",
                                hash="325b79b1ea30db32b1bc8922a84fcf2d99917e64",
                                level="STATEMENT",
                                operation="UPDATE",
                                pgid="pgtrigger_update_not_critical_4bc07",
                                referencing="REFERENCING NEW TABLE AS new_rows ",
                                table="quality_machinelabel",
                                when="AFTER",
                            ),
                        ),
                    ],
                },
            ),
            migrations.CreateModel(
                name="StreamAudit",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("number", models.PositiveIntegerField()),
                    ("counted", models.PositiveIntegerField(null=True)),
                    (
                        "certificate",
                        models.ForeignKey(
                            on_delete=models.CASCADE, related_name="stream_audits", to="quality.certificate"
                        ),
                    ),
                    (
                        "image",
                        models.ForeignKey(on_delete=models.PROTECT, related_name="+", to="datasets.image"),
                    ),
                    (
                        "item",
                        models.OneToOneField(
                            on_delete=models.PROTECT, related_name="stream_audit", to="review.queueitem"
                        ),
                    ),
                ],
                options={
                    "constraints": [
                        models.UniqueConstraint(
                            fields=("certificate", "number"), name="one_stream_audit_per_number"
                        ),
                        models.UniqueConstraint(
                            fields=("certificate", "counted"), name="one_stream_audit_per_count"
                        ),
                    ],
                    "triggers": [
                        Trigger(
                            name="no_delete",
                            sql=UpsertTriggerSql(
                                func="RAISE EXCEPTION 'pgtrigger: Cannot delete rows from % table', TG_TABLE_NAME;",
                                hash="8da754af7f98f303324cb2386bd42c8d24f8ae54",
                                operation="DELETE",
                                pgid="pgtrigger_no_delete_82c89",
                                table="quality_streamaudit",
                                when="BEFORE",
                            ),
                        ),
                        Trigger(
                            name="no_truncate",
                            sql=UpsertTriggerSql(
                                func="RAISE EXCEPTION 'this table is append-only';",
                                hash="5267a895581575948c2f736773621c4b43e181bc",
                                level="STATEMENT",
                                operation="TRUNCATE",
                                pgid="pgtrigger_no_truncate_48076",
                                table="quality_streamaudit",
                                when="BEFORE",
                            ),
                        ),
                        Trigger(
                            name="fixed_columns",
                            sql=UpsertTriggerSql(
                                condition='WHEN (OLD."certificate_id" IS DISTINCT FROM (NEW."certificate_id") OR OLD."image_id" IS DISTINCT FROM (NEW."image_id") OR OLD."item_id" IS DISTINCT FROM (NEW."item_id") OR OLD."number" IS DISTINCT FROM (NEW."number"))',
                                func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;",
                                hash="91f9f0ae8ff636aaced9d8431471efe45a0ef2b7",
                                operation="UPDATE",
                                pgid="pgtrigger_fixed_columns_9ca33",
                                table="quality_streamaudit",
                                when="BEFORE",
                            ),
                        ),
                    ],
                },
            ),
            migrations.CreateModel(
                name="StreamImage",
                fields=[
                    (
                        "pk",
                        models.CompositePrimaryKey(
                            "certificate_id",
                            "number",
                            blank=True,
                            editable=False,
                            primary_key=True,
                            serialize=False,
                        ),
                    ),
                    ("number", models.PositiveIntegerField()),
                    ("confidence", models.FloatField()),
                    ("critical_probability", models.FloatField()),
                    ("is_audited", models.BooleanField()),
                    ("accepted_at", models.DateTimeField(db_default=Now(), editable=False)),
                    (
                        "certificate",
                        models.ForeignKey(
                            db_index=False,
                            on_delete=models.CASCADE,
                            related_name="stream_images",
                            to="quality.certificate",
                        ),
                    ),
                    (
                        "image",
                        models.ForeignKey(
                            db_constraint=False,
                            db_index=False,
                            on_delete=models.DO_NOTHING,
                            related_name="+",
                            to="datasets.image",
                        ),
                    ),
                    (
                        "label",
                        models.ForeignKey(
                            db_constraint=False,
                            db_index=False,
                            on_delete=models.PROTECT,
                            related_name="+",
                            to="labeling.label",
                        ),
                    ),
                ],
                options={
                    "constraints": [
                        models.UniqueConstraint(fields=("certificate", "image"), name="stream_image_once")
                    ],
                    "triggers": [
                        Trigger(
                            name="append_only",
                            sql=UpsertTriggerSql(
                                func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;",
                                hash="738d11b307b535f928a080a5438b5215f246b98f",
                                operation="UPDATE OR DELETE",
                                pgid="pgtrigger_append_only_ffbf1",
                                table="quality_streamimage",
                                when="BEFORE",
                            ),
                        ),
                        Trigger(
                            name="no_truncate",
                            sql=UpsertTriggerSql(
                                func="RAISE EXCEPTION 'this table is append-only';",
                                hash="eac700abf0cb67fc4c727f1293c286af3ea3dad0",
                                level="STATEMENT",
                                operation="TRUNCATE",
                                pgid="pgtrigger_no_truncate_06216",
                                table="quality_streamimage",
                                when="BEFORE",
                            ),
                        ),
                        Trigger(
                            name="set_time",
                            sql=UpsertTriggerSql(
                                func="NEW.accepted_at := pg_catalog.statement_timestamp(); RETURN NEW;",
                                hash="7c8e6fa79e139b234bbaf2c25868fc2f21c6e867",
                                operation="INSERT",
                                pgid="pgtrigger_set_time_8018f",
                                table="quality_streamimage",
                                when="BEFORE",
                            ),
                        ),
                    ],
                },
            ),
            migrations.CreateModel(
                name="CertificateStream",
                fields=[
                    (
                        "certificate",
                        models.OneToOneField(
                            on_delete=models.CASCADE,
                            primary_key=True,
                            related_name="stream",
                            serialize=False,
                            to="quality.certificate",
                        ),
                    ),
                    ("share", models.FloatField()),
                    ("confidence", models.FloatField()),
                    ("seed", models.BinaryField(max_length=32)),
                    ("commitment", models.CharField(max_length=64)),
                    ("started_at", models.DateTimeField(db_default=Now(), editable=False)),
                    ("accepted", models.PositiveIntegerField(default=0)),
                    ("audits", models.PositiveIntegerField(default=0)),
                    ("errors", models.PositiveIntegerField(default=0)),
                    ("evidence", models.FloatField(default=1)),
                    ("checked_to", models.PositiveIntegerField(default=0)),
                    ("alarm_at", models.DateTimeField(null=True)),
                    ("ended_at", models.DateTimeField(null=True)),
                    ("doubtful_from", models.PositiveIntegerField(null=True)),
                    ("rechecked_at", models.DateTimeField(null=True)),
                    (
                        "started_by",
                        models.ForeignKey(
                            on_delete=models.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                        ),
                    ),
                ],
                options={
                    "constraints": [
                        models.CheckConstraint(
                            condition=models.Q(("share__gt", 0), ("share__lte", 1)),
                            name="stream_share_in_range",
                        ),
                        models.CheckConstraint(
                            condition=models.Q(
                                models.Q(("doubtful_from__isnull", True), ("ended_at__isnull", True)),
                                models.Q(("doubtful_from__gte", 1), ("ended_at__isnull", False)),
                                _connector="OR",
                            ),
                            name="stream_checkpoint_at_the_end",
                        ),
                    ],
                    "triggers": [
                        Trigger(
                            name="no_delete",
                            sql=UpsertTriggerSql(
                                func="RAISE EXCEPTION 'pgtrigger: Cannot delete rows from % table', TG_TABLE_NAME;",
                                hash="bf97cf47a19b5c7b17ace7cda2ff1b7e6a2781ed",
                                operation="DELETE",
                                pgid="pgtrigger_no_delete_a2a80",
                                table="quality_certificatestream",
                                when="BEFORE",
                            ),
                        ),
                        Trigger(
                            name="no_truncate",
                            sql=UpsertTriggerSql(
                                func="RAISE EXCEPTION 'this table is append-only';",
                                hash="641a250426e467591e963cdc4c5d4a2f421f8d4d",
                                level="STATEMENT",
                                operation="TRUNCATE",
                                pgid="pgtrigger_no_truncate_110f4",
                                table="quality_certificatestream",
                                when="BEFORE",
                            ),
                        ),
                        Trigger(
                            name="fixed_columns",
                            sql=UpsertTriggerSql(
                                condition='WHEN (OLD."certificate_id" IS DISTINCT FROM (NEW."certificate_id") OR OLD."commitment" IS DISTINCT FROM (NEW."commitment") OR OLD."confidence" IS DISTINCT FROM (NEW."confidence") OR OLD."seed" IS DISTINCT FROM (NEW."seed") OR OLD."share" IS DISTINCT FROM (NEW."share") OR OLD."started_at" IS DISTINCT FROM (NEW."started_at") OR OLD."started_by_id" IS DISTINCT FROM (NEW."started_by_id"))',
                                func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;",
                                hash="c6b989157b17cabebbf704f0f89c37407dc9db55",
                                operation="UPDATE",
                                pgid="pgtrigger_fixed_columns_d7186",
                                table="quality_certificatestream",
                                when="BEFORE",
                            ),
                        ),
                        Trigger(
                            name="set_time",
                            sql=UpsertTriggerSql(
                                func="NEW.started_at := pg_catalog.statement_timestamp(); RETURN NEW;",
                                hash="26773f9d83742974492afe8aab85e65eb236f902",
                                operation="INSERT",
                                pgid="pgtrigger_set_time_263c1",
                                table="quality_certificatestream",
                                when="BEFORE",
                            ),
                        ),
                    ],
                },
            ),
        ),
        migrations.RunSQL(FUNCTIONS, NO_FUNCTIONS),
    ]
