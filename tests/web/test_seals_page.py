"""The page of the seals: what every user sees, what a platform admin may do, and the printed head."""

from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from mekiki.audit.models import Seal, SealCheck
from mekiki.audit.private_key import make_first_key
from mekiki.audit.sealing import seal_new_rows
from mekiki.audit.services import record
from mekiki.jobs.models import Job, Kind, State
from tests import factories

pytestmark = pytest.mark.django_db


def client_of(user: Any, language: str = "en") -> Client:
    client = Client(headers={"accept-language": language})
    client.force_login(user)
    return client


@pytest.fixture
def sealed(settings: Any, tmp_path: Path) -> Seal:
    settings.HOME = tmp_path
    make_first_key()
    record(kind="test.happened")
    seal_new_rows()
    return Seal.objects.get()


def test_page_without_seals_shows_how_to_make_a_key() -> None:
    client = client_of(factories.UserFactory())
    html = client.get(reverse("seals")).content.decode()
    assert "Nothing is sealed yet." in html and "mekiki key make" in html and "Seal now" not in html
    assert client.get(reverse("seal-head")).status_code == 404
    assert client.get(reverse("seal-request")).status_code == 404
    assert client.get(reverse("seal-keys")).content == b""


def test_seals_page_shows_the_state_and_offers_the_head(sealed: Seal) -> None:
    client = client_of(factories.UserFactory())
    html = client.get(reverse("seals")).content.decode()
    root = bytes(sealed.log_root).hex()
    assert root[:4] + " " + root[4:8] in html and "Not checked yet." in html and "Reply of" not in html
    assert f"mekiki audit verify --head 1:{root}" in client.get(reverse("seal-head")).content.decode()
    request = client.get(reverse("seal-request"))
    assert request["content-type"] == "application/timestamp-query" and request.content[:1] == b"0"
    assert client.get(reverse("seal-keys")).content.startswith(b"-----BEGIN PUBLIC KEY-----")


@pytest.mark.parametrize(
    ("language", "message"), [("en", "was changed after seal"), ("ja", "変更されています")]
)
def test_differences_are_reported_in_the_readers_language(sealed: Seal, language: str, message: str) -> None:
    detail = {"table": "events", "id": "7", "seal": "1"}
    SealCheck.objects.create(
        ok=False, seals=1, rows=2, unsealed=0, findings=[{"code": "row_changed", "detail": detail}]
    )
    html = client_of(factories.UserFactory(), language).get(reverse("seals")).content.decode()
    assert message in html


def test_platform_admin_requests_a_check_and_sees_its_failure(sealed: Seal) -> None:
    client = client_of(factories.UserFactory(is_superuser=True))
    for action, kind in (("seal", Kind.SEAL), ("check", Kind.CHECK_SEALS)):
        html = client.post(reverse("seals-ask"), {"act": action}, follow=True).content.decode()
        assert Job.objects.filter(kind=kind, state=State.QUEUED).exists() and "Requested." in html
    assert "No action was requested" in client.post(reverse("seals-ask"), {}, follow=True).content.decode()
    Job.objects.update(state=State.FAILED, error="The file is missing.")
    assert "The file is missing." in client.get(reverse("seals")).content.decode()


def test_invalid_time_stamp_is_refused_with_the_reason(sealed: Seal) -> None:
    client = client_of(factories.UserFactory(is_superuser=True))
    for content in (b"no reply", b"x" * (1 << 21)):
        answer = client.post(reverse("seal-time-stamp"), {"reply": SimpleUploadedFile("a.tsr", content)})
        assert answer.status_code == 422 and "time stamp" in answer.content.decode()
    assert client.post(reverse("seal-time-stamp"), {}).status_code == 422


def test_seals_page_needs_a_fixed_number_of_queries(sealed: Seal, django_assert_max_num_queries: Any) -> None:
    for n in range(3):
        record(kind="test.happened", data={"n": n})
        seal_new_rows()
    client = client_of(factories.UserFactory(is_superuser=True))
    client.get(reverse("seals"))
    with django_assert_max_num_queries(16):
        client.get(reverse("seals"))
