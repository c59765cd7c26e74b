"""Look up heads, training runs, encoder changes and encoders for a user.

Code that acts on behalf of a user gets these objects only from here.
"""

from django.http import Http404

from mekiki.accounts.models import Role, User
from mekiki.datasets.access import dataset_for
from mekiki.datasets.models import Dataset
from mekiki.learning.models import Encoder, EncoderChange, Head, TrainingRun
from mekiki.learning.selectors import has_embeddings, heads


def head_for(user: User, slug: str, version: int, role: str = Role.VIEWER) -> tuple[Dataset, Head]:
    """Return the dataset and its head of this version, without the weights.

    Raises the errors of dataset_for, and Http404 if the head does not exist.
    """
    dataset = dataset_for(user, slug, role)
    head = heads(dataset).filter(version=version).first() if version < 2**31 else None
    if head is None:
        raise Http404
    head.dataset = dataset
    return dataset, head


def run_for(user: User, slug: str, pk: int, role: str = Role.VIEWER) -> TrainingRun:
    """Return a training run of the dataset, with its job.

    Raises the errors of dataset_for, and Http404 if the dataset does not have this run.
    """
    dataset = dataset_for(user, slug, role)
    runs = TrainingRun.objects.select_related("job")
    run = runs.filter(dataset=dataset, pk=pk).first() if pk < 2**63 else None
    if run is None:
        raise Http404
    return run


def change_for(user: User, slug: str, pk: int, role: str = Role.ADMIN) -> EncoderChange:
    """Return an encoder change of the dataset.

    Raises the errors of dataset_for, and Http404 if the dataset does not have this change.
    """
    dataset = dataset_for(user, slug, role)
    change = (
        EncoderChange.objects.select_related("job", "from_encoder", "to_encoder")
        .filter(dataset=dataset, pk=pk)
        .first()
        if pk < 2**63
        else None
    )
    if change is None:
        raise Http404
    change.dataset = dataset
    return change


def embedded_for(user: User, slug: str, encoder_id: int, role: str = Role.ADMIN) -> tuple[Dataset, Encoder]:
    """Return the dataset and an encoder that has embedded images of it.

    Raises the errors of dataset_for, and Http404 if the encoder has embedded no image of the dataset.
    """
    dataset = dataset_for(user, slug, role)
    encoders = Encoder.objects.filter(kind=Encoder.Kind.IMAGE_TEXT)
    encoder = encoders.filter(pk=encoder_id).first() if encoder_id < 2**63 else None
    if encoder is None or not has_embeddings(dataset, encoder):
        raise Http404
    return dataset, encoder
