"""Search in real pictures in a browser, by text in two languages and by image, with `pocket`."""

import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection
from playwright.sync_api import Browser, Page, expect

from mekiki.datasets import storage
from mekiki.learning.models import Embedding, TextEmbedding
from mekiki.learning.search import texts
from mekiki.learning.services import store_embeddings
from mekiki.simulation.truth import read_truth_csv
from tests.e2e.test_pages import check_page, log_in, open_page
from tests.factories import DatasetFactory, EncoderFactory, ImageFactory, UserFactory
from workers.encoders import load_encoder
from workers.pocket.sample import make_sample
from workers.steps.texts import TextEncoderProcess, embed_search_text

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]

ENGLISH, JAPANESE = "rust on a metal surface", "金属表面の錆"


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Create a drawn sample with its embeddings by `pocket`, once."""
    folder = tmp_path_factory.mktemp("sample")
    make_sample(folder, count=96)
    files = sorted(folder.rglob("*.jpg"))
    encoder = load_encoder("pocket", device="cpu")
    return {
        "folder": folder,
        "files": files,
        "truth": read_truth_csv(folder / "truth.csv"),
        "encoder": encoder,
        "vectors": encoder.encode_images(files).vectors,
    }


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Run the search worker's task in a thread of this process. The encoder runs in its own child process."""
    reader = TextEncoderProcess()
    running: list[threading.Thread] = []

    def work(pk: int) -> None:
        try:
            embed_search_text(pk, reader)
        finally:
            connection.close()

    def send(_name: str, args: list[int], **_options: Any) -> bool:
        thread = threading.Thread(target=work, args=args)
        running.append(thread)
        thread.start()
        return True

    monkeypatch.setattr(texts.broker, "send", send)
    yield reader
    for thread in running:
        thread.join(120)
    reader.close()


def create_dataset(pictures: dict[str, Any]) -> tuple[Any, Any]:
    user = UserFactory(username="aiko")
    dataset = DatasetFactory(slug="line-3", name="Line 3 · castings", reviewer=user)
    loaded = pictures["encoder"]
    encoder = EncoderFactory(name="pocket", digest=loaded.digest, dim=loaded.dim, precision=loaded.precision)
    images = []
    for file in pictures["files"]:
        content = Path(file).read_bytes()
        sha256 = hashlib.sha256(content).hexdigest()
        image = ImageFactory(dataset=dataset, sha256=sha256, name=file.name, width=208, height=208)
        for name in (
            storage.original_name(dataset.pk, image.sha256),
            storage.thumb_name(dataset.pk, image.sha256),
        ):
            default_storage.save(name, ContentFile(content))
        images.append(image)
    store_embeddings(encoder=encoder, image_ids=[i.pk for i in images], vectors=pictures["vectors"])
    return user, dataset


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 860}, reduced_motion="reduce")
    yield context.new_page()
    context.close()


def test_search_by_text_and_image_returns_matching_images(
    pictures: dict[str, Any], worker: Any, page: Page, live_server: Any
) -> None:
    user, _dataset = create_dataset(pictures)
    log_in(page, live_server, user, "en")
    gallery = f"{live_server.url}/d/line-3/images/"
    for language, search_text in (("en", ENGLISH), ("ja", JAPANESE)):
        log_in(page, live_server, user, language)
        page.goto(gallery)
        page.locator("#search-text").fill(search_text)
        page.keyboard.press("Enter")  # by keyboard only
        page.locator(
            ".gallery__item"
        ).first.wait_for()  # after the encoder was loaded, without a reload by the user
        expect(page.locator("#search-title")).to_contain_text(search_text)
        assert page.locator(".search-wait").count() == 0
        names = page.locator(".gallery__name").all_inner_texts()[:8]
        rusty = {
            file.name
            for file in pictures["files"]
            if pictures["truth"][hashlib.sha256(file.read_bytes()).hexdigest()] == "rust"
        }
        assert len(rusty) >= 4 and len(rusty & set(names)) >= 3, (language, names)
    assert TextEmbedding.objects.count() == 2
    # More images like the first, by keyboard, from its thumbnail.
    name = page.locator(".gallery__name").first.inner_text()
    page.locator(".gallery__like").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**like=*")
    expect(page.locator("#search-title")).to_contain_text(name)
    assert name not in page.locator(".gallery__name").all_inner_texts()
    # The same page without JavaScript, by plain reloads.
    context = page.context.browser.new_context(java_script_enabled=False)  # type: ignore[union-attr]
    plain = context.new_page()
    log_in(plain, live_server, user, "en")
    plain.goto(gallery)
    plain.locator("#search-text").fill(ENGLISH)
    plain.keyboard.press("Enter")
    plain.locator(".gallery__item").first.wait_for()
    context.close()


@pytest.mark.parametrize("language", ["en", "ja"])
def test_search_pages_pass_the_page_checks(
    pictures: dict[str, Any],
    browser: Browser,
    live_server: Any,
    language: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Results, waiting, a problem, a partly embedded dataset, and an image's page."""
    monkeypatch.setattr("mekiki.web.gallery.views.SEARCH_WAIT_SECONDS", 0.0)
    user, dataset = create_dataset(pictures)
    encoder = Embedding.objects.first().encoder  # type: ignore[union-attr]
    vectors = dict(
        zip((ENGLISH, JAPANESE), pictures["encoder"].encode_texts([ENGLISH, JAPANESE]), strict=True)
    )
    for text, vector in vectors.items():
        assert texts.find_text_vector(encoder=encoder, text=text, user=user).waiting
        texts.record_vector(row=TextEmbedding.objects.get(text=text), vector=vector)
    Embedding.objects.filter(image__in=dataset.images.order_by("-pk")[:11]).delete()
    long = "word " * 39
    texts.find_text_vector(encoder=encoder, text=long, user=user)
    texts.record_problem(
        row=TextEmbedding.objects.get(text=long.strip()), problem=texts.Problem.TOO_LONG, count=80, most=64
    )
    search_text = {"en": ENGLISH, "ja": JAPANESE}[language]
    first = dataset.images.order_by("pk").first()
    assert first is not None
    wrong = []
    with open_page(browser, language) as page:
        log_in(page, live_server, user, language)
        base = f"{live_server.url}/d/line-3/images/"
        for name, address in {
            "search-text": f"{base}?text={search_text}",
            "search-like": f"{base}?like={first.sha256}",
            "search-waiting": f"{base}?text=never+answered",
            "search-too-long": f"{base}?text={long}",
            "search-nothing": f"{base}?text={search_text}&q=nowhere",
            "search-image": f"{base}{first.sha256}/",
        }.items():
            wrong += [f"{name}: {line}" for line in check_page(page, address, name, language)]
    assert not wrong, "\n".join(wrong)
