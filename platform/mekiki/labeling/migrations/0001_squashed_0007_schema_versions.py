"""Every table of this app. It replaces the migrations from before the first release (docs/decisions/0036)."""

from django.conf import settings
from django.db import migrations, models
from django.db.models.functions import Lower, Now
from pgtrigger.compiler import Trigger, UpsertTriggerSql

from mekiki.config.create_models import CreateModels


class Migration(migrations.Migration):
    replaces = [
        ("labeling", "0001_initial"),
        ("labeling", "0002_critical_since"),
        ("labeling", "0003_append_only_evidence"),
        ("labeling", "0004_times_of_the_database"),
        ("labeling", "0005_guideline_versions"),
        ("labeling", "0006_first_guideline_versions"),
        ("labeling", "0001_squashed_0006_first_guideline_versions"),
        ("labeling", "0002_label_is_none"),
        ("labeling", "0003_label_min_overlap"),
        ("labeling", "0004_label_code"),
        ("labeling", "0005_prompt_drafts_and_names"),
        ("labeling", "0006_guideline_texts"),
        ("labeling", "0007_schema_versions"),
    ]

    initial = True

    dependencies = [
        ("accounts", "0001_squashed_0013_mails"),
        ("datasets", "0001_squashed_0027_import_options"),
    ]

    operations = [
        CreateModels(
            migrations.CreateModel(
                name="Label",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("name", models.CharField(max_length=80, verbose_name="name")),
                    ("position", models.PositiveIntegerField()),
                    ("critical", models.BooleanField(default=False, verbose_name="critical")),
                    ("guideline", models.TextField(blank=True, default="", verbose_name="guideline")),
                    ("created_at", models.DateTimeField(db_default=Now(), editable=False)),
                    ("archived_at", models.DateTimeField(null=True)),
                    (
                        "dataset",
                        models.ForeignKey(
                            on_delete=models.CASCADE, related_name="labels", to="datasets.dataset"
                        ),
                    ),
                    ("critical_since", models.DateTimeField(null=True)),
                    ("critical_until", models.DateTimeField(null=True)),
                    (
                        "is_none",
                        models.BooleanField(db_default=False, default=False, verbose_name="none of these"),
                    ),
                    ("min_overlap", models.PositiveSmallIntegerField(db_default=1, default=1)),
                    (
                        "code",
                        models.CharField(
                            blank=True, db_default="", default="", max_length=8, verbose_name="short code"
                        ),
                    ),
                    (
                        "guideline_texts",
                        models.JSONField(
                            blank=True, db_default=models.Value({}, models.JSONField()), default=dict
                        ),
                    ),
                ],
                options={
                    "ordering": ["position", "id"],
                    "constraints": [
                        models.UniqueConstraint(
                            models.F("dataset"),
                            Lower("name"),
                            condition=models.Q(("archived_at__isnull", True)),
                            name="one_label_per_name",
                        ),
                        models.UniqueConstraint(
                            condition=models.Q(("archived_at__isnull", True), ("is_none", True)),
                            fields=("dataset",),
                            name="one_none_of_these",
                        ),
                        models.CheckConstraint(
                            condition=models.Q(("min_overlap__gte", 1), ("min_overlap__lte", 9)),
                            name="min_overlap_in_range",
                        ),
                        models.UniqueConstraint(
                            models.F("dataset"),
                            Lower("code"),
                            condition=models.Q(
                                ("archived_at__isnull", True), models.Q(("code", ""), _negated=True)
                            ),
                            name="one_label_per_code",
                        ),
                    ],
                    "triggers": [
                        Trigger(
                            name="keep_guideline",
                            sql=UpsertTriggerSql(
                                func="""
IF TG_OP = 'UPDATE' THEN
    IF NEW.guideline = OLD.guideline AND NEW.guideline_texts = OLD.guideline_texts THEN
        RETURN NULL;
    END IF;
ELSIF NEW.guideline = '' AND NEW.guideline_texts = '{}' THEN
    RETURN NULL;
END IF;
INSERT INTO labeling_guidelineversion (label_id, version, text, texts, created_by_id)
SELECT NEW.id, coalesce(max(version), 0) + 1, NEW.guideline, NEW.guideline_texts,
       nullif(current_setting('mekiki.user', true), '')::bigint
FROM labeling_guidelineversion WHERE label_id = NEW.id;
RETURN NULL;
""",
                                hash="3aada29ceea1f72f9c31217beab3370c1b639161",
                                operation='INSERT OR UPDATE OF "guideline", "guideline_texts"',
                                pgid="pgtrigger_keep_guideline_e9ad7",
                                table="labeling_label",
                                when="AFTER",
                            ),
                        )
                    ],
                },
            ),
            migrations.CreateModel(
                name="GuidelineVersion",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("version", models.PositiveIntegerField()),
                    ("text", models.TextField(blank=True)),
                    ("created_at", models.DateTimeField(db_default=Now(), editable=False)),
                    (
                        "created_by",
                        models.ForeignKey(null=True, on_delete=models.PROTECT, to=settings.AUTH_USER_MODEL),
                    ),
                    (
                        "label",
                        models.ForeignKey(
                            on_delete=models.CASCADE, related_name="guideline_versions", to="labeling.label"
                        ),
                    ),
                    (
                        "texts",
                        models.JSONField(db_default=models.Value({}, models.JSONField()), default=dict),
                    ),
                ],
                options={
                    "ordering": ["-version"],
                    "constraints": [
                        models.UniqueConstraint(fields=("label", "version"), name="one_guideline_per_version")
                    ],
                    "triggers": [
                        Trigger(
                            name="append_only",
                            sql=UpsertTriggerSql(
                                func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;",
                                hash="874531375bad06159f4e3f1ecd9d1a03de64b5ba",
                                operation="UPDATE OR DELETE",
                                pgid="pgtrigger_append_only_ab217",
                                table="labeling_guidelineversion",
                                when="BEFORE",
                            ),
                        ),
                        Trigger(
                            name="no_truncate",
                            sql=UpsertTriggerSql(
                                func="RAISE EXCEPTION 'this table is append-only';",
                                hash="0b98836318c018edd1b77e3ba4fb6335beec6ed5",
                                level="STATEMENT",
                                operation="TRUNCATE",
                                pgid="pgtrigger_no_truncate_309aa",
                                table="labeling_guidelineversion",
                                when="BEFORE",
                            ),
                        ),
                        Trigger(
                            name="set_time",
                            sql=UpsertTriggerSql(
                                func="NEW.created_at := pg_catalog.statement_timestamp(); RETURN NEW;",
                                hash="ab62d26f09b76ddab6158c145a1c0189b5aad888",
                                operation="INSERT",
                                pgid="pgtrigger_set_time_9ad6d",
                                table="labeling_guidelineversion",
                                when="BEFORE",
                            ),
                        ),
                    ],
                },
            ),
            migrations.CreateModel(
                name="PromptSet",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("version", models.PositiveIntegerField()),
                    ("digest", models.CharField(max_length=64)),
                    ("created_at", models.DateTimeField(db_default=Now(), editable=False)),
                    (
                        "created_by",
                        models.ForeignKey(null=True, on_delete=models.SET_NULL, to=settings.AUTH_USER_MODEL),
                    ),
                    (
                        "dataset",
                        models.ForeignKey(
                            on_delete=models.CASCADE, related_name="prompt_sets", to="datasets.dataset"
                        ),
                    ),
                    (
                        "name",
                        models.CharField(
                            blank=True, db_default="", default="", max_length=80, verbose_name="name"
                        ),
                    ),
                    (
                        "taken_from",
                        models.ForeignKey(
                            null=True, on_delete=models.RESTRICT, related_name="+", to="labeling.promptset"
                        ),
                    ),
                ],
                options={
                    "ordering": ["-version"],
                    "constraints": [
                        models.UniqueConstraint(
                            fields=("dataset", "version"), name="one_prompt_set_per_version"
                        )
                    ],
                    "triggers": [
                        Trigger(
                            name="append_only",
                            sql=UpsertTriggerSql(
                                func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;",
                                hash="c6c3421a40defb9daa5aa28cab68d7592b555f09",
                                operation="UPDATE OR DELETE",
                                pgid="pgtrigger_append_only_b472d",
                                table="labeling_promptset",
                                when="BEFORE",
                            ),
                        ),
                        Trigger(
                            name="no_truncate",
                            sql=UpsertTriggerSql(
                                func="RAISE EXCEPTION 'this table is append-only';",
                                hash="f2642de216aaf890b61c10f1e8dab91bddab4fb5",
                                level="STATEMENT",
                                operation="TRUNCATE",
                                pgid="pgtrigger_no_truncate_43934",
                                table="labeling_promptset",
                                when="BEFORE",
                            ),
                        ),
                        Trigger(
                            name="set_time",
                            sql=UpsertTriggerSql(
                                func="NEW.created_at := pg_catalog.statement_timestamp(); RETURN NEW;",
                                hash="b791f2647466a2736eb3330984393a53bb52107a",
                                operation="INSERT",
                                pgid="pgtrigger_set_time_d65b4",
                                table="labeling_promptset",
                                when="BEFORE",
                            ),
                        ),
                    ],
                },
            ),
            migrations.CreateModel(
                name="Prompt",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("text", models.CharField(max_length=500)),
                    ("position", models.PositiveIntegerField()),
                    (
                        "label",
                        models.ForeignKey(
                            on_delete=models.CASCADE, related_name="prompts", to="labeling.label"
                        ),
                    ),
                    (
                        "prompt_set",
                        models.ForeignKey(
                            on_delete=models.CASCADE, related_name="prompts", to="labeling.promptset"
                        ),
                    ),
                ],
                options={
                    "ordering": ["label__position", "position"],
                    "constraints": [
                        models.UniqueConstraint(
                            fields=("prompt_set", "label", "text"), name="one_prompt_per_text"
                        )
                    ],
                    "triggers": [
                        Trigger(
                            name="append_only",
                            sql=UpsertTriggerSql(
                                func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;",
                                hash="08f7f08972b0fe16eeb9005213f682bee3b3c9af",
                                operation="UPDATE OR DELETE",
                                pgid="pgtrigger_append_only_d37b4",
                                table="labeling_prompt",
                                when="BEFORE",
                            ),
                        ),
                        Trigger(
                            name="no_truncate",
                            sql=UpsertTriggerSql(
                                func="RAISE EXCEPTION 'this table is append-only';",
                                hash="9ccc100a6c4d1d7c255a5594df040a4aaf127cd3",
                                level="STATEMENT",
                                operation="TRUNCATE",
                                pgid="pgtrigger_no_truncate_d619d",
                                table="labeling_prompt",
                                when="BEFORE",
                            ),
                        ),
                        Trigger(
                            name="none_added",
                            sql=UpsertTriggerSql(
                                func="""
IF EXISTS (
    SELECT FROM (
        SELECT mine, (made - (mine & 4294967295) + 6442450944) % 4294967296 - 2147483648 AS distance
        FROM (
            SELECT s.xmin::text::bigint AS made, pg_current_xact_id()::text::bigint AS mine
            FROM labeling_promptset s WHERE s.id IN (SELECT DISTINCT prompt_set_id FROM added)
        ) numbers
    ) x
    WHERE pg_xact_status((mine + distance)::text::xid8) IS DISTINCT FROM 'in progress'
) THEN
    RAISE EXCEPTION 'Cannot add prompts to a frozen prompt set';
END IF;
RETURN NULL;
""",
                                hash="69a1b2420713dd0e34a08aa262b6e23111ba6541",
                                level="STATEMENT",
                                operation="INSERT",
                                pgid="pgtrigger_none_added_bf089",
                                referencing="REFERENCING NEW TABLE AS added ",
                                table="labeling_prompt",
                                when="AFTER",
                            ),
                        ),
                    ],
                },
            ),
            migrations.CreateModel(
                name="PromptDraft",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("texts", models.JSONField(default=dict)),
                    ("changed_at", models.DateTimeField()),
                    (
                        "base",
                        models.ForeignKey(
                            null=True, on_delete=models.SET_NULL, related_name="+", to="labeling.promptset"
                        ),
                    ),
                    (
                        "dataset",
                        models.ForeignKey(
                            on_delete=models.CASCADE, related_name="prompt_drafts", to="datasets.dataset"
                        ),
                    ),
                    (
                        "user",
                        models.ForeignKey(
                            on_delete=models.CASCADE, related_name="+", to=settings.AUTH_USER_MODEL
                        ),
                    ),
                ],
                options={
                    "constraints": [
                        models.UniqueConstraint(fields=("dataset", "user"), name="one_prompt_draft_per_user")
                    ]
                },
            ),
            migrations.CreateModel(
                name="SchemaVersion",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("version", models.PositiveIntegerField()),
                    ("digest", models.CharField(max_length=64)),
                    ("labels", models.JSONField()),
                    ("created_at", models.DateTimeField(db_default=Now(), editable=False)),
                    (
                        "created_by",
                        models.ForeignKey(null=True, on_delete=models.PROTECT, to=settings.AUTH_USER_MODEL),
                    ),
                    (
                        "dataset",
                        models.ForeignKey(
                            on_delete=models.CASCADE, related_name="schema_versions", to="datasets.dataset"
                        ),
                    ),
                ],
                options={
                    "ordering": ["-version"],
                    "constraints": [
                        models.UniqueConstraint(fields=("dataset", "version"), name="one_schema_per_version")
                    ],
                    "triggers": [
                        Trigger(
                            name="append_only",
                            sql=UpsertTriggerSql(
                                func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;",
                                hash="7647a52a46c500682d7a4170a0bd72cabd0803b6",
                                operation="UPDATE OR DELETE",
                                pgid="pgtrigger_append_only_dd7bc",
                                table="labeling_schemaversion",
                                when="BEFORE",
                            ),
                        ),
                        Trigger(
                            name="no_truncate",
                            sql=UpsertTriggerSql(
                                func="RAISE EXCEPTION 'this table is append-only';",
                                hash="259b1918f37339811d56815f7f6b5228ade14136",
                                level="STATEMENT",
                                operation="TRUNCATE",
                                pgid="pgtrigger_no_truncate_54827",
                                table="labeling_schemaversion",
                                when="BEFORE",
                            ),
                        ),
                        Trigger(
                            name="set_time",
                            sql=UpsertTriggerSql(
                                func="NEW.created_at := pg_catalog.statement_timestamp(); RETURN NEW;",
                                hash="cc238a0156ef208465958d1b9208a056314d3c35",
                                operation="INSERT",
                                pgid="pgtrigger_set_time_2d486",
                                table="labeling_schemaversion",
                                when="BEFORE",
                            ),
                        ),
                    ],
                },
            ),
        )
    ]
