from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("review", "0005_fill_first_audit_answer")]

    operations = [
        migrations.AddConstraint(
            "confirmedlabel",
            models.CheckConstraint(
                condition=models.Q(audit_label__isnull=True, audited_at__isnull=True)
                | models.Q(audit_label__isnull=False, audited_at__isnull=False, stream="audit"),
                name="audit_label_has_its_time",
            ),
        ),
    ]
