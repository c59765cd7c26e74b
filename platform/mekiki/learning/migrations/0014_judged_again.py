from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("learning", "0013_error_texts")]

    operations = [
        migrations.AddField(
            model_name="evaluation",
            name="judged_again",
            field=models.PositiveIntegerField(default=0),
        ),
    ]
