"""Who set the labels, and both accuracy figures, on all pages in a real browser."""

from typing import Any

import pytest
from django.utils import timezone
from playwright.sync_api import Browser, expect

from mekiki.datasets.models import Image
from mekiki.quality.models import Certificate, MachineLabel
from mekiki.quality.stop_reasons import StopReason
from tests.e2e.station_setup import image_with_files
from tests.e2e.test_pages import check_page, log_in, open_page
from tests.factories import CertificateFactory, ConfirmedLabelFactory, EvaluationFactory, PredictionFactory
from tests.quality_setup import CertifiedPool

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]
PERSON = {"en": "a person", "ja": "人"}


class LabelledPool(CertifiedPool):
    """12 images: a suspended certificate has labelled 7 of them, and people have labelled 3."""

    def __init__(self) -> None:
        super().__init__(size=12, started=False)
        for place, image in enumerate(self.images):
            PredictionFactory(head=self.head, image=image, label=self.labels[place % 2], confidence=0.93)
        certificate = CertificateFactory(
            dataset=self.dataset,
            version=1,
            head=self.head,
            state=Certificate.State.SUSPENDED,
            stop_reason=StopReason.HEAD_REPLACED,
            stopped_at=timezone.now(),
            accepted=7,
            accepted_at=timezone.now(),
            created_by=self.admin,
            note="Line 3, cap inspection",
        )
        for image in self.images[:7]:
            MachineLabel.objects.create(
                image=image,
                dataset=self.dataset,
                label=self.labels[0],
                certificate=certificate,
                confidence=0.987,
            )
        for image in self.images[6:9]:
            ConfirmedLabelFactory(dataset=self.dataset, image=image, label=self.labels[1])
        EvaluationFactory(
            head=self.head, n=44, correct=39, low=0.76, high=0.951, answers=300, retired=2, left_out=4,
            pool_share=0.962, pool_low=0.921, pool_high=0.985, pool_people=3, pool_machine=9,
            pool_differing=1, pool_left_out=4,
        )  # fmt: skip

    def make_image(self) -> Image:
        """Create an image with its files."""
        return image_with_files(self)


@pytest.mark.parametrize("language", ["en", "ja"])
def test_figures_and_sources_of_labels_on_all_pages(
    browser: Browser, live_server: Any, language: str
) -> None:
    world = LabelledPool()
    base = f"{live_server.url}/d/{world.dataset.slug}/"
    certified = f"{base}images/{world.images[2].sha256}/"
    with open_page(browser, language) as page:
        log_in(page, live_server, world.admin, language)
        for name, url in (
            ("labels-home", f"{live_server.url}/"),
            ("labels-overview", base),
            ("labels-quality", f"{base}quality/"),
            ("labels-gallery", f"{base}images/?set_by=certificate-1"),
            ("labels-image", certified),
            ("labels-replaced", f"{base}images/{world.images[6].sha256}/"),
            ("labels-models", f"{base}models/"),
        ):
            assert check_page(page, url, name, language) == []
        # The filter in the gallery.
        page.goto(f"{base}images/?set_by=certificate-1")
        expect(page.locator(".gallery__cell")).to_have_count(6)
        page.locator("#filter_set_by").select_option(label=PERSON[language])
        page.locator(".gallery-filter button").press("Enter")
        expect(page.locator(".gallery__cell")).to_have_count(3)
