"""The encoder and the version of the detail descriptor that are used to search a dataset."""

from mekiki.datasets.models import Dataset
from mekiki.learning.models import Encoder
from mekiki.learning.selectors import embedded_count


def serving_encoder(dataset: Dataset) -> Encoder | None:
    """Return the encoder of the head in use.

    Before the first head, return the newest encoder with the dataset's encoder name that has embedded an
    image. Return None if no image is embedded.
    """
    served = Encoder.objects.filter(head__champion__dataset=dataset).first()
    if served is not None:
        return served
    # Use the log of embedding changes: a join over a million images would take half a second.
    chosen = Encoder.objects.filter(name=dataset.encoder_name).order_by("-pk")
    return next((one for one in chosen if embedded_count(encoder=one, dataset=dataset)), None)


def serving_detail(dataset: Dataset) -> Encoder | None:
    """Return the newest version of the detail descriptor that an image of the dataset has, or None."""
    versions = Encoder.objects.filter(kind=Encoder.Kind.DETAIL).order_by("-pk")
    return next((one for one in versions if embedded_count(encoder=one, dataset=dataset)), None)
