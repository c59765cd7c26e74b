"""Every table of this app except the memberships. It replaces the migrations from before the first release (docs/decisions/0036)."""

import django.contrib.auth.validators
import django.utils.timezone
from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import migrations, models
from django.db.models.functions import Now

import mekiki.accounts.models

# Homes that began with the replaced migrations have these names. A later migration must find the same names
# everywhere.
NAMES = """
ALTER TABLE accounts_user
    RENAME CONSTRAINT accounts_user_name_key_key TO accounts_user_name_key_ea81cca0_uniq;
ALTER TABLE accounts_user
    RENAME CONSTRAINT accounts_user_look_key_key TO accounts_user_look_key_9c5220b2_uniq;
"""


class Migration(migrations.Migration):
    replaces = [
        ("accounts", "0001_initial"),
        ("accounts", "0003_login_tries"),
        ("accounts", "0004_name_keys"),
        ("accounts", "0005_fill_name_keys"),
        ("accounts", "0006_unique_name_keys"),
        ("accounts", "0007_site_settings"),
        ("accounts", "0008_login_protection"),
        ("accounts", "0009_second_factor_required"),
        ("accounts", "0010_sessions"),
        ("accounts", "0011_password_resets"),
        ("accounts", "0013_mails"),
    ]

    initial = True

    dependencies = [("auth", "0012_alter_user_first_name_max_length")]

    operations = [
        migrations.CreateModel(
            name="User",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("password", models.CharField(max_length=128, verbose_name="password")),
                ("last_login", models.DateTimeField(blank=True, null=True, verbose_name="last login")),
                (
                    "is_superuser",
                    models.BooleanField(
                        default=False,
                        help_text="Designates that this user has all permissions without explicitly assigning them.",
                        verbose_name="superuser status",
                    ),
                ),
                (
                    "username",
                    models.CharField(
                        error_messages={"unique": "A user with that username already exists."},
                        help_text="Required. 150 characters or fewer. Letters, digits and @/./+/-/_ only.",
                        max_length=150,
                        unique=True,
                        validators=[django.contrib.auth.validators.UnicodeUsernameValidator()],
                        verbose_name="username",
                    ),
                ),
                ("first_name", models.CharField(blank=True, max_length=150, verbose_name="first name")),
                ("last_name", models.CharField(blank=True, max_length=150, verbose_name="last name")),
                ("email", models.EmailField(blank=True, max_length=254, verbose_name="email address")),
                (
                    "is_staff",
                    models.BooleanField(
                        default=False,
                        help_text="Designates whether the user can log into this admin site.",
                        verbose_name="staff status",
                    ),
                ),
                (
                    "is_active",
                    models.BooleanField(
                        default=True,
                        help_text="Designates whether this user should be treated as active. Unselect this instead of deleting accounts.",
                        verbose_name="active",
                    ),
                ),
                (
                    "date_joined",
                    models.DateTimeField(default=django.utils.timezone.now, verbose_name="date joined"),
                ),
                (
                    "language",
                    models.CharField(blank=True, default="", max_length=10, verbose_name="language"),
                ),
                (
                    "may_create_datasets",
                    models.BooleanField(default=False, verbose_name="may create datasets"),
                ),
                ("name_key", models.TextField(blank=True, editable=False, unique=True)),
                ("look_key", models.TextField(blank=True, editable=False, unique=True)),
                (
                    "must_change_password",
                    models.BooleanField(default=False, verbose_name="must change the password"),
                ),
                (
                    "groups",
                    models.ManyToManyField(
                        blank=True,
                        help_text="The groups this user belongs to. A user will get all permissions granted to each of their groups.",
                        related_name="user_set",
                        related_query_name="user",
                        to="auth.group",
                        verbose_name="groups",
                    ),
                ),
                (
                    "user_permissions",
                    models.ManyToManyField(
                        blank=True,
                        help_text="Specific permissions for this user.",
                        related_name="user_set",
                        related_query_name="user",
                        to="auth.permission",
                        verbose_name="user permissions",
                    ),
                ),
            ],
            options={
                "verbose_name": "user",
                "verbose_name_plural": "users",
                "abstract": False,
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("name_key", ""), _negated=True),
                            models.Q(("look_key", ""), _negated=True),
                        ),
                        name="user_has_comparison_keys",
                    )
                ],
            },
            managers=[("objects", mekiki.accounts.models.PeopleManager())],
        ),
        migrations.RunSQL(NAMES, migrations.RunSQL.noop),
        migrations.CreateModel(
            name="LoginTry",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=150)),
                ("address", models.CharField(max_length=64)),
                ("at", models.DateTimeField(db_default=Now())),
                ("device", models.CharField(blank=True, default="", max_length=71)),
                ("is_known", models.BooleanField(default=False)),
                ("password_digest", models.CharField(blank=True, default="", max_length=8)),
                ("refused", models.BooleanField(default=False)),
            ],
            options={
                "indexes": [
                    models.Index(fields=["name", "address", "-at"], name="login_try_recent"),
                    models.Index(fields=["name", "-at"], name="login_try_of_account"),
                    models.Index(fields=["address", "-at"], name="login_try_of_address"),
                    models.Index(fields=["password_digest", "-at"], name="login_try_of_password"),
                    models.Index(fields=["at"], name="login_try_by_time"),
                ]
            },
        ),
        migrations.CreateModel(
            name="SiteSettings",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("time_zone", models.CharField(blank=True, default="", max_length=64)),
                ("second_factor_required", models.BooleanField(default=False)),
                ("head_mailed_at", models.DateTimeField(null=True)),
                ("head_mailed_seal", models.PositiveBigIntegerField(default=0)),
                (
                    "head_recipients",
                    ArrayField(base_field=models.EmailField(max_length=254), default=list, size=None),
                ),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("pk", 1)), name="one_row_of_site_settings")
                ]
            },
        ),
        migrations.CreateModel(
            name="KnownPlace",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("key", models.CharField(max_length=80)),
                ("first_at", models.DateTimeField(db_default=Now())),
                ("last_at", models.DateTimeField(db_default=Now())),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=models.CASCADE, related_name="known_places", to=settings.AUTH_USER_MODEL
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("user", "key"), name="one_row_per_known_place")
                ]
            },
        ),
        migrations.CreateModel(
            name="Session",
            fields=[
                (
                    "session_key",
                    models.CharField(
                        max_length=40, primary_key=True, serialize=False, verbose_name="session key"
                    ),
                ),
                ("session_data", models.TextField(verbose_name="session data")),
                ("expire_date", models.DateTimeField(db_index=True, verbose_name="expire date")),
                ("created_at", models.DateTimeField(db_default=Now())),
                ("used_at", models.DateTimeField(db_default=Now(), db_index=True)),
                ("confirmed_at", models.DateTimeField(null=True)),
                ("address", models.CharField(blank=True, default="", max_length=64)),
                ("agent", models.CharField(blank=True, default="", max_length=300)),
                (
                    "user",
                    models.ForeignKey(
                        null=True,
                        on_delete=models.CASCADE,
                        related_name="sessions",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={"verbose_name": "session", "verbose_name_plural": "sessions", "abstract": False},
        ),
        migrations.CreateModel(
            name="PasswordReset",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("address", models.CharField(blank=True, default="", max_length=64)),
                ("language", models.CharField(blank=True, default="", max_length=10)),
                ("asked_at", models.DateTimeField(db_default=Now(), db_index=True)),
                ("sent_at", models.DateTimeField(null=True)),
                (
                    "user",
                    models.ForeignKey(
                        null=True, on_delete=models.CASCADE, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
                ("next_at", models.DateTimeField(db_default=Now())),
                ("tries", models.PositiveSmallIntegerField(default=0)),
            ],
        ),
        migrations.CreateModel(
            name="OutgoingMail",
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
                            ("notice", "change of an account"),
                            ("new_address", "new mail address"),
                            ("seal_head", "head of a seal"),
                        ],
                        max_length=20,
                    ),
                ),
                ("to", models.EmailField(max_length=254)),
                ("subject", models.CharField(max_length=200)),
                ("body", models.TextField()),
                ("data", models.JSONField(default=dict)),
                ("asked_at", models.DateTimeField(db_default=Now(), db_index=True)),
                ("next_at", models.DateTimeField(db_default=Now())),
                ("tries", models.PositiveSmallIntegerField(default=0)),
                ("problem", models.CharField(blank=True, default="", max_length=300)),
                ("sent_at", models.DateTimeField(null=True)),
                ("given_up_at", models.DateTimeField(null=True)),
                (
                    "user",
                    models.ForeignKey(
                        null=True, on_delete=models.CASCADE, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("given_up_at", None), ("sent_at", None)),
                        fields=["next_at"],
                        name="outgoing_mail_that_waits",
                    )
                ]
            },
        ),
    ]
