from django.db import migrations, models

REASONS = [
    ("unclear", "unclear image"),
    ("not_in_list", "not in the list of labels"),
    ("expert", "needs an expert"),
    ("bad_image", "bad image (blurred, dark)"),
    ("wrong_object", "wrong object"),
    ("duplicate", "duplicate"),
    ("other", "other reason"),
]


class Migration(migrations.Migration):
    dependencies = [("review", "0001_squashed_0011_name_recheck")]

    operations = [
        migrations.AddField(
            model_name="decision",
            name="reason",
            field=models.CharField(blank=True, choices=REASONS, db_default="", default="", max_length=12),
        ),
        migrations.AddConstraint(
            model_name="decision",
            constraint=models.CheckConstraint(
                condition=models.Q(reason="")
                | models.Q(kind="skip", reason__in=["unclear", "not_in_list", "expert", "other"])
                | models.Q(kind="flag", reason__in=["bad_image", "wrong_object", "duplicate", "other"]),
                name="reason_fits_decision",
            ),
        ),
    ]
