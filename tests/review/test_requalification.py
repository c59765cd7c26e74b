"""Requalification: when it is due, the test, what it blocks, and the acts of an admin."""

import html
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from mekiki.accounts.models import OutgoingMail
from mekiki.audit.models import Event
from mekiki.review import services
from mekiki.review.errors import NotFoundForReviewerError, ReviewError
from mekiki.review.models import Decision, Lease, Requalification
from mekiki.review.requalification import next_question
from mekiki.review.services.requalifying import needed_right
from tests.review.test_reviewer_measures import decide, gold_item
from tests.review_setup import Station

pytestmark = pytest.mark.django_db

State = Requalification.State


class BoundStation(Station):
    """A station where reviewers need 80 % on gold images, from five answers on."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(
            items=2,
            **{"gold_bound": 0.8, "gold_bound_answers": 5, "requalification_questions": 3, **settings},
        )
        self.admin, self.user = self.reviewer("admin"), self.reviewer()

    def gold(self, right: int, wrong: int) -> None:
        for number in range(right + wrong):
            label = self.labels[0 if number < right else 1]
            decide(self, self.user, label, gold_item(self, self.labels[0]), blind=True)

    def check(self) -> Requalification | None:
        return services.check_requalification(dataset=self.dataset, user=self.user)

    def begin(self) -> Requalification:
        return services.begin_test(dataset=self.dataset, user=self.user)

    def test(self, *right: bool) -> Requalification:
        test = self.begin()
        for is_right in right:
            question = next_question(test)
            assert question is not None
            test = services.answer_question(
                dataset=self.dataset,
                user=self.user,
                question_id=question.pk,
                label_id=question.label_id if is_right else self.labels[2].pk,
            )
        return test

    def client(self, user: Any) -> Client:
        client = Client(headers={"accept-language": "en"})
        client.force_login(user)
        return client


@pytest.mark.parametrize(
    ("right", "wrong", "is_due"),
    [(0, 4, False), (0, 5, True), (3, 3, False), (2, 8, True), (20, 0, False)],
)
def test_test_is_due_if_the_whole_interval_is_below_the_bound(right: int, wrong: int, is_due: bool):
    """Wilson's upper limits: 0 of 5 → 0.43, 3 of 6 → 0.81, 2 of 10 → 0.51."""
    station = BoundStation()
    station.gold(right, wrong)
    assert (station.check() is not None) == is_due


def test_without_a_bound_nobody_must_requalify():
    station = BoundStation(gold_bound=None)
    station.gold(0, 9)
    assert station.check() is None and len(station.next(station.user)) == 1


def test_reviewer_gets_no_images_while_a_test_is_due():
    station = BoundStation()
    station.gold(0, 5)
    held = station.next(station.user)
    station.check()
    items, empty = services.next_or_reason(dataset=station.dataset, user=station.user, count=2)
    assert items == [] and empty is not None and empty.code == "requalification_due"
    assert services.next_page(dataset=station.dataset, user=station.user).tiles == []
    assert Lease.objects.filter(user=station.user).count() == 1
    # What was on the screen can still be answered.
    assert station.answer(station.user, held[0]).kind == "confirm"
    assert len(station.next(station.reviewer())) == 1


def test_station_and_api_lead_to_the_test():
    station = BoundStation()
    station.gold(0, 5)
    client, slug = station.client(station.user), station.dataset.slug
    test_page = reverse("requalification", args=[slug])
    for name in ("review", "review-grid"):
        assert client.get(reverse(name, args=[slug])).headers["Location"] == test_page
    reply = client.post(
        reverse("api:review-next", args=[slug]), {"count": 2}, content_type="application/json"
    ).json()
    assert reply["items"] == [] and reply["empty"]["code"] == "requalification_due"
    assert reply["empty"]["url"] == test_page and reply["empty"]["link"]


def test_passed_test_lets_the_reviewer_go_on_and_begins_a_new_measure():
    station = BoundStation()
    station.gold(0, 5)
    station.check()
    decisions = Decision.objects.count()
    test = station.test(True, True, True)
    assert (test.state, test.right, test.asked) == (State.PASSED, 3, 3)
    assert station.check() is None and len(station.next(station.user)) == 1
    assert Decision.objects.count() == decisions  # a test sets no label
    kinds = list(Event.objects.filter(kind__startswith="requalification").values_list("kind", flat=True))
    assert sorted(kinds) == ["requalification.begun", "requalification.due", "requalification.passed"]


def test_failed_test_blocks_until_an_admin_offers_it_again_or_waives_it(settings: Any):
    settings.EMAIL_HOST, settings.PUBLIC_URL = "mail.example", "https://mekiki.example"
    station = BoundStation()
    station.admin.email = "admin@example.org"
    station.admin.save()
    station.gold(0, 5)
    station.check()
    assert station.test(True, False, True).state == State.FAILED
    assert station.next(station.user) == []
    assert OutgoingMail.objects.get().to == "admin@example.org"
    with pytest.raises(ReviewError):
        station.begin()
    services.offer_test_again(dataset=station.dataset, user=station.admin, reviewer_id=station.user.pk)
    assert station.test(False, False, False).state == State.FAILED
    services.waive_requalification(dataset=station.dataset, user=station.admin, reviewer_id=station.user.pk)
    assert station.check() is None and len(station.next(station.user)) == 1
    states = Requalification.objects.order_by("pk").values_list("state", flat=True)
    assert list(states) == [State.REPEATED, State.WAIVED]


def test_questions_are_images_that_the_reviewer_has_not_seen_recently():
    station = BoundStation()
    unseen = [gold_item(station, station.labels[0]).image_id for _ in range(3)]
    station.gold(0, 5)
    station.check()
    test = station.begin()
    assert set(test.questions.values_list("image", flat=True)) == set(unseen)
    assert station.begin().pk == test.pk and test.questions.count() == 3


def test_test_without_known_images_says_so():
    station = BoundStation()
    station.gold(0, 5)
    station.check()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mekiki.review.services.requalifying.known_images", lambda *_args: [])
        with pytest.raises(ReviewError) as error:
            station.begin()
    assert error.value.code == "no_known_images"


def test_answer_is_recorded_once_and_only_for_the_own_test():
    station = BoundStation()
    station.gold(0, 5)
    station.check()
    test = station.begin()
    question = next_question(test)
    assert question is not None
    values = {"dataset": station.dataset, "question_id": question.pk}
    services.answer_question(**values, user=station.user, label_id=station.labels[1].pk)
    services.answer_question(**values, user=station.user, label_id=station.labels[0].pk)
    question.refresh_from_db()
    assert question.answer_id == station.labels[1].pk
    with pytest.raises(ReviewError):
        services.answer_question(**values, user=station.reviewer(), label_id=station.labels[0].pk)
    with pytest.raises(NotFoundForReviewerError):
        services.answer_question(
            dataset=station.dataset, user=station.user, question_id=0, label_id=station.labels[0].pk
        )


@pytest.mark.parametrize(("bound", "asked", "needed"), [(0.8, 5, 4), (0.9, 5, 5), (0.01, 3, 1), (0.6, 5, 3)])
def test_needed_answers(bound: float, asked: int, needed: int):
    assert needed_right(bound, asked) == needed


def test_pages_lead_through_the_test_without_a_script():
    station = BoundStation(requalification_questions=1)
    station.gold(0, 5)
    client, slug = station.client(station.user), station.dataset.slug

    def text(response: Any) -> str:
        assert response.status_code == 200
        return " ".join(html.unescape(response.content.decode()).split())

    page = text(client.get(reverse("requalification", args=[slug])))
    assert "Read the guidelines" in page and "not passed" not in page
    page = text(client.post(reverse("requalification-begin", args=[slug]), follow=True))
    test = Requalification.objects.get()
    question = next_question(test)
    assert question is not None
    assert "Image 1 of 1" in page and question.image.name not in page
    wrong = {"question": question.pk, "label": station.labels[2].pk}
    page = text(client.post(reverse("requalification-answer", args=[slug]), wrong, follow=True))
    assert "Not passed this time" in page and station.labels[2].name in page
    admin = station.client(station.admin)
    assert "did not pass the test" in text(admin.get(reverse("reviewers", args=[slug])))
    decide_url = reverse("requalification-decide", args=[slug, station.user.pk])
    assert "offered again" in text(admin.post(decide_url, {"act": "again"}, follow=True))
    assert "may go on" in text(admin.post(decide_url, {"act": "waive"}, follow=True))
    assert "Nothing was changed" in text(admin.post(decide_url, {"act": "waive"}, follow=True))
    assert "Passed" not in text(client.get(reverse("requalification", args=[slug])))


def test_page_without_a_test_does_not_exist():
    station = BoundStation()
    url = reverse("requalification", args=[station.dataset.slug])
    assert station.client(station.user).get(url).status_code == 404
    assert station.client(station.reviewer("viewer")).get(url).status_code == 403


@pytest.mark.parametrize("form", [{}, {"question": "x"}, {"question": "1", "label": str(2**62)}])
def test_hostile_answers_change_nothing(form: dict[str, str]):
    station = BoundStation()
    station.gold(0, 5)
    station.check()
    station.begin()
    url = reverse("requalification-answer", args=[station.dataset.slug])
    assert station.client(station.user).post(url, form, follow=True).status_code == 200
    assert next_question(Requalification.objects.get()).position == 1  # type: ignore[union-attr]
