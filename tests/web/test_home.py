"""The page of all datasets."""

import pytest
from django.test import Client

from tests.factories import (
    ChampionFactory,
    ConfirmedLabelFactory,
    DatasetFactory,
    EvaluationFactory,
    HeadFactory,
    JobFactory,
    MembershipFactory,
    PredictionFactory,
    QueueItemFactory,
    UserFactory,
)
from tests.pages import without_gaps

pytestmark = pytest.mark.django_db


def client_of(user, language: str = "en") -> Client:
    client = Client(headers={"accept-language": language})
    client.force_login(user)
    return client


def full_dataset(user, **kwargs):
    dataset = DatasetFactory(reviewer=user, **kwargs)
    head = HeadFactory(dataset=dataset)
    ChampionFactory(head=head)
    PredictionFactory(head=head)
    EvaluationFactory(head=head, n=40, correct=36, low=0.769, high=0.96)
    QueueItemFactory(dataset=dataset)
    ConfirmedLabelFactory(dataset=dataset)
    JobFactory(dataset=dataset)
    return dataset


def test_anonymous_users_are_redirected_to_the_login():
    response = Client().get("/")
    assert response.status_code == 302
    assert "login" in response["location"] or "accounts" in response["location"]


def test_a_user_sees_only_the_datasets_they_are_a_member_of():
    user = UserFactory()
    DatasetFactory(name="Mine at last", viewer=user)
    DatasetFactory(name="Not for you")
    text = client_of(user).get("/").content.decode()
    assert "Mine at last" in text
    assert "Not for you" not in text


def test_platform_admin_sees_all_datasets():
    DatasetFactory(name="Somebody's own")
    text = client_of(UserFactory(is_superuser=True)).get("/").content.decode()
    assert "Somebody&#x27;s own" in text


def test_accuracy_is_shown_with_its_interval():
    user = UserFactory()
    full_dataset(user)
    text = client_of(user).get("/").content.decode()
    assert "90.0 %" in text
    assert "95 % interval 76.9 % to 96.0 %, from 40 audited images" in text
    assert "1 to review" in text


def test_accuracy_is_not_claimed_without_an_audited_image():
    user = UserFactory()
    dataset = DatasetFactory(reviewer=user)
    head = HeadFactory(dataset=dataset)
    ChampionFactory(head=head)
    EvaluationFactory(head=head, n=0, correct=0, low=0, high=1)
    text = client_of(user).get("/").content.decode()
    assert "not measured yet" in text
    assert "0.0 %" not in text


def test_the_evaluation_of_a_replaced_head_is_not_shown():
    user = UserFactory()
    dataset = DatasetFactory(reviewer=user)
    old = HeadFactory(dataset=dataset)
    EvaluationFactory(head=old, n=40, correct=20, low=0.35, high=0.65)
    ChampionFactory(head=HeadFactory(dataset=dataset))
    assert "not measured yet" in client_of(user).get("/").content.decode()


def test_datasets_with_items_to_review_are_listed_first():
    user = UserFactory()
    busy = DatasetFactory(name="Busy line", reviewer=user)
    QueueItemFactory(dataset=busy)
    DatasetFactory(name="Quiet line", reviewer=user)
    watched = DatasetFactory(name="Watched line", viewer=user)
    QueueItemFactory(dataset=watched)
    text = without_gaps(client_of(user).get("/").content.decode())
    assert text.index("Busy line") < text.index("Quiet line")
    assert text.index("Busy line") < text.index("Watched line")
    assert text.count(" to review</span>") == 1


def test_the_number_of_queries_does_not_grow_with_the_datasets(django_assert_max_num_queries):
    user = UserFactory()
    full_dataset(user)
    client = client_of(user)
    with django_assert_max_num_queries(22) as few:
        client.get("/")
    for _ in range(8):
        full_dataset(user)
    with django_assert_max_num_queries(len(few.captured_queries)):
        assert client.get("/").status_code == 200


@pytest.mark.parametrize(
    ("may_create", "message"), [(True, "Your first dataset"), (False, "You are not a member of any dataset")]
)
def test_page_without_datasets_shows_the_next_step(may_create, message):
    user = UserFactory(may_create_datasets=may_create)
    assert message in client_of(user).get("/").content.decode()


def test_archived_datasets_are_not_listed():
    from django.utils import timezone

    user = UserFactory()
    membership = MembershipFactory(user=user, dataset__name="Old line")
    membership.dataset.archived_at = timezone.now()
    membership.dataset.save()
    assert "Old line" not in client_of(user).get("/").content.decode()
