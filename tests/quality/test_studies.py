"""A study from draft to report: its design, its answers, and what it never touches."""

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import DatabaseError, transaction
from django.db.models import F

from mekiki.datasets.models import Image
from mekiki.jobs.models import Job
from mekiki.labeling.services import archive_label
from mekiki.quality import choosing, services
from mekiki.quality.choosing import choose_images, eligible_images
from mekiki.quality.models import Study, StudyAnswer, StudyImage, StudyReviewer
from mekiki.quality.progress import next_images, order_of_run, progress_of
from mekiki.review.errors import InvalidAnswerError, NotFoundForReviewerError, ReviewError
from mekiki.review.models import ConfirmedLabel, Decision, QueueItem, ReferenceImage, Stream
from mekiki.review.selectors import answered_today, training_votes
from tests.factories import ConfirmedLabelFactory, ImageFactory, PredictionFactory, UserFactory
from tests.quality.study_setup import StudyScene, allow_few_images
from tests.roles import as_owner

pytestmark = pytest.mark.django_db


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> StudyScene:
    allow_few_images(monkeypatch)
    return StudyScene()


# --- Design -------------------------------------------------------------------------------------------------


def test_the_draft_has_the_images_and_people(scene: StudyScene) -> None:
    study = scene.draft()
    assert (study.state, study.number) == ("draft", 1)
    assert {row.image_id for row in study.images.all()} == {image.pk for image in scene.images}
    assert scene.draft().number == 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": " "},
        {"name": "x" * 101},
        {"name": "a\x00b"},
        {"name": "\ud800"},
        {"images": 1},
        {"images": 51},
        {"images": 7},  # more than there are
        {"runs": 1},
        {"runs": 4},
        {"pause_hours": -1},
        {"pause_hours": 10_000},
        {"boundary_percent": 101},
        {"method": "best"},
        {"reference": "guess"},
        {"reference": "person"},
        {"reference": "confirmed"},  # no image has a confirmed label
        {"reviewer_ids": []},
        {"reviewer_ids": [0, -1]},
    ],
)
def test_an_impossible_design_is_refused_and_leaves_nothing(scene: StudyScene, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        scene.draft(**wrong)
    assert not Study.objects.exists()


def test_too_many_reviewers_and_people_of_other_datasets_are_refused(scene: StudyScene) -> None:
    many = [scene.station.reviewer().pk for _ in range(11)]
    for people in (many, [scene.people[0].pk, UserFactory().pk], [scene.people[0].pk]):
        with pytest.raises(ValidationError):
            scene.draft(reviewer_ids=people)
    with pytest.raises(ValidationError):
        scene.draft(reference="person", reference_person_id=scene.people[0].pk)


def test_images_of_the_audit_sample_and_reference_images_are_left_out(scene: StudyScene) -> None:
    reserve = ImageFactory(dataset=scene.dataset, audit_key=scene.dataset.audit_fraction / 2)
    audited = ConfirmedLabelFactory(dataset=scene.dataset, label=scene.labels[0], stream=Stream.AUDIT).image
    waiting = scene.station.item(stream=Stream.AUDIT).image
    gold = scene.station.item(stream=Stream.GOLD).image
    shown = ImageFactory(dataset=scene.dataset)
    ReferenceImage.objects.create(label=scene.labels[0], image=shown, accepted=True, created_by=scene.admin)
    ids = set(eligible_images(scene.dataset, "none").values_list("pk", flat=True))
    assert ids == {image.pk for image in scene.images}
    assert not ids & {reserve.pk, audited.pk, waiting.pk, gold.pk, shown.pk}


def test_a_study_does_not_start_when_an_image_entered_the_audit_sample(scene: StudyScene) -> None:
    study = scene.draft()
    scene.station.item(stream=Stream.AUDIT, image=scene.images[0])
    with pytest.raises(ValidationError, match="audit sample"):
        services.start(study=study, user=scene.admin)
    study.refresh_from_db()
    assert study.state == "draft"


def test_stratified_images_have_equal_numbers_and_the_hard_share(scene: StudyScene) -> None:
    # 30 images predicted as label 0 and 3 as label 1; the margins grow with the number.
    for place in range(33):
        image = ImageFactory(dataset=scene.dataset)
        label = scene.labels[0] if place < 30 else scene.labels[1]
        PredictionFactory(head=scene.station.head, image=image, label=label, margin=place / 40)
    chosen = choose_images(
        scene.dataset, method="stratified", count=8, boundary_percent=50, reference="none", seed=5
    )
    by_label = [sum(c.label == label.pk for c in chosen) for label in scene.labels]
    assert by_label == [5, 3, 0]
    assert sum(c.near_boundary for c in chosen) == 4
    hardest = PredictionFactory._meta.model.objects.order_by("margin").first()
    assert hardest is not None and hardest.image_id in {c.image for c in chosen if c.near_boundary}
    assert len({c.image for c in chosen}) == 8


def test_a_large_dataset_is_drawn_from_a_random_part(
    scene: StudyScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choosing, "MOST_CANDIDATES", 30)
    for place in range(200):
        ImageFactory(dataset=scene.dataset, audit_key=place / 200)
    options = {"method": "random", "count": 8, "boundary_percent": 0, "reference": "none"}
    chosen: set[int] = set()
    for seed in range(6):
        ids = [choice.image for choice in choose_images(scene.dataset, seed=seed, **options)]
        keys = sorted(Image.objects.filter(pk__in=ids).values_list("audit_key", flat=True))
        assert len(ids) == 8
        assert keys[0] >= scene.dataset.audit_fraction and keys[-1] - keys[0] <= 30 / 206
        chosen |= set(ids)
    assert len(chosen) > 30


def test_left_out_images_are_counted_once(scene: StudyScene) -> None:
    for _ in range(3):
        ImageFactory(dataset=scene.dataset, audit_key=scene.dataset.audit_fraction / 2)
    audited = ConfirmedLabelFactory(dataset=scene.dataset, label=scene.labels[0], stream=Stream.AUDIT).image
    scene.station.item(stream=Stream.AUDIT, image=audited)
    scene.station.item(stream=Stream.GOLD)
    assert choosing.left_out_count(scene.dataset) == 5


def test_the_seed_decides_the_images(scene: StudyScene) -> None:
    for _ in range(30):
        ImageFactory(dataset=scene.dataset)
    options = {"method": "random", "count": 6, "boundary_percent": 0, "reference": "none"}
    first, again, other = (choose_images(scene.dataset, seed=seed, **options) for seed in (1, 1, 2))
    assert first == again != other


def test_confirmed_reference_labels_need_the_explicit_statement(scene: StudyScene) -> None:
    scene.confirm_all()
    study = scene.draft(reference="confirmed")
    with pytest.raises(ValidationError, match="confirm"):
        services.start(study=study, user=scene.admin)
    services.start(study=study, user=scene.admin, reference_confirmed=True)
    labels = dict(study.images.values_list("image_id", "reference_label_id"))
    assert labels == {image.pk: scene.label_of(n).pk for n, image in enumerate(scene.images)}


def test_redraw_changes_the_images_of_a_draft_only(scene: StudyScene) -> None:
    for _ in range(40):
        ImageFactory(dataset=scene.dataset)
    study = scene.draft()
    before = set(study.images.values_list("image_id", flat=True))
    services.redraw(study=study, user=scene.admin)
    assert set(study.images.values_list("image_id", flat=True)) != before
    services.start(study=study, user=scene.admin)
    with pytest.raises(ValidationError):
        services.redraw(study=study, user=scene.admin)


def test_the_database_refuses_changes_after_the_start(scene: StudyScene) -> None:
    study = scene.running()
    answer = scene.answer(scene.invitation(study), study.images.all()[0])
    for change in (
        lambda: study.images.all()[0].delete(),
        lambda: StudyImage.objects.create(study=study, image=ImageFactory(dataset=scene.dataset)),
        lambda: study.labels.update(critical=True),
        lambda: StudyReviewer.objects.create(study=study, user=scene.admin),
        lambda: Study.objects.filter(pk=study.pk).update(runs=3),
        lambda: Study.objects.filter(pk=study.pk).update(state="draft", started_at=None),
        lambda: Study.objects.filter(pk=study.pk).delete(),
        lambda: StudyAnswer.objects.filter(pk=answer.pk).update(label=scene.labels[1]),
        lambda: StudyAnswer.objects.filter(pk=answer.pk).delete(),
    ):
        with pytest.raises(DatabaseError), transaction.atomic():
            change()


# --- Answers ----------------------------------------------------------------------------------------------


def test_answers_touch_no_label_queue_or_progress(scene: StudyScene) -> None:
    scene.confirm_all()
    before = list(ConfirmedLabel.objects.order_by("pk").values())
    votes = training_votes(scene.dataset)
    study = scene.running(reference="confirmed")
    for place in range(2):
        scene.answer_all(scene.invitation(study, place), lambda *_: scene.labels[2])
    assert list(ConfirmedLabel.objects.order_by("pk").values()) == before
    assert training_votes(scene.dataset) == votes
    assert Decision.objects.filter(user__in=scene.people).count() == 0
    assert not QueueItem.objects.exists()
    assert answered_today(scene.dataset, scene.people[0]) == 0
    assert not Job.objects.exclude(kind="agreement").exists()


def test_every_reviewer_and_run_has_another_order(scene: StudyScene) -> None:
    for _ in range(20):
        scene.images.append(ImageFactory(dataset=scene.dataset))
    study = scene.running()
    orders = {tuple(order_of_run(scene.invitation(study, p), run)) for p in (0, 1) for run in (1, 2)}
    assert len(orders) == 4
    assert len({frozenset(order) for order in orders}) == 1


def test_a_run_never_begins_with_the_last_image_of_the_run_before(scene: StudyScene) -> None:
    study = scene.running()
    reviewer = scene.invitation(study)
    for seed in range(40):  # of six images, about seven would begin so by chance
        reviewer.study.seed = seed
        first, second = (order_of_run(reviewer, run) for run in (1, 2))
        assert second[0] != first[-1] and sorted(first) == sorted(second)


def test_the_second_run_begins_after_the_first_and_the_study_finishes(scene: StudyScene) -> None:
    study = scene.running()
    first, second = (scene.invitation(study, place) for place in (0, 1))
    image = study.images.all()[0]
    with pytest.raises(ReviewError) as error:
        scene.answer(first, image, run=2)
    assert error.value.code == "other_run"
    scene.answer_all(first)
    assert progress_of(first).done
    study.refresh_from_db()
    assert study.state == "running"
    scene.answer_all(second)
    study.refresh_from_db()
    assert study.state == "finished"
    job = Job.objects.get(kind="agreement")
    assert study.job == job and job.payload == {"study": study.pk}
    assert StudyAnswer.objects.count() == 6 * 2 * 2


def test_the_pause_between_runs(scene: StudyScene) -> None:
    study = scene.running(pause_hours=24)
    reviewer = scene.invitation(study)
    scene.answer_all(reviewer)
    images, progress = next_images(reviewer, 3)
    assert images == [] and progress.run == 2 and progress.waits_until is not None
    with pytest.raises(ReviewError) as error:
        scene.answer(reviewer, study.images.all()[0], run=2)
    assert error.value.code == "pause"
    with as_owner(triggers=False):
        StudyAnswer.objects.update(created_at=F("created_at") - timedelta(hours=25))
    assert next_images(reviewer, 3)[0]


def test_an_answer_sent_twice_is_recorded_once(scene: StudyScene) -> None:
    study = scene.running()
    reviewer, (image, other, *_rest) = scene.invitation(study), study.images.all()
    key = uuid.uuid4()
    first = scene.answer(reviewer, image, client_key=key)
    again = scene.answer(reviewer, image, client_key=key, label_id=scene.labels[1].pk)
    assert again.pk == first.pk and again.duplicate
    with pytest.raises(ReviewError) as error:
        scene.answer(reviewer, other, client_key=key)
    assert error.value.code == "key_used"
    with pytest.raises(ReviewError) as error:
        scene.answer(reviewer, image)
    assert error.value.code == "answered_before"
    assert StudyAnswer.objects.count() == 1


def test_answers_that_are_refused(scene: StudyScene) -> None:
    study = scene.running()
    reviewer, image = scene.invitation(study), study.images.all()[0]
    other_study = scene.running()
    refused: list[tuple[type[Exception], dict[str, Any]]] = [
        (InvalidAnswerError, {"milliseconds": 199}),
        (NotFoundForReviewerError, {"image_id": other_study.images.all()[0].pk}),
        (NotFoundForReviewerError, {"label_id": 2**40}),
        (NotFoundForReviewerError, {"user": scene.people[1]}),
        (PermissionDenied, {"user": UserFactory()}),
    ]
    for error, wrong in refused:
        with pytest.raises(error):
            scene.answer(reviewer, image, **wrong)
    assert not StudyAnswer.objects.exists()


def test_a_label_archived_during_the_study_stays_a_label_of_the_study(scene: StudyScene) -> None:
    study = scene.running()
    reviewer, (first, second, *_rest) = scene.invitation(study), study.images.all()
    scene.answer(reviewer, first, label_id=scene.labels[2].pk)
    archive_label(label=scene.labels[2], user=scene.admin, confirmed=True)
    assert scene.answer(reviewer, second, label_id=scene.labels[2].pk).label_id == scene.labels[2].pk


def test_a_reviewer_who_was_removed_cannot_answer_and_the_admin_can_finish(scene: StudyScene) -> None:
    study = scene.running()
    reviewer, image = scene.invitation(study), study.images.all()[0]
    scene.dataset.memberships.filter(user=scene.people[0]).delete()
    with pytest.raises(PermissionDenied):
        scene.answer(reviewer, image)
    scene.answer_all(scene.invitation(study, 1))
    services.finish(study=study, user=scene.admin)
    study.refresh_from_db()
    assert study.state == "finished" and study.job is not None
    with pytest.raises(ValidationError):
        services.cancel(study=study, user=scene.admin)


def test_a_cancelled_study_keeps_its_answers_and_has_no_report(scene: StudyScene) -> None:
    study = scene.running()
    reviewer, (first, second, *_rest) = scene.invitation(study), study.images.all()
    scene.answer(reviewer, first)
    services.cancel(study=study, user=scene.admin)
    with pytest.raises(ReviewError) as error:
        scene.answer(reviewer, second)
    assert error.value.code == "study_ended"
    assert StudyAnswer.objects.count() == 1 and not Job.objects.exists()
    with pytest.raises(ValidationError):
        services.request_report(study=study, user=scene.admin)


def test_the_reference_person_judges_once(scene: StudyScene) -> None:
    expert = scene.station.reviewer()
    study = scene.running(reference="person", reference_person_id=expert.pk)
    for place in (0, 1):
        scene.answer_all(scene.invitation(study, place))
    study.refresh_from_db()
    assert study.state == "running"
    invited = StudyReviewer.objects.select_related("study__dataset").get(study=study, user=expert)
    assert progress_of(invited).runs == 1
    scene.answer_all(invited, lambda *_: scene.labels[1])
    study.refresh_from_db()
    assert study.state == "finished"
