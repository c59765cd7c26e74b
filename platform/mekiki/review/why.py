"""The panel Why: what the prediction of an image is based on, as pages show it.

Images that must be judged blind have no panel, and are in no panel: their neighbours would reveal the model's
prediction, and their labels would reveal the answer (docs/decisions/0047).
"""

from dataclasses import dataclass, field

import numpy as np
from django.db.models import Exists, OuterRef, QuerySet
from numpy.typing import NDArray

from mekiki.accounts.models import User
from mekiki.config import clock
from mekiki.datasets.models import Dataset, Image
from mekiki.labeling.models import Label, Prompt
from mekiki.learning import explaining
from mekiki.learning import search as vectors
from mekiki.learning.models import Head
from mekiki.review.blinding import unshown_condition
from mekiki.review.messages import WHY_PROBLEMS
from mekiki.review.models import ConfirmedLabel, GoldImage, Lease

# Confirmed images of each of the two labels.
NEIGHBOURS = 6


@dataclass(frozen=True)
class Neighbour:
    """A confirmed image near the image of the panel. `similarity` is a cosine: it orders images."""

    similarity: float
    confirmed: ConfirmedLabel  # with image, label and decision.user


@dataclass(frozen=True)
class Neighbours:
    """The nearest confirmed images of each label, best first, or the problem."""

    hits: dict[int, list[Neighbour]] = field(default_factory=dict)  # label id → neighbours
    exact: bool = True
    code: str = ""

    @property
    def problem(self) -> str:
        """Return why there are no neighbours and what to do, or "" if there is no problem."""
        return WHY_PROBLEMS.render(self.code) if self.code else ""


@dataclass(frozen=True)
class LabelScore:
    """The score of a label, with its prompts by id."""

    label: Label
    parts: explaining.ScoreParts
    prompts: dict[int, Prompt]


@dataclass(frozen=True)
class Scores:
    """The scores of the predicted label and the runner-up, `waiting` for a worker, or the problem."""

    labels: list[LabelScore] = field(default_factory=list)
    waiting: bool = False
    problem: str = ""


def confirmed_images(dataset: Dataset, label: Label, image: Image) -> QuerySet[Image]:
    """Return the other images with this confirmed label that may be shown beside an image.

    An image with a waiting item of a blind stream, or of the audit reserve that was not judged, is left out.
    Gold images are left out too, because their label would be the answer of a later test.
    """
    images = Image.objects.filter(dataset=dataset, confirmed_label__label=label).exclude(pk=image.pk)
    gold = GoldImage.objects.filter(image=OuterRef("pk"), ended_at__isnull=True)
    return images.filter(~unshown_condition(dataset), ~Exists(gold))


def nearest_confirmed(
    *, dataset: Dataset, head: Head, image: Image, labels: list[Label], count: int = NEIGHBOURS
) -> Neighbours:
    """Return the confirmed images of each label that are nearest to an image, by the head's encoder."""
    vector = vectors.vector_of(head.encoder, image)
    if vector is None:
        return Neighbours(code="not_embedded")
    results, exact = {}, True
    try:
        for label in labels:
            results[label.pk] = vectors.nearest_images(
                encoder=head.encoder,
                vector=vector,
                images=confirmed_images(dataset, label, image),
                limit=count,
            )
            exact = exact and results[label.pk].exact
    except vectors.SearchTooSlowError:
        return Neighbours(code="too_slow")
    ids = [pk for nearest in results.values() for pk, _similarity in nearest.hits]
    rows = ConfirmedLabel.objects.filter(image__in=ids).select_related("image", "label", "decision__user")
    by_image = {row.image_id: row for row in rows}
    return Neighbours(
        {
            label: [
                Neighbour(similarity, by_image[pk])
                for pk, similarity in nearest.hits
                # The label can change between the two queries.
                if pk in by_image and by_image[pk].label_id == label
            ]
            for label, nearest in results.items()
        },
        exact,
    )


def score_of_labels(*, head: Head, image: Image, labels: list[Label]) -> Scores:
    """Return how much the prompts and the training add to the score of each label.

    The vectors of single prompts are computed by a worker once. Until then the result is `waiting`.
    """
    rows = Prompt.objects.filter(prompt_set=head.prompt_set_id, label__in=labels).order_by("position", "pk")
    prompts = list(rows)
    vector = vectors.vector_of(head.encoder, image)
    if vector is None:
        return Scores(problem=WHY_PROBLEMS.render("not_embedded"))
    known = explaining.find_prompt_vectors(encoder=head.encoder, prompts=prompts)
    if known.waiting:
        return Scores(waiting=True)
    if known.problem:
        return Scores(problem=known.problem.sentence(known.detail))
    try:
        parts = explaining.read_parts(head, [label.pk for label in labels])
        detail = vectors.vector_of(head.detail, image) if head.detail is not None else None
        return Scores([_score(parts, place, label, (vector, detail), prompts, known.vectors)
                       for place, label in enumerate(labels)])  # fmt: skip
    except ValueError:  # also MalformedHeadError: the head was made by another version
        return Scores(problem=WHY_PROBLEMS.render("no_parts"))


def _score(
    parts: explaining.LinearParts,
    place: int,
    label: Label,
    image: tuple[NDArray[np.float32], NDArray[np.float32] | None],
    prompts: list[Prompt],
    known: dict[int, NDArray[np.float32]],
) -> LabelScore:
    own = {prompt.pk: prompt for prompt in prompts if prompt.label_id == label.pk}
    vector, detail = image
    known_prompts = [(pk, known[pk]) for pk in own]
    return LabelScore(label, explaining.explain_score(parts, place, vector, known_prompts, detail), own)


def is_blind(dataset: Dataset, image: Image) -> bool:
    """Return whether the image must be judged without a prediction, so that it has no panel.

    An image that waits to measure a reviewer has a panel until the reviewer gets it, as its page shows its
    label until then. Otherwise the missing panel would tell which images are tests.
    """
    return Image.objects.filter(unshown_condition(dataset), pk=image.pk).exists()


def is_on_page(user: User, image: Image) -> bool:
    """Return whether the reviewer holds the image on a page of the grid review.

    Such images have no panel: that of a gold image would tell that the page shows another label for it.
    """
    leases = Lease.objects.filter(user=user, item__image=image, ended_at__isnull=True, shown__on_page=True)
    return leases.filter(expires_at__gt=clock.now()).exists()
