"""A manager improves the prompts of real photographs in a browser, by looking at the images that change.

The site is in Japanese, the photographs are the NEU surface defects, the encoder is `pocket`.
"""

import hashlib
import re
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection
from playwright.sync_api import Browser, Page, expect

from mekiki.datasets import storage
from mekiki.datasets.models import Dataset
from mekiki.labeling.models import PromptDraft
from mekiki.labeling.selectors import active_labels, current_prompt_set, prompts_of
from mekiki.learning import prompt_trials
from mekiki.learning.services import register_encoder, store_embeddings
from tests.e2e.test_pages import SIZES, check_page, check_width, log_in
from tests.factories import ImageFactory, UserFactory
from tests.photographs import KINDS, photographs
from workers.encoders import load_encoder
from workers.heads.zero_shot import make_class_embeddings
from workers.steps.prompt_trial import try_requested_prompts
from workers.steps.texts import TextEncoderProcess

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]

# The names of the template's labels for the kinds of defect.
NAMES = dict(zip(KINDS, ("網目割れ", "介在物", "斑点", "ピット", "圧延スケール", "傷"), strict=True))


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Iterator[TextEncoderProcess]:
    """Run the search worker's task in a thread of this process. The encoder runs in its own child process."""
    reader = TextEncoderProcess()
    running: list[threading.Thread] = []

    def work(pk: int) -> None:
        try:
            try_requested_prompts(pk, reader)
        finally:
            connection.close()

    def send(_name: str, args: list[int], **_options: Any) -> bool:
        thread = threading.Thread(target=work, args=args)
        running.append(thread)
        thread.start()
        return True

    monkeypatch.setattr(prompt_trials.broker, "send", send)
    yield reader
    for thread in running:
        thread.join(120)
    reader.close()


def add_photographs(dataset: Dataset, encoder: Any) -> tuple[np.ndarray, list[str]]:
    """Store photographs with their embeddings; return the embeddings and the true labels."""
    row = register_encoder(
        name=encoder.name, digest=encoder.digest, precision=encoder.precision, dim=encoder.dim,
        logit_scale=encoder.logit_scale,
    )  # fmt: skip
    files = [(kind, file) for kind in KINDS for file in photographs(kind, 20)]
    vectors = encoder.encode_images([file for _kind, file in files]).vectors
    images = []
    for _kind, file in files:
        content = file.read_bytes()
        sha256 = hashlib.sha256(content).hexdigest()
        images.append(ImageFactory(dataset=dataset, sha256=sha256, name=file.name, width=200, height=200))
        for name in (storage.original_name(dataset.pk, sha256), storage.thumb_name(dataset.pk, sha256)):
            default_storage.save(name, ContentFile(content))
    store_embeddings(encoder=row, image_ids=[image.pk for image in images], vectors=vectors)
    return vectors, [NAMES[kind] for kind, _file in files]


def zero_shot_accuracy(dataset: Dataset, encoder: Any, vectors: np.ndarray, truth: list[str]) -> float:
    """Return the accuracy of the prompts in use. Only this test knows the truth of all images."""
    labels = list(active_labels(dataset))
    prompts = prompts_of(current_prompt_set(dataset))
    texts = [(place, text) for place, label in enumerate(labels) for text in prompts[label.pk]]
    owner = np.array([place for place, _text in texts])
    classes = make_class_embeddings(encoder.encode_texts([text for _p, text in texts]), owner, len(labels))
    predicted = (vectors @ classes.T).argmax(axis=1)
    return float(np.mean([labels[p].name == name for p, name in zip(predicted, truth, strict=True)]))


def test_manager_improves_the_prompts_of_a_template_by_looking_at_flips(
    worker: TextEncoderProcess, browser: Browser, live_server: Any
) -> None:
    manager = UserFactory(username="aiko", may_create_datasets=True)
    context = browser.new_context(viewport={"width": 1280, "height": 860}, reduced_motion="reduce")
    page = context.new_page()
    page.set_default_timeout(150_000)
    log_in(page, live_server, manager, "ja")
    page.goto(f"{live_server.url}/datasets/new/")
    page.get_by_label("名前").fill("ライン3 鋼板")
    page.get_by_label(re.compile("圧延鋼板の表面検査")).check()
    page.get_by_role("button", name="作成して次へ").click()
    page.wait_for_url("**/import/")
    dataset = Dataset.objects.get()
    encoder = load_encoder("pocket", device="cpu")
    vectors, truth = add_photographs(dataset, encoder)
    before = zero_shot_accuracy(dataset, encoder, vectors, truth)
    page.goto(f"{live_server.url}/d/{dataset.slug}/")
    steps = page.locator("[data-first-step]")
    expect(steps).to_have_count(6)
    expect(page.locator("[data-first-step][aria-current=step]")).to_have_attribute("data-first-step", "look")
    page.locator("[data-first-step=look]").click()
    expect(page.locator(".workbench-best img")).to_have_count(9)
    improve(page, dataset)
    assert PromptDraft.objects.count() == 1
    wrong = check_page(page, page.url, "workbench-draft", "ja")
    page.get_by_label("版の名前").fill("写真を見て修正")
    page.get_by_role("button", name="次の版として保存").click()
    page.wait_for_selector(".notice--good")
    after = zero_shot_accuracy(dataset, encoder, vectors, truth)
    assert after > before + 0.03, (before, after)
    # Both versions side by side, in English and without a label that changed nothing.
    log_in(page, live_server, manager, "en")
    page.goto(f"{live_server.url}/d/{dataset.slug}/labels/")
    page.get_by_role("link", name="Compare or use again").click()
    expect(page.locator("ins, del").first).to_be_visible()
    expect(page.locator("#workbench-status")).to_contain_text("change their label")
    wrong += check_page(page, page.url, "workbench-compare", "en")
    wrong += check_page(page, f"{live_server.url}/d/{dataset.slug}/labels/workbench/", "workbench", "en")
    wrong += check_page(page, f"{live_server.url}/datasets/new/", "dataset-create-template", "en")
    wrong += check_page(page, f"{live_server.url}/d/{dataset.slug}/", "first-steps", "en")
    for size, (width, height) in SIZES.items():
        page.set_viewport_size({"width": width, "height": height})
        page.goto(f"{live_server.url}/")
        wrong += check_width(page, f"home-mosaic-{size}")
    assert not wrong, "\n".join(wrong)
    context.close()


def improve(page: Page, dataset: Dataset) -> None:
    """Change prompts as a manager would: insert a term by keyboard, write sentences, look at what changes."""
    field = page.locator("[data-workbench-text]")
    changes = {
        "介在物": ["金属表面の細長い黒い筋"],
        "傷": ["金属表面の引っかき傷"],
        "良品": ["均一な灰色の金属表面"],
    }
    for name, sentences in changes.items():
        page.locator("#workbench-labels a", has_text=name).first.click()
        expect(page.get_by_label(re.compile(f"「{name}」はどのように"))).to_be_visible()
        for sentence in sentences:
            with page.expect_response(lambda reply: "/draft/" in reply.url):
                field.press("End")
                field.fill(f"{field.input_value()}\n{sentence}")
            expect(page.locator("#workbench-results")).to_contain_text(sentence)
    # A term of the glossary, by keyboard alone.
    term = page.locator("[data-insert]").first
    term.focus()
    with page.expect_response(lambda reply: "/draft/" in reply.url):
        page.keyboard.press("Enter")
    assert term.get_attribute("data-insert") in field.input_value().split("\n")
