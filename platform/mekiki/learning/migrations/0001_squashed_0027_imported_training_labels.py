"""Every table of this app. It replaces the migrations from before the first release (docs/decisions/0036)."""

import uuid

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import migrations, models
from django.db.models.functions import Now
from pgtrigger.compiler import Trigger, UpsertTriggerSql
from pgvector.django import HalfVectorField, VectorField, VectorExtension

from mekiki.config.create_models import CreateModels

# First numbers of advisory locks. PREDICTIONS_LOCK: a dataset. Code that stores its predictions holds the lock in
# shared mode (learning.services.predictions). HEAD_LOCK: a head whose partition is made or used. INDEX_LOCK: an
# encoder whose search index is built (learning.search.index).
PREDICTIONS_LOCK, HEAD_LOCK, INDEX_LOCK = 0x4D4B4C02, 0x4D4B4C03, 7013

# The application changes tables while it runs through functions with the rights of the owner
# (docs/decisions/0029). Each function takes ids only and makes every name from them. The search path is fixed.
RIGHTS = "SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp"

# One partition for each head, without foreign keys (docs/decisions/0012). The names of NOT NULL are those in homes
# that began with the replaced migrations.
PREDICTIONS = """
CREATE TABLE learning_prediction (
    head_id bigint CONSTRAINT learning_prediction_head_id_not_null1 NOT NULL,
    image_id bigint CONSTRAINT learning_prediction_image_id_not_null1 NOT NULL,
    label_id bigint CONSTRAINT learning_prediction_label_id_not_null1 NOT NULL,
    runner_up_id bigint,
    confidence double precision CONSTRAINT learning_prediction_confidence_not_null1 NOT NULL,
    margin double precision CONSTRAINT learning_prediction_margin_not_null1 NOT NULL,
    entropy double precision CONSTRAINT learning_prediction_entropy_not_null1 NOT NULL,
    CONSTRAINT learning_prediction_pkey PRIMARY KEY (head_id, image_id)
) PARTITION BY LIST (head_id);
"""

NO_PREDICTIONS = "DROP TABLE learning_prediction"

# Heads of the dataset that have a partition. Each statement names one head, so that no other partition is locked.
HEADS = """SELECT id FROM learning_head WHERE dataset_id = {dataset}
           AND to_regclass('learning_prediction_' || id) IS NOT NULL ORDER BY 1"""

# The triggers replace the foreign keys: predictions are deleted with their image and their head, and a label that
# a prediction names cannot be deleted.
TRIGGERS = f"""
CREATE FUNCTION learning_prediction_of_image() RETURNS trigger LANGUAGE plpgsql {RIGHTS} AS $$
DECLARE d bigint; h bigint;
BEGIN
    FOR d IN SELECT DISTINCT dataset_id FROM gone ORDER BY 1 LOOP
        PERFORM pg_advisory_xact_lock({PREDICTIONS_LOCK}, (d % 2147483648)::int);
        FOR h IN {HEADS.format(dataset="d")} LOOP
            EXECUTE format('DELETE FROM learning_prediction WHERE head_id = %s AND image_id IN '
                           '(SELECT id FROM gone WHERE dataset_id = %s)', h, d);
        END LOOP;
    END LOOP;
    RETURN NULL;
END $$;
CREATE TRIGGER predictions_go AFTER DELETE ON datasets_image REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION learning_prediction_of_image();

CREATE FUNCTION learning_prediction_of_head() RETURNS trigger LANGUAGE plpgsql {RIGHTS} AS $$
BEGIN
    IF to_regclass('learning_prediction_' || OLD.id) IS NOT NULL THEN
        EXECUTE format('DROP TABLE learning_prediction_%s', OLD.id);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER predictions_go AFTER DELETE ON learning_head
    FOR EACH ROW EXECUTE FUNCTION learning_prediction_of_head();

CREATE FUNCTION learning_prediction_of_label() RETURNS trigger LANGUAGE plpgsql {RIGHTS} AS $$
DECLARE h bigint; n bigint;
BEGIN
    PERFORM pg_advisory_xact_lock({PREDICTIONS_LOCK}, (OLD.dataset_id % 2147483648)::int);
    FOR h IN {HEADS.format(dataset="OLD.dataset_id")} LOOP
        EXECUTE format('SELECT count(*) FROM (SELECT 1 FROM learning_prediction WHERE head_id = %s '
                       'AND (label_id = %s OR runner_up_id = %s) LIMIT 1) AS one', h, OLD.id, OLD.id) INTO n;
        IF n > 0 THEN
            RAISE EXCEPTION 'label % is named by predictions of head %', OLD.id, h
                USING ERRCODE = 'foreign_key_violation';
        END IF;
    END LOOP;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER predictions_keep_it AFTER DELETE ON labeling_label DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION learning_prediction_of_label();
"""

NO_TRIGGERS = """
DROP TRIGGER predictions_keep_it ON labeling_label;
DROP TRIGGER predictions_go ON learning_head;
DROP TRIGGER predictions_go ON datasets_image;
DROP FUNCTION learning_prediction_of_label(), learning_prediction_of_head(), learning_prediction_of_image();
"""

# Nobody may call these functions until the owner grants it (mekiki.embedded.roles.rights).
FUNCTIONS = f"""
CREATE FUNCTION learning_hold_head(head bigint) RETURNS boolean LANGUAGE plpgsql {RIGHTS} AS $$
BEGIN
    PERFORM pg_advisory_xact_lock({HEAD_LOCK}, (head % 2147483648)::int);
    PERFORM 1 FROM public.learning_head WHERE id = head FOR KEY SHARE;
    RETURN FOUND;
END $$;

CREATE FUNCTION learning_open_predictions(head bigint) RETURNS boolean LANGUAGE plpgsql {RIGHTS} AS $$
DECLARE
    part text := format('learning_prediction_%s', head);
    granted record;
BEGIN
    IF NOT public.learning_hold_head(head) THEN
        RETURN false;
    END IF;
    IF to_regclass('public.' || part) IS NOT NULL THEN
        RETURN true;
    END IF;
    -- Made alone and attached: CREATE TABLE … PARTITION OF would shut readers out of the parent. The check tells the
    -- database that there is nothing to look through.
    EXECUTE format('CREATE TABLE public.%I (LIKE public.learning_prediction INCLUDING CONSTRAINTS, CHECK (head_id = %s))',
                   part, head);
    EXECUTE format('ALTER TABLE public.learning_prediction ATTACH PARTITION public.%I FOR VALUES IN (%s)', part, head);
    -- Rows are copied into the partition itself: whoever may write the parent may write it.
    FOR granted IN
        SELECT pg_get_userbyid(a.grantee) AS role, string_agg(a.privilege_type, ', ') AS kinds
        FROM pg_class c, aclexplode(c.relacl) a
        WHERE c.oid = 'public.learning_prediction'::regclass AND a.grantee NOT IN (0, c.relowner) GROUP BY 1
    LOOP
        EXECUTE format('GRANT %s ON public.%I TO %I', granted.kinds, part, granted.role);
    END LOOP;
    RETURN true;
END $$;

CREATE FUNCTION learning_index_predictions(head bigint) RETURNS boolean LANGUAGE plpgsql {RIGHTS} AS $$
DECLARE
    part text := format('learning_prediction_%s', head);
    made record;
BEGIN
    IF NOT public.learning_hold_head(head) OR to_regclass('public.' || part) IS NULL
            OR to_regclass('public.' || part || '_by_label') IS NOT NULL THEN
        RETURN false;
    END IF;
    FOR made IN SELECT * FROM (VALUES ('label', 'label_id, confidence, image_id'), ('confidence', 'confidence, image_id'),
                                      ('label_image', 'label_id, image_id')) AS i (suffix, columns)
    LOOP
        EXECUTE format('CREATE INDEX %I ON public.%I (%s)', part || '_by_' || made.suffix, part, made.columns);
    END LOOP;
    EXECUTE format('ANALYZE public.%I', part);
    RETURN true;
END $$;

-- The caller bounds the wait for the lock by lock_timeout.
CREATE FUNCTION learning_drop_predictions(head bigint) RETURNS void LANGUAGE plpgsql {RIGHTS} AS $$
BEGIN
    IF EXISTS (SELECT FROM public.learning_champion WHERE head_id = head) THEN
        RAISE EXCEPTION 'Cannot drop the predictions of head %: it is in use', head;
    END IF;
    EXECUTE format('DROP TABLE IF EXISTS public.%I', format('learning_prediction_%s', head));
END $$;

CREATE FUNCTION learning_drop_search_index(encoder bigint) RETURNS boolean LANGUAGE plpgsql {RIGHTS} AS $$
BEGIN
    IF NOT pg_try_advisory_xact_lock({INDEX_LOCK}, (encoder % 2147483648)::int) THEN
        RETURN false;  -- it is being built
    END IF;
    EXECUTE format('DROP INDEX IF EXISTS public.%I', format('embedding_hnsw_%s', encoder));
    RETURN true;
END $$;

-- Blocks of the table that a build of the encoder's index has read, and how many there are; no row: none is being built.
CREATE FUNCTION learning_search_index_progress(encoder bigint) RETURNS TABLE (done bigint, total bigint)
    LANGUAGE plpgsql {RIGHTS} AS $$
BEGIN
    RETURN QUERY SELECT p.blocks_done, p.blocks_total FROM pg_stat_progress_create_index p
        WHERE p.datname = current_database()
            AND p.index_relid = to_regclass(format('public.embedding_hnsw_%s', encoder));
END $$;

REVOKE EXECUTE ON FUNCTION learning_hold_head(bigint), learning_open_predictions(bigint),
    learning_index_predictions(bigint), learning_drop_predictions(bigint), learning_drop_search_index(bigint),
    learning_search_index_progress(bigint) FROM PUBLIC;
"""

NO_FUNCTIONS = """
DROP FUNCTION learning_hold_head(bigint), learning_open_predictions(bigint), learning_index_predictions(bigint),
    learning_drop_predictions(bigint), learning_drop_search_index(bigint), learning_search_index_progress(bigint);
"""


class Migration(migrations.Migration):
    replaces = [
        ("learning", "0001_initial"),
        ("learning", "0002_training_after_label_changes"),
        ("learning", "0003_why_the_head_is_in_use"),
        ("learning", "0004_embedding_changes"),
        ("learning", "0005_encoder_changes"),
        ("learning", "0006_text_embeddings"),
        ("learning", "0007_challenger_heads"),
        ("learning", "0008_predictions_by_head"),
        ("learning", "0009_weighted_accuracy"),
        ("learning", "0010_several_opinions"),
        ("learning", "0011_audit_counts"),
        ("learning", "0012_encoder_probes"),
        ("learning", "0013_error_texts"),
        ("learning", "0014_judged_again"),
        ("learning", "0015_append_only_evidence"),
        ("learning", "0016_functions_of_the_owner"),
        ("learning", "0017_times_of_the_database"),
        ("learning", "0018_more_times_of_the_database"),
        ("learning", "0019_kinds_in_plain_words"),
        ("learning", "0020_reword_choices"),
        ("learning", "0021_long_prompts"),
        ("learning", "0022_embedding_removals"),
        ("learning", "0001_squashed_0022_embedding_removals"),
        ("learning", "0023_explanations"),
        ("learning", "0024_pool_figure"),
        ("learning", "0025_detail_descriptor"),
        ("learning", "0026_prompt_trials"),
        ("learning", "0027_imported_training_labels"),
    ]

    initial = True

    dependencies = [
        ("accounts", "0001_squashed_0013_mails"),
        ("datasets", "0001_squashed_0027_import_options"),
        ("jobs", "0001_squashed_0017_pause_and_import_kinds"),
        ("labeling", "0001_squashed_0007_schema_versions"),
    ]

    operations = [
        VectorExtension(),
        CreateModels(
            migrations.CreateModel(
                name="Encoder",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("name", models.CharField(max_length=200)),
                    ("digest", models.CharField(max_length=64)),
                    ("precision", models.CharField(default="fp32", max_length=10)),
                    ("dim", models.PositiveIntegerField()),
                    ("logit_scale", models.FloatField()),
                    ("created_at", models.DateTimeField(db_default=Now(), editable=False)),
                    (
                        "kind",
                        models.CharField(
                            choices=[("image_text", "Image Text"), ("detail", "Detail")],
                            db_default="image_text",
                            default="image_text",
                            max_length=10,
                        ),
                    ),
                ],
                options={
                    "constraints": [
                        models.UniqueConstraint(
                            fields=("name", "digest", "precision"), name="one_encoder_per_digest"
                        )
                    ],
                    "triggers": [
                        Trigger(
                            name="append_only",
                            sql=UpsertTriggerSql(
                                func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;",
                                hash="a185be62b9e5ad809f430e9bee51514e405a5eab",
                                operation="UPDATE OR DELETE",
                                pgid="pgtrigger_append_only_c91af",
                                table="learning_encoder",
                                when="BEFORE",
                            ),
                        ),
                        Trigger(
                            name="no_truncate",
                            sql=UpsertTriggerSql(
                                func="RAISE EXCEPTION 'this table is append-only';",
                                hash="b0100d8b8e148ec3cc519c45d99cb6d7664db269",
                                level="STATEMENT",
                                operation="TRUNCATE",
                                pgid="pgtrigger_no_truncate_d37ed",
                                table="learning_encoder",
                                when="BEFORE",
                            ),
                        ),
                        Trigger(
                            name="set_time",
                            sql=UpsertTriggerSql(
                                func="NEW.created_at := pg_catalog.statement_timestamp(); RETURN NEW;",
                                hash="cd520889506d251746a34a90d98fea057adfc268",
                                operation="INSERT",
                                pgid="pgtrigger_set_time_9a90c",
                                table="learning_encoder",
                                when="BEFORE",
                            ),
                        ),
                    ],
                },
            ),
            migrations.CreateModel(
                name="EncoderProbe",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("version", models.PositiveSmallIntegerField()),
                    ("vectors", models.BinaryField()),
                    ("host", models.CharField(max_length=200)),
                    ("processor", models.CharField(max_length=200)),
                    ("created_at", models.DateTimeField(db_default=Now(), editable=False)),
                    (
                        "encoder",
                        models.ForeignKey(
                            on_delete=models.CASCADE, related_name="probes", to="learning.encoder"
                        ),
                    ),
                ],
                options={
                    "constraints": [
                        models.UniqueConstraint(fields=("encoder", "version"), name="one_probe_per_version")
                    ],
                    "triggers": [
                        Trigger(
                            name="append_only",
                            sql=UpsertTriggerSql(
                                func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;",
                                hash="2938a5a02501dd1828bd3f12555366901d516a7e",
                                operation="UPDATE OR DELETE",
                                pgid="pgtrigger_append_only_3e259",
                                table="learning_encoderprobe",
                                when="BEFORE",
                            ),
                        ),
                        Trigger(
                            name="no_truncate",
                            sql=UpsertTriggerSql(
                                func="RAISE EXCEPTION 'this table is append-only';",
                                hash="99b5b85c478dd4198303552d564b7857fbdffa24",
                                level="STATEMENT",
                                operation="TRUNCATE",
                                pgid="pgtrigger_no_truncate_5e6c0",
                                table="learning_encoderprobe",
                                when="BEFORE",
                            ),
                        ),
                        Trigger(
                            name="set_time",
                            sql=UpsertTriggerSql(
                                func="NEW.created_at := pg_catalog.statement_timestamp(); RETURN NEW;",
                                hash="6eba1769002d3d1700457e5d5fe9548344f3f378",
                                operation="INSERT",
                                pgid="pgtrigger_set_time_9c579",
                                table="learning_encoderprobe",
                                when="BEFORE",
                            ),
                        ),
                    ],
                },
            ),
            migrations.CreateModel(
                name="Embedding",
                fields=[
                    (
                        "pk",
                        models.CompositePrimaryKey(
                            "encoder_id",
                            "image_id",
                            blank=True,
                            editable=False,
                            primary_key=True,
                            serialize=False,
                        ),
                    ),
                    ("vector", HalfVectorField()),
                    ("image", models.ForeignKey(on_delete=models.CASCADE, to="datasets.image")),
                    ("encoder", models.ForeignKey(on_delete=models.CASCADE, to="learning.encoder")),
                ],
                options={
                    "triggers": [
                        Trigger(
                            name="immutable",
                            sql=UpsertTriggerSql(
                                func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;",
                                hash="a8779c7d7d6103b5c78abeb0a494325238f29e35",
                                operation="UPDATE",
                                pgid="pgtrigger_immutable_45b08",
                                table="learning_embedding",
                                when="BEFORE",
                            ),
                        ),
                        Trigger(
                            name="added",
                            sql=UpsertTriggerSql(
                                func="""
    INSERT INTO learning_embeddingchange (id, encoder_id, dataset_id, low, high, rows)
    SELECT gen_random_uuid(), c.encoder_id, i.dataset_id, min(c.image_id), max(c.image_id), count(*)
    FROM changed c LEFT JOIN datasets_image i ON i.id = c.image_id GROUP BY c.encoder_id, i.dataset_id;
    RETURN NULL;
""",
                                hash="9e4910022ebfe2e786920e0fbd6d2eaf47fff39e",
                                level="STATEMENT",
                                operation="INSERT",
                                pgid="pgtrigger_added_8ec8c",
                                referencing="REFERENCING NEW TABLE AS changed ",
                                table="learning_embedding",
                                when="AFTER",
                            ),
                        ),
                        Trigger(
                            name="removed",
                            sql=UpsertTriggerSql(
                                func="""
    INSERT INTO learning_embeddingchange (id, encoder_id, dataset_id, low, high, rows)
    SELECT gen_random_uuid(), c.encoder_id, i.dataset_id, min(c.image_id), max(c.image_id), -count(*)
    FROM changed c LEFT JOIN datasets_image i ON i.id = c.image_id GROUP BY c.encoder_id, i.dataset_id;
    RETURN NULL;
""",
                                hash="8e87a64ae420d60187f28430b71df3392437f04b",
                                level="STATEMENT",
                                operation="DELETE",
                                pgid="pgtrigger_removed_572b3",
                                referencing="REFERENCING OLD TABLE AS changed ",
                                table="learning_embedding",
                                when="AFTER",
                            ),
                        ),
                        Trigger(
                            name="emptied",
                            sql=UpsertTriggerSql(
                                func="DELETE FROM learning_embeddingchange; RETURN NULL;",
                                hash="b1fed9ece55397b2fc5e109439f601bc22dc4a97",
                                level="STATEMENT",
                                operation="TRUNCATE",
                                pgid="pgtrigger_emptied_c622e",
                                table="learning_embedding",
                                when="AFTER",
                            ),
                        ),
                    ]
                },
            ),
            migrations.CreateModel(
                name="EmbeddingChange",
                fields=[
                    (
                        "id",
                        models.UUIDField(
                            default=uuid.uuid4, editable=False, primary_key=True, serialize=False
                        ),
                    ),
                    ("low", models.BigIntegerField()),
                    ("high", models.BigIntegerField()),
                    ("rows", models.BigIntegerField()),
                    (
                        "dataset",
                        models.ForeignKey(
                            db_constraint=False,
                            db_index=False,
                            on_delete=models.DO_NOTHING,
                            to="datasets.dataset",
                        ),
                    ),
                    (
                        "encoder",
                        models.ForeignKey(
                            db_constraint=False,
                            db_index=False,
                            on_delete=models.DO_NOTHING,
                            to="learning.encoder",
                        ),
                    ),
                ],
                options={
                    "indexes": [models.Index(fields=["encoder", "dataset"], name="embedding_change_of")]
                },
            ),
            migrations.CreateModel(
                name="EmbeddingRemoval",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("removed", models.PositiveBigIntegerField()),
                    ("removed_at", models.DateTimeField(db_default=Now(), editable=False)),
                    (
                        "dataset",
                        models.ForeignKey(
                            on_delete=models.CASCADE, related_name="embedding_removals", to="datasets.dataset"
                        ),
                    ),
                    (
                        "encoder",
                        models.ForeignKey(
                            on_delete=models.CASCADE, related_name="removals", to="learning.encoder"
                        ),
                    ),
                ],
                options={
                    "triggers": [
                        Trigger(
                            name="append_only",
                            sql=UpsertTriggerSql(
                                func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;",
                                hash="d17cba10cd0c400d229982c924a659a418ea08d1",
                                operation="UPDATE OR DELETE",
                                pgid="pgtrigger_append_only_c2683",
                                table="learning_embeddingremoval",
                                when="BEFORE",
                            ),
                        ),
                        Trigger(
                            name="no_truncate",
                            sql=UpsertTriggerSql(
                                func="RAISE EXCEPTION 'this table is append-only';",
                                hash="57fda7123450992416cb7549b4e3abb8b21ddcf1",
                                level="STATEMENT",
                                operation="TRUNCATE",
                                pgid="pgtrigger_no_truncate_7d6bc",
                                table="learning_embeddingremoval",
                                when="BEFORE",
                            ),
                        ),
                        Trigger(
                            name="set_time",
                            sql=UpsertTriggerSql(
                                func="NEW.removed_at := pg_catalog.statement_timestamp(); RETURN NEW;",
                                hash="38e5d40239548868510082a97b5e80b3e0bd7d14",
                                operation="INSERT",
                                pgid="pgtrigger_set_time_c3681",
                                table="learning_embeddingremoval",
                                when="BEFORE",
                            ),
                        ),
                    ]
                },
            ),
            migrations.CreateModel(
                name="EncodingProblem",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("reason", models.TextField()),
                    ("encoder", models.ForeignKey(on_delete=models.CASCADE, to="learning.encoder")),
                    ("image", models.ForeignKey(on_delete=models.CASCADE, to="datasets.image")),
                ],
                options={
                    "constraints": [
                        models.UniqueConstraint(
                            fields=("encoder", "image"), name="one_encoding_problem_per_image"
                        )
                    ]
                },
            ),
            migrations.CreateModel(
                name="TextEmbedding",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("digest", models.CharField(max_length=64)),
                    ("text", models.CharField(max_length=200)),
                    ("vector", HalfVectorField(null=True)),
                    ("problem", models.CharField(default="", max_length=20)),
                    ("detail", models.JSONField(default=dict)),
                    ("asked_at", models.DateTimeField(null=True)),
                    ("answered_at", models.DateTimeField(null=True)),
                    ("used_at", models.DateTimeField()),
                    (
                        "created_by",
                        models.ForeignKey(null=True, on_delete=models.SET_NULL, to=settings.AUTH_USER_MODEL),
                    ),
                    ("encoder", models.ForeignKey(on_delete=models.CASCADE, to="learning.encoder")),
                ],
                options={
                    "indexes": [
                        models.Index(fields=["used_at"], name="text_embedding_by_use"),
                        models.Index(
                            condition=models.Q(("answered_at__isnull", True)),
                            fields=["asked_at"],
                            name="text_embedding_open",
                        ),
                    ],
                    "constraints": [
                        models.UniqueConstraint(fields=("encoder", "digest"), name="one_vector_per_text"),
                        models.CheckConstraint(
                            condition=models.Q(("vector__isnull", True), ("problem", ""), _connector="OR"),
                            name="vector_or_problem",
                        ),
                    ],
                },
            ),
            migrations.CreateModel(
                name="LongPrompt",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("tokens", models.PositiveIntegerField()),
                    ("context", models.PositiveIntegerField()),
                    (
                        "encoder",
                        models.ForeignKey(
                            on_delete=models.CASCADE, related_name="long_prompts", to="learning.encoder"
                        ),
                    ),
                    (
                        "prompt",
                        models.ForeignKey(on_delete=models.CASCADE, related_name="+", to="labeling.prompt"),
                    ),
                ],
                options={
                    "constraints": [
                        models.UniqueConstraint(fields=("encoder", "prompt"), name="long_prompt_once"),
                        models.CheckConstraint(
                            condition=models.Q(("tokens__gt", models.F("context"))),
                            name="long_prompt_exceeds_context",
                        ),
                    ]
                },
            ),
            migrations.CreateModel(
                name="Head",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("version", models.PositiveIntegerField()),
                    (
                        "kind",
                        models.CharField(
                            choices=[
                                ("zero_shot", "zero-shot, by prompts"),
                                ("logistic", "logistic, trained on labels"),
                                ("gaussian", "Gaussian, trained on labels"),
                                ("plain", "plain logistic, trained on labels"),
                            ],
                            max_length=20,
                        ),
                    ),
                    ("label_ids", ArrayField(base_field=models.BigIntegerField(), size=None)),
                    ("weights", models.BinaryField()),
                    ("digest", models.CharField(max_length=64)),
                    ("calibrated", models.BooleanField(default=False)),
                    ("n_labels", models.PositiveIntegerField(default=0)),
                    ("decisions_digest", models.CharField(default="", max_length=64)),
                    ("seed", models.BigIntegerField(default=0)),
                    ("code_version", models.CharField(max_length=40)),
                    ("metrics", models.JSONField(default=dict)),
                    ("created_at", models.DateTimeField(db_default=Now(), editable=False)),
                    (
                        "dataset",
                        models.ForeignKey(
                            on_delete=models.CASCADE, related_name="heads", to="datasets.dataset"
                        ),
                    ),
                    ("encoder", models.ForeignKey(on_delete=models.PROTECT, to="learning.encoder")),
                    ("prompt_set", models.ForeignKey(on_delete=models.PROTECT, to="labeling.promptset")),
                    (
                        "detail",
                        models.ForeignKey(
                            null=True, on_delete=models.PROTECT, related_name="+", to="learning.encoder"
                        ),
                    ),
                ],
                options={
                    "ordering": ["-version"],
                    "constraints": [
                        models.UniqueConstraint(fields=("dataset", "version"), name="one_head_per_version")
                    ],
                    "triggers": [
                        Trigger(
                            name="append_only",
                            sql=UpsertTriggerSql(
                                func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;",
                                hash="386563c6eb1431d98fb88aef806733ce6e6cb7b1",
                                operation="UPDATE OR DELETE",
                                pgid="pgtrigger_append_only_c3ea1",
                                table="learning_head",
                                when="BEFORE",
                            ),
                        ),
                        Trigger(
                            name="no_truncate",
                            sql=UpsertTriggerSql(
                                func="RAISE EXCEPTION 'this table is append-only';",
                                hash="f739064e11a556bfe1377f780b190e6ef567e4a4",
                                level="STATEMENT",
                                operation="TRUNCATE",
                                pgid="pgtrigger_no_truncate_f5ea0",
                                table="learning_head",
                                when="BEFORE",
                            ),
                        ),
                        Trigger(
                            name="set_time",
                            sql=UpsertTriggerSql(
                                func="NEW.created_at := pg_catalog.statement_timestamp(); RETURN NEW;",
                                hash="fd60bff3c715fb5c3cbccab62dd4aeb2a20471b2",
                                operation="INSERT",
                                pgid="pgtrigger_set_time_91f8e",
                                table="learning_head",
                                when="BEFORE",
                            ),
                        ),
                    ],
                },
            ),
            migrations.CreateModel(
                name="HeadTrainingLabel",
                fields=[
                    (
                        "pk",
                        models.CompositePrimaryKey(
                            "head_id",
                            "image_id",
                            blank=True,
                            editable=False,
                            primary_key=True,
                            serialize=False,
                        ),
                    ),
                    ("decision_id", models.BigIntegerField()),
                    (
                        "head",
                        models.ForeignKey(
                            on_delete=models.CASCADE, related_name="training_labels", to="learning.head"
                        ),
                    ),
                    ("image", models.ForeignKey(on_delete=models.CASCADE, to="datasets.image")),
                    ("label", models.ForeignKey(on_delete=models.PROTECT, to="labeling.label")),
                    ("others", ArrayField(base_field=models.BigIntegerField(), default=list, size=None)),
                    ("imported", models.BooleanField(db_default=False, default=False)),
                ],
                options={
                    "triggers": [
                        Trigger(
                            name="append_only",
                            sql=UpsertTriggerSql(
                                func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;",
                                hash="3f7139576f3c71a5e72d80856bc1c47d8c6a7a8d",
                                operation="UPDATE OR DELETE",
                                pgid="pgtrigger_append_only_1c526",
                                table="learning_headtraininglabel",
                                when="BEFORE",
                            ),
                        ),
                        Trigger(
                            name="no_truncate",
                            sql=UpsertTriggerSql(
                                func="RAISE EXCEPTION 'this table is append-only';",
                                hash="bcec554c85d1af71e05a52a046eab7a22a9028b8",
                                level="STATEMENT",
                                operation="TRUNCATE",
                                pgid="pgtrigger_no_truncate_5f922",
                                table="learning_headtraininglabel",
                                when="BEFORE",
                            ),
                        ),
                    ]
                },
            ),
            migrations.CreateModel(
                name="Evaluation",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("n", models.PositiveIntegerField()),
                    ("correct", models.PositiveIntegerField()),
                    ("low", models.FloatField()),
                    ("high", models.FloatField()),
                    ("answers", models.PositiveIntegerField(default=0)),
                    ("report", models.JSONField(default=dict)),
                    ("created_at", models.DateTimeField(db_default=Now(), editable=False)),
                    (
                        "head",
                        models.ForeignKey(
                            on_delete=models.CASCADE, related_name="evaluations", to="learning.head"
                        ),
                    ),
                    ("share", models.FloatField(null=True)),
                    ("left_out", models.PositiveBigIntegerField(default=0)),
                    ("archived_label", models.PositiveIntegerField(default=0)),
                    ("without_label", models.PositiveIntegerField(default=0)),
                    ("taken_back", models.PositiveIntegerField(default=0)),
                    ("retired", models.PositiveIntegerField(default=0)),
                    ("share_changed", models.PositiveIntegerField(default=0)),
                    ("prediction_shown", models.PositiveIntegerField(default=0)),
                    ("not_embedded", models.PositiveIntegerField(default=0)),
                    ("judged_again", models.PositiveIntegerField(default=0)),
                    ("pool_differing", models.PositiveBigIntegerField(default=0)),
                    ("pool_high", models.FloatField(null=True)),
                    ("pool_left_out", models.PositiveBigIntegerField(default=0)),
                    ("pool_low", models.FloatField(null=True)),
                    ("pool_machine", models.PositiveBigIntegerField(default=0)),
                    ("pool_people", models.PositiveBigIntegerField(default=0)),
                    ("pool_share", models.FloatField(null=True)),
                ],
                options={
                    "ordering": ["-id"],
                    "constraints": [
                        models.CheckConstraint(
                            condition=models.Q(("correct__lte", models.F("n"))), name="correct_at_most_n"
                        ),
                        models.CheckConstraint(
                            condition=models.Q(
                                (
                                    "correct__lte",
                                    models.expressions.CombinedExpression(
                                        models.F("n"), "-", models.F("archived_label")
                                    ),
                                )
                            ),
                            name="archived_labels_are_wrong",
                        ),
                        models.CheckConstraint(
                            condition=models.Q(
                                models.Q(("pool_high", None), ("pool_low", None), ("pool_share", None)),
                                models.Q(
                                    ("pool_high__gte", models.F("pool_share")),
                                    ("pool_high__lte", 1),
                                    ("pool_low__gte", 0),
                                    ("pool_low__lte", models.F("pool_share")),
                                ),
                                _connector="OR",
                            ),
                            name="pool_figure_has_its_interval",
                        ),
                    ],
                    "triggers": [
                        Trigger(
                            name="append_only",
                            sql=UpsertTriggerSql(
                                func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;",
                                hash="1cc0cd128f9db5c13b3a635cd1638660b24e5119",
                                operation="UPDATE OR DELETE",
                                pgid="pgtrigger_append_only_67c2c",
                                table="learning_evaluation",
                                when="BEFORE",
                            ),
                        ),
                        Trigger(
                            name="no_truncate",
                            sql=UpsertTriggerSql(
                                func="RAISE EXCEPTION 'this table is append-only';",
                                hash="43e335f9b8ea732d47848b6633975000ac34363f",
                                level="STATEMENT",
                                operation="TRUNCATE",
                                pgid="pgtrigger_no_truncate_79b21",
                                table="learning_evaluation",
                                when="BEFORE",
                            ),
                        ),
                        Trigger(
                            name="set_time",
                            sql=UpsertTriggerSql(
                                func="NEW.created_at := pg_catalog.statement_timestamp(); RETURN NEW;",
                                hash="29d7e01b344ff0eacb32a8e9c6f3a50962e0a84f",
                                operation="INSERT",
                                pgid="pgtrigger_set_time_7f8b0",
                                table="learning_evaluation",
                                when="BEFORE",
                            ),
                        ),
                    ],
                },
            ),
            migrations.CreateModel(
                name="Champion",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("since", models.DateTimeField(db_default=Now(), editable=False)),
                    (
                        "dataset",
                        models.OneToOneField(
                            on_delete=models.CASCADE, related_name="champion", to="datasets.dataset"
                        ),
                    ),
                    ("head", models.ForeignKey(on_delete=models.PROTECT, to="learning.head")),
                    ("reason", models.JSONField(default=dict)),
                ],
            ),
            migrations.CreateModel(
                name="TrainingRun",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    (
                        "trigger",
                        models.CharField(
                            choices=[
                                ("button", "manual"),
                                ("count", "after enough answers"),
                                ("schedule", "on schedule"),
                                ("labels", "labels or prompts changed"),
                            ],
                            max_length=10,
                        ),
                    ),
                    ("promoted", models.BooleanField(default=False)),
                    ("reason", models.TextField(default="")),
                    ("log", models.TextField(default="")),
                    ("created_at", models.DateTimeField(db_default=Now(), editable=False)),
                    ("finished_at", models.DateTimeField(null=True)),
                    (
                        "created_by",
                        models.ForeignKey(null=True, on_delete=models.SET_NULL, to=settings.AUTH_USER_MODEL),
                    ),
                    (
                        "dataset",
                        models.ForeignKey(
                            on_delete=models.CASCADE, related_name="training_runs", to="datasets.dataset"
                        ),
                    ),
                    (
                        "head",
                        models.OneToOneField(
                            null=True, on_delete=models.SET_NULL, related_name="run", to="learning.head"
                        ),
                    ),
                    ("job", models.OneToOneField(null=True, on_delete=models.SET_NULL, to="jobs.job")),
                ],
                options={"ordering": ["-id"]},
            ),
            migrations.CreateModel(
                name="EncoderChange",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("from_name", models.CharField(max_length=200)),
                    ("to_name", models.CharField(max_length=200)),
                    (
                        "state",
                        models.CharField(
                            choices=[
                                ("preparing", "being prepared"),
                                ("ready", "ready to switch"),
                                ("switching", "switching over"),
                                ("switched", "switched over"),
                                ("taking_back", "being reverted"),
                                ("taken_back", "reverted"),
                                ("failed", "failed"),
                                ("cancelled", "cancelled"),
                            ],
                            default="preparing",
                            max_length=12,
                        ),
                    ),
                    ("error_code", models.CharField(default="", max_length=40)),
                    ("error", models.TextField(default="")),
                    ("facts", models.JSONField(default=dict)),
                    ("comparison", models.JSONField(default=dict)),
                    ("created_at", models.DateTimeField(db_default=Now(), editable=False)),
                    ("ready_at", models.DateTimeField(null=True)),
                    ("ended_at", models.DateTimeField(null=True)),
                    (
                        "created_by",
                        models.ForeignKey(null=True, on_delete=models.SET_NULL, to=settings.AUTH_USER_MODEL),
                    ),
                    (
                        "dataset",
                        models.ForeignKey(
                            on_delete=models.CASCADE, related_name="encoder_changes", to="datasets.dataset"
                        ),
                    ),
                    (
                        "from_encoder",
                        models.ForeignKey(
                            null=True, on_delete=models.PROTECT, related_name="+", to="learning.encoder"
                        ),
                    ),
                    (
                        "from_head",
                        models.ForeignKey(
                            null=True, on_delete=models.SET_NULL, related_name="+", to="learning.head"
                        ),
                    ),
                    (
                        "job",
                        models.ForeignKey(
                            null=True, on_delete=models.SET_NULL, related_name="+", to="jobs.job"
                        ),
                    ),
                    (
                        "to_encoder",
                        models.ForeignKey(
                            null=True, on_delete=models.PROTECT, related_name="+", to="learning.encoder"
                        ),
                    ),
                    (
                        "to_head",
                        models.ForeignKey(
                            null=True, on_delete=models.SET_NULL, related_name="+", to="learning.head"
                        ),
                    ),
                    ("error_texts", models.JSONField(default=dict)),
                ],
                options={
                    "ordering": ["-id"],
                    "constraints": [
                        models.UniqueConstraint(
                            condition=models.Q(
                                ("state__in", ["preparing", "ready", "switching", "taking_back"])
                            ),
                            fields=("dataset",),
                            name="one_open_encoder_change",
                        ),
                        models.CheckConstraint(
                            condition=models.Q(
                                (
                                    "state__in",
                                    [
                                        "preparing",
                                        "ready",
                                        "switching",
                                        "switched",
                                        "taking_back",
                                        "taken_back",
                                        "failed",
                                        "cancelled",
                                    ],
                                )
                            ),
                            name="encoder_change_state_is_known",
                        ),
                    ],
                },
            ),
            migrations.CreateModel(
                name="WorkerReport",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("host", models.CharField(max_length=200, unique=True)),
                    ("device", models.CharField(max_length=40)),
                    ("gpu", models.CharField(default="", max_length=200)),
                    ("memory", models.BigIntegerField(default=0)),
                    ("cpus", models.PositiveIntegerField(default=0)),
                    ("seen_at", models.DateTimeField(db_default=Now(), editable=False)),
                ],
            ),
            migrations.CreateModel(
                name="WorkerDifference",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("host", models.CharField(max_length=200)),
                    ("processor", models.CharField(max_length=200)),
                    ("cosine", models.FloatField()),
                    ("least", models.FloatField()),
                    ("seen_at", models.DateTimeField(db_default=Now(), editable=False)),
                    (
                        "encoder",
                        models.ForeignKey(
                            on_delete=models.CASCADE, related_name="differences", to="learning.encoder"
                        ),
                    ),
                ],
                options={
                    "constraints": [
                        models.UniqueConstraint(fields=("encoder", "host"), name="one_difference_per_worker")
                    ]
                },
            ),
            migrations.CreateModel(
                name="HeatMap",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("recipe", models.PositiveSmallIntegerField()),
                    (
                        "method",
                        models.CharField(
                            choices=[("occlusion", "occlusion"), ("gradient", "integrated gradients")],
                            default="",
                            max_length=10,
                        ),
                    ),
                    ("rows", models.PositiveSmallIntegerField(default=0)),
                    ("columns", models.PositiveSmallIntegerField(default=0)),
                    ("values", models.BinaryField(default=b"")),
                    ("digest", models.CharField(default="", max_length=64)),
                    ("view", ArrayField(base_field=models.FloatField(), default=list, size=None)),
                    ("lead", models.FloatField(null=True)),
                    ("blurred_lead", models.FloatField(null=True)),
                    ("problem", models.CharField(default="", max_length=20)),
                    ("detail", models.JSONField(default=dict)),
                    ("done", models.PositiveIntegerField(default=0)),
                    ("total", models.PositiveIntegerField(default=0)),
                    ("asked_at", models.DateTimeField(null=True)),
                    ("began_at", models.DateTimeField()),
                    ("answered_at", models.DateTimeField(null=True)),
                    ("used_at", models.DateTimeField()),
                    (
                        "created_by",
                        models.ForeignKey(null=True, on_delete=models.SET_NULL, to=settings.AUTH_USER_MODEL),
                    ),
                    (
                        "head",
                        models.ForeignKey(on_delete=models.CASCADE, related_name="+", to="learning.head"),
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
                        "runner_up",
                        models.ForeignKey(
                            db_index=False,
                            null=True,
                            on_delete=models.CASCADE,
                            related_name="+",
                            to="labeling.label",
                        ),
                    ),
                ],
                options={
                    "indexes": [models.Index(fields=["used_at"], name="heat_map_by_use")],
                    "constraints": [
                        models.UniqueConstraint(
                            fields=("image", "head", "label", "runner_up", "recipe"),
                            name="one_heat_map_per_question",
                            nulls_distinct=False,
                        ),
                        models.UniqueConstraint(
                            condition=models.Q(("answered_at__isnull", True)),
                            fields=("created_by",),
                            name="one_open_heat_map_per_user",
                        ),
                        models.CheckConstraint(
                            condition=models.Q(("values", b""), ("problem", ""), _connector="OR"),
                            name="heat_map_or_problem",
                        ),
                    ],
                },
            ),
            migrations.CreateModel(
                name="PromptEmbedding",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("vector", VectorField(null=True)),
                    ("problem", models.CharField(default="", max_length=20)),
                    ("detail", models.JSONField(default=dict)),
                    ("asked_at", models.DateTimeField(null=True)),
                    ("began_at", models.DateTimeField()),
                    ("answered_at", models.DateTimeField(null=True)),
                    (
                        "encoder",
                        models.ForeignKey(on_delete=models.CASCADE, related_name="+", to="learning.encoder"),
                    ),
                    (
                        "prompt",
                        models.ForeignKey(on_delete=models.CASCADE, related_name="+", to="labeling.prompt"),
                    ),
                ],
                options={
                    "constraints": [
                        models.UniqueConstraint(fields=("encoder", "prompt"), name="one_vector_per_prompt"),
                        models.CheckConstraint(
                            condition=models.Q(("vector__isnull", True), ("problem", ""), _connector="OR"),
                            name="prompt_vector_or_problem",
                        ),
                    ]
                },
            ),
            migrations.CreateModel(
                name="PromptTrial",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("digest", models.CharField(max_length=64)),
                    ("prompts", models.JSONField()),
                    ("before", models.JSONField(default=dict)),
                    ("result", models.JSONField(null=True)),
                    ("problem", models.CharField(default="", max_length=20)),
                    ("detail", models.JSONField(default=dict)),
                    ("asked_at", models.DateTimeField(null=True)),
                    ("began_at", models.DateTimeField()),
                    ("answered_at", models.DateTimeField(null=True)),
                    ("used_at", models.DateTimeField()),
                    (
                        "created_by",
                        models.ForeignKey(null=True, on_delete=models.SET_NULL, to=settings.AUTH_USER_MODEL),
                    ),
                    (
                        "dataset",
                        models.ForeignKey(on_delete=models.CASCADE, related_name="+", to="datasets.dataset"),
                    ),
                    (
                        "encoder",
                        models.ForeignKey(on_delete=models.CASCADE, related_name="+", to="learning.encoder"),
                    ),
                ],
                options={
                    "indexes": [models.Index(fields=["used_at"], name="prompt_trial_by_use")],
                    "constraints": [
                        models.UniqueConstraint(
                            fields=("dataset", "encoder", "digest"), name="one_trial_per_question"
                        ),
                        models.CheckConstraint(
                            condition=models.Q(("result__isnull", True), ("problem", ""), _connector="OR"),
                            name="trial_result_or_problem",
                        ),
                    ],
                },
            ),
        ),
        # The models know neither partitions nor the triggers of predictions.
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(PREDICTIONS, NO_PREDICTIONS),
                migrations.RunSQL(TRIGGERS, NO_TRIGGERS),
                migrations.RunSQL(FUNCTIONS, NO_FUNCTIONS),
            ],
            state_operations=[
                CreateModels(
                    migrations.CreateModel(
                        name="Prediction",
                        fields=[
                            (
                                "pk",
                                models.CompositePrimaryKey(
                                    "head_id",
                                    "image_id",
                                    blank=True,
                                    editable=False,
                                    primary_key=True,
                                    serialize=False,
                                ),
                            ),
                            (
                                "head",
                                models.ForeignKey(
                                    db_constraint=False,
                                    db_index=False,
                                    on_delete=models.DO_NOTHING,
                                    to="learning.head",
                                ),
                            ),
                            (
                                "image",
                                models.ForeignKey(
                                    db_constraint=False,
                                    db_index=False,
                                    on_delete=models.DO_NOTHING,
                                    related_name="predictions",
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
                            (
                                "runner_up",
                                models.ForeignKey(
                                    db_constraint=False,
                                    db_index=False,
                                    null=True,
                                    on_delete=models.PROTECT,
                                    related_name="+",
                                    to="labeling.label",
                                ),
                            ),
                            ("confidence", models.FloatField()),
                            ("margin", models.FloatField()),
                            ("entropy", models.FloatField()),
                        ],
                    )
                )
            ],
        ),
    ]
