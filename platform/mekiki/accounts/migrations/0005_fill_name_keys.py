"""Fill the comparison keys. Users whose names are equal or confusable all stay, each with the name it has.

The first user (by id) has the key; every later one has it with "#" and its own id behind. Such a user logs in with the
exact spelling, as before, and is listed here, in the audit log (`user.name_shared`) and on the page of users.
"""

import sys

from django.db import migrations


def fill(apps, schema_editor):
    from mekiki.accounts.names import look_key, name_key

    User = apps.get_model("accounts", "User")
    record = apps.get_model("audit", "Event").objects.create
    first: dict[tuple[str, str], str] = {}
    for user in User.objects.order_by("pk").only("pk", "username").iterator():
        keys = {"name_key": name_key(user.username), "look_key": look_key(user.username)}
        others = [first[field, key] for field, key in keys.items() if (field, key) in first]
        for field, key in keys.items():
            if (field, key) in first:
                keys[field] = f"{key}#{user.pk}"
            else:
                first[field, key] = user.username
        User.objects.filter(pk=user.pk).update(**keys)
        if others:
            sys.stderr.write(f"The user name “{user.username}” is equal to “{others[0]}” or looks like it. Both stay.\n")
            record(
                kind="user.name_shared",
                object_type="user",
                object_id=str(user.pk),
                data={"name": user.username, "other": others[0]},
            )
    # Tries were counted by typed name. They are kept for ten minutes at most.
    apps.get_model("accounts", "LoginTry").objects.all().delete()


class Migration(migrations.Migration):
    dependencies = [("accounts", "0004_name_keys"), ("audit", "0001_initial")]

    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
