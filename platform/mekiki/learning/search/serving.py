"""Which encoder a dataset is searched by."""

from django.db.models import Exists, OuterRef

from mekiki.datasets.models import Dataset, Image
from mekiki.learning.models import Embedding, Encoder


def serving_encoder(dataset: Dataset) -> Encoder | None:
    """The encoder of the head in use; before there is one, the newest of the dataset's choice that embedded an image.

    None while nothing is embedded.
    """
    served = Encoder.objects.filter(head__champion__dataset=dataset).first()
    if served is not None:
        return served
    here = Image.objects.filter(dataset=dataset)
    some = Embedding.objects.filter(encoder=OuterRef("pk"), image__in=here)
    return Encoder.objects.filter(Exists(some), name=dataset.encoder_name).order_by("-pk").first()
