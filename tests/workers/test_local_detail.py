"""The local detail of a dataset's images: computed with the embedding, used by heads, switched off and on."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mekiki.datasets.services import update_settings
from mekiki.datasets.storage import picture_path
from mekiki.jobs.models import Job, Kind, State
from mekiki.learning.access import embedded_for
from mekiki.learning.models import Embedding, Encoder, EncodingProblem, Head, Prediction
from mekiki.learning.selectors import embedded_counts
from mekiki.learning.services import store_embeddings
from tests.workers.conftest import COLOURS, add_image, picture
from workers.encoders import detail_vector
from workers.heads import averaging
from workers.heads.serial import load_head
from workers.steps.detail import detail_row
from workers.steps.vectors import head_inputs, load_vectors

pytestmark = pytest.mark.django_db
Work = Callable[..., dict[str, Any]]


@pytest.fixture(autouse=True)
def dataset_uses_detail(coloured: Any) -> None:
    """Switch the local detail on."""
    type(coloured).objects.filter(pk=coloured.pk).update(use_detail=True)
    coloured.refresh_from_db()


@pytest.fixture
def strong_detail(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let heads read the detail always. Cross-validation would not choose it for plain colours."""
    monkeypatch.setattr(averaging, "model_weights", lambda losses, v, seed: np.array([0.5, 0.0, 0.5]))


@pytest.fixture
def trained(
    coloured: Any,
    work: Work,
    answer_queue: Callable[..., int],
    champion: Callable[[Any], Head],
    strong_detail: None,
) -> tuple[Any, Head]:
    """Return (dataset, head in use), which reads the detail."""
    work(coloured, "encode")
    work(coloured, "predict")
    answer_queue(coloured)
    work(coloured, "refill")
    answer_queue(coloured)
    work(coloured, "train")
    head = champion(coloured)
    assert head.detail is not None and len(head.metrics.detail_strengths) == 2
    Job.objects.filter(state=State.QUEUED).delete()
    return coloured, head


def details(dataset: Any) -> dict[int, Any]:
    rows = Embedding.objects.filter(encoder__kind=Encoder.Kind.DETAIL, image__dataset=dataset)
    return {row.image_id: np.asarray(row.vector, np.float32) for row in rows}


def without_report(**_facts: Any) -> None:
    """Stand for a job's report."""


def test_detail_is_computed_with_the_embedding_and_is_no_encoder_of_the_pages(
    coloured: Any, work: Work
) -> None:
    work(coloured, "encode")
    stored = details(coloured)
    assert len(stored) == 30
    image = coloured.images.order_by("pk")[7]
    from PIL import Image as PillowImage

    expected = detail_vector(PillowImage.open(picture_path(image)).convert("RGB"))
    assert np.allclose(stored[image.pk], expected, atol=4e-3)
    assert [encoder.kind for encoder, _n in embedded_counts(coloured)] == [Encoder.Kind.IMAGE_TEXT]
    admin = coloured.memberships.get(role="admin").user
    from django.http import Http404

    with pytest.raises(Http404):
        embedded_for(admin, coloured.slug, detail_row().pk)


def test_images_embedded_before_get_their_detail_when_it_is_switched_on(coloured: Any, work: Work) -> None:
    admin = coloured.memberships.get(role="admin").user
    update_settings(dataset=coloured, user=admin, use_detail=False)
    work(coloured, "encode")
    assert not details(coloured)
    Job.objects.filter(state=State.QUEUED).delete()
    update_settings(dataset=coloured, user=admin, use_detail=True)
    assert Job.objects.filter(kind=Kind.ENCODE, state=State.QUEUED, dataset=coloured).exists()
    # One image cannot be read again: it is named, and the others go on.
    lost = coloured.images.order_by("pk").first()
    path = picture_path(lost)
    assert path is not None
    path.unlink()
    assert work(coloured, "encode")["embedded"] == 0
    assert set(details(coloured)) == set(coloured.images.exclude(pk=lost.pk).values_list("pk", flat=True))
    assert EncodingProblem.objects.get().image == lost
    assert work(coloured, "encode")["embedded"] == 0 and EncodingProblem.objects.count() == 1


def test_a_head_on_the_detail_predicts_images_without_it_and_is_repeatable(
    trained: tuple[Any, Head], work: Work
) -> None:
    dataset, head = trained
    assert Prediction.objects.filter(head=head).count() == 30
    assert work(dataset, "verify_head", head=head.pk)["outcome"] == "same"
    # An image without detail is predicted by its embedding: its detail counts as that of the mean image.
    image = dataset.images.exclude(pk__in=head.training_labels.values("image_id")).order_by("pk").first()
    Embedding.objects.filter(encoder=head.detail, image_id=image.pk).delete()
    loaded = load_head(bytes(Head.objects.get(pk=head.pk).weights))
    mirror = load_vectors(head.encoder, dataset, without_report)
    row = int(mirror.rows_of([image.pk])[0][0])
    joined = head_inputs(loaded, mirror, np.array([row]))
    assert np.array_equal(joined[0, head.encoder.dim :], np.float16(loaded.details["detail"]["centre"]))
    whole = head_inputs(loaded, mirror, slice(0, 30))
    assert np.array_equal(whole[row], joined[0]) and whole.shape == (30, loaded.dim)
    assert work(dataset, "verify_head", head=head.pk)["outcome"] == "same"
    # A training image without detail: the training cannot be repeated.
    trained_on = head.training_labels.values_list("image_id", flat=True)[0]
    Embedding.objects.filter(encoder=head.detail, image_id=trained_on).delete()
    result = work(dataset, "verify_head", head=head.pk)
    assert (result["code"], result["missing"]) == ("embeddings_gone", 1)


def test_training_waits_for_no_detail_but_leaves_out_what_cannot_be_computed(
    trained: tuple[Any, Head], work: Work, champion: Callable[[Any], Head]
) -> None:
    dataset, head = trained
    assert work(dataset, "train")["code"] == "same_head"
    missing = head.training_labels.values_list("image_id", flat=True)[0]
    vector = details(dataset)[missing]
    Embedding.objects.filter(encoder=head.detail, image_id=missing).delete()
    work(dataset, "train")
    without = Head.objects.order_by("-version").first()
    assert without is not None and without.detail is None and not without.metrics.detail_strengths
    EncodingProblem.objects.create(encoder=head.detail, image_id=missing, reason="damaged")
    work(dataset, "train")
    again = Head.objects.order_by("-version").first()
    assert again is not None and again.version > without.version and again.detail == head.detail
    assert work(dataset, "verify_head", head=again.pk)["outcome"] == "same"
    assert head.detail is not None
    store_embeddings(encoder=head.detail, image_ids=[missing], vectors=vector[None])


def test_switched_off_detail_leaves_the_head_in_use_complete(
    trained: tuple[Any, Head], work: Work, champion: Callable[[Any], Head]
) -> None:
    dataset, head = trained
    admin = dataset.memberships.get(role="admin").user
    update_settings(dataset=dataset, user=admin, use_detail=False)
    late = add_image(dataset, picture(COLOURS["red"], 800), "red-800.png", 0.9)
    work(dataset, "encode")
    assert late.pk in details(dataset), "the head in use reads it"
    work(dataset, "predict")
    assert Prediction.objects.filter(head=head, image=late).exists()
    work(dataset, "train")
    newest = Head.objects.order_by("-version").first()
    assert newest is not None and newest.version > head.version and newest.detail is None
