"""Which users may open which address.

Every address needs a login, datasets are open to members only, and admin pages to admins only. A new
address that is not listed below fails the first test, so its author has to state who may use it.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction
from django.test import Client
from django.urls import get_resolver, reverse
from django.utils import timezone

from mekiki.accounts.models import Membership, Role
from mekiki.audit.models import Event
from mekiki.datasets.models import WatchedFolder
from mekiki.labeling.models import Label
from mekiki.review.models import BulkAct, SavedView, WhyPanel
from tests import factories
from tests.quality.study_setup import study_draft

# Names under /d/<slug>/ and of the API, listed under the lowest role that may use them. An entry is (name,
# method) where the methods differ.
VIEWER = {
    "overview", "activity", "images", "image", "image-original", "image-thumb", "image-display", "labels",
    "review-queue", "models", "run-log", "head", "head-training-labels", "head-confusion", "exports",
    "label-set-key", "label-set-download",
    "quality", "certificate", "certificate-live", "certificate-explained", "api:certificates",
    "api:certificate", "certificate-stream", ("api:certificate-stream", "GET"),
    "api:accuracy", "api:jobs", "api:job", "encoder", "api:encoder", "api:image-search", "activity-download",
    "api:why-open", "api:why", "api:why-heat-map",
    "image-facets", "image-large", "api:image-facet-counts", "gallery-view", ("api:views", "GET"),
    "labels-download",
}  # fmt: skip
REVIEWER = {
    "review", "api:review-next", "api:review-answer", "api:review-undo", "api:review-renew",
    "api:review-release", "api:review-guides", "review-grid", "api:review-grid-next",
    "api:review-grid-answer",
    "api:review-grid-undo",
    "api:review-history", "api:review-history-correct",
    "image-correct", "image-ask-again", "image-take-back",
    "study-station", "api:study-next", "api:study-answer",
    "requalification", "requalification-begin", "requalification-answer",
    "gallery-correct", "gallery-view-save", "gallery-view-delete", "api:view",
}  # fmt: skip
# Reviewers may use them only as adjudicators. Admins may use them.
ADJUDICATOR = {
    "review-adjudication", "review-dispute", "review-rule", "review-rule-undo", "review-rule-reference",
    "review-rule-recheck", "api:adjudication", "api:dispute", "api:rule", "api:rule-undo", "api:rule-doubts",
    "api:rule-recheck", "api:rule-reference",
}  # fmt: skip
ADMIN = {
    "job-cancel", "job-retry", "members", "member-role", "member-remove", "import", "import-start",
    "import-batch",
    "import-files", "import-finish", "import-discard", "dataset-settings", "dataset-archive", "review-retire",
    "gold-images", "gold-mark", "gold-mark-known", "gold-end", "gallery-gold", "gallery-view-train",
    "review-queue-act", "reference-add", "reference-remove",
    "train", "schedule", "head-use", "head-verify", "label-set-retry", "api:job-cancel",
    "encoder-change", "encoder-switch", "encoder-take-back", "encoder-cancel", "encoder-remove",
    "api:encoder-change", "api:encoder-switch", "api:encoder-take-back", "api:encoder-cancel",
    "api:encoder-remove",
    "import-report", "api:imports", "api:import", "api:import-report", "api:import-upload",
    "api:import-manifest", "api:watched-folders", "api:watch-begin", "api:watch-end",
    "label-restore", "schedule-preview",
    "dataset-address", "dataset-limits", "api:dataset-quota", "dataset-rebuild", "dataset-window",
    "dataset-window-go-on",
    "certificate-create", "certificate-act", "certificate-plan", "certificate-plan-again",
    "certificate-start", "api:certificate-plan", "certificate-stream-act", ("api:certificate-stream", "POST"),
    "api:certificate-stream-end", "api:certificate-stream-recheck",
    "api:study", "study-create", "study", "study-act", "study-report-file",
    "review-overlap", "api:overlap", "member-adjudicator",
    "reviewer-goal", "assignment-add", "assignment-remove", "requalification-decide",
    "api:reviewers", "api:reviewer-requalification", "api:assignments",
    "api:assignment",
    ("labels", "POST"), ("exports", "POST"),
    "job-pause", "job-resume", "api:job-pause", "api:job-resume",
    "workbench", "workbench-draft", "workbench-results", "workbench-save", "workbench-discard",
    "prompt-versions", "prompt-version-use", "label-reorganise", "labels-read-file",
    "gallery-act", "gallery-use", "gallery-train", "api:bulk-acts", "api:bulk-act", "dataset-delete",
    "near-duplicates", "near-duplicates-act", "metadata-fields",
    "api:dataset-change", "api:dataset-archive", "api:dataset-delete",
    "import-manifest", "import-folder", "import-bucket", "import-watch-end", "import-undo",
    "import-labels", "import-labels-act", "api:import-begin", "api:import-undo",
}  # fmt: skip
# Open to members who review, each for their own page; 404 for viewers (tests/web/test_reviewers_page.py).
OWN_PAGE = {"reviewers", "reviewer", "api:reviewer", "api:reviewer-goal"}
PLATFORM_ADMIN = {
    "users", "user-create", "user", "user-active", "user-may-create", "user-password", "platform-activity",
    "platform-activity-download", "site-settings", "site-storage", "system", "second-factor-required",
    "user-factors",
    "user-sign-on",
    "seals-ask", "seal-time-stamp", "api:quota",
    "user-admin", "logins", "user-mail", "user-sessions", "seal-mail",
}  # fmt: skip
ANYBODY = {
    "security-txt",
    "login",
    "account_login",
    "mfa_authenticate",
    "passkey-login",
    "sign-on",
    "sign-on-callback",
    "password-lost",
    "password-reset",
    "password-reset-link",
    "set_language",
    "set_theme",
    "healthz",
}
LOGGED_IN = {
    "home", "account", "logout", "dataset-create", "dataset-suggest-address", "metrics", "second-factor",
    "second-factor-app", "passkey-add", "recovery-codes", "second-factor-remove", "passkey-rename",
    "seals", "seal-head", "seal-request", "seal-keys",
    "password-change", "sessions", "sign-on-link", "sign-on-confirm", "sign-on-unlink", "own-mail",
    "own-mail-link", "api:review-preferences", "review-keys",
    "archived-datasets", "archived-restore", "archived-delete",
    "api:archived-datasets", "api:archived-restore", "api:archived-delete",
}  # fmt: skip
# The description of the API and its root.
API_ITSELF = {"api:openapi-json", "api:api-root"}


@cache
def every_address() -> dict[str, str]:
    """Return the pattern of every address by its name."""
    pattern_of_name: dict[str, str] = {}

    def walk(patterns: Any, prefix: str, space: str) -> None:
        for entry in patterns:
            pattern = prefix + str(entry.pattern)
            if hasattr(entry, "url_patterns"):
                walk(entry.url_patterns, pattern, f"{entry.namespace}:" if entry.namespace else space)
            else:
                assert entry.name, f"{pattern} has no name"
                pattern_of_name[space + entry.name] = pattern

    walk(get_resolver().url_patterns, "", "")
    return pattern_of_name


def names(entries: set[Any]) -> set[str]:
    return {entry if isinstance(entry, str) else entry[0] for entry in entries}


def test_every_address_is_listed_with_its_lowest_role() -> None:
    listed = (
        names(VIEWER | REVIEWER | ADJUDICATOR | ADMIN | OWN_PAGE)
        | PLATFORM_ADMIN
        | ANYBODY
        | LOGGED_IN
        | API_ITSELF
    )
    assert set(every_address()) == listed


@pytest.fixture
def world(db: None) -> dict[str, Any]:
    """Create a dataset with one object for each argument of an address, and one user of each role."""
    people = {role: factories.UserFactory(username=str(role)) for role in Role.values}
    dataset = factories.DatasetFactory(slug="parts", **people)
    label = factories.LabelFactory(dataset=dataset)
    head = factories.HeadFactory(dataset=dataset)
    factories.ChampionFactory(head=head)
    image = factories.ImageFactory(dataset=dataset, stored=True)
    factories.ConfirmedLabelFactory(dataset=dataset, label=label)
    from mekiki.audit.private_key import settle_key
    from mekiki.datasets.models import ImportBatch, PixelWindow
    from mekiki.exports.models import LabelSet
    from mekiki.quality.models import Study

    item = factories.QueueItemFactory(dataset=dataset, image=image)
    factories.CertificatePlanFactory(dataset=dataset, number=1, created_by=people["admin"])
    certificate = factories.CertificateFactory(dataset=dataset, version=1, created_by=people["admin"])
    factories.CertificateStreamFactory(certificate=certificate)
    batch = ImportBatch.objects.create(dataset=dataset, source="upload", created_by=people["admin"])
    LabelSet.objects.create(dataset=dataset, version=1, created_by=people["admin"])
    job = factories.JobFactory(dataset=dataset)
    settle_key()
    from mekiki.learning.models import EncoderChange

    # One number is the id of a batch, a change, a run, a window and a label, so that every address finds an
    # object.
    EncoderChange.objects.create(pk=batch.pk, dataset=dataset, from_name="pocket", to_name="pocket+onnx")
    factories.TrainingRunFactory(pk=batch.pk, dataset=dataset)
    SavedView.objects.create(
        pk=batch.pk, dataset=dataset, name="view", query="q=a", created_by=people["reviewer"]
    )
    BulkAct.objects.create(pk=batch.pk, dataset=dataset, act="queue", through=1, created_by=people["admin"])
    WatchedFolder.objects.create(pk=batch.pk, dataset=dataset, location="/nowhere")
    PixelWindow.objects.create(pk=batch.pk, dataset=dataset, sample="uint16", black=0, white=1)
    if not Label.objects.filter(pk=batch.pk, dataset=dataset).exists():
        factories.LabelFactory(pk=batch.pk, dataset=dataset, archived_at=timezone.now())
    # The reviewer is invited to a running study, which has no images.
    study = study_draft(dataset, people["admin"], [people["reviewer"]])
    Study.objects.filter(pk=study.pk).update(state="running", started_at=timezone.now())
    panel = WhyPanel.objects.create(user=people["viewer"], image=image, head=head, label=label)
    arguments = {
        "slug": "parts",
        "panel": panel.pk,
        "sha256": image.sha256,
        "pk": batch.pk,
        "version": 1,
        "job_id": job.pk,
        "user_id": people["reviewer"].pk,
        "factor_id": 1,
        "encoder_id": head.encoder.pk,
        "account_id": 1,
        "form": "csv",
        "number": study.number,
        "language": "en",
        "token": "x",
        "item_id": item.pk,
        "item": item.pk,
        "decision": 1,
    }
    return {**people, "stranger": factories.UserFactory(username="stranger"), "arguments": arguments}


def address(name: str, world: dict[str, Any]) -> str:
    pattern = every_address()[name]
    arguments = {
        key: value for key, value in world["arguments"].items() if re.search(rf"[:<]{key}>", pattern)
    }
    query = {"api:jobs": "?dataset=parts", "api:image-search": "?text=x"}.get(name, "")
    return reverse(name, kwargs=arguments) + query


BODIES = {
    "api:review-next": {"count": 1},
    "api:review-answer": {
        "item": 1,
        "lease": 1,
        "kind": "skip",
        "client_key": "6b7f1d0e-2f7b-4d0e-9d52-0c7a6d1f2a10",
    },
    "api:review-undo": {"client_key": "6b7f1d0e-2f7b-4d0e-9d52-0c7a6d1f2a10"},
    "api:review-renew": {"leases": []},
    "api:encoder-change": {"name": "pocket+onnx"},
    "api:review-release": {"leases": []},
    "api:review-history-correct": {
        "decision": 1,
        "label": 1,
        "client_key": "6b7f1d0e-2f7b-4d0e-9d52-0c7a6d1f2a13",
    },
    "api:review-grid-answer": {
        "page": "6b7f1d0e-2f7b-4d0e-9d52-0c7a6d1f2a11",
        "milliseconds": 9000,
        "tiles": [{"item": 1, "lease": 1, "kind": "skip"}],
    },
    "api:study-answer": {"image": 1, "run": 1, "client_key": "6b7f1d0e-2f7b-4d0e-9d52-0c7a6d1f2a13"},
    "api:review-grid-undo": {"client_key": "6b7f1d0e-2f7b-4d0e-9d52-0c7a6d1f2a12"},
    "api:rule": {"label": 1, "note": "x", "client_key": "6b7f1d0e-2f7b-4d0e-9d52-0c7a6d1f2a13"},
    "api:rule-undo": {"client_key": "6b7f1d0e-2f7b-4d0e-9d52-0c7a6d1f2a14"},
    "api:rule-recheck": {"images": ["0" * 64]},
    "api:rule-reference": {"accepted": True},
    "api:certificate-stream": {"share": 0.1},
    "api:views": {"name": "a", "query": "q=a"},
    "api:bulk-acts": {"act": "queue", "query": "q=a"},
    "api:import-begin": {"path": "/nowhere"},
    "api:imports": {"path": "/nowhere"},
    "api:watch-begin": {"path": "/nowhere"},
    "api:watched-folders": {"path": "/nowhere"},
    "api:dataset-delete": {"name": "Parts"},
    "api:archived-delete": {"name": "Parts"},
    "api:assignments": {"reviewer": 1, "key": "line", "value": "A"},
    "api:reviewer-requalification": {"act": "waive"},
}
# Addresses of the API that take a file, and the name of its field.
SENT_FILES = {"api:import-upload": "files", "api:import-manifest": "file"}


def statuses(client: Client, name: str, world: dict[str, Any]) -> dict[str, int]:
    """Return the statuses of GET and POST, or of DELETE and PATCH if neither is allowed."""
    url = address(name, world)
    body = BODIES.get(name, {})
    is_json = name.startswith("api:") and name not in SENT_FILES
    kind = {"content_type": "application/json"} if is_json else {}
    if name in SENT_FILES:
        body = {SENT_FILES[name]: SimpleUploadedFile("a.csv", b"file\na.png\n")}
    answers = {"GET": client.get(url).status_code, "POST": client.post(url, body, **kind).status_code}
    allowed = {method: status for method, status in answers.items() if status != 405}
    if not allowed:
        answers = {
            "DELETE": client.delete(url).status_code,
            "PATCH": client.patch(url, {}, **kind).status_code,
        }
        allowed = {method: status for method, status in answers.items() if status != 405}
    assert allowed, f"{name} takes neither GET, POST, DELETE nor PATCH"
    return allowed


DATASET_NAMES = sorted(names(VIEWER | REVIEWER | ADJUDICATOR | ADMIN | OWN_PAGE))


@contextmanager
def undone() -> Iterator[None]:
    """Undo what the requests of the block have changed, so that the next address finds the same world."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


# Each test opens many addresses, because the world takes as long to create as several requests. A failure
# names every address that answered otherwise.


def test_dataset_addresses_answer_404_to_non_members(world: dict[str, Any], client: Client) -> None:
    client.force_login(world["stranger"])
    before = Event.objects.count()
    answers = {name: statuses(client, name, world) for name in DATASET_NAMES}
    assert {name: got for name, got in answers.items() if set(got.values()) != {404}} == {}
    assert Event.objects.count() == before


def test_addresses_need_a_login(world: dict[str, Any], client: Client) -> None:
    before = Event.objects.count()
    wrong = {}
    for name in [*DATASET_NAMES, *sorted(PLATFORM_ADMIN | LOGGED_IN)]:
        if name.startswith("api:"):
            got: Any = statuses(client, name, world)
            refused = set(got.values()) == {401}
        else:
            url = address(name, world)
            got = [
                (answer.status_code, answer.get("Location", ""))
                for answer in (client.get(url), client.post(url))
            ]
            refused = all(
                status == 405 or (status == 302 and location.startswith("/accounts/login/"))
                for status, location in got
            )
        if not refused:
            wrong[name] = got
    assert wrong == {}
    assert Event.objects.count() == before


@pytest.mark.parametrize("role", ["reviewer", "viewer"])
def test_admin_actions_are_refused_to_reviewers_and_viewers(
    role: str, world: dict[str, Any], client: Client
) -> None:
    client.force_login(world[role])
    before = Event.objects.count()
    wrong = {}
    for entry in sorted(ADMIN, key=str):
        if isinstance(entry, str):
            answers = statuses(client, entry, world)
        else:
            name, method = entry
            answers = {method: statuses(client, name, world)[method]}
        if set(answers.values()) != {403}:
            wrong[entry] = answers
    assert wrong == {}
    assert Event.objects.count() == before


def test_reviewing_is_refused_to_viewers_and_open_to_reviewers(world: dict[str, Any], client: Client) -> None:
    client.force_login(world["viewer"])
    answers = {name: statuses(client, name, world) for name in sorted(REVIEWER)}
    assert {name: got for name, got in answers.items() if set(got.values()) != {403}} == {}
    for name in answers:
        with undone():
            reviewer = Client()
            reviewer.force_login(world["reviewer"])
            answers[name] = statuses(reviewer, name, world)
    assert {name: got for name, got in answers.items() if 403 in got.values()} == {}


def test_adjudication_is_refused_to_reviewers_and_open_to_adjudicators(
    world: dict[str, Any], client: Client
) -> None:
    client.force_login(world["reviewer"])
    answers = {name: statuses(client, name, world) for name in sorted(ADJUDICATOR)}
    assert {name: got for name, got in answers.items() if set(got.values()) != {403}} == {}
    Membership.objects.filter(user=world["reviewer"]).update(is_adjudicator=True)
    for name in answers:
        with undone():
            answers[name] = statuses(client, name, world)
    assert {name: got for name, got in answers.items() if 403 in got.values()} == {}


def test_viewer_opens_the_pages_for_viewers(world: dict[str, Any], client: Client) -> None:
    client.force_login(world["viewer"])
    answers = {name: client.get(address(name, world)).status_code for name in sorted(names(VIEWER))}
    # The label set of this dataset is not frozen, so there is no file to download. No image is embedded, so
    # there is nothing to search. No audit of a certificate runs, so the page is loaded again.
    assert {name: status for name, status in answers.items() if status != 200} == {
        "certificate-live": 204,
        "gallery-view": 302,
        "label-set-download": 404,
        "head-confusion": 404,
        "api:image-search": 409,
        "api:why-open": 405,
        "api:why-heat-map": 405,
        "run-log": 286,  # the status that tells htmx to stop polling
    }


def test_platform_addresses_are_open_to_platform_admins_only(world: dict[str, Any], client: Client) -> None:
    client.force_login(world["admin"])
    answers = {name: statuses(client, name, world) for name in sorted(PLATFORM_ADMIN)}
    assert {name: got for name, got in answers.items() if set(got.values()) != {403}} == {}
    superuser = factories.UserFactory(is_superuser=True)
    for name in answers:
        with undone():
            admin = Client()
            admin.force_login(superuser)
            answers[name] = statuses(admin, name, world)
    assert {name: got for name, got in answers.items() if {403, 404} & set(got.values())} == {}


def test_a_user_who_may_not_create_datasets_is_refused(world: dict[str, Any], client: Client) -> None:
    client.force_login(world["admin"])
    assert client.post(reverse("dataset-create"), {"name": "x"}).status_code == 403
