"""Search in the gallery and in the API: results, their order, who sees them, and hidden values."""

import json
import re
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from mekiki.datasets.models import Dataset, Image
from mekiki.learning.models import Embedding, Prediction, TextEmbedding
from mekiki.learning.search import texts
from mekiki.learning.services import open_predictions, store_embeddings
from mekiki.review.models import Lease
from mekiki.web.gallery import load_page_of_hits
from tests.factories import (
    ChampionFactory,
    ConfirmedLabelFactory,
    DatasetFactory,
    EncoderFactory,
    HeadFactory,
    ImageFactory,
    LabelFactory,
    PredictionFactory,
    QueueItemFactory,
    UserFactory,
)

pytestmark = pytest.mark.django_db


def direction_at(degrees: float) -> list[float]:
    """Return a direction in a plane. The images of these tests form a fan."""
    return [float(np.cos(np.radians(degrees))), float(np.sin(np.radians(degrees)))]


class Fan:
    """100 images, the i-th at i/2 degrees, and a text at 0 degrees."""

    def __init__(self, n: int = 100, slug: str = "fan") -> None:
        self.user = UserFactory()
        self.dataset = DatasetFactory(slug=slug, reviewer=self.user)
        self.labels = [LabelFactory(dataset=self.dataset, name=name) for name in ("good", "傷")]
        self.encoder = EncoderFactory(dim=2)
        self.head = HeadFactory(dataset=self.dataset, encoder=self.encoder)
        ChampionFactory(head=self.head)
        self.images = Image.objects.bulk_create(
            ImageFactory.build(dataset=self.dataset, name=f"part-{i:03}.png", metadata={"line": str(i % 2)})
            for i in range(n)
        )
        self.embed(self.images, [direction_at(i / 2) for i in range(n)])
        open_predictions(head=self.head)
        Prediction.objects.bulk_create(
            PredictionFactory.build(
                head=self.head, image=image, label=self.labels[i % 2], confidence=0.5 + i / 250
            )
            for i, image in enumerate(self.images)
        )
        self.client = Client(headers={"accept-language": "en"})
        self.client.force_login(self.user)
        self.add_text("scratch", direction_at(0))

    def embed(self, images: list[Any], vectors: list[list[float]]) -> None:
        ids = [image.pk for image in images]
        store_embeddings(encoder=self.encoder, image_ids=ids, vectors=np.array(vectors))

    def add_text(self, text: str, vector: list[float] | None, **fields: Any) -> TextEmbedding:
        now = timezone.now()
        return TextEmbedding.objects.create(
            encoder=self.encoder,
            digest=texts.text_digest(text),
            text=text,
            vector=vector,
            used_at=now,
            answered_at=now,
            **fields,
        )

    def page(self, **query: str) -> Any:
        response = self.client.get(f"/d/{self.dataset.slug}/images/", query)
        assert response.status_code == 200
        return response

    def numbers(self, **query: str) -> list[int]:
        """Return the numbers of the matching images over all pages, in order."""
        response, numbers = self.page(**query), []
        while True:
            numbers += [int(image.name[5:8]) for image in response.context["images"]]
            if not response.context["older_url"]:
                return numbers
            response = self.client.get("/d/fan/images/" + response.context["older_url"])


@pytest.fixture
def fan() -> Fan:
    return Fan()


def test_text_search_lists_the_most_similar_images_first(fan: Fan) -> None:
    assert fan.numbers(text="scratch") == list(range(100))
    assert fan.numbers(text="  scratch ") == list(range(100))
    first = fan.page(text="scratch")
    text = first.content.decode()
    assert "Images that fit “scratch”" in text and "No. 1 · similarity 1.000" in text
    assert "100 images of 100, the most similar first" in text
    assert "is not a probability" in text and "Every image was compared." in text
    second = fan.client.get("/d/fan/images/" + first.context["older_url"])
    assert "No. 61 · similarity" in second.content.decode()
    back = fan.client.get("/d/fan/images/" + second.context["newer_url"])
    assert [i.pk for i in back.context["images"]] == [i.pk for i in first.context["images"]]
    assert back.context["newer"] == ""


def test_search_by_an_image_excludes_the_image_itself(fan: Fan) -> None:
    numbers = fan.numbers(like=fan.images[0].sha256)
    assert numbers == list(range(1, 100))
    middle = fan.numbers(like=fan.images[50].sha256)
    assert set(middle[:6]) <= set(range(44, 57)) and 50 not in middle  # in half precision
    text = fan.page(like=fan.images[50].sha256).content.decode()
    assert "Images like this one:" in text and "part-050.png" in text
    assert f"?like={fan.images[49].sha256}" in text  # from each thumbnail
    image_page = fan.client.get(f"/d/fan/images/{fan.images[3].sha256}/").content.decode()
    assert f"/d/fan/images/?like={fan.images[3].sha256}" in image_page
    assert fan.numbers(text="scratch", like=fan.images[50].sha256)[:3] == [0, 1, 2]  # the typed text is used


def test_examples_turn_the_direction_of_a_search(fan: Fan) -> None:
    hashes = [image.sha256 for image in fan.images]
    # Between 25 and 45 degrees. The examples themselves are left out.
    between = fan.numbers(like=hashes[50], more=[hashes[90]])
    assert set(between[:5]) <= set(range(66, 75)) and not {50, 90} & set(between) and len(between) == 98
    # Away from 0 degrees, by an image and by a text: to about 46 degrees.
    for query in ({"less": [hashes[0]]}, {"less_text": "scratch"}):
        away = fan.numbers(like=hashes[50], **query)
        assert set(away[:5]) <= set(range(88, 98)), query
    both = fan.page(text="scratch", more=[hashes[98]], less=[hashes[1]], less_text="scratch")
    text = both.content.decode()
    assert text.count('class="examples__one"') == 2 and "not “scratch”" in text
    assert f"text=scratch&amp;less={hashes[1]}&amp;less_text=scratch" in text  # removes the positive example
    # The page of an image keeps the examples.
    image = fan.client.get(f"/d/fan/images/{hashes[70]}/", {"like": hashes[50], "more": hashes[90]})
    assert f"more={hashes[90]}" in image.content.decode() and "of 98" in image.content.decode()
    reply = fan.client.get(
        "/api/v1/datasets/fan/images/search", {"like": hashes[50], "more": hashes[90], "limit": 3}
    )
    assert {int(hit["name"][5:8]) for hit in reply.json()["hits"]} <= set(range(66, 75))
    # An example of another dataset does not exist, and a blind one is refused.
    other = ImageFactory(dataset=DatasetFactory(slug="other"))
    assert fan.client.get("/d/fan/images/", {"like": hashes[50], "less": other.sha256}).status_code == 404
    QueueItemFactory(dataset=fan.dataset, image=fan.images[90], head=fan.head, stream="audit")
    assert "has not been judged yet" in fan.page(like=hashes[50], more=[hashes[90]]).content.decode()
    assert fan.numbers(like=hashes[50], more=[hashes[90]]) == []


def test_search_by_detail_orders_images_by_the_distance_of_their_detail(fan: Fan) -> None:
    first = fan.images[0].sha256
    assert "no local detail" not in fan.page(like=first).content.decode()  # not offered, not missing
    text = fan.page(like=first, by="detail").content.decode()
    assert "No image of this dataset has a local detail" in text
    detail = EncoderFactory(kind="detail", name="detail", dim=3)
    # By detail, the images from 90 on are far from 89, which is their neighbour by embedding.
    far = [[float(i if i < 90 else i + 100), 0.0, 0.0] for i in range(99)]  # 99 has none
    ids = [image.pk for image in fan.images[:99]]
    store_embeddings(encoder=detail, image_ids=ids, vectors=np.array(far))
    Dataset.objects.update(use_detail=True)
    last = fan.images[89].sha256
    assert f"like={last}&amp;by=detail" in fan.page(like=last).content.decode()
    image_page = fan.client.get(f"/d/fan/images/{last}/").content.decode()
    assert f"?like={last}&amp;by=detail" in image_page
    page = fan.page(like=last, by="detail")
    text = page.content.decode()
    assert "Images with similar local detail:" in text and "No. 1 · difference in detail 1.00" in text
    assert f"by=detail&amp;like={fan.images[88].sha256}" in text  # from each thumbnail
    assert "Meaning of the difference" in text and "cosine" not in text
    numbers = fan.numbers(like=last, by="detail")
    assert numbers == [*range(88, -1, -1), *range(90, 99)]  # two pages
    # A further page keeps the search, and so does the page of an image.
    assert "by=detail" in page.context["older_url"]
    query = {"like": last, "by": "detail"}
    assert "2 of 98" in fan.client.get(f"/d/fan/images/{fan.images[87].sha256}/", query).content.decode()
    assert numbers != fan.numbers(like=last, by="detail", less_text="scratch")  # a text: by embedding
    missing = fan.page(like=fan.images[99].sha256, by="detail").content.decode()
    assert "The local detail of this image is not computed yet" in missing
    url = "/api/v1/datasets/fan/images/search"
    hits = fan.client.get(url, {**query, "limit": 2}).json()["hits"]
    assert [(hit["name"][5:8], hit["similarity"]) for hit in hits] == [("088", -1.0), ("087", -2.0)]
    refused = fan.client.get(url, {**query, "text": "scratch"})
    assert (refused.status_code, refused.json()["code"]) == (409, "detail_needs_image")
    # Images that wait for a blind answer take no part.
    QueueItemFactory(dataset=fan.dataset, image=fan.images[88], head=fan.head, stream="audit")
    assert fan.numbers(like=last, by="detail")[:2] == [87, 86]
    blind = fan.images[88].sha256
    assert "has not been judged yet" in fan.page(like=blind, by="detail").content.decode()
    assert fan.client.get(url, {"like": blind, "by": "detail"}).json()["code"] == "blind"


def test_filters_restrict_the_results_of_a_search(fan: Fan) -> None:
    scratch = str(fan.labels[1].pk)
    assert fan.numbers(text="scratch", label=scratch) == list(range(1, 100, 2))
    assert fan.numbers(text="scratch", metadata="line=0", high="60") == list(range(0, 26, 2))
    assert fan.numbers(text="scratch", q="part-05") == list(range(50, 60))
    ConfirmedLabelFactory(dataset=fan.dataset, image=fan.images[9], label=fan.labels[0])
    assert fan.numbers(text="scratch", confirmed="some") == [9]
    QueueItemFactory(dataset=fan.dataset, image=fan.images[7], head=fan.head, stream="uncertain")
    assert fan.numbers(text="scratch", waiting="waiting") == [7]
    assert fan.numbers(text="scratch", sort="unsure", q="part-00") == list(
        range(10)
    )  # the order is by similarity
    page = fan.page(text="scratch", metadata="line", low="x", label="99999999")
    assert "Write it as key=value" in page.content.decode() and len(page.context["images"]) == 60
    assert "No image matches" in fan.page(text="scratch", q="nowhere").content.decode()
    # The filters stay when the user continues from a thumbnail.
    assert (
        f"?q=part-05&amp;like={fan.images[51].sha256}"
        in fan.page(text="scratch", q="part-05").content.decode()
    )


@pytest.mark.parametrize("stream", ["audit", "gold"])
def test_search_excludes_images_that_wait_for_a_blind_answer(fan: Fan, stream: str) -> None:
    item = QueueItemFactory(dataset=fan.dataset, image=fan.images[0], head=fan.head, stream=stream)
    # An image with a known label hides it only while a reviewer judges it.
    until = timezone.now() + timedelta(minutes=2)
    Lease.objects.create(item=item, user=UserFactory(), expires_at=until)
    blind = fan.images[0]
    assert 0 not in fan.numbers(text="scratch") and 0 not in fan.numbers(like=fan.images[1].sha256)
    page = fan.page(text="scratch").content.decode()
    assert (
        "1 image of the audit sample that has not been judged yet is left out" in page
        and blind.sha256 not in page
    )
    refused = fan.page(like=blind.sha256)
    assert refused.context["images"] == [] and "Similar images would reveal" in refused.content.decode()
    image_page = fan.client.get(f"/d/fan/images/{blind.sha256}/").content.decode()
    assert "?like=" not in image_page
    assert f"?like={blind.sha256}" not in fan.page().content.decode()
    for query in ({"text": "scratch"}, {"like": fan.images[1].sha256}):
        reply = fan.client.get("/api/v1/datasets/fan/images/search", query)
        assert blind.sha256 not in reply.content.decode() and reply.json()["left_out"] == 1
    reply = fan.client.get("/api/v1/datasets/fan/images/search", {"like": blind.sha256})
    assert (reply.status_code, reply.json()["code"]) == (409, "blind")


def test_page_repeats_the_search_until_the_worker_answers(fan: Fan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mekiki.web.gallery.views.SEARCH_WAIT_SECONDS", 0.0)
    page = fan.page(text="欠け", q="part-00")
    text = page.content.decode()
    assert "Searching …" in text and page.context["images"] == []
    polling_address = re.search(r'hx-get="(/d/fan/images/\?[^"]+)"', text)
    assert polling_address and polling_address[1] == page.context["again"].replace("&", "&amp;")
    assert "No image matches" not in text
    row = TextEmbedding.objects.get(text="欠け")
    texts.record_vector(row=row, vector=direction_at(2.5))
    results = fan.client.get(page.context["again"], headers={"hx-request": "true"})
    assert results.context["images"][0].name in {"part-004.png", "part-005.png", "part-006.png"}
    assert "hx-get" not in results.content.decode().split('id="results"')[1]


@pytest.mark.parametrize(
    ("problem", "detail", "message"),
    [
        ("too_long", {"count": 80, "most": 64}, "it has 80 tokens, and 64 fit"),
        ("not_loaded", {"reason": "<no file>"}, "could not be loaded (&lt;no file&gt;)"),
        ("other_weights", {}, "cannot be compared"),
        ("other_vectors", {}, "computes different vectors from the same weights"),
    ],
)
def test_unreadable_text_is_reported_and_the_gallery_works(
    fan: Fan, problem: str, detail: dict[str, Any], message: str
) -> None:
    fan.add_text("bad", None, problem=problem, detail=detail)
    page = fan.page(text="bad")
    assert message in page.content.decode() and page.context["images"] == []
    assert len(fan.page().context["images"]) == 60
    reply = fan.client.get("/api/v1/datasets/fan/images/search", {"text": "bad"})
    status = {"too_long": 422, "not_loaded": 503, "other_weights": 409, "other_vectors": 409}
    assert reply.status_code == status[problem]
    assert reply.json()["code"] == problem and reply.json()["detail"]


def test_search_reports_the_number_of_embedded_images(fan: Fan) -> None:
    Embedding.objects.filter(image__in=[image.pk for image in fan.images[40:]]).delete()
    text = fan.page(text="scratch").content.decode()
    assert "40 of 100 images can be found by what they show" in text
    assert fan.numbers(text="scratch") == list(range(40))
    refused = fan.page(like=fan.images[50].sha256).content.decode()
    assert "This image has no embedding" in refused
    Embedding.objects.all().delete()
    assert "No image of this dataset has an embedding yet" in fan.page(text="scratch").content.decode()
    reply = fan.client.get("/api/v1/datasets/fan/images/search", {"text": "scratch"})
    assert (reply.status_code, reply.json()["code"]) == (409, "nothing_embedded")


def test_search_uses_the_new_encoder_after_a_change(fan: Fan) -> None:
    other = EncoderFactory(dim=2)
    head = HeadFactory(dataset=fan.dataset, encoder=other, version=99)
    fan.dataset.champion.head = head
    fan.dataset.champion.save()
    ids = [image.pk for image in fan.images]
    store_embeddings(
        encoder=other, image_ids=ids, vectors=np.array([direction_at(90 - i / 2) for i in range(100)])
    )
    fan.encoder = other
    fan.add_text("scratch", direction_at(0))
    assert fan.numbers(text="scratch") == list(range(99, -1, -1))


def test_search_is_limited_to_members_and_to_one_dataset(fan: Fan) -> None:
    stranger = Client()
    stranger.force_login(UserFactory())
    for query in ({"text": "scratch"}, {"like": fan.images[0].sha256}):
        assert stranger.get("/d/fan/images/", query).status_code == 404
        assert stranger.get("/api/v1/datasets/fan/images/search", query).status_code == 404
    assert Client().get("/api/v1/datasets/fan/images/search", {"text": "x"}).status_code == 401
    assert TextEmbedding.objects.count() == 1  # nothing was requested for them
    other_dataset = DatasetFactory(slug="theirs")
    image = ImageFactory(dataset=other_dataset)
    fan.embed([image], [direction_at(0)])
    assert image.sha256 not in fan.page(text="scratch").content.decode()
    assert fan.client.get("/d/fan/images/", {"like": image.sha256}).status_code == 404
    assert fan.client.get("/api/v1/datasets/fan/images/search", {"like": image.sha256}).status_code == 404


@pytest.mark.parametrize(
    "query",
    [
        {"text": "\x00"},
        {"text": "'; DROP TABLE learning_embedding; --"},
        {"text": "<script>alert(1)</script>"},
        {"text": "%s %(x)s {{ 7*7 }}"},
        {"text": "🔩" * 60},
        {"text": "傷" * 10_000},
        {"text": "scratch", "after": "nan:1"},
        {"text": "scratch", "after": "inf:99999999999999999999999"},
        {"text": "scratch", "after": "x" * 10_000},
        {"text": "scratch", "before": "0.5:"},
        {"text": "scratch", "after": "-1e999:3", "before": "1:1"},
    ],
)
def test_malformed_searches_are_answered(
    fan: Fan, query: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mekiki.web.gallery.views.SEARCH_WAIT_SECONDS", 0.0)
    monkeypatch.setattr("mekiki.api.images.SEARCH_TIMEOUT", 0.0)
    text = fan.page(**query).content.decode()
    assert "<script>alert" not in text
    reply = fan.client.get("/api/v1/datasets/fan/images/search", query)
    assert reply.status_code in {200, 422} and len(reply.content) < 50_000


@pytest.mark.parametrize("sha256", ["\x00", "zz", "0" * 64, "é" * 100, "../../etc/passwd"])
def test_search_by_an_unknown_image_answers_404(fan: Fan, sha256: str) -> None:
    assert fan.client.get("/d/fan/images/", {"like": sha256}).status_code == 404
    assert fan.client.get("/api/v1/datasets/fan/images/search", {"like": sha256}).status_code in {404, 422}


def test_search_api_returns_the_same_results(fan: Fan) -> None:
    reply = fan.client.get(
        "/api/v1/datasets/fan/images/search", {"text": "scratch", "limit": 3, "q": "part-01"}
    )
    body = reply.json()
    assert reply.status_code == 200 and body["state"] == "ready" and body["exact"]
    assert [hit["name"] for hit in body["hits"]] == [f"part-{i:03}.png" for i in (10, 11, 12)]
    assert [hit["rank"] for hit in body["hits"]] == [1, 2, 3]
    assert (body["images"], body["searchable"]) == (100, 100)
    assert fan.client.get(body["hits"][0]["url"]).status_code == 200
    for wrong in (
        {},
        {"text": " "},
        {"text": "scratch", "limit": 0},
        {"text": "x", "metadata": "no"},
        {"limit": "x"},
    ):
        reply = fan.client.get("/api/v1/datasets/fan/images/search", wrong)
        assert reply.status_code == 422 and json.loads(reply.content)["detail"]


def test_queries_do_not_grow_with_images() -> None:
    counts = []
    for n in (5, 60):
        fan = Fan(n, slug=f"fan{n}")
        with CaptureQueriesContext(connection) as queries:
            fan.page(text="scratch")
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 43


def test_pages_of_hits_contain_every_hit_once() -> None:
    hits = [(pk, round(1 - pk // 3 / 100, 3)) for pk in range(200)]
    listed_hits, after = [], ""
    while True:
        first, rows, newer, older = load_page_of_hits(hits, after)
        assert first == len(listed_hits) + 1 and bool(newer) == bool(listed_hits)
        listed_hits += rows
        if not older:
            break
        after = older
    assert listed_hits == hits
    first, rows, newer, _older = load_page_of_hits(hits, before=f"{hits[70][1]!r}:{hits[70][0]}")
    assert (first, rows) == (11, hits[10:70]) and newer
    assert load_page_of_hits(hits, "nonsense")[0] == 1 and load_page_of_hits([], "1.0:3") == (1, [], "", "")
