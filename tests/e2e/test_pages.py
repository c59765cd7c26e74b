"""Every page in both languages, wide and on a phone.

No axe violation, no console error, no sideways scroll. axe reads the English page wide in light colours and
the contrast of the Japanese page on a phone in dark colours.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pytest
from django.conf import settings
from django.test import Client
from django.urls import NoReverseMatch, reverse
from playwright.sync_api import Browser, Page

from mekiki.accounts.models import OutgoingMail, SiteSettings
from mekiki.audit.private_key import make_first_key
from mekiki.audit.sealing import seal_new_rows
from mekiki.audit.services import record
from mekiki.datasets.importing.filling import scan_fields
from mekiki.datasets.models import Image
from mekiki.jobs.models import Job, Kind, State
from mekiki.learning.models import NearDuplicateGrouping
from mekiki.learning.near_duplicates import SurveyLevel
from mekiki.learning.selectors import verification_key
from mekiki.learning.services import record_survey, store_groups
from mekiki.review.services import save_view
from mekiki.web.messages import EVENTS
from tests.e2e import screenshots
from tests.e2e.axe import ALL, CONTRAST, WITHOUT_CONTRAST, violations_of
from tests.factories import (
    ChampionFactory,
    ConfirmedLabelFactory,
    DatasetFactory,
    DecisionFactory,
    EncoderFactory,
    EvaluationFactory,
    HeadFactory,
    ImageFactory,
    JobFactory,
    LabelFactory,
    PredictionFactory,
    PromptSetFactory,
    QueueItemFactory,
    UserFactory,
)
from tests.head_metrics import CROSS, METRICS

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]

SIZES = {"wide": (1280, 860), "phone": (390, 844)}
REPEATED_IDS = """() => [...document.querySelectorAll('[id]')].map(element => element.id)
    .filter((id, place, all) => all.indexOf(id) !== place)"""


def create_full_dataset() -> tuple[Any, Any]:
    """Create an admin and a dataset with data on every page."""
    admin = UserFactory(username="aiko", is_superuser=True, is_staff=True, may_create_datasets=True)
    dataset = DatasetFactory(
        slug="line-3",
        name="Line 3 · castings",
        description="Castings of line 3, camera above the conveyor. 鋳造品の外観検査。",
        admin=admin,
    )
    names = ["good", "scratch", "pitting", "打痕", "rolled-in scale"]
    labels = [LabelFactory(dataset=dataset, name=name) for name in names]
    prompts = PromptSetFactory(dataset=dataset)
    images = [ImageFactory(dataset=dataset, stored=True) for _ in range(24)]
    for n, image in enumerate(images):
        image.metadata |= {
            "temperature": "n/a" if n == 3 else f"{20 + n / 10}",
            "撮影日": f"2026-11-{n + 1:02d}",
        }
    Image.objects.bulk_update(images, ["metadata"])
    scan_fields(dataset)
    dataset.max_images, dataset.max_bytes = len(images), 1024**3  # full, and the pages show it
    dataset.save()
    encoder = EncoderFactory()
    heads = [
        HeadFactory(dataset=dataset, prompt_set=prompts, encoder=encoder, kind=kind, n_labels=n, metrics={})
        for kind, n in (("zero_shot", 0), ("logistic", 60), ("logistic", 130))
    ]
    for head, answers, correct, low, high in (
        (heads[0], 20, 14, 0.48, 0.86),
        (heads[1], 60, 16, 0.58, 0.92),
        (heads[2], 130, 19, 0.76, 0.99),
    ):
        EvaluationFactory(head=head, n=20, correct=correct, low=low, high=high, answers=answers)
    ChampionFactory(head=heads[2])
    for i, image in enumerate(images):
        PredictionFactory(head=heads[2], image=image, label=labels[i % 5], confidence=0.5 + i / 50)
    for image in images[:8]:
        QueueItemFactory(dataset=dataset, image=image, head=heads[2])
    for i, image in enumerate(images[8:18]):
        ConfirmedLabelFactory(dataset=dataset, image=image, label=labels[i % 5], decision__user=admin)
    running = JobFactory(dataset=dataset, kind=Kind.ENCODE, running=True)
    running.stage, running.done, running.total, running.rate, running.unit = (
        "computing embeddings",
        430,
        1000,
        52.0,
        "images",
    )
    running.save()
    JobFactory(
        dataset=dataset,
        kind=Kind.TRAIN,
        state=State.FAILED,
        error="The disk is full.",
        finished_at=running.started_at,
    )
    DatasetFactory(slug="empty", name="空のデータセット", admin=admin)
    DatasetFactory(slug="old", name="Line 1 · 2025", admin=admin, archived_at=running.started_at)
    deleted = {"archived_at": running.started_at, "deleted_at": running.started_at}
    DatasetFactory(slug="trial", name="試験", admin=admin, **deleted)
    save_view(dataset=dataset, user=admin, name="不確かな画像", query="high=70")
    create_near_duplicates(dataset, encoder, [image.pk for image in images])
    return admin, dataset


def create_near_duplicates(dataset: Any, encoder: Any, ids: list[int]) -> None:
    """Create a survey of thresholds, and a group of three images and one of two."""
    pairs = [(ids[n + 1], ids[n], 0.995 - n / 1000) for n in range(3)]
    levels = [SurveyLevel(t, 5, 12, 3, pairs, pairs if t < 0.99 else []) for t in (0.999, 0.98, 0.9)]
    record_survey(dataset=dataset, encoder=encoder, total=24, images=24, levels=levels)
    grouping = NearDuplicateGrouping.objects.create(dataset=dataset, encoder=encoder, threshold=0.98)
    first = np.array([ids[0] if n < 3 else ids[3] if n == 4 else pk for n, pk in enumerate(ids)])
    store_groups(grouping=grouping, image_ids=np.array(ids), first_ids=first, cosines=np.full(24, 0.99))


def addresses(slug: str) -> dict[str, str]:
    """Return the address of every page that needs no further object, by the name of the page."""
    addresses = {}
    names = [
        "home",
        "account",
        "review-keys",
        "sessions",
        "logins",
        "password-lost",
        "users",
        "dataset-create",
        "site-storage",
        "archived-datasets",
    ]
    for name in names:
        addresses[name] = _reverse(name)
    pages = ["overview", "images", "import", "labels", "review", "models", "quality", "exports", "activity"]
    pages += ["members", "reviewers", "dataset-settings", "label-reorganise"]
    pages += [
        "review-grid",
        "review-queue",
        "review-adjudication",
        "review-overlap",
        "gold-images",
        "near-duplicates",
        "metadata-fields",
    ]
    for name in [*pages, "study-create", "certificate-create"]:
        addresses[name] = _reverse(name, slug)
        addresses[f"{name}-empty"] = _reverse(name, "empty")
    images = _reverse("images", slug)
    filters = "confirmed=none&metadata=line%3DA"
    addresses["images-selection"] = f"{images}?{filters}&from.temperature=20&select=images"
    addresses["images-use"] = f"{_reverse('gallery-use', slug)}?act=export&{urlencode({'query': filters})}"
    return {name: address for name, address in addresses.items() if address} | {"not-found": "/d/nothing/"}


def _reverse(name: str, *args: str) -> str:
    try:
        return reverse(name, args=args)
    except NoReverseMatch:
        return ""


@pytest.fixture(params=["en", "ja"])
def language(request: pytest.FixtureRequest) -> str:
    return request.param


def context_options(language: str) -> dict[str, Any]:
    """Return the size and colours in which axe reads the pages of this language."""
    size, colours = {"en": ("wide", "light"), "ja": ("phone", "dark")}[language]
    width, height = SIZES[size]
    return {
        "viewport": {"width": width, "height": height},
        "locale": {"en": "en-GB", "ja": "ja-JP"}[language],
        "color_scheme": colours,
        "reduced_motion": "reduce",
    }


@contextmanager
def open_page(browser: Browser, language: str) -> Iterator[Page]:
    """Open an empty page in the size and colours in which axe reads the pages of this language."""
    context = browser.new_context(**context_options(language))
    yield context.new_page()
    context.close()


@pytest.fixture
def browser_context_args(language: str) -> dict[str, Any]:
    return context_options(language)


def log_in(page: Page, live_server: Any, user: Any, language: str) -> None:
    client = Client()
    client.force_login(user)
    page.context.add_cookies(
        [
            {"name": name, "value": value, "url": live_server.url}
            for name, value in (
                (settings.SESSION_COOKIE_NAME, client.cookies[settings.SESSION_COOKIE_NAME].value),
                (settings.LANGUAGE_COOKIE_NAME, language),
            )
        ]
    )


def check_page(
    page: Page, url: str, name: str, language: str, expected: int = 200, rules: dict[str, Any] | None = ALL
) -> list[str]:
    """Open a page, read it with axe, show it in the other size too, and return all problems.

    Without `rules`, axe does not read the page.
    """
    wrong: list[str] = []

    def console(message: Any) -> None:
        if message.type in {"error", "warning"} and not (
            expected != 200 and "Failed to load resource" in message.text
        ):
            wrong.append(f"console: {message.text}")

    page.on("console", console)
    failed = lambda error: wrong.append(f"script: {error}")  # noqa: E731
    page.on("pageerror", failed)
    response = page.goto(url)
    assert response is not None
    if response.status != expected:
        wrong.append(f"status {response.status}")
    # The review station requests its image after the page, and the gallery its facets. Other pages are
    # complete.
    if name.startswith(("review", "images")):
        page.wait_for_load_state("networkidle")
    page.wait_for_function("[...document.images].every(image => image.complete || image.loading === 'lazy')")
    for violation in violations_of(page, rules) if rules is not None else ():
        nodes = "; ".join(node["html"][:160] for node in violation["nodes"][:3])
        wrong.append(f"axe {violation['id']} ({violation['impact']}): {nodes}")
    wrong += [f"id {one} is used twice" for one in page.evaluate(REPEATED_IDS)]
    first_size = page.viewport_size
    for size, (width, height) in SIZES.items():
        page.set_viewport_size({"width": width, "height": height})
        wrong += check_width(page, f"{name}-{language}-{size}")
    assert first_size is not None
    page.set_viewport_size(first_size)
    page.remove_listener("console", console)
    page.remove_listener("pageerror", failed)
    return wrong


def save_screenshot(page: Page, name: str) -> None:
    """Save a picture of the whole page on request."""
    screenshots.save(page, name, full_page=True)


def check_width(page: Page, name: str) -> list[str]:
    """Return what is wider than the window."""
    save_screenshot(page, name)
    if not page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
        return []
    wide = page.evaluate(
        """() => [...document.querySelectorAll('body *')]
        .filter(e => e.getBoundingClientRect().right > innerWidth + 1)
        .filter(e => !e.closest('.table-scroll, .sections'))
        .slice(0, 3).map(e => e.outerHTML.slice(0, 120))"""
    )
    return [f"{name} scrolls sideways: {wide}"]


def test_every_page_passes_the_page_checks(page: Page, live_server: Any, language: str):
    admin, dataset = create_full_dataset()
    log_in(page, live_server, admin, language)
    wrong = {}
    for name, address in addresses(dataset.slug).items():
        expected = 404 if name == "not-found" else 200
        # Only the contrast depends on the colours, and an empty page has the colours of the full page.
        if name.endswith("-empty"):
            rules = WITHOUT_CONTRAST if language == "en" else None
        else:
            rules = ALL if language == "en" else CONTRAST
        problems = check_page(page, live_server.url + address, name, language, expected, rules)
        if problems:
            wrong[name] = problems
    assert not wrong, "\n".join(f"{name}: {line}" for name, lines in wrong.items() for line in lines)


def test_pages_for_admins_pass_the_page_checks(page: Page, live_server: Any, language: str):
    """Failed work and all events, flags with their notes, heads that can and heads that cannot be used."""
    admin, dataset = create_full_dataset()
    head = dataset.heads.get(version=1)
    HeadFactory(dataset=dataset, prompt_set=head.prompt_set, label_ids=head.label_ids)
    dataset.max_images = None  # the flagged images are additional to a full dataset
    dataset.save()
    notes = ["", "暗くて見えない。\n照明を確認してください。", "too dark to judge " * 30, "x" * 400]
    for note in notes:
        image = ImageFactory(dataset=dataset, stored=True)
        DecisionFactory(dataset=dataset, image=image, user=admin, kind="flag", label=None, note=note)
    for kind in sorted(EVENTS):
        of = None if kind.startswith("user.") else dataset
        record(kind=kind, actor=admin, dataset=of, data={"name": "name", "kind": "encode", "version": 2})
    log_in(page, live_server, admin, language)
    wrong = []
    for name, address in {
        "activity-all": reverse("activity", args=[dataset.slug]),
        "activity-narrowed": reverse("activity", args=[dataset.slug]) + "?show=head.promoted&actor=aiko",
        "platform-activity": reverse("platform-activity"),
        "platform-activity-none": reverse("platform-activity") + "?show=import.discarded&actor=*",
        "queue-flagged": reverse("review-queue", args=[dataset.slug]),
        "head-usable": reverse("head", args=[dataset.slug, 1]),
        "head-of-another-encoder": reverse("head", args=[dataset.slug, 4]),
    }.items():
        wrong += [f"{name}: {line}" for line in check_page(page, live_server.url + address, name, language)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("mail", ["with", "without"])
def test_platform_pages_pass_the_page_checks(
    page: Page, live_server: Any, language: str, mail: str, settings: Any, tmp_path: Path
) -> None:
    """Seals with their mails, the account page, a user, the site's settings and the system page."""
    if mail == "with":
        settings.EMAIL_HOST, settings.PUBLIC_URL = "mail.example", "https://mekiki.example"
    settings.HOME = tmp_path
    admin, dataset = create_full_dataset()
    image = dataset.images.first()
    JobFactory(
        dataset=dataset,
        kind=Kind.REBUILD_PICTURES,
        state=State.SUCCEEDED,
        finished_at=dataset.created_at,
        result={"unreadable": 1, "left_out": [{"image": image.pk, "code": "kills_worker"}]},
    )
    make_first_key()
    seal_new_rows()
    SiteSettings.objects.update_or_create(
        pk=SiteSettings.ONLY,
        defaults={"head_recipients": ["quality@example.com", "auditor.with.a.long.name@example.org"]},
    )
    OutgoingMail.objects.create(
        kind="seal_head",
        to="quality@example.com",
        subject="x",
        body="x",
        problem="ConnectionRefusedError: refused",
    )
    record(kind="seal.head_mailed", data={"seal": 1, "to": "quality@example.com"})
    log_in(page, live_server, admin, language)
    wrong = []
    for name, address in {
        "seals": reverse("seals"),
        "seal-head": reverse("seal-head"),
        "own-mail": reverse("own-mail"),
        "own-mail-link": reverse("own-mail-link", args=["x"]),
        "account-mail": reverse("account"),
        "second-factor": reverse("second-factor"),
        "user": reverse("user", args=[UserFactory(username="kenji").pk]),
        "site-settings": reverse("site-settings"),
        "system": reverse("system"),
        "activity-left-out": reverse("activity", args=[dataset.slug]),
    }.items():
        expected = 410 if name == "own-mail-link" else 200
        problems = check_page(page, live_server.url + address, f"{name}-{mail}-mail", language, expected)
        wrong += [f"{name}: {line}" for line in problems]
    assert not wrong, "\n".join(wrong)


def test_full_head_page_passes_the_page_checks(page: Page, live_server: Any, language: str):
    """Compared kinds, reliability, confusion, curve and repetition.

    Heads of five labels, of eighty labels, and of prompts only.
    """
    admin, dataset = create_full_dataset()
    full = dataset.heads.get(version=3)
    ids = full.label_ids
    matrix = [[40, 3, 0, 1, 0], [6, 22, 2, 0, 0], [0, 1, 17, 0, 0], [0, 0, 0, 9, 4], [0, 0, 0, 2, 13]]
    report = {"label_ids": ids, "confusion": matrix, "labels": []}
    EvaluationFactory(head=full, n=120, correct=101, low=0.77, high=0.9, answers=160, report=report)
    counts = [0, 0, 3, 12, 0, 25, 41, 38, 57, 80, 104, 96, 131, 222, 1480]
    bins = {
        "lower": [i / 15 for i in range(15)],
        "upper": [(i + 1) / 15 for i in range(15)],
        "count": counts,
        "confidence": [(i + 0.5) / 15 if n else None for i, n in enumerate(counts)],
        "frequency": [(i + 1 - i % 3) / 15 if n else None for i, n in enumerate(counts)],
    }
    full_head = HeadFactory(
        dataset=dataset, prompt_set=full.prompt_set, encoder=full.encoder, kind="gaussian", calibrated=True,
        n_labels=180, metrics={
            **METRICS,
            "cross_validated_on_reviewed_labels": {**CROSS, "confusion": matrix, "reliability": bins},
        },
    )  # fmt: skip
    facts = {
        "version": 4,
        "digest": full_head.digest,
        "code_before": "0.1+heads.1",
        "code_now": "0.1+heads.2",
    }
    ended = {"state": State.SUCCEEDED, "finished_at": full_head.created_at, "created_by": admin}
    result = {**facts, "outcome": "different", "computed": "f" * 64}
    JobFactory(
        dataset=dataset, kind=Kind.VERIFY_HEAD, key=verification_key(full_head), result=result, **ended
    )
    many = DatasetFactory(slug="many", admin=admin)
    for number in range(80):
        LabelFactory(dataset=many, name=f"ラベル {number} of a long name")
    wide = HeadFactory(dataset=many, metrics=METRICS)
    large = [[(30 if t == s else (t * s) % 47 == 1) * 1 for s in range(80)] for t in range(80)]
    report = {"label_ids": wide.label_ids, "confusion": large, "labels": []}
    EvaluationFactory(head=wide, n=2400, correct=2300, low=0.94, high=0.97, report=report)
    log_in(page, live_server, admin, language)
    wrong = []
    for slug, version in ((dataset.slug, 1), (dataset.slug, 3), (dataset.slug, 4), ("many", 1)):
        address = live_server.url + reverse("head", args=[slug, version])
        wrong += [
            f"{slug} {version}: {line}"
            for line in check_page(page, address, f"head-{slug}-{version}", language)
        ]
    page.locator("details:has(.confusion) > summary").click()  # the page still shows eighty labels
    for size, (width, height) in SIZES.items():
        page.set_viewport_size({"width": width, "height": height})
        wrong += check_width(page, f"head-many-open-{language}-{size}")
    page.emulate_media(color_scheme="dark")
    address = live_server.url + reverse("head", args=[dataset.slug, 3])
    wrong += check_page(page, address, "head-dark", language)
    assert not wrong, "\n".join(wrong)


def test_head_is_put_in_use_only_after_confirmation(page: Page, live_server: Any, language: str):
    admin, dataset = create_full_dataset()
    log_in(page, live_server, admin, language)
    page.goto(live_server.url + reverse("head", args=[dataset.slug, 1]))
    page.locator("form[action$='/use/'] button").click()
    dialog = page.locator("#confirm-dialog")
    assert "#1" in dialog.inner_text()
    save_screenshot(page, f"head-question-{language}")
    dialog.locator("button[value=no]").click()
    assert not Job.objects.filter(kind=Kind.PREDICT).exists()
    page.locator("form[action$='/use/'] button").click()
    dialog.locator("button[value=yes]").click()
    page.wait_for_selector(".notice--good")
    assert Job.objects.get(kind=Kind.PREDICT).payload == {"head": dataset.heads.get(version=1).pk}


def test_home_page_without_datasets_passes_the_page_checks(page: Page, live_server: Any, language: str):
    log_in(page, live_server, UserFactory(), language)
    wrong = check_page(page, live_server.url + "/", "home-nobody", language)
    log_in(page, live_server, UserFactory(may_create_datasets=True), language)
    wrong += check_page(page, live_server.url + "/", "home-first", language)
    assert not wrong, "\n".join(wrong)


def test_login_page_passes_the_page_checks(page: Page, live_server: Any, language: str):
    page.context.add_cookies(
        [{"name": settings.LANGUAGE_COOKIE_NAME, "value": language, "url": live_server.url}]
    )
    wrong = check_page(page, live_server.url + "/", "login", language)
    assert not wrong, "\n".join(wrong)


def test_japanese_pages_declare_their_language_and_have_a_heading(live_server: Any):
    """A Japanese page has Japanese in each of its headings."""
    admin, dataset = create_full_dataset()
    client = Client(headers={"accept-language": "ja"})
    client.force_login(admin)
    for name, address in addresses(dataset.slug).items():
        text = client.get(address).content.decode()
        assert '<html lang="ja"' in text, name
        heading = re.search(r"<h1[^>]*>(.*?)</h1>", text, re.S)
        assert heading, f"{name} has no h1"
