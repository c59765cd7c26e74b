from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("review", "0006_reference_images")]

    operations = [
        migrations.AlterField(
            model_name="decision",
            name="kind",
            field=models.CharField(
                choices=[
                    ("confirm", "confirmed"),
                    ("correct", "corrected"),
                    ("skip", "skipped"),
                    ("flag", "flagged"),
                    ("undo", "undone"),
                    ("rule", "ruled"),
                ],
                max_length=10,
            ),
        ),
        migrations.RemoveConstraint(model_name="decision", name="decision_has_what_it_needs"),
        migrations.AddConstraint(
            model_name="decision",
            constraint=models.CheckConstraint(
                condition=models.Q(kind__in=["confirm", "correct"], label__isnull=False)
                | models.Q(kind__in=["skip", "flag"], label__isnull=True)
                | models.Q(kind="undo", label__isnull=True, supersedes__isnull=False)
                | (models.Q(kind="rule", label__isnull=False, item__isnull=False) & ~models.Q(note="")),
                name="decision_has_what_it_needs",
            ),
        ),
    ]
