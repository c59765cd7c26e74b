from django.db import migrations, models

COLUMNS = (
    "archived_label",
    "without_label",
    "taken_back",
    "retired",
    "share_changed",
    "prediction_shown",
    "not_embedded",
)


class Migration(migrations.Migration):
    """What became of the images drawn for the audit stands beside each estimate, in columns."""

    dependencies = [
        ("learning", "0010_several_opinions"),
    ]

    operations = [
        *(
            migrations.AddField(
                model_name="evaluation", name=name, field=models.PositiveIntegerField(default=0)
            )
            for name in COLUMNS
        ),
        migrations.AddConstraint(
            model_name="evaluation",
            constraint=models.CheckConstraint(
                condition=models.Q(("correct__lte", models.F("n") - models.F("archived_label"))),
                name="archived_labels_are_wrong",
            ),
        ),
        # Until now this count stood in the report.
        migrations.RunSQL(
            "UPDATE learning_evaluation SET without_label = (report->>'without_label')::integer"
            " WHERE report->>'without_label' ~ '^[0-9]{1,9}$'",
            migrations.RunSQL.noop,
        ),
    ]
