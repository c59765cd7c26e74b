
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('jobs', '0015_kind_plan_certificate'),
    ]

    operations = [
        migrations.AlterField(
            model_name='job',
            name='kind',
            field=models.CharField(choices=[('import_images', 'Import images'), ('encode', 'Compute embeddings'), ('predict', 'Predict by prompts'), ('train', 'Retrain'), ('refill', 'Choose the next images'), ('freeze', 'Freeze label set'), ('change_encoder', 'Change the encoder'), ('remove_embeddings', 'Remove embeddings'), ('index', 'Build the search index'), ('verify_head', 'Repeat a training'), ('seal', 'Seal events and answers'), ('check_seals', 'Check the seals'), ('rebuild_pictures', 'Make display pictures again'), ('certify', 'Certify labels set by machine'), ('plan_certificate', 'Plan a certificate'), ('agreement', 'Compute the agreement of a study'), ('purge', 'Delete the files of a dataset'), ('bulk_act', 'Act on many images')], max_length=20),
        ),
    ]
