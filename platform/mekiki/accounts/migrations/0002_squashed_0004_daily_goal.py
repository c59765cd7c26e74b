"""The memberships, which refer to datasets, while datasets refer to users.

It replaces migrations from before the first release (docs/decisions/0036). The last one of this app is among
them, so that a home without it has only a part of them and is refused (embedded/versions.py).
"""

from django.conf import settings
from django.db import migrations, models
from django.db.models.functions import Now


class Migration(migrations.Migration):
    replaces = [
        ("accounts", "0002_initial"),
        ("accounts", "0012_times_of_the_database"),
        ("accounts", "0014_tries_of_password_mails"),
        ("accounts", "0002_squashed_0014_tries_of_password_mails"),
        ("accounts", "0003_membership_is_adjudicator"),
        ("accounts", "0004_daily_goal"),
    ]

    initial = True

    dependencies = [
        ("accounts", "0001_squashed_0013_mails"),
        ("datasets", "0001_squashed_0027_import_options"),
    ]

    operations = [
        migrations.CreateModel(
            name="Membership",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "role",
                    models.CharField(
                        choices=[("admin", "admin"), ("reviewer", "reviewer"), ("viewer", "viewer")],
                        max_length=10,
                    ),
                ),
                ("created_at", models.DateTimeField(db_default=Now(), editable=False)),
                (
                    "dataset",
                    models.ForeignKey(
                        on_delete=models.CASCADE, related_name="memberships", to="datasets.dataset"
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=models.CASCADE, related_name="memberships", to=settings.AUTH_USER_MODEL
                    ),
                ),
                ("is_adjudicator", models.BooleanField(db_default=False, default=False)),
                ("daily_goal", models.PositiveIntegerField(blank=True, null=True)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("dataset", "user"), name="one_role_per_member"),
                    models.CheckConstraint(
                        condition=models.Q(("role__in", ["admin", "reviewer", "viewer"])),
                        name="role_is_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("is_adjudicator", False),
                            models.Q(("role", "viewer"), _negated=True),
                            _connector="OR",
                        ),
                        name="adjudicator_reviews",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("daily_goal__isnull", True),
                            models.Q(("daily_goal__gte", 1), ("daily_goal__lte", 100000)),
                            _connector="OR",
                        ),
                        name="daily_goal_in_range",
                    ),
                ]
            },
        )
    ]
