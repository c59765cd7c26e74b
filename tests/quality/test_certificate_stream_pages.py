"""Pages and API of a certificate's extension to later images."""

from typing import Any

import pytest

from mekiki.learning.services import promote
from mekiki.quality.models import Certificate, CertificateStream
from mekiki.review.models import QueueItem
from tests.factories import HeadFactory
from tests.quality.test_certificate_pages import browser, page_of
from tests.quality.test_certificate_streams import StreamedPool
from tests.quality_setup import accepted

pytestmark = pytest.mark.django_db
State = Certificate.State


def post(pool: Any, user: Any, act: str, **values: str) -> Any:
    world = getattr(pool, "world", pool)
    address = f"/d/{world.dataset.slug}/quality/certificates/1/later/act/"
    return browser(user).post(address, {"act": act, **values})


@pytest.mark.parametrize(("language", "words"), [("en", "Extend to later images"), ("ja", "後から")])
def test_admin_extends_a_certificate_on_its_page(language: str, words: str) -> None:
    world = accepted()
    assert words in page_of(world, world.admin, "certificates/1/", language)
    assert words not in page_of(world, world.people[0], "certificates/1/", language)
    assert post(world, world.admin, "extend", share="2.5").status_code == 302
    stream = CertificateStream.objects.get()
    assert stream.share == 0.025 and stream.started_by == world.admin
    text = page_of(world, world.people[0], "certificates/1/", language)
    assert stream.commitment in text and bytes(stream.seed).hex() not in text


@pytest.mark.parametrize("share", ["", "0", "101", "nan", "x", "1e400"])
def test_bad_share_changes_nothing(share: str) -> None:
    world = accepted()
    assert post(world, world.admin, "extend", share=share).status_code == 302
    assert not CertificateStream.objects.exists()


def test_unknown_act_is_not_found() -> None:
    world = accepted()
    assert post(world, world.admin, "burn").status_code == 404
    assert (
        browser(world.admin).get(f"/d/{world.dataset.slug}/quality/certificates/1/later/").status_code == 404
    )


def test_page_shows_the_evidence_and_why_it_was_suspended() -> None:
    pool = StreamedPool()
    pool.bring_in(50)
    pool.answer(2)
    text = page_of(pool.world, pool.world.admin, "certificates/1/")
    assert "At 20 the certificate is suspended" in text.replace("\n", " ")
    while pool.certificate.state == State.ACCEPTED:
        pool.answer(1, wrong=True)
    text = page_of(pool.world, pool.world.admin, "certificates/1/")
    assert "the audits of later images show too many wrong labels" in text
    assert bytes(pool.stream.seed).hex() in text
    text = page_of(pool.world, pool.world.admin, "certificates/1/later/")
    doubtful = [image for image in pool.images if image.sha256 in text]
    assert doubtful and text.count("gallery__cell") == len(doubtful)
    assert 'value="recheck"' in text
    assert 'value="recheck"' not in page_of(pool.world, pool.world.people[0], "certificates/1/later/")
    post(pool, pool.world.admin, "recheck")
    waiting = QueueItem.objects.filter(state=QueueItem.State.WAITING)
    assert set(waiting.values_list("image_id", flat=True)) == {image.pk for image in doubtful}
    assert "waits for review" in page_of(pool.world, pool.world.admin, "certificates/1/later/")


def test_page_says_that_another_head_suspended_it() -> None:
    pool = StreamedPool(share=0.5)
    pool.bring_in(5)
    promote(
        head=HeadFactory(dataset=pool.world.dataset, version=99, encoder=pool.world.head.encoder), reason=""
    )
    text = page_of(pool.world, pool.world.admin, "certificates/1/")
    assert "another head was promoted" in text and "The extension to later images has ended" in text


def test_page_of_a_full_queue_says_that_labels_wait() -> None:
    pool = StreamedPool()
    pool.bring_in(60)
    assert "no further label is set" in page_of(pool.world, pool.world.admin, "certificates/1/")


def test_api_extends_shows_ends_and_rechecks() -> None:
    world = accepted()
    admin, viewer = browser(world.admin), browser(world.reviewer("viewer"))
    base = f"/api/v1/datasets/{world.dataset.slug}/certificates/1/stream"
    assert viewer.get(base).status_code == 404
    for share in (0, 1.5, "x", None):
        assert admin.post(base, {"share": share}, content_type="application/json").status_code == 422
    answer = admin.post(base, {"share": 0.5}, content_type="application/json")
    assert answer.status_code == 200, answer.content
    shown = viewer.get(base).json()
    assert shown["share"] == 0.5 and shown["seed"] is None and shown["limit"] == pytest.approx(20)
    assert viewer.post(f"{base}/end").status_code == 403
    assert admin.post(f"{base}/recheck").status_code == 422
    ended = admin.post(f"{base}/end").json()
    assert ended["doubtful_from"] == 1 and len(ended["seed"]) == 64 and ended["state"] == "accepted"
    assert admin.post(f"{base}/recheck").json() == {"images": 0}
    assert admin.post(f"{base}/end").status_code == 422
