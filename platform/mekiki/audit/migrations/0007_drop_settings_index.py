from django.contrib.postgres.operations import RemoveIndexConcurrently
from django.db import migrations


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("audit", "0006_times_of_keys_and_stamps")]

    operations = [RemoveIndexConcurrently("event", "event_of_settings")]
