from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("review", "0004_queueitem_assigned_to")]

    operations = [
        migrations.AlterField(
            model_name="queueitem",
            name="state",
            field=models.CharField(
                choices=[
                    ("waiting", "waiting"),
                    ("done", "done"),
                    ("withdrawn", "withdrawn"),
                    ("set_aside", "set aside"),
                ],
                default="waiting",
                max_length=10,
            ),
        ),
    ]
