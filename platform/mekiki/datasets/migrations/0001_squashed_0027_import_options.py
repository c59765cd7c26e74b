"""Every table of this app. It replaces the migrations from before the first release (docs/decisions/0036)."""

import django.core.validators
from django.conf import settings
from django.contrib.postgres.indexes import GinIndex
from django.db import migrations, models
from django.db.models.functions import Now
from pgtrigger.compiler import Trigger, UpsertTriggerSql

import mekiki.datasets.models
from mekiki.config.create_models import CreateModels

# The column was once called `opinions`. In homes that began with the replaced migrations, its constraints still
# have that name, and a later migration must find the same names everywhere. Before PostgreSQL 18, NOT NULL has
# no name.
NAMES = """
ALTER TABLE datasets_dataset
    RENAME CONSTRAINT datasets_dataset_overlap_check TO datasets_dataset_opinions_check;
DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_constraint WHERE conname = 'datasets_dataset_overlap_not_null') THEN
        ALTER TABLE datasets_dataset
            RENAME CONSTRAINT datasets_dataset_overlap_not_null TO datasets_dataset_opinions_not_null;
    END IF;
END $$;
"""


class Migration(migrations.Migration):
    replaces = [
        ("datasets", "0001_initial"),
        ("datasets", "0002_acquisition"),
        ("datasets", "0003_import_outcome"),
        ("datasets", "0004_counts_of_outcomes"),
        ("datasets", "0005_pixel_windows"),
        ("datasets", "0006_image_of_window"),
        ("datasets", "0007_audit_key_index"),
        ("datasets", "0008_addresses"),
        ("datasets", "0009_image_names"),
        ("datasets", "0010_append_only_evidence"),
        ("datasets", "0011_storage_limits"),
        ("datasets", "0012_times_of_the_database"),
        ("datasets", "0013_more_times_of_the_database"),
        ("datasets", "0014_overlap"),
        ("datasets", "0015_reword_choices"),
        ("datasets", "0016_audit_share_changes"),
        ("datasets", "0017_changed_files"),
        ("datasets", "0001_squashed_0017_changed_files"),
        ("datasets", "0018_grid_viewing_time"),
        ("datasets", "0019_critical_overlap"),
        ("datasets", "0020_gold_shares"),
        ("datasets", "0021_divided_queue"),
        ("datasets", "0022_gold_bound"),
        ("datasets", "0023_shortest_viewing_time"),
        ("datasets", "0024_use_detail"),
        ("datasets", "0025_image_facets"),
        ("datasets", "0026_dataset_deletion"),
        ("datasets", "0027_import_options"),
    ]

    initial = True

    # The steps of other packages run first. With each of them Django builds the classes of all models anew that
    # are related to the changed one, and with these tables nearly all models are related to the users.
    dependencies = [
        ("accounts", "0001_squashed_0013_mails"),
        ("django_celery_beat", "0019_alter_periodictasks_options"),
        ("mfa", "0003_authenticator_type_uniq"),
        ("socialaccount", "0006_alter_socialaccount_extra_data"),
    ]

    operations = [
        CreateModels(
            migrations.CreateModel(
                name="Dataset",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("slug", models.SlugField(max_length=60, unique=True, verbose_name="address")),
                    ("name", models.CharField(max_length=120, verbose_name="name")),
                    ("description", models.TextField(blank=True, default="", verbose_name="description")),
                    (
                        "encoder_name",
                        models.CharField(default="pocket", max_length=200, verbose_name="encoder"),
                    ),
                    (
                        "seed",
                        models.CharField(
                            default=mekiki.datasets.models.new_seed, editable=False, max_length=32
                        ),
                    ),
                    (
                        "audit_fraction",
                        models.FloatField(
                            default=0.15,
                            validators=[
                                django.core.validators.MinValueValidator(0.0),
                                django.core.validators.MaxValueValidator(0.9),
                            ],
                            verbose_name="audit share",
                        ),
                    ),
                    (
                        "queue_target",
                        models.PositiveIntegerField(default=100, verbose_name="length of the queue"),
                    ),
                    (
                        "retrain_every",
                        models.PositiveIntegerField(
                            default=50, verbose_name="retrain after this many answers"
                        ),
                    ),
                    (
                        "overlap",
                        models.PositiveSmallIntegerField(
                            default=1, verbose_name="overlap: reviewers for each image"
                        ),
                    ),
                    ("created_at", models.DateTimeField(db_default=Now(), editable=False)),
                    ("archived_at", models.DateTimeField(null=True)),
                    (
                        "created_by",
                        models.ForeignKey(null=True, on_delete=models.SET_NULL, to=settings.AUTH_USER_MODEL),
                    ),
                    (
                        "acquisition",
                        models.CharField(
                            choices=[
                                ("margin", "Where two labels compete"),
                                ("entropy", "Where many labels compete"),
                                ("least_confidence", "Where the best label is weak"),
                                ("k_center", "Unlike the images reviewed so far"),
                                ("typiclust", "Typical of the images not yet reviewed"),
                                ("random", "At random"),
                            ],
                            default="margin",
                            max_length=20,
                            verbose_name="acquisition function",
                        ),
                    ),
                    ("max_bytes", models.PositiveBigIntegerField(blank=True, null=True)),
                    ("max_images", models.PositiveBigIntegerField(blank=True, null=True)),
                    (
                        "grid_image_ms",
                        models.PositiveIntegerField(
                            default=100,
                            validators=[
                                django.core.validators.MinValueValidator(100),
                                django.core.validators.MaxValueValidator(10000),
                            ],
                            verbose_name="grid review: milliseconds for each image",
                        ),
                    ),
                    (
                        "critical_overlap",
                        models.PositiveSmallIntegerField(
                            db_default=1, default=1, verbose_name="least overlap of critical labels"
                        ),
                    ),
                    (
                        "hide_names_from_adjudicators",
                        models.BooleanField(
                            db_default=True,
                            default=True,
                            verbose_name="hide the names of the reviewers from adjudicators",
                        ),
                    ),
                    (
                        "gold_days",
                        models.PositiveSmallIntegerField(
                            default=30,
                            validators=[
                                django.core.validators.MinValueValidator(1),
                                django.core.validators.MaxValueValidator(3650),
                            ],
                            verbose_name="days between two answers to a gold image",
                        ),
                    ),
                    (
                        "gold_share",
                        models.FloatField(
                            default=0.0,
                            validators=[
                                django.core.validators.MinValueValidator(0.0),
                                django.core.validators.MaxValueValidator(0.2),
                            ],
                            verbose_name="share of gold images",
                        ),
                    ),
                    (
                        "repeat_days",
                        models.PositiveSmallIntegerField(
                            default=7,
                            validators=[
                                django.core.validators.MinValueValidator(0),
                                django.core.validators.MaxValueValidator(3650),
                            ],
                            verbose_name="days before a hidden repeat",
                        ),
                    ),
                    (
                        "repeat_share",
                        models.FloatField(
                            default=0.0,
                            validators=[
                                django.core.validators.MinValueValidator(0.0),
                                django.core.validators.MaxValueValidator(0.2),
                            ],
                            verbose_name="share of hidden repeats",
                        ),
                    ),
                    ("queue_is_divided", models.BooleanField(default=False, editable=False)),
                    (
                        "gold_bound",
                        models.FloatField(
                            blank=True,
                            null=True,
                            validators=[
                                django.core.validators.MinValueValidator(0.01),
                                django.core.validators.MaxValueValidator(0.99),
                            ],
                            verbose_name="least accuracy on gold images",
                        ),
                    ),
                    (
                        "gold_bound_answers",
                        models.PositiveIntegerField(
                            default=20,
                            validators=[django.core.validators.MinValueValidator(5)],
                            verbose_name="answers on gold images before the bound applies",
                        ),
                    ),
                    (
                        "requalification_questions",
                        models.PositiveSmallIntegerField(
                            default=5,
                            validators=[
                                django.core.validators.MinValueValidator(1),
                                django.core.validators.MaxValueValidator(50),
                            ],
                            verbose_name="questions of the requalification test",
                        ),
                    ),
                    (
                        "min_display_ms",
                        models.PositiveIntegerField(
                            default=200,
                            validators=[
                                django.core.validators.MinValueValidator(150),
                                django.core.validators.MaxValueValidator(10000),
                            ],
                            verbose_name="shortest viewing time in milliseconds",
                        ),
                    ),
                    (
                        "use_detail",
                        models.BooleanField(
                            db_default=False, default=False, verbose_name="use the local detail of images"
                        ),
                    ),
                    ("deleted_at", models.DateTimeField(blank=True, editable=False, null=True)),
                    ("purge_begun_at", models.DateTimeField(blank=True, editable=False, null=True)),
                    ("purged_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ],
                options={
                    "constraints": [
                        models.CheckConstraint(
                            condition=models.Q(("audit_fraction__gte", 0), ("audit_fraction__lte", 0.9)),
                            name="audit_share_in_range",
                        ),
                        models.CheckConstraint(
                            condition=models.Q(("overlap__gte", 1)), name="overlap_of_at_least_one"
                        ),
                        models.CheckConstraint(
                            condition=models.Q(
                                models.Q(("max_images", 0), _negated=True),
                                models.Q(("max_bytes", 0), _negated=True),
                            ),
                            name="dataset_limits_are_not_zero",
                        ),
                        models.CheckConstraint(
                            condition=models.Q(("grid_image_ms__gte", 100)), name="grid_images_are_looked_at"
                        ),
                        models.CheckConstraint(
                            condition=models.Q(("critical_overlap__gte", 1), ("critical_overlap__lte", 9)),
                            name="critical_overlap_in_range",
                        ),
                        models.CheckConstraint(
                            condition=models.Q(("gold_share__gte", 0), ("gold_share__lte", 0.2)),
                            name="gold_share_in_range",
                        ),
                        models.CheckConstraint(
                            condition=models.Q(("repeat_share__gte", 0), ("repeat_share__lte", 0.2)),
                            name="repeat_share_in_range",
                        ),
                        models.CheckConstraint(
                            condition=models.Q(
                                ("gold_bound__isnull", True),
                                models.Q(("gold_bound__gt", 0), ("gold_bound__lt", 1)),
                                _connector="OR",
                            ),
                            name="gold_bound_in_range",
                        ),
                        models.CheckConstraint(
                            condition=models.Q(
                                ("gold_bound_answers__gte", 1),
                                ("requalification_questions__gte", 1),
                                ("requalification_questions__lte", 50),
                            ),
                            name="requalification_asks_questions",
                        ),
                        models.CheckConstraint(
                            condition=models.Q(("min_display_ms__gte", 150)), name="images_are_looked_at"
                        ),
                        models.CheckConstraint(
                            condition=models.Q(
                                models.Q(
                                    ("deleted_at__isnull", True),
                                    ("archived_at__isnull", False),
                                    _connector="OR",
                                ),
                                models.Q(
                                    ("purge_begun_at__isnull", True),
                                    ("deleted_at__isnull", False),
                                    _connector="OR",
                                ),
                                models.Q(
                                    ("purged_at__isnull", True),
                                    ("purge_begun_at__isnull", False),
                                    _connector="OR",
                                ),
                            ),
                            name="deletion_has_its_order",
                        ),
                    ],
                    "triggers": [
                        Trigger(
                            name="keep_address",
                            sql=UpsertTriggerSql(
                                func="""
INSERT INTO datasets_datasetaddress (slug, dataset_id) VALUES (NEW.slug, NEW.id) ON CONFLICT (slug) DO NOTHING;
IF NOT EXISTS (SELECT FROM datasets_datasetaddress WHERE slug = NEW.slug AND dataset_id = NEW.id) THEN
    RAISE EXCEPTION 'the address % belongs to another dataset', NEW.slug USING ERRCODE = 'unique_violation';
END IF;
RETURN NULL;
""",
                                hash="32cdfa9f026c708a9e771d02285401c73c616981",
                                operation='INSERT OR UPDATE OF "slug"',
                                pgid="pgtrigger_keep_address_74b7d",
                                table="datasets_dataset",
                                when="AFTER",
                            ),
                        ),
                        Trigger(
                            name="fixed_columns",
                            sql=UpsertTriggerSql(
                                condition='WHEN (OLD."seed" IS DISTINCT FROM (NEW."seed"))',
                                func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;",
                                hash="7b720b89766e70b52c22321b8595f922fba09948",
                                operation="UPDATE",
                                pgid="pgtrigger_fixed_columns_0f7d9",
                                table="datasets_dataset",
                                when="BEFORE",
                            ),
                        ),
                    ],
                },
            ),
            migrations.CreateModel(
                name="DatasetAddress",
                fields=[
                    ("slug", models.SlugField(max_length=60, primary_key=True, serialize=False)),
                    ("created_at", models.DateTimeField(db_default=Now(), editable=False)),
                    (
                        "dataset",
                        models.ForeignKey(
                            on_delete=models.CASCADE, related_name="addresses", to="datasets.dataset"
                        ),
                    ),
                ],
                options={
                    "triggers": [
                        Trigger(
                            name="append_only",
                            sql=UpsertTriggerSql(
                                func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;",
                                hash="8e40401fd8e25acb7bb161e88e9e08827d018507",
                                operation="UPDATE OR DELETE",
                                pgid="pgtrigger_append_only_dca59",
                                table="datasets_datasetaddress",
                                when="BEFORE",
                            ),
                        ),
                        Trigger(
                            name="no_truncate",
                            sql=UpsertTriggerSql(
                                func="RAISE EXCEPTION 'this table is append-only';",
                                hash="6e81a61491b2473bc20358f484be353368e45597",
                                level="STATEMENT",
                                operation="TRUNCATE",
                                pgid="pgtrigger_no_truncate_69163",
                                table="datasets_datasetaddress",
                                when="BEFORE",
                            ),
                        ),
                        Trigger(
                            name="set_time",
                            sql=UpsertTriggerSql(
                                func="NEW.created_at := pg_catalog.statement_timestamp(); RETURN NEW;",
                                hash="5b2c6bd86aa2cba6843fe076ee730413b320efd8",
                                operation="INSERT",
                                pgid="pgtrigger_set_time_213c8",
                                table="datasets_datasetaddress",
                                when="BEFORE",
                            ),
                        ),
                    ]
                },
            ),
            migrations.CreateModel(
                name="DatasetUsage",
                fields=[
                    (
                        "dataset",
                        models.OneToOneField(
                            on_delete=models.CASCADE,
                            primary_key=True,
                            related_name="usage",
                            serialize=False,
                            to="datasets.dataset",
                        ),
                    ),
                    ("images", models.PositiveBigIntegerField(default=0)),
                    ("bytes", models.PositiveBigIntegerField(default=0)),
                ],
            ),
            migrations.CreateModel(
                name="ImportBatch",
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
                                ("upload", "upload"),
                                ("folder", "folder on the server"),
                                ("manifest", "manifest"),
                                ("listed", "manifest on the server"),
                                ("bucket", "S3 bucket"),
                                ("watched", "watched folder"),
                            ],
                            max_length=10,
                        ),
                    ),
                    ("location", models.TextField(default="")),
                    ("created_at", models.DateTimeField(db_default=Now(), editable=False)),
                    ("finished_at", models.DateTimeField(null=True)),
                    ("added", models.PositiveIntegerField(default=0)),
                    ("duplicates", models.PositiveIntegerField(default=0)),
                    ("rejected", models.PositiveIntegerField(default=0)),
                    (
                        "created_by",
                        models.ForeignKey(null=True, on_delete=models.SET_NULL, to=settings.AUTH_USER_MODEL),
                    ),
                    (
                        "dataset",
                        models.ForeignKey(
                            on_delete=models.CASCADE, related_name="imports", to="datasets.dataset"
                        ),
                    ),
                    ("metadata_changed", models.PositiveIntegerField(default=0)),
                    ("noted", models.PositiveIntegerField(default=0)),
                    ("partly", models.PositiveIntegerField(default=0)),
                    ("skipped", models.PositiveIntegerField(default=0)),
                    ("every_page", models.BooleanField(default=False)),
                    ("waiting_bytes", models.PositiveBigIntegerField(default=0)),
                    ("entries_done", models.PositiveBigIntegerField(db_default=0, default=0)),
                    ("entries_refused", models.PositiveBigIntegerField(db_default=0, default=0)),
                    ("entries_taken", models.PositiveBigIntegerField(db_default=0, default=0)),
                    ("folder_labels", models.BooleanField(db_default=False, default=False)),
                    ("keep_place", models.BooleanField(db_default=False, default=False)),
                    ("label_column", models.CharField(db_default="", default="", max_length=200)),
                    ("label_source", models.CharField(db_default="", default="", max_length=100)),
                    (
                        "label_use",
                        models.CharField(
                            choices=[
                                ("ignore", "Leave them out"),
                                ("compare", "Keep them for comparison"),
                                ("train", "Keep them and train heads on them"),
                            ],
                            db_default="ignore",
                            default="ignore",
                            max_length=10,
                        ),
                    ),
                    ("path_pattern", models.CharField(db_default="", default="", max_length=500)),
                    ("read_exif", models.BooleanField(db_default=False, default=False)),
                    ("root", models.TextField(db_default="", default="")),
                    ("title", models.TextField(db_default="", default="")),
                    ("undone_at", models.DateTimeField(null=True)),
                ],
                options={
                    "constraints": [
                        models.CheckConstraint(
                            condition=models.Q(("label_use__in", ["ignore", "compare", "train"])),
                            name="label_use_is_known",
                        ),
                        models.CheckConstraint(
                            condition=models.Q(
                                ("label_use", "ignore"),
                                models.Q(("label_source", ""), _negated=True),
                                _connector="OR",
                            ),
                            name="imported_labels_have_a_source",
                        ),
                    ]
                },
            ),
            migrations.CreateModel(
                name="ImportProblem",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("name", models.TextField()),
                    ("code", models.CharField(max_length=40)),
                    ("detail", models.JSONField(default=dict)),
                    (
                        "batch",
                        models.ForeignKey(
                            on_delete=models.CASCADE, related_name="problems", to="datasets.importbatch"
                        ),
                    ),
                    (
                        "outcome",
                        models.CharField(
                            choices=[
                                ("refused", "Not imported"),
                                ("partly", "Imported in part"),
                                ("skipped", "Ignored"),
                                ("noted", "Imported, with a note"),
                            ],
                            default="refused",
                            max_length=10,
                        ),
                    ),
                ],
                options={
                    "indexes": [models.Index(fields=["batch", "outcome", "id"], name="problem_by_outcome")],
                    "constraints": [
                        models.UniqueConstraint(
                            fields=("batch", "name", "code"), name="one_problem_per_file"
                        ),
                        models.CheckConstraint(
                            condition=models.Q(("outcome__in", ["refused", "partly", "skipped", "noted"])),
                            name="import_outcome_is_known",
                        ),
                    ],
                },
            ),
            migrations.CreateModel(
                name="PixelWindow",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("camera", models.CharField(blank=True, default="", max_length=200)),
                    ("sample", models.CharField(max_length=10)),
                    ("black", models.FloatField(verbose_name="black")),
                    ("white", models.FloatField(verbose_name="white")),
                    ("estimated_from", models.PositiveIntegerField(default=0)),
                    ("version", models.PositiveIntegerField(default=1)),
                    ("created_at", models.DateTimeField(db_default=Now(), editable=False)),
                    (
                        "dataset",
                        models.ForeignKey(
                            on_delete=models.CASCADE, related_name="windows", to="datasets.dataset"
                        ),
                    ),
                ],
                options={
                    "constraints": [
                        models.UniqueConstraint(
                            fields=("dataset", "camera", "sample"), name="one_window_per_group"
                        ),
                        models.CheckConstraint(
                            condition=models.Q(("black", models.F("white")), _negated=True),
                            name="window_black_is_not_white",
                        ),
                    ]
                },
            ),
            migrations.CreateModel(
                name="Image",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("sha256", models.CharField(max_length=64)),
                    ("name", models.TextField()),
                    ("format", models.CharField(max_length=10)),
                    ("width", models.PositiveIntegerField()),
                    ("height", models.PositiveIntegerField()),
                    ("size", models.PositiveBigIntegerField()),
                    ("metadata", models.JSONField(default=dict)),
                    ("audit_key", models.FloatField()),
                    ("created_at", models.DateTimeField(db_default=Now(), editable=False)),
                    (
                        "dataset",
                        models.ForeignKey(
                            on_delete=models.CASCADE, related_name="images", to="datasets.dataset"
                        ),
                    ),
                    (
                        "batch",
                        models.ForeignKey(
                            db_index=False, null=True, on_delete=models.SET_NULL, to="datasets.importbatch"
                        ),
                    ),
                    ("has_display", models.BooleanField(null=True)),
                    ("rendition", models.PositiveIntegerField(default=0)),
                    ("window_version", models.PositiveIntegerField(default=0)),
                    (
                        "window",
                        models.ForeignKey(
                            db_index=False,
                            null=True,
                            on_delete=models.SET_NULL,
                            related_name="images",
                            to="datasets.pixelwindow",
                        ),
                    ),
                ],
                options={
                    "indexes": [
                        models.Index(fields=["dataset", "id"], name="image_of_dataset"),
                        models.Index(
                            condition=models.Q(("window__isnull", False)),
                            fields=["window", "window_version"],
                            name="image_of_window",
                        ),
                        models.Index(fields=["dataset", "audit_key", "id"], name="image_by_audit_key"),
                        GinIndex(fields=["metadata"], name="image_by_metadata", opclasses=["jsonb_path_ops"]),
                        models.Index(fields=["dataset", "created_at", "id"], name="image_by_time"),
                        models.Index(fields=["batch", "id"], name="image_of_import"),
                    ],
                    "constraints": [
                        models.UniqueConstraint(fields=("dataset", "sha256"), name="one_image_per_content"),
                        models.CheckConstraint(
                            condition=models.Q(("audit_key__gte", 0), ("audit_key__lt", 1)),
                            name="audit_key_in_range",
                        ),
                    ],
                    "triggers": [
                        Trigger(
                            name="no_truncate",
                            sql=UpsertTriggerSql(
                                func="RAISE EXCEPTION 'this table is append-only';",
                                hash="6961e7c66981756a12964cb92f8272513969aec9",
                                level="STATEMENT",
                                operation="TRUNCATE",
                                pgid="pgtrigger_no_truncate_f336d",
                                table="datasets_image",
                                when="BEFORE",
                            ),
                        ),
                        Trigger(
                            name="fixed_columns",
                            sql=UpsertTriggerSql(
                                condition='WHEN (OLD."audit_key" IS DISTINCT FROM (NEW."audit_key") OR OLD."created_at" IS DISTINCT FROM (NEW."created_at") OR OLD."dataset_id" IS DISTINCT FROM (NEW."dataset_id") OR OLD."sha256" IS DISTINCT FROM (NEW."sha256"))',
                                func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;",
                                hash="a9ae439fd6cecd1da6d4baf3ce5e13fbc3fcdf66",
                                operation="UPDATE",
                                pgid="pgtrigger_fixed_columns_ba189",
                                table="datasets_image",
                                when="BEFORE",
                            ),
                        ),
                        Trigger(
                            name="count_added",
                            sql=UpsertTriggerSql(
                                func="""
    PERFORM FROM datasets_platformquota WHERE max_images IS NOT NULL OR max_bytes IS NOT NULL FOR UPDATE;
    INSERT INTO datasets_datasetusage AS u (dataset_id, images, bytes)
    SELECT dataset_id, count(*), sum(size) FROM changed GROUP BY dataset_id ORDER BY dataset_id
    ON CONFLICT (dataset_id) DO UPDATE SET images = u.images + EXCLUDED.images, bytes = u.bytes + EXCLUDED.bytes;
    IF EXISTS (
        SELECT FROM datasets_datasetusage u JOIN datasets_dataset d ON d.id = u.dataset_id
        WHERE u.dataset_id IN (SELECT dataset_id FROM changed) AND (u.images > d.max_images OR u.bytes > d.max_bytes)
    ) THEN
        RAISE EXCEPTION 'the dataset would store more than its limit' USING ERRCODE = 'check_violation';
    END IF;
    IF EXISTS (SELECT FROM changed) AND EXISTS (
        SELECT FROM datasets_platformquota q, (SELECT sum(images) AS images, sum(bytes) AS bytes FROM datasets_datasetusage) u
        WHERE u.images > q.max_images OR u.bytes > q.max_bytes
    ) THEN
        RAISE EXCEPTION 'the platform would store more than its limit' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
""",
                                hash="78d35c69036e4625df2f9c27537cff4ed03066f3",
                                level="STATEMENT",
                                operation="INSERT",
                                pgid="pgtrigger_count_added_d29f5",
                                referencing="REFERENCING NEW TABLE AS changed ",
                                table="datasets_image",
                                when="AFTER",
                            ),
                        ),
                        Trigger(
                            name="count_removed",
                            sql=UpsertTriggerSql(
                                func="""
    UPDATE datasets_datasetusage u SET images = u.images - c.images, bytes = u.bytes - c.bytes
    FROM (SELECT dataset_id, count(*) AS images, sum(size) AS bytes FROM changed GROUP BY dataset_id) c
    WHERE u.dataset_id = c.dataset_id;
    RETURN NULL;
""",
                                hash="67aff5db4cdf2115fc902de26d52be0f6cab6bf0",
                                level="STATEMENT",
                                operation="DELETE",
                                pgid="pgtrigger_count_removed_987cb",
                                referencing="REFERENCING OLD TABLE AS changed ",
                                table="datasets_image",
                                when="AFTER",
                            ),
                        ),
                    ],
                },
            ),
            migrations.CreateModel(
                name="ImageName",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("name", models.TextField()),
                    (
                        "batch",
                        models.ForeignKey(null=True, on_delete=models.SET_NULL, to="datasets.importbatch"),
                    ),
                    (
                        "image",
                        models.ForeignKey(
                            on_delete=models.CASCADE, related_name="other_names", to="datasets.image"
                        ),
                    ),
                ],
                options={
                    "constraints": [models.UniqueConstraint(fields=("image", "name"), name="other_name_once")]
                },
            ),
            migrations.CreateModel(
                name="PlatformQuota",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("max_images", models.PositiveBigIntegerField(blank=True, null=True)),
                    ("max_bytes", models.PositiveBigIntegerField(blank=True, null=True)),
                ],
                options={
                    "constraints": [
                        models.CheckConstraint(
                            condition=models.Q(("pk", 1)), name="one_row_of_platform_quota"
                        ),
                        models.CheckConstraint(
                            condition=models.Q(
                                models.Q(("max_images", 0), _negated=True),
                                models.Q(("max_bytes", 0), _negated=True),
                            ),
                            name="platform_limits_are_not_zero",
                        ),
                    ]
                },
            ),
            migrations.CreateModel(
                name="AuditShareChange",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("before", models.FloatField()),
                    ("after", models.FloatField()),
                    ("changed_at", models.DateTimeField(db_default=Now(), editable=False)),
                    (
                        "dataset",
                        models.ForeignKey(
                            on_delete=models.CASCADE,
                            related_name="audit_share_changes",
                            to="datasets.dataset",
                        ),
                    ),
                ],
                options={
                    "constraints": [
                        models.CheckConstraint(
                            condition=models.Q(
                                ("after__gte", 0),
                                ("after__lte", 0.9),
                                ("before__gte", 0),
                                ("before__lte", 0.9),
                            ),
                            name="changed_share_in_range",
                        ),
                        models.CheckConstraint(
                            condition=models.Q(("before", models.F("after")), _negated=True),
                            name="changed_share_is_another",
                        ),
                    ],
                    "triggers": [
                        Trigger(
                            name="append_only",
                            sql=UpsertTriggerSql(
                                func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;",
                                hash="5fd2dbb670ee0eac70ca5bfc2f26753b73f597f3",
                                operation="UPDATE OR DELETE",
                                pgid="pgtrigger_append_only_80b90",
                                table="datasets_auditsharechange",
                                when="BEFORE",
                            ),
                        ),
                        Trigger(
                            name="no_truncate",
                            sql=UpsertTriggerSql(
                                func="RAISE EXCEPTION 'this table is append-only';",
                                hash="1fbf1d21e300ee58cd95f0ffb2e8529750de4946",
                                level="STATEMENT",
                                operation="TRUNCATE",
                                pgid="pgtrigger_no_truncate_4fe81",
                                table="datasets_auditsharechange",
                                when="BEFORE",
                            ),
                        ),
                        Trigger(
                            name="set_time",
                            sql=UpsertTriggerSql(
                                func="NEW.changed_at := pg_catalog.statement_timestamp(); RETURN NEW;",
                                hash="ad9b48010930b0472c13b1ee2d29a82a979defcf",
                                operation="INSERT",
                                pgid="pgtrigger_set_time_ce859",
                                table="datasets_auditsharechange",
                                when="BEFORE",
                            ),
                        ),
                    ],
                },
            ),
            migrations.CreateModel(
                name="ChangedFile",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("kind", models.CharField(max_length=60)),
                    ("object_id", models.CharField(max_length=64)),
                    ("expected", models.CharField(max_length=64)),
                    ("actual", models.CharField(max_length=64)),
                    ("noticed_at", models.DateTimeField(db_default=Now(), editable=False)),
                    (
                        "dataset",
                        models.ForeignKey(
                            on_delete=models.CASCADE, related_name="changed_files", to="datasets.dataset"
                        ),
                    ),
                ],
                options={
                    "constraints": [
                        models.UniqueConstraint(
                            fields=("dataset", "kind", "object_id", "actual"),
                            name="changed_file_reported_once",
                        ),
                        models.CheckConstraint(
                            condition=models.Q(("expected", models.F("actual")), _negated=True),
                            name="changed_file_has_another_hash",
                        ),
                    ],
                    "triggers": [
                        Trigger(
                            name="append_only",
                            sql=UpsertTriggerSql(
                                func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;",
                                hash="1d3f1680de274955be9b06129c315a95a66351ca",
                                operation="UPDATE OR DELETE",
                                pgid="pgtrigger_append_only_9bd64",
                                table="datasets_changedfile",
                                when="BEFORE",
                            ),
                        ),
                        Trigger(
                            name="no_truncate",
                            sql=UpsertTriggerSql(
                                func="RAISE EXCEPTION 'this table is append-only';",
                                hash="8fa07925e87d290a78ba14870b4eaf41212b1b64",
                                level="STATEMENT",
                                operation="TRUNCATE",
                                pgid="pgtrigger_no_truncate_2c7d5",
                                table="datasets_changedfile",
                                when="BEFORE",
                            ),
                        ),
                        Trigger(
                            name="set_time",
                            sql=UpsertTriggerSql(
                                func="NEW.noticed_at := pg_catalog.statement_timestamp(); RETURN NEW;",
                                hash="369458740efcdeacaa649948e25d84edcf51d95e",
                                operation="INSERT",
                                pgid="pgtrigger_set_time_50edf",
                                table="datasets_changedfile",
                                when="BEFORE",
                            ),
                        ),
                    ],
                },
            ),
            migrations.CreateModel(
                name="SeenFile",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("place", models.CharField(max_length=500)),
                    ("name", models.TextField()),
                    ("mark", models.CharField(max_length=200)),
                    (
                        "state",
                        models.CharField(
                            choices=[("seen", "Seen"), ("settled", "Settled"), ("taken", "Taken")],
                            default="seen",
                            max_length=10,
                        ),
                    ),
                    (
                        "batch",
                        models.ForeignKey(
                            null=True,
                            on_delete=models.CASCADE,
                            related_name="seen_files",
                            to="datasets.importbatch",
                        ),
                    ),
                    (
                        "dataset",
                        models.ForeignKey(
                            on_delete=models.CASCADE, related_name="seen_files", to="datasets.dataset"
                        ),
                    ),
                ],
                options={
                    "constraints": [
                        models.UniqueConstraint(
                            fields=("dataset", "place", "name"), name="one_row_per_seen_file"
                        ),
                        models.CheckConstraint(
                            condition=models.Q(("state__in", ["seen", "settled", "taken"])),
                            name="seen_state_is_known",
                        ),
                    ]
                },
            ),
            migrations.CreateModel(
                name="WatchedFolder",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("location", models.CharField(max_length=500)),
                    ("minutes", models.PositiveIntegerField(default=5)),
                    ("options", models.JSONField(default=dict)),
                    ("created_at", models.DateTimeField(db_default=Now(), editable=False)),
                    ("scanned_at", models.DateTimeField(null=True)),
                    ("problem", models.TextField(default="")),
                    ("ended_at", models.DateTimeField(null=True)),
                    (
                        "created_by",
                        models.ForeignKey(null=True, on_delete=models.SET_NULL, to=settings.AUTH_USER_MODEL),
                    ),
                    (
                        "dataset",
                        models.ForeignKey(
                            on_delete=models.CASCADE, related_name="watched_folders", to="datasets.dataset"
                        ),
                    ),
                ],
                options={
                    "constraints": [
                        models.UniqueConstraint(
                            condition=models.Q(("ended_at__isnull", True)),
                            fields=("dataset", "location"),
                            name="one_watch_per_folder",
                        ),
                        models.CheckConstraint(
                            condition=models.Q(("minutes__gte", 1), ("minutes__lte", 1440)),
                            name="watch_minutes_in_range",
                        ),
                    ]
                },
            ),
        ),
        migrations.RunSQL(NAMES, migrations.RunSQL.noop),
    ]
