"""The gallery: filters, order, pages by key, hidden values, and a constant number of queries."""

import uuid

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from mekiki.accounts.models import Membership, Role, User
from mekiki.datasets.models import Dataset, Image
from mekiki.datasets.services import update_settings
from mekiki.labeling.models import Label, PromptSet
from mekiki.learning.models import Champion, Encoder, Head, Prediction
from mekiki.learning.services import open_predictions
from mekiki.review.blinding import hidden_count, hidden_ids
from mekiki.review.models import ConfirmedLabel, Decision, QueueItem
from mekiki.web import gallery
from tests.roles import set_fixed

pytestmark = pytest.mark.django_db


class World:
    """Images 0 to n-1 with alternating predictions and a confidence that rises with the number."""

    def __init__(self, n: int = 150) -> None:
        self.user = User.objects.create_user("gia")
        self.dataset = Dataset.objects.create(slug="world", name="World")
        Membership.objects.create(dataset=self.dataset, user=self.user, role=Role.REVIEWER)
        self.labels = [
            Label.objects.create(dataset=self.dataset, name=name, position=i)
            for i, name in enumerate(("good", "傷"), 1)
        ]
        encoder = Encoder.objects.create(name="e", digest="0" * 64, dim=2, logit_scale=1)
        prompts = PromptSet.objects.create(dataset=self.dataset, version=1, digest="0" * 64)
        self.heads = [
            Head.objects.create(
                dataset=self.dataset,
                version=v,
                kind="zero_shot",
                encoder=encoder,
                prompt_set=prompts,
                label_ids=[label.pk for label in self.labels],
                weights=b"",
                digest="0" * 64,
                code_version="test",
            )
            for v in (1, 2)
        ]
        Champion.objects.create(dataset=self.dataset, head=self.heads[1])
        self.images: list[Image] = []
        self.add(n)
        self.client = Client(headers={"accept-language": "en"})
        self.client.force_login(self.user)

    def add(self, n: int) -> None:
        first = len(self.images)
        new = Image.objects.bulk_create(
            Image(
                dataset=self.dataset,
                sha256=f"{i:064x}",
                name=f"line{i % 3}/part {i:04d}.jpg",
                format="JPEG",
                width=10,
                height=10,
                size=1,
                metadata={"line": str(i % 3)},
                audit_key=0.5,
            )
            for i in range(first, first + n)
        )
        self.images += new
        # The old head predicts the opposite. Only the champion's predictions are used.
        for flip, head in enumerate(self.heads):
            open_predictions(head=head)
            Prediction.objects.bulk_create(
                Prediction(
                    head=head,
                    image=image,
                    label=self.labels[(i + flip + 1) % 2],
                    confidence=min(0.999, 0.5 + 0.002 * (i // 2)),
                    margin=0.1,
                    entropy=0.1,
                )
                for i, image in enumerate(new, first)
            )

    def numbers(self, **query: str) -> list[int]:
        """Return the numbers of all matching images on all pages, in order."""
        numbers: list[int] = []
        url = reverse("images", args=["world"])
        response = self.client.get(url, query)
        while True:
            assert response.status_code == 200
            numbers += [int(image.sha256, 16) for image in response.context["images"]]
            if not response.context["older_url"]:
                return numbers
            response = self.client.get(url + response.context["older_url"])


@pytest.fixture
def world() -> World:
    return World()


def test_pages_list_every_image_once_newest_first(world: World) -> None:
    assert world.numbers() == list(range(149, -1, -1))


def test_page_states_that_images_without_prediction_are_not_ordered_by_confidence(world: World) -> None:
    Prediction.objects.filter(image=world.images[7]).delete()
    assert 7 not in world.numbers(sort="unsure") and 7 in world.numbers(sort="name")
    address, sentence = reverse("images", args=["world"]), "Images without a prediction of the head in use"
    assert sentence in world.client.get(address, {"sort": "unsure"}).content.decode()
    assert sentence not in world.client.get(address, {"sort": "name"}).content.decode()
    # A key that is no text of the database is ignored.
    reply = world.client.get(address, {"sort": "name", "after": "a\0b:1"})
    assert reply.status_code == 200 and len(reply.context["images"]) == 60


@pytest.mark.parametrize("sort", ["", "oldest", "name", "sure", "unsure"])
def test_gallery_pages_forwards_and_backwards(world: World, sort: str) -> None:
    """Equal confidences and names (each occurs twice) lose no image between pages.

    Going back leads to the same pages.
    """
    if sort == "name":
        for image in world.images:
            image.name = f"場所: {int(image.sha256, 16) // 2 % 7}/{'é' * 300}"
        Image.objects.bulk_update(world.images, ["name"])
    expected = world.numbers(sort=sort) if sort else list(range(149, -1, -1))
    assert sorted(expected) == list(range(150))
    if sort == "oldest":
        assert expected == list(range(150))
    elif sort == "name":
        assert expected == sorted(range(150), key=lambda i: (i // 2 % 7, i))
    elif sort:
        confidences = [i // 2 for i in expected]
        assert confidences == sorted(confidences, reverse=sort == "sure")
    images = gallery.filter_images(world.dataset, world.heads[1], {"sort": sort})
    first = gallery.load_page(images, sort)
    second = gallery.load_page(images, sort, after=first.older)
    third = gallery.load_page(images, sort, after=second.older)
    assert (first.newer, third.older) == ("", "")
    previous = gallery.load_page(images, sort, before=third.newer)
    assert previous.images == second.images
    assert gallery.load_page(images, sort, before=previous.newer).images == first.images
    assert gallery.load_page(images, sort, before=previous.newer).newer == ""
    assert gallery.load_page(images, sort, after="nonsense").images == first.images


def test_filters_select_images(world: World) -> None:
    good, scratch = (str(label.pk) for label in world.labels)
    assert world.numbers(label=good) == list(range(148, -1, -2))
    assert world.numbers(label=scratch, low="62") == [i for i in range(149, -1, -2) if i // 2 >= 60]
    assert world.numbers(high="51") == list(range(11, -1, -1))
    assert world.numbers(metadata=" line = 2 ") == list(range(149, -1, -3))
    assert world.numbers(q="PART 0007") == [7]
    decide(world, 5, world.labels[0])
    assert world.numbers(confirmed=good) == world.numbers(confirmed="some") == [5]
    assert len(world.numbers(confirmed="none")) == 149
    for opposed in ({"confirmed": "none", "set_by": "person"}, {"confirmed": good, "set_by": "nobody"}):
        assert world.numbers(**opposed) == []
        assert world.client.get(reverse("image-facets", args=["world"]), opposed).status_code == 200
    wait(world, 8, "uncertain")
    wait(world, 9, "audit")
    assert world.numbers(waiting="waiting") == [9, 8]
    assert world.numbers(waiting="audit") == [9]
    # Invalid values are reported, and the other filters apply.
    response = world.client.get("/d/world/images/", {"metadata": "line", "q": "0007", "label": "999999"})
    assert [int(i.sha256, 16) for i in response.context["images"]] == [7]
    assert "Write it as key=value" in response.content.decode()
    empty = world.client.get("/d/world/images/", {"q": "nowhere"}).content.decode()
    assert "No image matches" in empty


def decide(world: World, number: int, label: Label, kind: str = "correct", **more) -> Decision:
    decision = Decision.objects.create(
        dataset=world.dataset,
        image=world.images[number],
        user=world.user,
        kind=kind,
        label=label,
        client_key=uuid.uuid4(),
        **more,
    )
    ConfirmedLabel.objects.update_or_create(
        image=world.images[number],
        defaults={
            "dataset": world.dataset,
            "label": label,
            "decision": decision,
            "stream": "uncertain",
            "in_training": True,
        },
    )
    return decision


def wait(world: World, number: int, stream: str) -> QueueItem:
    return QueueItem.objects.create(
        dataset=world.dataset, image=world.images[number], stream=stream, propensity=1, position=number
    )


def test_queries_do_not_grow_with_images() -> None:
    world = World(5)
    url = reverse("images", args=["world"])

    def count() -> int:
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert world.client.get(url).status_code == 200
        return len(queries)

    few = count()
    world.add(100)
    for i in range(0, 100, 3):
        decide(world, i, world.labels[0])
    assert count() == few <= 21


def test_image_page_shows_the_history(world: World) -> None:
    shown = {"label_name": "傷", "confidence": 0.61, "calibrated": False, "head": 2, "stream": "uncertain"}
    first = decide(world, 3, world.labels[0], shown=shown, note="<b>hm</b>")
    Decision.objects.create(
        dataset=world.dataset,
        image=world.images[3],
        user=world.user,
        kind="undo",
        supersedes=first,
        client_key=uuid.uuid4(),
    )
    decide(world, 3, world.labels[1], shown={"blind": True, "stream": "audit"})
    page = world.client.get(reverse("image", args=["world", world.images[3].sha256])).content.decode()
    assert page.count("gia") >= 3
    assert "undone later" in page and "61.0 %" in page and "nothing: judged blind" in page
    assert "&lt;b&gt;hm&lt;/b&gt;" in page
    assert f"/d/world/images/{world.images[4].sha256}/" in page and f"{world.images[2].sha256}/" in page


def test_a_blind_item_shows_no_prediction_anywhere(world: World) -> None:
    page = reverse("image", args=["world", world.images[3].sha256])
    assert "50.2 %" in world.client.get(page).content.decode()
    wait(world, 3, "audit")
    text = world.client.get(page).content.decode()
    assert "50.2 %" not in text and "has not been judged yet" in text and world.images[3].name not in text
    grid = world.client.get("/d/world/images/", {"waiting": "audit"}).content.decode()
    assert "not judged yet (audit sample)" in grid and "50 %" not in grid and world.images[3].name not in grid


def test_predictions_are_joined_once(world: World) -> None:
    """A second join of a million predictions took a second where the index takes a millisecond."""
    for filters in ({"label": "1", "low": 10.0, "high": 90.0}, {"sort": "unsure"}):
        matches = gallery.filter_images(world.dataset, world.heads[1], filters)
        with CaptureQueriesContext(connection) as queries:
            gallery.load_page(matches, filters.get("sort", ""), after="0.5:1" if "sort" in filters else "9")
        (query,) = (query_["sql"] for query_ in queries.captured_queries)
        assert query.count("JOIN") == 1


def test_filter_by_confirmed_label_does_not_join_the_labels(world: World) -> None:
    """For LEFT JOIN … IS NULL, PostgreSQL expects no row and sorts all images for one page.

    That takes 1.6 s with 300,000 images.
    """
    for filters in ({"confirmed": "none"}, {"confirmed": "some"}):
        sql = str(gallery.filter_images(world.dataset, world.heads[1], filters).query)
        assert "EXISTS(SELECT 1" in sql and 'JOIN "review_confirmedlabel"' not in sql, sql


@pytest.mark.parametrize("sort", ["", "sure", "unsure"])
def test_pages_of_one_label_have_no_gap_and_no_overlap(world: World, sort: str) -> None:
    world.add(120)
    good = str(world.labels[0].pk)
    matches = gallery.filter_images(
        world.dataset, world.heads[1], {"label": good} | ({"sort": sort} if sort else {})
    )
    pages, key = [], ""
    while True:
        pages.append(gallery.load_page(matches, sort, after=key))
        key = pages[-1].older
        if not key:
            break
    image_ids = [image.pk for page in pages for image in page.images]
    rows = Prediction.objects.filter(head=world.heads[1], label=good).values_list("confidence", "image_id")
    descending = sort != "unsure"
    order = sorted(rows, key=(lambda row: row) if sort else (lambda row: row[1]), reverse=descending)
    assert image_ids == [image for _confidence, image in order] and len(pages) == 3
    previous = gallery.load_page(matches, sort, before=pages[2].newer)
    assert [image.pk for image in previous.images] == [image.pk for image in pages[1].images]


def test_filters_and_orders_exclude_blind_items(world: World) -> None:
    _good, scratch = (str(label.pk) for label in world.labels)
    assert 3 in world.numbers(label=scratch)
    wait(world, 3, "audit")
    wait(world, 5, "uncertain")
    for filters in ({"label": scratch}, {"low": "0"}, {"high": "100"}, {"sort": "sure"}, {"sort": "unsure"}):
        numbers = world.numbers(**filters)
        assert 3 not in numbers and 5 in numbers, filters
    for filters in ({"q": "part"}, {"metadata": "line=0"}, {"confirmed": scratch}):
        assert 3 not in world.numbers(**filters)
    assert 3 in world.numbers() and world.numbers(waiting="audit") == [3]
    # The order of import tells nothing, the order of names does.
    assert 3 in world.numbers(sort="oldest") and 3 not in world.numbers(sort="name")
    page = world.client.get("/d/world/images/", {"label": scratch}).content.decode()
    assert "1 image of the audit sample that has not been judged yet is left out" in page
    assert "left out" not in world.client.get("/d/world/images/", {"waiting": "audit"}).content.decode()


def test_reserve_is_hidden_before_it_is_queued(world: World) -> None:
    """A person who read a prediction before the image was drawn would remember it at the station."""
    set_fixed(world.images[3], audit_key=0.149)
    set_fixed(world.images[5], audit_key=0.15)  # the share is 15 %: not in the reserve
    assert 3 not in world.numbers(sort="sure") and 5 in world.numbers(sort="sure")
    page = reverse("image", args=["world", world.images[3].sha256])
    assert "50.2 %" not in world.client.get(page).content.decode()
    decide(world, 3, world.labels[0], shown={"blind": True, "stream": "audit"})
    text = world.client.get(page).content.decode()
    assert "50.2 %" in text and world.images[3].name in text and 3 in world.numbers(sort="sure")
    # Its label left the schema, so the image must be labelled again, as an audit.
    Label.objects.filter(pk=world.labels[0].pk).update(archived_at=timezone.now())
    assert "50.2 %" not in world.client.get(page).content.decode()


def test_images_outside_the_reserve_by_an_earlier_share_are_not_hidden(world: World) -> None:
    """A raised share applies to later images (decision 0003).

    Earlier images are reviewed with a prediction.
    """
    set_fixed(world.images[3], audit_key=0.3)
    item = wait(world, 7, "uncertain")
    Decision.objects.create(
        dataset=world.dataset,
        image=item.image,
        item=item,
        user=world.user,
        kind="skip",
        client_key=uuid.uuid4(),
    )
    admin = User.objects.create_user("ada")
    Membership.objects.create(dataset=world.dataset, user=admin, role=Role.ADMIN)
    update_settings(dataset=world.dataset, user=admin, audit_fraction=0.5)
    world.dataset.refresh_from_db()
    world.add(1)
    set_fixed(world.images[-1], audit_key=0.3)
    assert hidden_ids(world.dataset, [image.pk for image in world.images]) == {world.images[-1].pk}
    assert hidden_count(world.dataset) == 1


def test_empty_dataset_links_to_the_import() -> None:
    world = World(0)
    url = reverse("images", args=["world"])
    assert "An admin of this dataset has to import images first." in world.client.get(url).content.decode()
    Membership.objects.update(role=Role.ADMIN)
    assert reverse("import", args=["world"]) in world.client.get(url).content.decode()
