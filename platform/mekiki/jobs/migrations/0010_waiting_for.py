from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("jobs", "0009_sweeper_has_its_own_rhythm")]

    operations = [
        migrations.AddField(
            model_name="job", name="waiting_for", field=models.CharField(default="", max_length=20)
        ),
    ]
