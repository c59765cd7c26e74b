"""Every table of this app. It replaces the migrations from before the first release (docs/decisions/0036)."""

from django.contrib.postgres.indexes import OpClass
from django.db import migrations, models
from django.db.models.functions import Now
from pgtrigger.compiler import Trigger, UpsertTriggerSql


class Migration(migrations.Migration):
    replaces = [
        ("audit", "0001_initial"),
        ("audit", "0002_settings_index"),
        ("audit", "0003_event_indexes"),
        ("audit", "0004_seals"),
        ("audit", "0005_append_only_evidence"),
        ("audit", "0006_times_of_keys_and_stamps"),
        ("audit", "0007_drop_settings_index"),
    ]

    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Event",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("at", models.DateTimeField(db_default=Now(), editable=False)),
                ("kind", models.CharField(max_length=60)),
                ("actor_id", models.BigIntegerField(null=True)),
                ("actor_name", models.CharField(default="", max_length=150)),
                ("dataset_id", models.BigIntegerField(null=True)),
                ("object_type", models.CharField(default="", max_length=40)),
                ("object_id", models.CharField(default="", max_length=64)),
                ("data", models.JSONField(default=dict)),
            ],
            options={
                "indexes": [
                    models.Index(fields=["dataset_id", "-at", "-id"], name="event_of_dataset_by_time"),
                    models.Index(fields=["-at", "-id"], name="event_by_time"),
                    models.Index(
                        OpClass("kind", name="varchar_pattern_ops"),
                        models.OrderBy(models.F("at"), descending=True),
                        models.OrderBy(models.F("id"), descending=True),
                        name="event_by_kind",
                    ),
                    models.Index(fields=["actor_name", "-at", "-id"], name="event_by_actor"),
                ],
                "triggers": [
                    Trigger(
                        name="append_only",
                        sql=UpsertTriggerSql(
                            func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;",
                            hash="e1de01de2c9f0df2033cadb85ebc9cff5820c148",
                            operation="UPDATE OR DELETE",
                            pgid="pgtrigger_append_only_7d947",
                            table="audit_event",
                            when="BEFORE",
                        ),
                    ),
                    Trigger(
                        name="no_truncate",
                        sql=UpsertTriggerSql(
                            func="RAISE EXCEPTION 'this table is append-only';",
                            hash="adf208b83885fe155ba192628f4ca4eb8ce5a48d",
                            level="STATEMENT",
                            operation="TRUNCATE",
                            pgid="pgtrigger_no_truncate_06d01",
                            table="audit_event",
                            when="BEFORE",
                        ),
                    ),
                    Trigger(
                        name="set_time",
                        sql=UpsertTriggerSql(
                            func="NEW.at := pg_catalog.statement_timestamp(); RETURN NEW;",
                            hash="8f45a74dc5286c8f045d8edff23dff00150ebcdb",
                            operation="INSERT",
                            pgid="pgtrigger_set_time_41c42",
                            table="audit_event",
                            when="BEFORE",
                        ),
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="SigningKey",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("fingerprint", models.CharField(max_length=64, unique=True)),
                ("public_pem", models.TextField()),
                (
                    "act",
                    models.CharField(
                        choices=[
                            ("made", "made at set-up"),
                            ("registered", "taken over from an older version"),
                            ("rotated", "replaced the key before, which signed for it"),
                            ("replaced", "replaced a key that was lost"),
                        ],
                        max_length=10,
                    ),
                ),
                ("endorsement", models.BinaryField(default=b"")),
                ("actor_name", models.CharField(default="", max_length=150)),
                ("at", models.DateTimeField(db_default=Now(), editable=False)),
            ],
            options={
                "triggers": [
                    Trigger(
                        name="append_only",
                        sql=UpsertTriggerSql(
                            func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;",
                            hash="0e1521242c1817b9f0b25743680034c7f37e541a",
                            operation="UPDATE OR DELETE",
                            pgid="pgtrigger_append_only_62229",
                            table="audit_signingkey",
                            when="BEFORE",
                        ),
                    ),
                    Trigger(
                        name="no_truncate",
                        sql=UpsertTriggerSql(
                            func="RAISE EXCEPTION 'this table is append-only';",
                            hash="666fae195d4f9bb57746d1a90b5152f27d05d99a",
                            level="STATEMENT",
                            operation="TRUNCATE",
                            pgid="pgtrigger_no_truncate_78775",
                            table="audit_signingkey",
                            when="BEFORE",
                        ),
                    ),
                    Trigger(
                        name="set_time",
                        sql=UpsertTriggerSql(
                            func="NEW.at := pg_catalog.statement_timestamp(); RETURN NEW;",
                            hash="a4a867512866efd5317cda5910b1bd9acafc2299",
                            operation="INSERT",
                            pgid="pgtrigger_set_time_c5346",
                            table="audit_signingkey",
                            when="BEFORE",
                        ),
                    ),
                ]
            },
        ),
        migrations.CreateModel(
            name="Seal",
            fields=[
                ("number", models.PositiveBigIntegerField(primary_key=True, serialize=False)),
                ("table", models.CharField(max_length=40)),
                ("first_id", models.BigIntegerField()),
                ("last_id", models.BigIntegerField()),
                ("rows", models.PositiveIntegerField()),
                ("root", models.BinaryField()),
                ("previous", models.BinaryField()),
                ("sealed_at", models.DateTimeField()),
                ("hash", models.BinaryField()),
                ("log_root", models.BinaryField()),
                ("log_peaks", models.BinaryField()),
                ("signature", models.BinaryField()),
                ("key", models.ForeignKey(on_delete=models.PROTECT, related_name="+", to="audit.signingkey")),
            ],
            options={
                "ordering": ["-number"],
                "indexes": [models.Index(fields=["table", "-number"], name="seal_of_table")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("last_id__gte", models.F("first_id")), ("number__gte", 1), ("rows__gte", 1)
                        ),
                        name="seal_covers_rows",
                    )
                ],
                "triggers": [
                    Trigger(
                        name="append_only",
                        sql=UpsertTriggerSql(
                            func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;",
                            hash="425da599b8e4cf7384a383a64e17697a9d08a345",
                            operation="UPDATE OR DELETE",
                            pgid="pgtrigger_append_only_4de12",
                            table="audit_seal",
                            when="BEFORE",
                        ),
                    ),
                    Trigger(
                        name="no_truncate",
                        sql=UpsertTriggerSql(
                            func="RAISE EXCEPTION 'this table is append-only';",
                            hash="c06dfd32218594778795779fd729f860878d4700",
                            level="STATEMENT",
                            operation="TRUNCATE",
                            pgid="pgtrigger_no_truncate_2e740",
                            table="audit_seal",
                            when="BEFORE",
                        ),
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="SealLeaves",
            fields=[
                (
                    "seal",
                    models.OneToOneField(
                        on_delete=models.PROTECT,
                        primary_key=True,
                        related_name="leaves",
                        serialize=False,
                        to="audit.seal",
                    ),
                ),
                ("ids", models.BinaryField()),
                ("hashes", models.BinaryField()),
            ],
            options={
                "triggers": [
                    Trigger(
                        name="append_only",
                        sql=UpsertTriggerSql(
                            func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;",
                            hash="51eb14e0971dfaa9f3a2ef6248986362842fe851",
                            operation="UPDATE OR DELETE",
                            pgid="pgtrigger_append_only_f4281",
                            table="audit_sealleaves",
                            when="BEFORE",
                        ),
                    ),
                    Trigger(
                        name="no_truncate",
                        sql=UpsertTriggerSql(
                            func="RAISE EXCEPTION 'this table is append-only';",
                            hash="609973ed9a95c4999ae829d0da27e17262893899",
                            level="STATEMENT",
                            operation="TRUNCATE",
                            pgid="pgtrigger_no_truncate_de799",
                            table="audit_sealleaves",
                            when="BEFORE",
                        ),
                    ),
                ]
            },
        ),
        migrations.CreateModel(
            name="SealTimeStamp",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("reply", models.BinaryField()),
                ("roots_pem", models.TextField(default="")),
                ("authority", models.CharField(max_length=300)),
                ("stamped_at", models.DateTimeField()),
                ("added_by", models.CharField(default="", max_length=150)),
                ("at", models.DateTimeField(db_default=Now(), editable=False)),
                (
                    "seal",
                    models.ForeignKey(on_delete=models.PROTECT, related_name="time_stamps", to="audit.seal"),
                ),
            ],
            options={
                "triggers": [
                    Trigger(
                        name="append_only",
                        sql=UpsertTriggerSql(
                            func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;",
                            hash="d153b5704e478b4ddfbfea11f72726518d272cec",
                            operation="UPDATE OR DELETE",
                            pgid="pgtrigger_append_only_0cbad",
                            table="audit_sealtimestamp",
                            when="BEFORE",
                        ),
                    ),
                    Trigger(
                        name="no_truncate",
                        sql=UpsertTriggerSql(
                            func="RAISE EXCEPTION 'this table is append-only';",
                            hash="f03590f4f129b0a8262ecbf168c8d86371fa8b97",
                            level="STATEMENT",
                            operation="TRUNCATE",
                            pgid="pgtrigger_no_truncate_7b086",
                            table="audit_sealtimestamp",
                            when="BEFORE",
                        ),
                    ),
                    Trigger(
                        name="set_time",
                        sql=UpsertTriggerSql(
                            func="NEW.at := pg_catalog.statement_timestamp(); RETURN NEW;",
                            hash="ad2576f3daa47321cac72b6edd028bbab371c157",
                            operation="INSERT",
                            pgid="pgtrigger_set_time_7f1f1",
                            table="audit_sealtimestamp",
                            when="BEFORE",
                        ),
                    ),
                ]
            },
        ),
        migrations.CreateModel(
            name="SealCheck",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("at", models.DateTimeField(db_default=Now(), editable=False)),
                ("ok", models.BooleanField()),
                ("seals", models.PositiveBigIntegerField()),
                ("rows", models.PositiveBigIntegerField()),
                ("unsealed", models.PositiveBigIntegerField()),
                ("findings", models.JSONField(default=list)),
            ],
            options={"indexes": [models.Index(fields=["-at"], name="seal_check_by_time")]},
        ),
    ]
