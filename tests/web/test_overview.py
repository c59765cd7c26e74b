"""A dataset's overview: the loop, the curve, the next action, and failures."""

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from mekiki.datasets.models import ImportBatch
from mekiki.datasets.services import discard_import
from mekiki.jobs.models import Kind, State
from mekiki.learning.models import EncodingProblem
from mekiki.web.next_step import MIN_NEW_LABELS, Facts, choose_next_step
from tests.factories import (
    ChampionFactory,
    ConfirmedLabelFactory,
    DatasetFactory,
    EncoderFactory,
    EvaluationFactory,
    HeadFactory,
    ImageFactory,
    JobFactory,
    LabelFactory,
    PredictionFactory,
    PromptSetFactory,
    QueueItemFactory,
    TrainingRunFactory,
    UserFactory,
)
from tests.pages import without_gaps


def client_of(user) -> Client:
    client = Client(headers={"accept-language": "en"})
    client.force_login(user)
    return client


def page(dataset, user) -> str:
    response = client_of(user).get(f"/d/{dataset.slug}/")
    assert response.status_code == 200
    return without_gaps(response.content.decode())


READY = {"images": 100, "labels": 3, "prompted_labels": 3}


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        (Facts("admin"), "labels"),
        (Facts("admin", labels=2), "prompts"),
        (Facts("admin", labels=2, prompted_labels=2), "images"),
        (Facts("reviewer"), "not_ready"),
        (Facts("viewer", labels=2, prompted_labels=2), "not_ready"),
        (Facts("admin", jobs=1, **READY), "wait"),
        (Facts("admin", waiting=5, jobs=1, **READY), "review"),
        (Facts("reviewer", waiting=5, new_labels=90, **READY), "review"),
        (Facts("viewer", waiting=5, **READY), "look"),
        (Facts("admin", new_labels=MIN_NEW_LABELS, confirmed=MIN_NEW_LABELS, **READY), "retrain"),
        (Facts("admin", new_labels=MIN_NEW_LABELS - 1, confirmed=40, **READY), "freeze"),
        (Facts("reviewer", new_labels=90, confirmed=90, **READY), "look"),
        (Facts("admin", confirmed=40, exported=40, **READY), "look"),
        (Facts("admin", **READY), "look"),
    ],
)
def test_next_step_follows_from_the_facts(facts: Facts, code: str):
    assert choose_next_step(facts).code == code


def test_next_step_shows_the_number_of_waiting_images():
    assert choose_next_step(Facts("reviewer", waiting=1, **READY)).title.startswith("1 image waits")
    assert choose_next_step(Facts("reviewer", waiting=7, **READY)).title.startswith("7 images wait")


@pytest.mark.django_db
class TestOverviewPage:
    def test_overview_answers_404_to_users_without_access(self):
        assert client_of(UserFactory()).get(f"/d/{DatasetFactory().slug}/").status_code == 404

    @pytest.mark.parametrize("role", ["admin", "reviewer", "viewer"])
    def test_every_member_sees_the_overview(self, role):
        user = UserFactory()
        dataset = DatasetFactory(**{role: user}, name="Castings")
        assert "Castings" in page(dataset, user)

    def test_loop_shows_the_number_of_images_at_each_stage(self):
        user = UserFactory()
        dataset = DatasetFactory(admin=user)
        label = LabelFactory(dataset=dataset)
        PromptSetFactory(dataset=dataset)
        head = HeadFactory(dataset=dataset)
        ChampionFactory(head=head)
        images = [ImageFactory(dataset=dataset) for _ in range(5)]
        for image in images[:4]:
            PredictionFactory(head=head, image=image, label=label)
        for image in images[:3]:
            QueueItemFactory(dataset=dataset, image=image)
        for image in images[3:]:
            ConfirmedLabelFactory(dataset=dataset, image=image, label=label)
        text = page(dataset, user)
        assert "images: 5, predicted: 4, waiting: 3, confirmed: 2, exported: 0" in text
        table = re.findall(r'<th scope="row">(\w+)</th><td class="numeric">(\d+)</td>', text)
        assert table == [
            ("images", "5"),
            ("predicted", "4"),
            ("waiting", "3"),
            ("confirmed", "2"),
            ("exported", "0"),
        ]
        assert 'data-next-step="review"' in text

    def test_predictions_of_a_replaced_head_are_not_counted(self):
        user = UserFactory()
        dataset = DatasetFactory(admin=user)
        PredictionFactory(head=HeadFactory(dataset=dataset))
        ChampionFactory(head=HeadFactory(dataset=dataset))
        assert "predicted: 0" in page(dataset, user)

    def test_curve_is_also_shown_as_a_table(self):
        user = UserFactory()
        dataset = DatasetFactory(admin=user)
        for answers, correct, low, high in ((40, 30, 0.6, 0.86), (90, 38, 0.835, 0.986)):
            head = HeadFactory(dataset=dataset)
            EvaluationFactory(head=head, n=40, correct=correct, low=low, high=high, answers=answers)
        ChampionFactory(head=head)
        text = page(dataset, user)
        assert "After 90 answers: 95.0 %, 95 % interval 83.5 % to 98.6 %, from 40 audited images." in text
        assert '<td class="numeric">83.5 % – 98.6 %</td>' in text
        assert '<td class="numeric">75.0 %</td>' in text

    def test_accuracy_is_not_claimed_before_it_is_measured(self):
        user = UserFactory()
        text = page(DatasetFactory(admin=user), user)
        assert "Not measured yet." in text
        assert "chart__line" not in text

    def test_new_labels_are_counted_from_the_last_training(self):
        user = UserFactory()
        dataset = DatasetFactory(admin=user)
        label = LabelFactory(dataset=dataset)
        PromptSetFactory(dataset=dataset)
        ConfirmedLabelFactory.create_batch(MIN_NEW_LABELS, dataset=dataset, label=label)
        assert 'data-next-step="retrain"' in page(dataset, user)
        TrainingRunFactory(dataset=dataset)
        assert 'data-next-step="freeze"' in page(dataset, user)

    def test_unreadable_images_and_failed_jobs_are_listed(self):
        user = UserFactory()
        dataset = DatasetFactory(admin=user)
        image, other = ImageFactory(dataset=dataset), ImageFactory(dataset=dataset)
        # An image counts once, and an image without its local detail alone does not count.
        for encoder in (EncoderFactory(), EncoderFactory(), EncoderFactory(kind="detail")):
            EncodingProblem.objects.create(encoder=encoder, image=image, reason="truncated")
        EncodingProblem.objects.create(encoder=EncoderFactory(kind="detail"), image=other, reason="truncated")
        JobFactory(
            dataset=dataset,
            kind=Kind.TRAIN,
            state=State.FAILED,
            error="Disk full.",
            finished_at=timezone.now(),
        )
        text = page(dataset, user)
        assert "1 image could not be read" in text
        assert "Retrain: failed" in text and "Disk full." in text

    def test_failed_job_of_a_removed_kind_is_listed(self):
        user = UserFactory()
        dataset = DatasetFactory(admin=user)
        JobFactory(
            dataset=dataset,
            kind="recount",
            state=State.FAILED,
            error="Disk full.",
            finished_at=timezone.now(),
        )
        assert "recount: failed" in page(dataset, user)

    def test_failure_before_a_later_success_is_not_shown(self):
        user = UserFactory()
        dataset = DatasetFactory(admin=user)
        now = timezone.now()
        JobFactory(
            dataset=dataset,
            kind=Kind.TRAIN,
            state=State.FAILED,
            error="Disk full.",
            finished_at=now - timezone.timedelta(minutes=5),
        )
        JobFactory(dataset=dataset, kind=Kind.TRAIN, state=State.SUCCEEDED, finished_at=now)
        assert "Disk full." not in page(dataset, user)

    def test_the_number_of_queries_does_not_grow_with_the_images(self, django_assert_max_num_queries):
        user = UserFactory()
        dataset = DatasetFactory(admin=user)
        client = client_of(user)

        def grow():
            head = HeadFactory(dataset=dataset)
            EvaluationFactory(head=head)
            for _ in range(3):
                PredictionFactory(head=head)
                ConfirmedLabelFactory(dataset=dataset)
                JobFactory(dataset=dataset)

        grow()
        with django_assert_max_num_queries(40) as few:
            client.get(f"/d/{dataset.slug}/")
        grow()
        grow()
        with django_assert_max_num_queries(len(few.captured_queries)):
            client.get(f"/d/{dataset.slug}/")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("kind", "description"),
    [
        ("zero_shot", "zero-shot, by prompts"),
        ("gaussian", "Gaussian, trained on labels"),
        ("plain", "plain logistic, trained on labels"),
    ],
)
def test_kind_of_the_champion_is_shown(kind: str, description: str):
    viewer = UserFactory()
    dataset = DatasetFactory(viewer=viewer)
    ChampionFactory(dataset=dataset, head=HeadFactory(dataset=dataset, kind=kind))
    assert f'<dd class="stat__note">{description}</dd>' in page(dataset, viewer)


def create_failed_job(dataset, kind, minutes=5, **more):
    at = timezone.now() - timedelta(minutes=minutes)
    return JobFactory(
        dataset=dataset, kind=kind, state=State.FAILED, error="Out of order.", finished_at=at, **more
    )


@pytest.mark.django_db
@pytest.mark.parametrize("kind", [Kind.REFILL, Kind.PREDICT, Kind.TRAIN])
def test_failure_is_hidden_after_a_retry(kind):
    user = UserFactory()
    dataset = DatasetFactory(admin=user)
    ChampionFactory(head__dataset=dataset)
    create_failed_job(dataset, kind)
    assert "Out of order." in page(dataset, user)
    retry = JobFactory(dataset=dataset, kind=kind, state=State.QUEUED)
    assert "Out of order." not in page(dataset, user), "the job is being retried"
    retry.delete()
    JobFactory(dataset=dataset, kind=kind, state=State.SUCCEEDED, finished_at=timezone.now())
    assert "Out of order." not in page(dataset, user)


@pytest.mark.django_db
@pytest.mark.parametrize("kind", [Kind.PREDICT, Kind.TRAIN])
def test_failed_refill_is_hidden_after_another_job_filled_the_queue(kind):
    user = UserFactory()
    dataset = DatasetFactory(admin=user)
    ChampionFactory(head__dataset=dataset)
    create_failed_job(dataset, Kind.REFILL)
    JobFactory(dataset=dataset, kind=kind, state=State.SUCCEEDED, finished_at=timezone.now())
    assert "Out of order." not in page(dataset, user)
    create_failed_job(dataset, Kind.REFILL, minutes=-1)
    assert "Out of order." in page(dataset, user), "a later failure is shown"


@pytest.mark.django_db
def test_failed_refill_is_hidden_while_there_is_no_head():
    user = UserFactory()
    dataset = DatasetFactory(admin=user)
    create_failed_job(dataset, Kind.REFILL)
    assert "Out of order." not in page(dataset, user)


@pytest.mark.django_db
def test_failures_are_shown_correctly_after_a_clock_change():
    user = UserFactory()
    dataset = DatasetFactory(admin=user)
    ChampionFactory(head__dataset=dataset)
    future = timezone.now() + timedelta(days=400)
    JobFactory(dataset=dataset, kind=Kind.TRAIN, state=State.SUCCEEDED, finished_at=future)
    create_failed_job(dataset, Kind.TRAIN)
    assert "Out of order." in page(dataset, user)
    create_failed_job(dataset, Kind.TRAIN, minutes=-60 * 24 * 400)
    JobFactory(dataset=dataset, kind=Kind.TRAIN, state=State.SUCCEEDED, finished_at=timezone.now())
    assert "Out of order." not in page(dataset, user)


@pytest.mark.django_db
def test_discarded_import_and_old_comparison_are_hidden():
    user = UserFactory()
    dataset = DatasetFactory(admin=user)
    batch = ImportBatch.objects.create(dataset=dataset, source=ImportBatch.Source.UPLOAD)
    create_failed_job(dataset, Kind.IMPORT_IMAGES, payload={"batch": batch.pk})
    create_failed_job(dataset, Kind.VERIFY_HEAD, minutes=60 * 24 * 8)
    text = page(dataset, user)
    assert text.count("Out of order.") == 1 and "Import images: failed" in text
    discard_import(batch=batch, user=user)
    assert "Out of order." not in page(dataset, user)
