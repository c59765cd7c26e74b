import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("labeling", "0001_initial"),
        ("review", "0003_audit_indexes"),
    ]

    operations = [
        migrations.AddField(
            "confirmedlabel",
            "audit_label",
            models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="labeling.label",
                db_index=False,
            ),
        ),
        migrations.AddField("confirmedlabel", "audited_at", models.DateTimeField(null=True)),
    ]
