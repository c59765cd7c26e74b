from django.db import migrations, models

import mekiki.accounts.models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0005_fill_name_keys")]

    operations = [
        migrations.AlterField("user", "name_key", models.TextField(blank=True, editable=False, unique=True)),
        migrations.AlterField("user", "look_key", models.TextField(blank=True, editable=False, unique=True)),
        migrations.AddConstraint(
            "user",
            models.CheckConstraint(
                condition=~models.Q(name_key="") & ~models.Q(look_key=""), name="user_has_comparison_keys"
            ),
        ),
        migrations.AlterModelManagers("user", [("objects", mekiki.accounts.models.PeopleManager())]),
    ]
