"""Which encoder a dataset is searched by."""

from mekiki.datasets.models import Dataset
from mekiki.learning.models import Encoder
from mekiki.learning.selectors import embedded_count


def serving_encoder(dataset: Dataset) -> Encoder | None:
    """The encoder of the head in use; before there is one, the newest of the dataset's choice that embedded an image.

    None while nothing is embedded.
    """
    served = Encoder.objects.filter(head__champion__dataset=dataset).first()
    if served is not None:
        return served
    # By the log of changes: whether any of a million images has an embedding takes a join of half a second.
    chosen = Encoder.objects.filter(name=dataset.encoder_name).order_by("-pk")
    return next((one for one in chosen if embedded_count(encoder=one, dataset=dataset)), None)
