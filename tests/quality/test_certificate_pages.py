"""The pages of certificates: form, running audit, result, acts, and who may see them."""

from typing import Any

import pytest
from django.test import Client

from mekiki.quality.audit_state import read_audit_state
from mekiki.quality.models import Certificate
from mekiki.quality.services.certificates import (
    accept,
    mark_accepted,
    record_check,
    request_plan,
    set_machine_labels,
)
from tests.quality_setup import SEED, CertifiedPool, make_protocol
from tests.review_setup import Station

pytestmark = pytest.mark.django_db
VALUES = {"alpha": "2", "delta": "5", "test": "watched", "limit": "300", "overlap": "1"}


def browser(user: Any, language: str = "en") -> Client:
    client = Client(headers={"accept-language": language})
    client.force_login(user)
    return client


def page_of(world: Any, user: Any, path: str = "", language: str = "en") -> str:
    answer = browser(user, language).get(f"/d/{world.dataset.slug}/quality/{path}")
    assert answer.status_code == 200
    return answer.content.decode()


def test_second_certificate_is_refused_while_one_runs() -> None:
    world = CertifiedPool()
    text = page_of(world, world.admin, "certificates/new/")
    assert "Only one certificate can run at a time" in text and 'name="alpha"' not in text
    plan = request_plan(dataset=world.dataset, user=world.admin, protocol=make_protocol())
    address = f"/d/{world.dataset.slug}/quality/certificates/plans/{plan.number}/start/"
    answer = browser(world.admin).post(address, {"limit": "9", "first": "1.0"})
    assert answer.status_code == 422 and "running" in answer.content.decode()
    assert Certificate.objects.count() == 1


def test_running_audit_shows_no_seed_and_no_statement() -> None:
    world = CertifiedPool()
    world.freeze()
    world.answer_audits(most=2)
    record_check(certificate=world.certificate, figures=read_audit_state(world.certificate).figures)
    text = page_of(world, world.people[0], "certificates/1/")
    assert "the certificate states nothing yet" in text and "more right answers needed" in text
    assert world.certificate.commitment in text
    assert SEED.hex() not in text and "secret until the audit ends" in text


@pytest.mark.parametrize("language", ["en", "ja"])
def test_result_is_accepted_and_revoked_in_the_browser(language: str) -> None:
    world = CertifiedPool()
    world.freeze()
    world.answer_audits()
    world.end()
    text = page_of(world, world.admin, "certificates/1/", language)
    assert SEED.hex() in text and "50 %" in text and "5 %" in text
    address = f"/d/{world.dataset.slug}/quality/certificates/1/act/"
    client = browser(world.admin, language)
    assert client.post(address, {"act": "accept"}).status_code == 302
    n = set_machine_labels(certificate=world.certificate, first=1, last=100)
    mark_accepted(certificate=world.certificate, accepted=n)
    assert str(n) in page_of(world, world.admin, "certificates/1/", language)
    client.post(address, {"act": "revoke"})
    world.certificate.refresh_from_db()
    assert world.certificate.state == Certificate.State.REVOKED


def test_act_that_the_state_forbids_is_refused_with_a_message() -> None:
    world = CertifiedPool()
    world.freeze()
    client = browser(world.admin)
    address = f"/d/{world.dataset.slug}/quality/certificates/1/act/"
    text = client.post(address, {"act": "accept"}, follow=True).content.decode()
    assert "another state" in text
    assert client.post(address, {"act": "destroy"}).status_code == 404
    assert client.post(address).status_code == 404
    assert client.get(address).status_code == 405


@pytest.mark.parametrize("role", ["reviewer", "viewer"])
def test_only_admins_act_and_members_read(role: str) -> None:
    world = CertifiedPool()
    client = browser(world.reviewer(role))
    base = f"/d/{world.dataset.slug}/quality/certificates/"
    assert client.get(base + "new/").status_code == 403
    assert client.post(base + "new/", VALUES).status_code == 403
    assert client.post(base + "1/act/", {"act": "cancel"}).status_code == 403
    assert client.get(base + "1/").status_code == 200
    assert client.get(base + "2/").status_code == 404
    assert client.get(base + f"{2**70}/").status_code == 404
    stranger = browser(Station().reviewer("admin"))
    for path in ("new/", "1/"):
        assert stranger.get(base + path).status_code == 404


def test_index_lists_certificates_and_counts_queries(django_assert_max_num_queries: Any) -> None:
    world = CertifiedPool()
    world.freeze()
    world.answer_audits()
    world.end()
    accept(certificate=world.certificate, user=world.admin)
    client = browser(world.admin)
    client.get(f"/d/{world.dataset.slug}/quality/")
    with django_assert_max_num_queries(25):
        text = client.get(f"/d/{world.dataset.slug}/quality/").content.decode()
    assert "Certificate 1" in text and "labels being set" in text


def test_overview_and_image_show_which_labels_the_machine_set() -> None:
    world = CertifiedPool()
    world.freeze()
    world.answer_audits()
    world.end()
    client = browser(world.admin)
    overview = f"/d/{world.dataset.slug}/"
    assert "by certified machine: 0;" in client.get(overview).content.decode()
    accept(certificate=world.certificate, user=world.admin)
    set_machine_labels(certificate=world.certificate, first=1, last=100)
    mark_accepted(certificate=world.certificate, accepted=len(world.left()))
    text = client.get(overview).content.decode()
    assert f"by certified machine: {len(world.left())};" in text
    image = next(image for image in world.images if image.pk in world.left())
    text = client.get(f"/d/{world.dataset.slug}/images/{image.sha256}/").content.decode()
    assert "set by machine" in text and f"certificates/{world.certificate.version}/" in text
