from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0003_login_tries")]

    operations = [
        migrations.AlterModelOptions(
            name="user", options={"verbose_name": "user", "verbose_name_plural": "users"}
        ),
        migrations.AddField("user", "name_key", models.TextField(null=True)),
        migrations.AddField("user", "look_key", models.TextField(null=True)),
    ]
