"""The job that groups near-duplicates, and what training, audit and later imports do with the groups."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from django.core.exceptions import PermissionDenied, ValidationError
from django.test import Client
from django.urls import reverse
from PIL import Image as PillowImage

from mekiki.audit.models import Event
from mekiki.jobs.models import Job, Kind, State
from mekiki.learning import services
from mekiki.learning.accuracy import all_notes
from mekiki.learning.models import Evaluation, GroupedImage, Head, TrainingRun
from mekiki.learning.near_duplicates import (
    THRESHOLDS,
    first_images,
    grouping_in_use,
    grouping_under_way,
    levels_of,
    survey_of,
)
from mekiki.learning.training_log import log_in_words
from mekiki.review.models import ExcludedImage
from tests.factories import MembershipFactory
from tests.workers.conftest import COLOURS, add_image, picture

pytestmark = pytest.mark.django_db
Work = Callable[..., dict[str, Any]]
THRESHOLD = 0.9998
IN_TRAINING, NEAR_AUDIT = (1, 2, 3), (0, 5)


def add_near_copy(dataset: Any, number: int, suffix: str = "b") -> Any:
    """Add an image that differs from image `number` of `coloured` in one pixel."""
    name = list(COLOURS)[number % 3]
    pixels = np.array(PillowImage.open(io.BytesIO(picture(COLOURS[name], number))))
    pixels[0, 0, 0] ^= ord(suffix) % 8
    buffer = io.BytesIO()
    PillowImage.fromarray(pixels).save(buffer, "PNG")
    return add_image(dataset, buffer.getvalue(), f"{name}-{number}{suffix}.png", 0.9)


def group_names(dataset: Any) -> set[frozenset[str]]:
    """Return the groups of two or more as sets of names without the colours."""
    names = {image.pk: image.name.split("-")[1].removesuffix(".png") for image in dataset.images.all()}
    groups: dict[int, set[str]] = {}
    for image, first in first_images(dataset).items():
        groups.setdefault(first, set()).add(names[image])
    return {frozenset(group) for group in groups.values()}


def sets(*names: str) -> set[frozenset[str]]:
    return {frozenset(group.split()) for group in names}


def test_groups_from_the_survey_to_training_audit_and_later_imports(
    coloured: Any, work: Work, answer_queue: Callable[..., int], client: Client
) -> None:
    dataset, admin = coloured, coloured.memberships.get(role="admin").user
    reviewer = MembershipFactory(dataset=dataset).user
    page_url = reverse("near-duplicates", args=[dataset.slug])
    act_url = reverse("near-duplicates-act", args=[dataset.slug])
    client.force_login(admin)
    assert "No embeddings yet" in client.get(page_url).content.decode()
    with pytest.raises(ValidationError, match="No image"):
        services.request_survey(dataset=dataset, user=admin)
    for number in (*IN_TRAINING, *NEAR_AUDIT):
        add_near_copy(dataset, number)
    work(dataset, "encode")
    work(dataset, "predict")
    assert not Job.objects.filter(kind=Kind.NEAR_DUPLICATES).exists(), "no threshold, no groups"
    while answer_queue(dataset):
        work(dataset, "refill")

    # The survey shows pairs on both sides of each threshold.
    for act in (services.request_survey, services.stop_grouping):
        with pytest.raises(PermissionDenied):
            act(dataset=dataset, user=reviewer)
    assert "were not compared yet" in client.get(page_url).content.decode()
    client.post(act_url, {"survey": "1"})
    assert "Group near-duplicates" in client.get(page_url).content.decode()
    assert work(dataset, "near_duplicates") == {"images": 35}
    survey = survey_of(dataset)
    assert survey is not None and (survey.images, survey.total) == (35, 35)
    levels = levels_of(survey)
    assert [level.threshold for level in levels] == list(THRESHOLDS)
    for level in levels:
        assert all(cosine >= level.threshold for _one, _first, cosine in level.above)
        assert all(cosine < level.threshold for _one, _first, cosine in level.below)
    assert [level.members for level in levels] == sorted(level.members for level in levels)
    assert levels[0].above and levels[0].below

    # A threshold is a recorded act, and a number outside the range is refused.
    for bad in ("0.2", "nan", "", "1,2"):
        reply = client.post(act_url, {"threshold": bad}, follow=True)
        assert "Nothing was changed" in reply.content.decode(), bad
    reply = client.post(
        act_url,
        {"level": "0.99", "threshold": "0,9998"},
        follow=True,
    )
    assert "being grouped" in reply.content.decode()
    assert grouping_in_use(dataset) is None and grouping_under_way(dataset) is not None
    event = Event.objects.get(kind="near_duplicates.threshold_chosen")
    assert event.data["threshold"] == THRESHOLD and event.actor_id == admin.pk
    result = work(dataset, "near_duplicates")
    assert result == {"images": 35, "new": 35, "groups": 5, "members": 10}, result
    assert group_names(dataset) == sets("0 0b", "1 1b", "2 2b", "3 3b", "5 5b")
    assert GroupedImage.objects.count() == 35

    # Images of a group share a fold, and the repeated training knows it.
    work(dataset, "train")
    head = Head.objects.latest("pk")
    trained = head.training_labels.filter(near_group__isnull=False)
    assert trained.count() == 6 and trained.values("near_group").distinct().count() == 3
    log = log_in_words(TrainingRun.objects.latest("pk").log)
    assert "6 of them are near-duplicates, in 3 groups" in log
    services.request_verification(dataset=dataset, head=head, user=admin)
    services.stop_grouping(dataset=dataset, user=admin)
    assert not GroupedImage.objects.exists() and first_images(dataset) == {}
    repeated = work(dataset, "verify_head")
    assert repeated["outcome"] == "same" and not repeated["relabelled"], "also without the groups"

    # Audited images with near-duplicates in training are counted beside the accuracy.
    assert Evaluation.objects.latest("pk").near_trained == 2
    services.choose_threshold(dataset=dataset, user=admin, threshold=THRESHOLD)
    work(dataset, "near_duplicates")
    evaluation = Evaluation.objects.filter(head=head).latest("pk")
    assert (evaluation.n, evaluation.near_trained, evaluation.near_trained_right) == (6, 2, 2)
    notes = " ".join(all_notes(evaluation))
    assert "trained on near-duplicates of 2 audited images (right: 2)" in notes
    assert "Of 4 other audited images, 4 are right" in notes
    client.post(act_url, {"leave_out": "1"})
    work(dataset, "train")
    newest = Head.objects.latest("pk")
    assert newest.n_labels == head.n_labels - 2
    near = {image.pk for image in dataset.images.filter(name__in=["red-0b.png", "blue-5b.png"])}
    assert len(near) == 2 and not near & set(newest.training_labels.values_list("image_id", flat=True))
    assert "2 labels are not used, because" in log_in_words(TrainingRun.objects.latest("pk").log)
    assert Evaluation.objects.filter(head=newest).latest("pk").near_trained == 0

    # Later images join the groups. The groups that exist stay.
    before = dict(GroupedImage.objects.values_list("image_id", "first_id"))
    Job.objects.filter(state=State.QUEUED).delete()
    new = [add_near_copy(dataset, 1, "c"), add_near_copy(dataset, 4)]
    work(dataset, "encode")
    assert work(dataset, "near_duplicates")["new"] == 2
    assert group_names(dataset) == sets("0 0b", "1 1b 1c", "2 2b", "3 3b", "4 4b", "5 5b")
    assert before.items() <= dict(GroupedImage.objects.values_list("image_id", "first_id")).items()
    # Images of the audit reserve are not shown beside images with a label, also just after their audit.
    page = client.get(page_url).content.decode()
    assert "5b.png" in page and reverse("image", args=[dataset.slug, new[0].sha256]) in page
    hidden = dataset.images.get(name="blue-5.png")
    assert hidden.sha256 not in page and "are not shown: 1" in page

    # The gallery filters by them. One image of each group outside the audit reserve is not among the others.
    def found(choice: str) -> set[str]:
        gallery = client.get(reverse("images", args=[dataset.slug]), {"near": choice}).content.decode()
        numbers = {image.name.split("-")[1]: image.sha256 for image in dataset.images.all()}
        return {name.removesuffix(".png") for name, sha in numbers.items() if f"/{sha}/" in gallery}

    assert found("others") == {"1b", "1c", "2b", "3b", "4b"}
    assert found("group") == {"1", "1b", "1c", "2", "2b", "3", "3b", "4", "4b", "0b", "5b"}
    assert not found("alone") & found("group") and {"7", "8"} <= found("alone")
    # One act excludes all but one of each group. It can be repeated, and taken back.
    act = {"act": "exclude", "all": "1", "query": "near=others", "reason": "near-duplicate"}
    assert "Exclude all but one of each group" in client.get(page_url).content.decode()
    for _time in range(2):
        client.post(reverse("gallery-act", args=[dataset.slug]), act)
        names = ExcludedImage.objects.values_list("image__name", flat=True)
        assert {name.split("-")[1] for name in names} == {"1b.png", "1c.png", "2b.png", "3b.png", "4b.png"}
        assert found("others") == {"1b", "1c", "2b", "3b", "4b"}
    client.post(reverse("gallery-act", args=[dataset.slug]), act | {"act": "include"})
    assert not ExcludedImage.objects.exists()
    # A group whose first image is deleted is formed again with the next import.
    first = dataset.images.get(name="green-1.png")
    services.delete_computed([first.pk])
    assert first.pk not in GroupedImage.objects.values_list("first_id", flat=True)
    services.request_regrouping(dataset=dataset)
    assert work(dataset, "near_duplicates")["new"] == 2, "the group had two other images"
    assert frozenset({"1b", "1c"}) in group_names(dataset)
