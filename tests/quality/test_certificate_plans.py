"""The three steps before a certificate: what is typed, the plan, and the start. Nothing is frozen before."""

import re
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.test import Client

from mekiki.audit.models import Event
from mekiki.datasets.models import ImportBatch
from mekiki.jobs.models import Job, Kind
from mekiki.quality.models import Certificate, CertificateForecast, CertificateImage, CertificatePlan
from mekiki.quality.pace import ASSUMED_SECONDS, LEAST_MEASURED, blind_pace
from mekiki.quality.services.certificates import (
    Forecast,
    PlannedPool,
    record_forecasts,
    request_plan,
    start_planned,
)
from tests.factories import HeadFactory
from tests.quality_setup import CertifiedPool, make_protocol
from tests.review_setup import Station

pytestmark = pytest.mark.django_db
VALUES = {"alpha": "2", "delta": "5", "test": "watched", "overlap": "1"}


class Planner(Station):
    """A station with an admin, whose browser makes plans."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.admin = self.reviewer("admin")
        self.client = Client(headers={"accept-language": "en"})
        self.client.force_login(self.admin)
        self.base = f"/d/{self.dataset.slug}/quality/certificates/"

    def plan(self, **values: Any) -> CertificatePlan:
        """Send the form of step 1 and return the plan that was made."""
        answer = self.client.post(self.base + "new/", {**VALUES, **values})
        plan = CertificatePlan.objects.get(dataset=self.dataset)
        assert answer.status_code == 302
        assert answer["Location"] == f"{self.base}plans/{plan.number}/"
        return plan

    def compute(self, plan: CertificatePlan, forecasts: list[Forecast] | None = None, **values: Any) -> None:
        """Record a forecast as the worker does."""
        numbers = {
            "pool": 2400,
            "candidates": 2300,
            "critical_label": 0,
            "critical_risk": 0,
            "not_embedded": 100,
            "audited": 45,
            "audited_right": 44,
            "expected_errors": 23.4,
            "seconds": 4.0,
            "timed_decisions": 0,
        }
        record_forecasts(
            plan=plan,
            head=self.head,
            pool=PlannedPool(**{**numbers, **values}),
            forecasts=FORECASTS if forecasts is None else forecasts,
        )

    def page(self, path: str) -> str:
        """Return a page below quality/certificates/."""
        answer = self.client.get(self.base + path)
        assert answer.status_code == 200
        return re.sub(r"\s+", " ", answer.content.decode())


def forecast(alpha: float, limit: int, answers: float, images: tuple[int, int, int]) -> Forecast:
    """Return a forecast with round numbers."""
    levels = [0.7, 0.8, 0.85, 0.9, 0.95, 0.975, 1.0]
    return Forecast(alpha, limit, levels, images, (150, 180, 230), answers, 0.9, 20.2)


FORECASTS = [
    forecast(0.01, 200, 1900, (0, 0, 700)),
    forecast(0.02, 200, 800, (1500, 1700, 1800)),
    forecast(0.02, 300, 500, (1900, 2000, 2100)),
]


def test_plan_is_requested_and_nothing_is_frozen() -> None:
    world = Planner()
    plan = world.plan(public_words=" dice 6 1 ", note="lot 7")
    assert (plan.alpha, plan.delta, plan.overlap, plan.public_words) == (0.02, 0.05, 1, "dice 6 1")
    assert plan.job is not None and plan.job.kind == Kind.PLAN_CERTIFICATE
    assert not Certificate.objects.exists() and not CertificateImage.objects.exists()
    assert Event.objects.filter(kind="certificate.planned", dataset_id=world.dataset.pk).count() == 1
    assert "Nothing is frozen yet" in world.page(f"plans/{plan.number}/")


def test_plan_says_what_it_brings_and_costs_and_that_it_is_no_promise() -> None:
    world = Planner()
    plan = world.plan()
    world.compute(plan)
    text = world.page(f"plans/{plan.number}/")
    assert (
        "Probably 1,900 to 2,100 of 2,400 images get their label by machine, after 150 to 230 audited "
        "images: about 20 minutes of reviewing." in text
    )
    assert "a forecast and no promise" in text
    assert "45 images of the audit sample, of which 44 were predicted right" in text
    assert "This is assumed" in text  # no blind decision was timed
    assert 'name="limit" value="300"' in text and '<option value="0.7" selected>' in text
    assert text.count("chart__line--") >= 2 and "The same as a table" in text


def test_plan_proposes_the_smallest_limit_that_costs_hardly_more_answers() -> None:
    world = Planner()
    plan = world.plan()
    rows = [
        forecast(0.02, 200, 800, (1500, 1700, 1800)),
        forecast(0.02, 300, 515, (1800, 1950, 2100)),
        forecast(0.02, 800, 500, (1900, 2000, 2100)),
    ]
    world.compute(plan, rows)  # 1 % of 2,300 candidates is 23
    assert 'name="limit" value="300"' in world.page(f"plans/{plan.number}/")


def test_start_uses_the_numbers_of_the_plan_and_back_keeps_what_was_typed() -> None:
    world = Planner()
    plan = world.plan(note="lot 7", **{f"alpha_of_{world.labels[1].pk}": "1.5"})
    world.compute(plan)
    text = world.page(f"plans/{plan.number}/start/?limit=250&first=0.8")
    assert "cannot be changed after the start" in text and not Certificate.objects.exists()
    assert f"/plans/{plan.number}/?limit=250&amp;first=0.8" in text  # back to the plan
    before = world.page(f"plans/{plan.number}/?limit=250&first=0.8")
    assert 'name="limit" value="250"' in before and '<option value="0.8" selected>' in before
    first = world.page(f"new/?plan={plan.number}")
    assert 'value="lot 7"' in first and 'value="1.5"' in first and '<details class="details" open' in first
    answer = world.client.post(f"{world.base}plans/{plan.number}/start/", {"limit": "250", "first": "0.8"})
    certificate = Certificate.objects.get()
    assert answer["Location"] == f"{world.base}{certificate.version}/"
    assert certificate.limit == 250 and certificate.levels == [0.8, 0.85, 0.9, 0.95, 0.975, 1.0]
    assert certificate.alpha_by_label == {str(world.labels[1].pk): 0.015}
    assert CertificatePlan.objects.get().certificate == certificate


def test_plan_starts_one_certificate_only() -> None:
    world = CertifiedPool(started=False)
    plan = request_plan(dataset=world.dataset, user=world.admin, protocol=make_protocol())
    first = start_planned(plan=plan, user=world.admin, limit=20, levels=(1.0,))
    first.state = Certificate.State.CANCELLED
    first.save(update_fields=["state"])
    with pytest.raises(ValidationError, match="already"):
        start_planned(plan=plan, user=world.admin, limit=20, levels=(1.0,))
    assert Certificate.objects.count() == 1


@pytest.mark.parametrize(
    "values",
    [
        {"alpha": ""},
        {"alpha": "nan"},
        {"alpha": "-1"},
        {"alpha": "51"},
        {"delta": "0"},
        {"overlap": "7"},
        {"test": "guess"},
        {"batch": "1"},
        {"public_words": "x" * 501},
        {"note": "a\0b"},
    ],
)
def test_bad_values_are_shown_with_the_form(values: dict[str, str]) -> None:
    world = Planner()
    answer = world.client.post(world.base + "new/", {**VALUES, **values})
    assert answer.status_code == 422 and not CertificatePlan.objects.exists()


@pytest.mark.parametrize(
    "values",
    [{}, {"limit": "0", "first": "0.7"}, {"limit": "9" * 40, "first": "0.7"}, {"limit": "9", "first": "2"}],
)
def test_bad_numbers_are_shown_with_the_plan(values: dict[str, str]) -> None:
    world = Planner()
    plan = world.plan()
    world.compute(plan)
    address = f"{world.base}plans/{plan.number}/start/"
    assert world.client.get(address, values).status_code == 422
    assert world.client.post(address, values).status_code == 422
    assert not Certificate.objects.exists()


@pytest.mark.parametrize(
    ("computed", "words"),
    [
        ({"audited": 0, "audited_right": 0}, "no image of the audit sample was judged"),
        ({"audited": 12}, "The audit sample is small (12 images)"),
        ({"candidates": 0}, "No image is left that the machine could label"),
    ],
)
def test_empty_plan_says_what_to_do_next(computed: dict[str, int], words: str) -> None:
    world = Planner()
    plan = world.plan()
    world.compute(plan, [] if "candidates" in computed or not computed["audited"] else None, **computed)
    assert words in world.page(f"plans/{plan.number}/")


def test_plan_names_an_uncalibrated_head_and_one_that_was_replaced() -> None:
    world = Planner()
    world.head = HeadFactory(dataset=world.dataset, calibrated=False)
    plan = world.plan()
    world.compute(plan)
    text = world.page(f"plans/{plan.number}/")
    assert "are not calibrated" in text and "Another head is in use since this plan was made" in text


def test_plan_says_when_a_certificate_would_probably_fail() -> None:
    world = Planner()
    plan = world.plan(alpha="1")
    world.compute(plan)
    assert "probably fails" in world.page(f"plans/{plan.number}/")


def test_no_head_in_use_sends_to_the_labels() -> None:
    world = Planner()
    world.dataset.champion.delete()
    assert "There are no predictions yet" in world.page("new/")
    assert world.client.post(world.base + "new/", VALUES).status_code == 422
    assert not CertificatePlan.objects.exists()


@pytest.mark.parametrize("end", ["failed", "cancelled", "lost"])
def test_plan_whose_job_stopped_says_why_and_offers_to_plan_again(end: str) -> None:
    world = Planner()
    plan = world.plan()
    address = f"plans/{plan.number}/"
    assert "is being computed" in world.page(address) and "Plan again" not in world.page(address)
    if end == "lost":
        Job.objects.all().delete()
    else:
        Job.objects.update(state=end, error="The disk is full." if end == "failed" else "")
    reason = {"failed": "The disk is full.", "cancelled": "was cancelled", "lost": "No job continues"}[end]
    text = world.page(address)
    assert "is being computed" not in text and reason in text and "Nothing was frozen" in text
    api = f"/api/v1/datasets/{world.dataset.slug}/certificate-plans/{plan.number}"
    assert reason in world.client.get(api).json()["stopped"]
    world.client.post(f"{world.base}{address}again/")
    assert "is being computed" in world.page("plans/2/")


def test_plan_with_limits_of_single_labels_says_what_the_forecast_assumes() -> None:
    world = Planner()
    plan = world.plan(**{f"alpha_of_{world.labels[1].pk}": "1.5"})
    world.compute(plan)
    assert "It includes the limits of single labels" in world.page(f"plans/{plan.number}/")


def test_plan_again_is_a_new_plan_of_the_same_statement() -> None:
    world = Planner()
    plan = world.plan(note="lot 7")
    answer = world.client.post(f"{world.base}plans/{plan.number}/again/")
    again = CertificatePlan.objects.exclude(pk=plan.pk).get()
    assert answer["Location"] == f"{world.base}plans/{again.number}/"
    assert (again.number, again.note, again.alpha) == (2, "lot 7", 0.02) and again.job != plan.job


def test_plan_of_one_import() -> None:
    world = Planner()
    batch = ImportBatch.objects.create(dataset=world.dataset, source="upload", created_by=world.admin)
    batch.finished_at = batch.created_at
    batch.save()
    plan = world.plan(batch=str(batch.pk))
    world.compute(plan)
    assert plan.batch == batch
    assert "The audit sample of the whole dataset was used" in world.page(f"plans/{plan.number}/")


def test_plan_that_was_left_is_found_again() -> None:
    world = Planner()
    plan = world.plan(note="lot 7")
    assert f"{world.base}plans/{plan.number}/" in world.page("new/")
    world.compute(plan)
    start_planned(plan=plan, user=world.admin, limit=20, levels=(1.0,))
    Certificate.objects.update(state=Certificate.State.CANCELLED)
    assert "plans/" not in world.page("new/")


def test_api_returns_the_plan_to_admins_only() -> None:
    world = Planner()
    plan = world.plan(**{f"alpha_of_{world.labels[0].pk}": "1"})
    address = f"/api/v1/datasets/{world.dataset.slug}/certificate-plans/{plan.number}"
    assert world.client.get(address).json()["computed"] is False
    world.compute(plan)
    body = world.client.get(address).json()
    assert body["proposal"] == {"limit": 300, "first": 0.7, "from_forecast": True}
    assert body["forecast"].startswith("Probably 1,900 to 2,100 of 2,400 images")
    assert body["alpha_by_label"] == {world.labels[0].name: 0.01} and len(body["forecasts"]) == 3
    viewer = Client()
    viewer.force_login(world.reviewer())
    assert viewer.get(address).status_code == 403


def test_looking_at_a_plan_makes_no_job_and_no_event() -> None:
    world = Planner()
    plan = world.plan()
    world.compute(plan)
    counts = Job.objects.count(), Event.objects.count()
    for path in (f"plans/{plan.number}/", f"plans/{plan.number}/start/?limit=9&first=0.7", "explained/"):
        world.page(path)
    assert (Job.objects.count(), Event.objects.count()) == counts


def test_forecast_of_a_plan_is_stored_once_and_never_changed() -> None:
    world = Planner()
    plan = world.plan()
    world.compute(plan)
    world.compute(plan, audited=99)
    plan.refresh_from_db()
    assert plan.audited == 45 and CertificateForecast.objects.count() == len(FORECASTS)


def test_plan_shows_nothing_of_single_images(django_assert_max_num_queries: Any) -> None:
    world = Planner(items=5)
    plan = world.plan()
    world.compute(plan)
    with django_assert_max_num_queries(25):
        text = world.page(f"plans/{plan.number}/")
    assert not any(image.sha256[:12] in text or image.name in text for image in world.dataset.images.all())


def test_pace_is_the_median_of_blind_decisions() -> None:
    world = CertifiedPool()
    world.freeze()
    person = world.people[0]
    from mekiki.quality.audit_state import read_audit_state
    from mekiki.quality.services.certificates import draw_next

    for _ in range(LEAST_MEASURED):  # with the prediction on the screen
        world.item()
        [leased] = world.next(person)
        assert not leased.blind
        world.answer(person, leased, "confirm", label=world.labels[0], milliseconds=9000)
    draw_next(certificate=world.certificate, state=read_audit_state(world.certificate))
    for number in range(LEAST_MEASURED):
        assert blind_pace(world.dataset).seconds == ASSUMED_SECONDS
        [leased] = world.next(person)
        assert leased.blind
        world.answer(
            person, leased, "correct", label=world.labels[0], milliseconds=90_000 if number == 0 else 2500
        )
    assert blind_pace(world.dataset).measured == 0  # one of them was a pause
    [leased] = world.next(person)
    world.answer(person, leased, "correct", label=world.labels[0], milliseconds=2500)
    assert (blind_pace(world.dataset).seconds, blind_pace(world.dataset).measured) == (2.5, LEAST_MEASURED)
