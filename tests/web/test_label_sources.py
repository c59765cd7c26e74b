"""Who set the labels: home, overview, gallery, the page of an image, quality page and API."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from mekiki.quality.certificates import valid_machine_labels
from mekiki.quality.models import Certificate, MachineLabel
from mekiki.quality.stop_reasons import StopReason
from tests.factories import CertificateFactory, EvaluationFactory
from tests.pages import without_gaps
from tests.web.test_gallery import World, decide, wait

pytestmark = pytest.mark.django_db
State = Certificate.State
POOL = {
    "pool_share": 0.97,
    "pool_low": 0.91,
    "pool_high": 0.995,
    "pool_people": 4,
    "pool_machine": 26,
    "pool_left_out": 3,
    "pool_differing": 2,
}


class Certified(World):
    """30 images: 0 to 9 have a label of certificate 7, and a person has labelled 8, 9, 20 and 21."""

    def __init__(self) -> None:
        super().__init__(30)
        self.certificate = CertificateFactory(
            dataset=self.dataset,
            version=7,
            head=self.heads[1],
            state=State.ACCEPTED,
            accepted=10,
            accepted_at=timezone.now(),
            alpha=0.02,
        )
        for number in range(10):
            self.certify(number)
        for number in (8, 9, 20, 21):
            decide(self, number, self.labels[1])

    def certify(self, number: int) -> MachineLabel:
        """Set the label of an image by the certificate."""
        return MachineLabel.objects.create(
            image=self.images[number],
            dataset=self.dataset,
            label=self.labels[0],
            certificate=self.certificate,
            confidence=0.987,
        )

    def stop(self, state: str, reason: str) -> None:
        """Put the certificate into a stopped state."""
        Certificate.objects.filter(pk=self.certificate.pk).update(
            state=state, stop_reason=reason, stopped_at=timezone.now()
        )

    def text(self, address: str, **query: str) -> str:
        """Return a page of the dataset without gaps."""
        return text_of(self.client, f"/d/world/{address}", **query)

    def image_text(self, number: int) -> str:
        """Return the page of an image."""
        return self.text(f"images/{self.images[number].sha256}/")


def text_of(client: Client, url: str, **query: str) -> str:
    response = client.get(url, query)
    assert response.status_code == 200
    return without_gaps(response.content.decode())


@pytest.fixture
def world() -> Certified:
    return Certified()


def test_the_gallery_is_filtered_by_who_set_the_label(world: Certified) -> None:
    assert world.numbers(set_by="certificate-7") == [7, 6, 5, 4, 3, 2, 1, 0]
    assert world.numbers(set_by="person") == [21, 20, 9, 8]
    assert world.numbers(set_by="nobody") == [*range(29, 21, -1), *range(19, 9, -1)]
    # The filter combines with others.
    assert world.numbers(set_by="certificate-7", label=str(world.labels[0].pk), sort="sure") == [6, 4, 2, 0]
    assert '<option value="certificate-7">certificate 7</option>' in world.text("images/")


@pytest.mark.parametrize("source", ["certificate-8", "certificate-", "machine", "certificate-99999999999999"])
def test_another_source_is_refused_by_the_form(world: Certified, source: str) -> None:
    response = world.client.get("/d/world/images/", {"set_by": source})
    assert response.status_code == 200 and "set_by" in response.context["form"].errors


def test_tiles_show_the_certified_label_and_whether_its_certificate_is_suspended(world: Certified) -> None:
    text = world.text("images/", set_by="certificate-7")
    assert text.count("Set by machine, certificate 7") == 16  # title and text of 8 tiles
    assert "certificate suspended" not in text
    world.stop(State.SUSPENDED, StopReason.HEAD_REPLACED)
    assert world.text("images/", set_by="certificate-7").count("certificate suspended") == 8
    world.stop(State.REVOKED, StopReason.BY_ADMIN)
    assert "Set by machine" not in world.text("images/")
    assert world.numbers(set_by="nobody") == [*range(29, 21, -1), *range(19, 9, -1), *range(7, -1, -1)]


def test_the_image_page_shows_which_certificate_set_the_label(world: Certified) -> None:
    text = world.image_text(3)
    assert "Labels set by machine" in text and "/quality/certificates/7/" in text
    assert "98.7 %" in text and ">#2</td>" in text and "in use" in text
    world.stop(State.SUSPENDED, StopReason.HEAD_REPLACED)
    assert "certificate suspended" in world.image_text(3)
    # The label of a person replaces the certified one, which stays in the history.
    assert "replaced by the label of a person" in world.image_text(8)
    assert "Labels set by machine" not in world.image_text(15)
    world.stop(State.REVOKED, StopReason.BY_ADMIN)
    assert "not valid" in world.image_text(3) and "certificate suspended" not in world.image_text(3)


@pytest.mark.parametrize("stream", ["audit", "certify"])
def test_a_waiting_audit_shows_no_certified_label(world: Certified, stream: str) -> None:
    wait(world, 3, stream)
    assert 3 not in world.numbers(set_by="certificate-7") and 3 not in world.numbers(set_by="nobody")
    assert "Labels set by machine" not in world.image_text(3) and "98.7" not in world.image_text(3)
    tile = world.text("images/", waiting=stream)
    assert "Set by machine" not in tile and "not judged yet" in tile
    assert "1 image of the audit sample that has not been judged yet is left out" in world.text(
        "images/", set_by="nobody"
    )


def test_an_answered_audit_shows_its_certified_label_only_when_the_answer_counts(world: Certified) -> None:
    """For two minutes an undo could make the next answer an answer of somebody who has seen the label."""
    item = wait(world, 3, "certify")
    item.state, item.finished_at = "done", timezone.now()
    item.save()
    assert "Labels set by machine" not in world.image_text(3)
    assert 3 not in world.numbers(set_by="certificate-7")
    item.finished_at = timezone.now() - timedelta(minutes=3)
    item.save()
    assert "Labels set by machine" in world.image_text(3) and 3 in world.numbers(set_by="certificate-7")


def test_queries_of_the_gallery_do_not_grow_with_certified_labels(world: Certified) -> None:
    def count(**query: str) -> int:
        with CaptureQueriesContext(connection) as queries:
            assert world.client.get("/d/world/images/", query).status_code == 200
        return len(queries)

    few = [count(), count(set_by="certificate-7"), count(set_by="nobody")]
    for number in range(10, 20):
        world.certify(number)
    assert [count(), count(set_by="certificate-7"), count(set_by="nobody")] == few


def test_home_and_overview_count_who_set_the_labels(world: Certified) -> None:
    for text in (text_of(world.client, "/"), world.text("")):
        assert "by people: 4; by certified machine: 8; open: 18" in text
        assert "by certified machine</dt><dd>8</dd>" in text
    world.stop(State.REVOKED, StopReason.BY_ADMIN)
    assert "by people: 4; by certified machine: 0; open: 26" in world.text("")


def test_both_figures_are_shown_with_what_they_are_about(world: Certified) -> None:
    EvaluationFactory(head=world.heads[1], n=40, correct=36, retired=5, **POOL)
    pages = [text_of(world.client, "/"), *(world.text(one) for one in ("", "quality/", "models/"))]
    pages.append(world.text("models/2/"))
    for text in pages:
        assert "90.0 %" in text and "on images that no training used" in text
        assert "97.0 %" in text and "91.0 % to 99.5 %" in text
        assert "4 with a label by a person, which counts as right, and 26 with a certified label" in text
        assert "5 audited images were moved into training" in text
        assert "does not cover 3 images" in text and "2 certified labels differ" in text


def test_few_audits_show_the_interval_instead_of_the_percentage(world: Certified) -> None:
    EvaluationFactory(head=world.heads[1], n=9, correct=8, low=0.56, high=0.98, **POOL)
    text = world.text("quality/")
    assert "91.0 % to 99.5 %" in text and "97.0 %" not in text


def test_an_estimate_from_before_has_no_figure_of_all_images(world: Certified) -> None:
    EvaluationFactory(head=world.heads[1])
    assert "it is computed with the next audit estimate" in world.text("")


def test_the_quality_page_lists_what_each_certificate_covers(world: Certified) -> None:
    text = world.text("quality/")
    assert "At most 2 % of the labels set by machine are wrong (risk 5 %)" in text
    assert "8 images have a valid label of this certificate (10 labels were set)" in text
    world.stop(State.SUSPENDED, StopReason.HEAD_REPLACED)
    text = world.text("quality/")
    assert "reason: another head was promoted" in text and "Since: suspended" in text
    world.stop(State.REVOKED, StopReason.BY_ADMIN)
    text = world.text("quality/")
    assert "reason: stopped by an admin" in text and "valid label of this certificate" not in text


@pytest.mark.parametrize("state", State.values)
def test_every_state_of_a_certificate_is_listed(world: Certified, state: str) -> None:
    Certificate.objects.filter(pk=world.certificate.pk).update(state=state, pool=30, candidates=30, region=12)
    assert "Covers" in world.text("quality/")


def test_the_api_returns_both_figures_and_who_set_the_labels(world: Certified) -> None:
    url = reverse("api:accuracy", args=["world"])
    sources = {"images": 30, "by_people": 4, "by_certified_machine": 8, "open": 18}
    assert world.client.get(url).json() == {"audit_estimate": None, "right_labels": None, "labels": sources}
    EvaluationFactory(head=world.heads[1], n=40, correct=36, retired=5, **POOL)
    answer: dict[str, Any] = world.client.get(url).json()
    estimate, pool = answer["audit_estimate"], answer["right_labels"]
    assert (estimate["value"], estimate["low"], estimate["n"], estimate["head"]) == (0.9, 0.77, 40, 2)
    assert estimate["not_counted"]["retired"] == 5 and "moved into training" in estimate["notes"][0]
    assert (pool["value"], pool["low"], pool["high"]) == (0.97, 0.91, 0.995)
    assert (pool["by_people"], pool["by_machine"], pool["differing"], pool["not_covered"]) == (4, 26, 2, 3)
    assert len(pool["notes"]) == 2
    assert Client().get(url).status_code == 401


def test_valid_labels_are_those_of_the_gallery(world: Certified) -> None:
    valid = set(valid_machine_labels(world.dataset).values_list("image_id", flat=True))
    assert valid == {image.pk for image in world.images[:8]}
