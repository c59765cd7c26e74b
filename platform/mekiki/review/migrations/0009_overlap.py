from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("review", "0008_times_of_the_database")]

    operations = [migrations.RenameField(model_name="queueitem", old_name="opinions", new_name="overlap")]
