from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("jobs", "0010_seals")]

    operations = [
        migrations.AddField(
            model_name="job", name="waiting_for", field=models.CharField(default="", max_length=20)
        ),
    ]
