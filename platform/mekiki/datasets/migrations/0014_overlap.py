from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("datasets", "0013_more_times_of_the_database")]

    operations = [
        migrations.RemoveConstraint(model_name="dataset", name="at_least_one_opinion"),
        migrations.RenameField(model_name="dataset", old_name="opinions", new_name="overlap"),
        migrations.AlterField(
            model_name="dataset",
            name="overlap",
            field=models.PositiveSmallIntegerField(
                default=1, verbose_name="overlap: reviewers for each image"
            ),
        ),
        migrations.AddConstraint(
            model_name="dataset",
            constraint=models.CheckConstraint(
                condition=models.Q(("overlap__gte", 1)), name="overlap_of_at_least_one"
            ),
        ),
    ]
