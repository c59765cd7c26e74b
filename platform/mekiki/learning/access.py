"""The only way to get a head, a training run, a change of an encoder, or an encoder's embeddings, on behalf of a user."""

from django.http import Http404

from mekiki.accounts.models import Role, User
from mekiki.datasets.access import dataset_for
from mekiki.datasets.models import Dataset
from mekiki.learning.models import Encoder, EncoderChange, Head, TrainingRun
from mekiki.learning.selectors import has_embeddings, heads


def head_for(user: User, slug: str, version: int, role: str = Role.VIEWER) -> tuple[Dataset, Head]:
    """A dataset and its head of this version, without the weights. Errors as dataset_for; Http404: there is none."""
    dataset = dataset_for(user, slug, role)
    head = heads(dataset).filter(version=version).first() if version < 2**31 else None
    if head is None:
        raise Http404
    head.dataset = dataset
    return dataset, head


def run_for(user: User, slug: str, pk: int, role: str = Role.VIEWER) -> TrainingRun:
    """A training run of a dataset, with its job. Errors as dataset_for; Http404 for one of another dataset."""
    dataset = dataset_for(user, slug, role)
    runs = TrainingRun.objects.select_related("job")
    run = runs.filter(dataset=dataset, pk=pk).first() if pk < 2**63 else None
    if run is None:
        raise Http404
    return run


def change_for(user: User, slug: str, pk: int, role: str = Role.ADMIN) -> EncoderChange:
    """A change of the encoder of a dataset. Errors as dataset_for; Http404 for one of another dataset."""
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
    """A dataset and an encoder that has embedded images of it. Errors as dataset_for; Http404 for any other encoder."""
    dataset = dataset_for(user, slug, role)
    encoder = Encoder.objects.filter(pk=encoder_id).first() if encoder_id < 2**63 else None
    if encoder is None or not has_embeddings(dataset, encoder):
        raise Http404
    return dataset, encoder
