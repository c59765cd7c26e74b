"""Every table of this app. It replaces the migrations from before the first release (docs/decisions/0036)."""

from django.conf import settings
from django.db import migrations, models
from django.db.models.functions import Lower, Now
from pgtrigger.compiler import Trigger, UpsertTriggerSql


class Migration(migrations.Migration):
    replaces = [
        ("labeling", "0001_initial"),
        ("labeling", "0002_critical_since"),
        ("labeling", "0003_append_only_evidence"),
        ("labeling", "0004_times_of_the_database"),
        ("labeling", "0005_guideline_versions"),
        ("labeling", "0006_first_guideline_versions"),
    ]

    initial = True

    dependencies = [
        ("accounts", "0001_squashed_0013_mails"),
        ("datasets", "0001_squashed_0017_changed_files"),
    ]

    operations = [
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
                    models.ForeignKey(on_delete=models.CASCADE, related_name="labels", to="datasets.dataset"),
                ),
                ("critical_since", models.DateTimeField(null=True)),
                ("critical_until", models.DateTimeField(null=True)),
            ],
            options={
                "ordering": ["position", "id"],
                "constraints": [
                    models.UniqueConstraint(
                        models.F("dataset"),
                        Lower("name"),
                        condition=models.Q(("archived_at__isnull", True)),
                        name="one_label_per_name",
                    )
                ],
                "triggers": [
                    Trigger(
                        name="keep_guideline",
                        sql=UpsertTriggerSql(
                            func="""
IF TG_OP = 'UPDATE' THEN
    IF NEW.guideline = OLD.guideline THEN RETURN NULL; END IF;
ELSIF NEW.guideline = '' THEN
    RETURN NULL;
END IF;
INSERT INTO labeling_guidelineversion (label_id, version, text, created_by_id)
SELECT NEW.id, coalesce(max(version), 0) + 1, NEW.guideline,
       nullif(current_setting('mekiki.user', true), '')::bigint
FROM labeling_guidelineversion WHERE label_id = NEW.id;
RETURN NULL;
""",
                            hash="3dcb76393b709b4de8c1de9f6ad398d42c6387b2",
                            operation='INSERT OR UPDATE OF "guideline"',
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
            ],
            options={
                "ordering": ["-version"],
                "constraints": [
                    models.UniqueConstraint(fields=("dataset", "version"), name="one_prompt_set_per_version")
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
                    models.ForeignKey(on_delete=models.CASCADE, related_name="prompts", to="labeling.label"),
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
    ]
