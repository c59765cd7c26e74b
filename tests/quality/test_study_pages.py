"""Pages and API of a study over HTTP: who sees what, the form, the acts, and bad input."""

import json
import re
import uuid
from typing import Any

import pytest
from django.test import Client

from mekiki.quality.models import Study, StudyAnswer
from tests.factories import UserFactory
from tests.quality.study_setup import StudyScene, allow_few_images

pytestmark = pytest.mark.django_db


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> StudyScene:
    allow_few_images(monkeypatch)
    return StudyScene(images=4)


class Person:
    """A logged-in user and the addresses of the dataset's studies."""

    def __init__(self, scene: StudyScene, user: Any) -> None:
        self.client = Client(headers={"accept-language": "en"})
        self.client.force_login(user)
        self.pages = f"/d/{scene.dataset.slug}/quality/"
        self.api = f"/api/v1/datasets/{scene.dataset.slug}/studies/1/"

    def get(self, path: str = "", status: int = 200) -> str:
        reply = self.client.get(self.pages + path)
        assert reply.status_code == status, reply.status_code
        return reply.content.decode()

    def act(self, name: str, **more: Any) -> str:
        return self.client.post(
            self.pages + "studies/1/act/", {"act": name, **more}, follow=True
        ).content.decode()

    def post(self, action: str, body: Any, status: int = 200) -> Any:
        raw = body if isinstance(body, str | bytes) else json.dumps(body)
        reply = self.client.post(self.api + action, raw, content_type="application/json")
        assert reply.status_code == status, (reply.status_code, reply.content[:300])
        return reply.json()


def form_of(scene: StudyScene, **more: Any) -> dict[str, Any]:
    return {
        "name": "Spring",
        "reviewer_ids": [user.pk for user in scene.people],
        "images": 20,
        "runs": 2,
        "pause_hours": 0,
        "method": "random",
        "boundary_percent": 0,
        "reference": "none",
    } | more


def test_an_admin_creates_previews_and_starts_a_study(scene: StudyScene) -> None:
    for _ in range(18):
        scene.images.append(scene.station.item().image)
    admin = Person(scene, scene.admin)
    page = admin.client.post(admin.pages + "studies/new/", form_of(scene), follow=True)
    assert page.redirect_chain[0][0].endswith("/quality/studies/1/")
    html = page.content.decode()
    assert html.count("image-thumb") == 0 and html.count('class="thumb"') == 20
    assert "40 answers for each reviewer" in html
    before = set(Study.objects.get().images.values_list("image_id", flat=True))
    assert "Other images were drawn" in admin.act("redraw")
    assert before
    assert "The study has started" in admin.act("start")
    assert Study.objects.get().state == "running"
    assert "reload the page" in admin.act("start")
    assert "does not exist" in admin.act("explode")
    assert "The study was cancelled" in admin.act("cancel")


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": "x" * 101},
        {"images": 19},
        {"images": "many"},
        {"images": 10**30},
        {"runs": 9},
        {"pause_hours": -1},
        {"boundary_percent": 1000},
        {"method": "best"},
        {"reviewer_ids": []},
        {"reviewer_ids": ["x"]},
        {"reviewer_ids": [2**70]},
        {"reference": "person"},
        {"reference": "person", "reference_person_id": "x"},
    ],
)
def test_a_wrong_form_is_shown_again_with_its_error(scene: StudyScene, wrong: dict[str, Any]) -> None:
    admin = Person(scene, scene.admin)
    page = admin.client.post(admin.pages + "studies/new/", form_of(scene, **wrong))
    assert page.status_code == 422
    assert "notice--bad" in page.content.decode()
    assert not Study.objects.exists()


def test_reviewers_see_their_studies_and_no_answer_or_file_name(scene: StudyScene) -> None:
    scene.running()
    first, outsider = Person(scene, scene.people[0]), Person(scene, scene.station.reviewer())
    page = first.get()
    assert "Your run 1 of 2: 0 of 4 images judged" in page and "studies/1/answer/" in page
    assert 'studies/1/"' not in page
    assert "Studies to which you are invited" in outsider.get()
    outsider.get("studies/1/answer/", status=404)
    outsider.post("next", {"count": 1}, status=404)
    first.get("studies/1/", status=403)
    first.get("studies/2/answer/", status=404)
    first.get(f"studies/{2**40}/answer/", status=404)
    station = first.get("studies/1/answer/")
    reply = first.post("next", {"count": 4})
    assert len(reply["items"]) == 4 and reply["end"] is None
    for image in scene.images:
        assert image.name not in json.dumps(reply) + station
    assert set(reply["items"][0]) == {"image", "run", "url", "width", "height"}


def test_a_draft_is_hidden_from_reviewers(scene: StudyScene) -> None:
    scene.draft()
    first = Person(scene, scene.people[0])
    assert "Studies to which you are invited" in first.get()
    first.get("studies/1/answer/", status=404)


def answer_body(item: dict[str, Any], label: int | None, **more: Any) -> dict[str, Any]:
    key = str(uuid.uuid4())
    return {"image": item["image"], "run": item["run"], "label": label, "client_key": key} | more


def test_a_reviewer_answers_two_runs_over_the_api(scene: StudyScene) -> None:
    scene.running()
    person = Person(scene, scene.people[0])
    orders: dict[int, list[int]] = {1: [], 2: []}
    reply = person.post("next", {"count": 1})
    while reply["items"]:
        item = reply["items"][0]
        orders[item["run"]].append(item["image"])
        body = answer_body(item, scene.labels[0].pk, milliseconds=800, view={"invert": True}, next=1)
        reply = person.post("answer", body)["next"]
    assert sorted(orders[1]) == sorted(orders[2]) and len(orders[1]) == 4
    assert reply["end"]["code"] == "done"
    assert StudyAnswer.objects.first().shown == {"blind": True, "place": 1, "view": {"invert": True}}
    assert "run 2 of 2: 4 of 4" in person.get()
    assert "judged all images" in person.post("next", {"count": 1})["end"]["text"]


def test_bad_requests_record_nothing(scene: StudyScene) -> None:
    scene.running()
    person = Person(scene, scene.people[0])
    item = person.post("next", {"count": 1})["items"][0]
    good = answer_body(item, scene.labels[0].pk, milliseconds=900)
    for body, status in [
        ("", 422),
        ("{", 400),
        ("[]", 422),
        (b"\xff\xfe", 400),
        ({}, 422),
        (good | {"image": "1"}, 422),
        (good | {"image": 2**70}, 422),
        (good | {"image": 2**40}, 404),
        (good | {"run": 0}, 422),
        (good | {"run": 3}, 409),
        (good | {"label": -1}, 422),
        (good | {"label": 2**40}, 404),
        (good | {"client_key": "x"}, 422),
        (good | {"milliseconds": 5}, 422),
        (good | {"milliseconds": -5}, 422),
        (good | {"view": {"brightness": 99}}, 422),
        (good | {"view": {"hostile": "<script>"}}, 422),
        (good | {"next": 1000}, 422),
    ]:
        person.post("answer", body, status=status)
    for body in ({"count": 0}, {"count": 11}, {"count": "x"}):
        person.post("next", body, status=422)
    assert not StudyAnswer.objects.exists()
    assert person.post("answer", good)["duplicate"] is False
    assert person.post("answer", good)["duplicate"] is True


def test_the_activity_does_not_show_the_label_of_an_answer(scene: StudyScene) -> None:
    study = scene.running()
    scene.answer(scene.invitation(study), study.images.all()[0], label_id=scene.labels[1].pk)
    page = Client()
    page.force_login(scene.people[1])
    html = page.get(f"/d/{scene.dataset.slug}/activity/").content.decode()
    assert "Answer in study 1, run 1" in html
    assert scene.labels[1].name not in html


def test_the_list_is_paged_and_counts_its_queries(
    scene: StudyScene, django_assert_max_num_queries: Any
) -> None:
    for _ in range(27):
        scene.draft()
    admin = Person(scene, scene.admin)
    with django_assert_max_num_queries(20):
        page = admin.get()
    assert page.count("card__title") == 25 and "before=3" in page
    assert admin.get("?before=3").count("card__title") == 2
    admin.get("?before=x")


def test_a_file_of_another_report_is_not_there(scene: StudyScene) -> None:
    scene.running()
    admin = Person(scene, scene.admin)
    for path in ("report-1-en.pdf", "report-1-xx.pdf", f"report-{2**40}-en.pdf"):
        admin.get(f"studies/1/{path}", status=404)
    admin.get(f"studies/{2**63}/", status=404)


def test_a_study_of_another_dataset_is_not_there(scene: StudyScene) -> None:
    scene.running()
    stranger = Person(scene, UserFactory())
    for path in ("", "studies/1/", "studies/1/answer/", "studies/new/"):
        stranger.get(path, status=404)


def test_names_are_escaped(scene: StudyScene) -> None:
    scene.draft(name="<script>alert(1)</script>")
    html = Person(scene, scene.admin).get("studies/1/")
    assert "<script>alert" not in html and re.search(r"&lt;script&gt;alert", html)
