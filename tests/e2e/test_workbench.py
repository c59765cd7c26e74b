"""A manager improves the prompts of a template on the real platform, by looking at the images that change.

The site is in Japanese, the photographs are the NEU surface defects, and the encoder is `pocket`.
"""

import io
import re
import zipfile
from collections.abc import Iterator

import numpy as np
import pytest
import yaml
from django.conf import settings
from playwright.sync_api import Browser, Page, expect

from mekiki.embedded.supervisor import Platform
from tests import prepared_homes
from tests.e2e.test_journey import PASSWORD, drop, go, log_in, wait_for_text
from tests.e2e.test_pages import SIZES, check_page, check_width
from tests.photographs import KINDS, photographs
from workers.encoders import load_encoder
from workers.heads.zero_shot import make_class_embeddings

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

PER_KIND = 20
# The names of the template's labels for the kinds of defect.
NAMES = dict(zip(KINDS, ("網目割れ", "介在物", "斑点", "ピット", "圧延スケール", "傷"), strict=True))
# What the manager leaves and writes after a look at the images: good parts and inclusions attracted others.
FIELDS = {
    "良品": ["きれいで均一な鋼板の写真"],
    "介在物": ["介在物がある鋼板の写真", "a photo of a steel strip with an inclusion"],
    "斑点": ["斑点がある鋼板の写真", "a photo of a steel strip with patches", "斑点の写真"],
    "圧延スケール": ["圧延スケールがある鋼板の写真", "ざらざらした粗い鋼板の写真"],
}


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory, django_db_setup: None) -> Iterator[Platform]:
    variables = {
        **{"DATABASE_URL": "", "BROKER_URL": ""},
        **{"MEKIKI_ADMIN_NAME": "aiko", "MEKIKI_ADMIN_PASSWORD": PASSWORD},
    }
    home = prepared_homes.prepare(tmp_path_factory.mktemp("workbench") / "home")
    with Platform(home, env=variables, quiet=True) as started:
        yield started
        started.discard()


class Truth:
    """The photographs with their true labels, which only this test knows."""

    def __init__(self) -> None:
        self.files = [(NAMES[kind], file) for kind in KINDS for file in photographs(kind, PER_KIND)]
        self.encoder = load_encoder("pocket", device="cpu")
        self.vectors = self.encoder.encode_images([file for _name, file in self.files]).vectors

    def archive(self) -> bytes:
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as file:
            for number, (_name, photograph) in enumerate(self.files):
                file.writestr(f"line 3/{number:04}.jpg", photograph.read_bytes())
        return content.getvalue()

    def accuracy(self, page: Page, slug: str) -> float:
        """Return the zero-shot accuracy of the prompts that the site has in use."""
        saved = page.request.get(f"/d/{slug}/labels/labels.yaml")
        labels = yaml.safe_load(saved.body())["labels"]
        texts = [(place, text) for place, label in enumerate(labels) for text in label["prompts"]]
        owner = np.array([place for place, _text in texts])
        vectors = self.encoder.encode_texts([text for _place, text in texts])
        classes = make_class_embeddings(vectors, owner, len(labels))
        predicted = (self.vectors @ classes.T).argmax(axis=1)
        right = [labels[p]["name"] == name for p, (name, _file) in zip(predicted, self.files, strict=True)]
        return float(np.mean(right))


def test_manager_improves_the_prompts_of_a_template_by_looking_at_flips(
    platform: Platform, browser: Browser
) -> None:
    truth, url = Truth(), platform.url.rstrip("/")
    page = log_in(browser, url, "aiko", "ja-JP", viewport={"width": 1280, "height": 860})
    go(page, "/datasets/new/")
    wrong = check_page(page, f"{url}/datasets/new/", "dataset-create", "ja")
    page.fill("[name=name]", "ライン3 鋼板")
    page.get_by_label(re.compile("圧延鋼板の表面検査")).check()
    page.get_by_role("button", name="作成して次へ").click()
    page.wait_for_url("**/import/")
    slug = page.url.split("/d/")[1].split("/")[0]
    before = truth.accuracy(page, slug)
    drop(page, "[data-upload]", "line 3.zip", truth.archive())
    page.wait_for_url("**/import/*/")
    wait_for_text(page, f"/d/{slug}/models/", "プロンプト")
    go(page, f"/d/{slug}/")
    expect(page.locator("[data-first-step]")).to_have_count(6)
    expect(page.locator("[data-first-step][aria-current=step]")).to_have_attribute("data-first-step", "look")
    page.locator("[data-first-step=look]").click()
    expect(page.locator(".workbench-best img")).to_have_count(9)
    improve(page)
    wrong += check_page(page, page.url, "workbench-draft", "ja")
    page.fill("[name=name]", "写真を見て修正")
    page.get_by_role("button", name="次の版として保存").click()
    page.wait_for_selector(".notice--good")
    after = truth.accuracy(page, slug)
    assert after > before + 0.08, (before, after)
    cookie = {"name": settings.LANGUAGE_COOKIE_NAME, "value": "en", "url": url}
    page.context.add_cookies([cookie])  # type: ignore[list-item]
    wrong += check_pages(page, url, slug)
    assert not wrong, "\n".join(wrong)
    page.context.close()


def improve(page: Page) -> None:
    """Change prompts as a manager would, and insert a term of the glossary by keyboard."""
    field = page.locator("[data-workbench-text]")
    for name, sentences in FIELDS.items():
        page.locator("#workbench-labels a", has_text=re.compile(f"^\\s*{name}\\s")).click()
        expect(page.get_by_label(re.compile(f"「{name}」はどのように"))).to_be_visible()
        field.fill("\n".join(sentences))
        rows = page.locator("#workbench-results table").first.locator("tbody tr")
        expect(rows).to_have_count(len(sentences))
    expect(page.locator("#workbench-status")).to_contain_text("ラベルが変わります")
    # A term of the glossary, by keyboard alone.
    term = page.locator("[data-insert]").first
    term.focus()
    page.keyboard.press("Enter")
    sentence = term.get_attribute("data-insert") or ""
    assert sentence in field.input_value().split("\n")
    expect(page.locator("#workbench-results")).to_contain_text(sentence)


def check_pages(page: Page, url: str, slug: str) -> list[str]:
    """Return the problems of the pages with both versions of the prompts, in English."""
    go(page, f"/d/{slug}/labels/")
    page.locator("#versions a[href*='/versions/']").first.click()
    page.wait_for_url("**/labels/versions/**")
    expect(page.locator("ins, del").first).to_be_visible()
    expect(page.locator("#workbench-results img").first).to_be_visible()
    wrong: list[str] = check_page(page, page.url, "workbench-compare", "en")
    for name, address in (
        ("workbench", f"/d/{slug}/labels/workbench/"),
        ("first-steps", f"/d/{slug}/"),
        ("labels-template", f"/d/{slug}/labels/"),
    ):
        wrong += check_page(page, url + address, name, "en")
    go(page, f"/d/{slug}/labels/reorganise/")
    page.get_by_role("button", name="Show what changes").click()
    expect(page.locator("[data-preview]")).to_be_visible()
    wrong += check_page(page, page.url, "label-reorganise", "en")
    for size, (width, height) in SIZES.items():
        page.set_viewport_size({"width": width, "height": height})
        go(page, "/")
        expect(page.locator(".mosaic img")).to_have_count(6)
        wrong += check_width(page, f"home-mosaic-{size}")
    return wrong
