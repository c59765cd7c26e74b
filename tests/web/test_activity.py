"""The activity pages: jobs and events, paginated by key."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse
from django.utils import translation

from mekiki.audit.models import Event, SigningKey
from mekiki.audit.services import record
from mekiki.exports.models import LabelSet
from mekiki.jobs.models import Job, Kind, State
from mekiki.web import events
from mekiki.web.messages import EVENTS
from tests.factories import DatasetFactory, JobFactory, UserFactory

pytestmark = pytest.mark.django_db


def get(user, dataset, query: str = "") -> str:
    client = Client(headers={"accept-language": "en"})
    client.force_login(user)
    response = client.get(f"/d/{dataset.slug}/activity/{query}")
    assert response.status_code == 200
    return response.content.decode()


def test_a_stranger_sees_404():
    client = Client()
    client.force_login(UserFactory())
    assert client.get(f"/d/{DatasetFactory().slug}/activity/").status_code == 404


def test_events_say_who_did_what_in_this_dataset():
    user = UserFactory(username="hanako")
    dataset, other = DatasetFactory(viewer=user), DatasetFactory()
    record(kind="label.added", actor=user, dataset=dataset, data={"name": "scratch"})
    record(kind="label.added", actor=user, dataset=other, data={"name": "foreign label"})
    record(kind="something.new", dataset=dataset)
    text = get(user, dataset)
    assert "hanako" in text and "Label added" in text and "scratch" in text
    assert "foreign label" not in text
    assert "something.new" in text, "an event nobody gave words to is shown all the same"


def test_older_events_are_reached_by_key_without_gap_or_overlap(django_assert_max_num_queries):
    user = UserFactory()
    dataset = DatasetFactory(viewer=user)
    for n in range(120):
        record(kind="label.added", actor=user, dataset=dataset, data={"name": f"name{n:03}"})
    seen: list[str] = []
    query = ""
    for _ in range(3):
        text = get(user, dataset, query)
        seen += re.findall(r"name\d{3}", text)
        following = re.search(r'rel="next" href="([^"]+)"', text)
        query = following.group(1).replace("&amp;", "&") if following else ""
    assert seen == [f"name{n:03}" for n in reversed(range(120))]
    assert not query


def test_the_filter_keeps_its_kind():
    user = UserFactory()
    dataset = DatasetFactory(viewer=user)
    record(kind="label.added", dataset=dataset, data={"name": "scratch"})
    record(kind="member.role_set", dataset=dataset, data={"user": "taro", "role": "viewer"})
    text = get(user, dataset, "?show=people")
    assert "taro is viewer now" in text and "scratch" not in text
    assert "Label added" in get(user, dataset, "?show=nonsense&before=x")


def table(text: str) -> str:
    """Return the rows of the events, without the filter above them."""
    return text.split("Table of events")[1] if "Table of events" in text else ""


def test_events_are_narrowed_down_by_kind_and_by_person():
    hanako, taro = UserFactory(username="hanako"), UserFactory(username="taro")
    dataset = DatasetFactory(viewer=hanako)
    for n in range(60):
        record(kind="label.added", actor=hanako, dataset=dataset, data={"name": f"name{n:03}"})
    record(kind="label.archived", actor=hanako, dataset=dataset, data={"name": "of hanako"})
    record(kind="label.archived", actor=taro, dataset=dataset, data={"name": "of taro"})
    record(kind="queue.filled", dataset=dataset)
    both = get(hanako, dataset, "?show=label.archived&actor=taro")
    assert "of taro" in table(both) and "of hanako" not in table(both) and "name0" not in table(both)
    assert '<option value="taro" selected>' in both, "somebody who is no member can be chosen"
    assert '<option value="label.archived" selected>' in both
    alone = table(get(hanako, dataset, "?actor=*"))
    assert "Images chosen for review" in alone and "Label" not in alone
    older = re.search(r'rel="next" href="([^"]+)"', get(hanako, dataset, "?show=label.added&actor=hanako"))
    assert older, "there is a second page"
    rest = table(get(hanako, dataset, older.group(1).replace("&amp;", "&")))
    assert re.findall(r"name\d{3}", rest) == [f"name{n:03}" for n in reversed(range(10))]
    assert "No such event yet" in get(hanako, dataset, "?actor=nobody%00")


def post_retry(user, dataset, job) -> int:
    client = Client()
    client.force_login(user)
    return client.post(reverse("job-retry", args=[dataset.slug, job.pk])).status_code


@pytest.mark.parametrize("state", [State.FAILED, State.CANCELLED])
def test_an_admin_tries_a_job_again_that_ended_early(state):
    admin, viewer = UserFactory(), UserFactory()
    dataset = DatasetFactory(admin=admin, viewer=viewer)
    job = JobFactory(
        dataset=dataset, kind=Kind.IMPORT_IMAGES, key="import:7", payload={"batch": 7}, state=state
    )
    assert reverse("job-retry", args=[dataset.slug, job.pk]) in get(admin, dataset)
    assert reverse("job-retry", args=[dataset.slug, job.pk]) not in get(viewer, dataset)
    assert post_retry(admin, dataset, job) == 302
    again = Job.objects.exclude(pk=job.pk).get()
    assert (again.kind, again.key, again.payload) == (Kind.IMPORT_IMAGES, "import:7", {"batch": 7})
    assert again.state == State.QUEUED and again.attempt == 0 and again.created_by == admin
    assert Event.objects.get(kind="job.retried").data == {"kind": "import_images", "of": str(job.pk)}
    text = get(admin, dataset)
    assert reverse("job-retry", args=[dataset.slug, job.pk]) not in text, "it has been tried again"
    assert "Import images: tried again" in text
    post_retry(admin, dataset, job)
    assert Job.objects.count() == 2, "not while the same work waits"


def test_a_job_that_has_not_failed_is_not_tried_again():
    admin = UserFactory()
    dataset, other = DatasetFactory(admin=admin), DatasetFactory(admin=admin)
    for job in (
        JobFactory(dataset=dataset, state=State.SUCCEEDED),
        JobFactory(dataset=dataset, running=True),
    ):
        assert reverse("job-retry", args=[dataset.slug, job.pk]) not in get(admin, dataset)
        assert post_retry(admin, dataset, job) == 302
    elsewhere = JobFactory(dataset=other, state=State.FAILED)
    assert post_retry(admin, dataset, elsewhere) == 404
    assert Job.objects.count() == 3


def test_a_failed_job_of_a_kind_that_was_removed_is_listed_and_not_tried_again():
    admin = UserFactory()
    dataset = DatasetFactory(admin=admin)
    job = JobFactory(dataset=dataset, kind="recount", state=State.FAILED)
    assert "recount" in get(admin, dataset)
    client = Client(headers={"accept-language": "en"})
    client.force_login(admin)
    response = client.post(reverse("job-retry", args=[dataset.slug, job.pk]), follow=True)
    assert "no longer does this kind of work" in response.content.decode()
    assert Job.objects.count() == 1


def test_a_label_set_that_is_tried_again_names_its_new_job():
    admin = UserFactory()
    dataset = DatasetFactory(admin=admin)
    label_set = LabelSet.objects.create(dataset=dataset, version=1, created_by=admin)
    key = f"freeze:{label_set.pk}"
    payload = {"label_set": label_set.pk}
    job = JobFactory(dataset=dataset, kind=Kind.FREEZE, key=key, payload=payload, state=State.FAILED)
    assert post_retry(admin, dataset, job) == 302
    label_set.refresh_from_db()
    assert label_set.job is not None and label_set.job.pk != job.pk and label_set.job.payload == payload


def platform(user, query: str = "") -> str:
    client = Client(headers={"accept-language": "en"})
    client.force_login(user)
    response = client.get(reverse("platform-activity") + query)
    assert response.status_code == 200
    return response.content.decode()


def test_the_platforms_admins_see_the_events_of_all_datasets_and_of_none():
    admin = UserFactory(username="aiko", is_superuser=True)
    dataset = DatasetFactory(slug="parts", name="Parts")
    record(kind="label.added", actor=UserFactory(username="jiro"), dataset=dataset, data={"name": "scratch"})
    record(kind="user.logged_in", actor=admin, target=admin)
    record(kind="user.login_slowed", data={"name": "mallory", "address": "192.0.2.7"})
    text = platform(admin)
    for part in (
        "Label added",
        "scratch",
        "Logged in",
        "mallory · 192.0.2.7",
        'href="/d/parts/activity/">Parts',
    ):
        assert part in table(text), part
    assert reverse("platform-activity") in text.split("<main")[0], "the user menu leads here"
    assert "Label added" not in table(platform(admin, "?show=people"))
    assert "Logged in" in table(platform(admin, "?show=user.logged_in&actor=aiko"))
    assert "Logged in" not in get(UserFactory(is_superuser=True), dataset)


def test_the_platforms_older_events_are_reached_by_key_in_few_queries(django_assert_num_queries):
    admin = UserFactory(is_superuser=True)
    client = Client()
    client.force_login(admin)
    datasets = [DatasetFactory() for _ in range(3)]
    for n in range(120):
        record(kind="label.added", dataset=datasets[n % 3], data={"name": f"name{n:03}"})
    seen: list[str] = []
    query = ""
    for _ in range(3):
        with django_assert_num_queries(5):  # session, user, users of the page, events, their datasets
            text = client.get(reverse("platform-activity") + query).content.decode()
        seen += re.findall(r"name\d{3}", text)
        following = re.search(r'rel="next" href="([^"]+)"', text)
        query = following.group(1).replace("&amp;", "&") if following else ""
    assert seen == [f"name{n:03}" for n in reversed(range(120))] and not query


def recorded_kinds() -> Iterator[tuple[str, str]]:
    """Return (file and line, kind) of every `record(kind=…)` in the code.

    Names are resolved to their values.
    """
    root = Path(settings.PACKAGE_DIR).parents[1]
    for folder in ("platform/mekiki", "workers"):
        for path in sorted((root / folder).rglob("*.py")):
            for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(function, ast.FunctionDef):
                    for where, value in _kinds_in(function):
                        yield f"{path.relative_to(root)}:{where}", value


def _kinds_in(function: ast.FunctionDef) -> Iterator[tuple[int, str]]:
    for call in ast.walk(function):
        if isinstance(call, ast.Call) and getattr(call.func, "id", getattr(call.func, "attr", "")) in (
            "record",
            "open_checked",
        ):
            for argument in call.keywords:
                if argument.arg == "kind":
                    for value in _values(argument.value, function):
                        yield call.lineno, value


def _values(node: ast.expr, function: ast.FunctionDef) -> list[str]:
    """Return the values that an expression can have.

    It is a text, one of two texts, a name with such a value, or a prefix with the end of a job.
    """
    if isinstance(node, ast.Constant):
        return [node.value]
    if isinstance(node, ast.IfExp):
        return _values(node.body, function) + _values(node.orelse, function)
    if isinstance(node, ast.Name) and node.id in [argument.arg for argument in function.args.kwonlyargs]:
        return []  # its callers give the kind
    if isinstance(node, ast.Name):
        assigned = [n for n in ast.walk(function) if isinstance(n, ast.Assign)]
        sets = [n for n in assigned if ast.unparse(n.targets[0]) == node.id]
        assert sets, f"line {node.lineno}: nothing sets {node.id}"
        return [value for one in sets for value in _values(one.value, function)]
    if ast.unparse(node) == "f'signing_key.{act}'":
        return [f"signing_key.{act}" for act in SigningKey.Act.values]
    assert ast.unparse(node) == "f'job.{state}'", (
        f"line {node.lineno}: {ast.unparse(node)} cannot be followed"
    )
    return [f"job.{state}" for state in (State.SUCCEEDED, State.FAILED, State.CANCELLED)]


def test_every_kind_of_event_that_is_recorded_has_words_and_a_place_in_the_filter():
    recorded = list(recorded_kinds())
    assert len(recorded) > 30, "the code records many kinds; this many were found"
    wordless = [f"{where} records {kind}" for where, kind in recorded if kind not in set(EVENTS)]
    assert not wordless, "\n".join(wordless)
    older = {"user.name_shared"}  # recorded by older versions, in logs that nobody can change
    assert set(EVENTS) - older <= {kind for _where, kind in recorded}, "words for what nothing records"
    offered = {kind for _group, _words, kinds in events.choices(with_users=True) for kind, _label in kinds}
    assert offered == set(EVENTS)
    for language in ("en", "ja"):
        with translation.override(language):
            for kind in set(EVENTS):
                words = events.sentence(Event(kind=kind, data={})), events.kind_label(kind)
                assert all(words) and kind not in words
                if language == "ja":
                    assert all(re.search(r"[぀-ヿ一-鿿]", text) for text in words), words


def test_running_jobs_are_shown_with_a_way_to_stop_for_admins_only():
    admin, viewer = UserFactory(), UserFactory()
    dataset = DatasetFactory(admin=admin, viewer=viewer)
    job = JobFactory(dataset=dataset, running=True)
    assert f"/jobs/{job.pk}/cancel/" in get(admin, dataset)
    assert f"/jobs/{job.pk}/cancel/" not in get(viewer, dataset)


def test_every_group_of_the_filter_has_words():
    assert all(events.group_label(code) for code in events.GROUPS)
