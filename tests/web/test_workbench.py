"""The prompt workbench: a draft per user, its results as parts of the page, and saving."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from mekiki.config import clock
from mekiki.datasets.models import Image
from mekiki.jobs.models import Job, Kind
from mekiki.labeling import services
from mekiki.labeling.models import PromptDraft, PromptSet
from mekiki.labeling.selectors import current_prompt_set, prompts_of
from mekiki.learning import prompt_trials
from mekiki.learning.models import PromptTrial
from mekiki.learning.services import store_embeddings
from tests.factories import (
    DatasetFactory,
    EncoderFactory,
    ImageFactory,
    JobFactory,
    LabelFactory,
    PromptSetFactory,
    UserFactory,
)
from tests.roles import set_fixed

pytestmark = pytest.mark.django_db


class Setting:
    """A dataset with two labels and four embedded images. The worker is replaced by `answer`."""

    def __init__(self) -> None:
        self.admin = UserFactory(username="admin")
        self.reviewer = UserFactory(username="reviewer")
        self.dataset = DatasetFactory(slug="parts", admin=self.admin, reviewer=self.reviewer)
        self.labels = [LabelFactory(dataset=self.dataset, name=name) for name in ("good", "scratches")]
        self.set = PromptSetFactory(dataset=self.dataset)
        self.images = [ImageFactory(dataset=self.dataset) for _ in range(4)]
        self.encoder = EncoderFactory(dim=4)
        self.embed(self.images)
        self.client = Client()
        self.client.force_login(self.admin)

    def embed(self, images: list[Image]) -> None:
        ids = [image.pk for image in images]
        store_embeddings(encoder=self.encoder, image_ids=ids, vectors=[[1, 0, 0, 0]] * len(ids))

    def url(self, name: str = "workbench") -> str:
        return reverse(name, args=["parts"])

    def change(self, label: Any, text: str) -> Any:
        data = {"label": label.pk, "prompts": text}
        return self.client.post(self.url("workbench-draft"), data, headers={"HX-Request": "true"})

    def answer(self, row: PromptTrial, images: int = 4) -> None:
        good, scratch = (label.pk for label in self.labels)
        ids = [image.pk for image in self.images]
        prompts = {
            key: [
                {
                    "best": 2,
                    "brought": 1,
                    "driven": None,
                    "tokens": 99,
                    "helped": 0,
                    "hurt": 4,
                    "hurt_folds": 4,
                }
                for _ in texts
            ]
            for key, texts in row.prompts.items()
        }
        figure = {"k": 1, "n": 2, "low": 0.1, "high": 0.9, "value": 0.5, "trials": 2}
        result = {
            "images": images, "context": 64, "labels": [good, scratch], "counts": [1, 3], "before": [2, 2],
            "changed": 1, "flips": [[good, scratch, 1, [ids[0], ids[1]]]],
            "best": {str(good): ids[2:], str(scratch): ids}, "prompts": prompts,
            "pairs": [[good, scratch, 0.99, 4, 0.01]],
            "accuracy": {"now": figure, "before": figure, "better": 0, "worse": 0},
            "reviewed": {"n": 5, "now": 3, "before": 2},
        }  # fmt: skip
        prompt_trials.record_trial(row=row, result=result)


@pytest.fixture
def setting(monkeypatch: pytest.MonkeyPatch) -> Setting:
    monkeypatch.setattr("mekiki.web.workbench.views.WAIT_SECONDS", 0.0)
    return Setting()


def test_workbench_follows_the_draft_until_it_is_saved(setting: Setting) -> None:
    good, scratch = setting.labels
    page = setting.client.get(setting.url() + f"?label={scratch.pk}")
    text = page.content.decode()
    # The field has the saved prompts; words are offered; nothing is stored before the first change.
    assert (
        "a photo of scratches</textarea>" in text
        and 'data-insert="a photo of a metal surface with a scrape"' in text
    )
    assert not PromptDraft.objects.exists() and "Computing" in text
    reply = setting.change(scratch, "a photo of scratches\r\n\r\nno scratch on steel\r\n")
    assert reply["HX-Reswap"] == "none" and 'hx-swap-oob="true"' in reply.content.decode()
    # The first trial was dropped, because the user wrote something else.
    trial = PromptTrial.objects.get()
    assert trial.prompts[str(scratch.pk)] == ["a photo of scratches", "no scratch on steel"]
    assert (
        trial.before[str(scratch.pk)] == ["a photo of scratches"]
        and not current_prompt_set(setting.dataset).name
    )
    setting.answer(trial)
    set_fixed(setting.images[1], audit_key=0.0)  # an image of the audit reserve, not judged
    parts = setting.client.get(setting.url("workbench-results") + f"?label={scratch.pk}").content.decode()
    assert "1 of 4 images changes its label" in parts and "becomes" in parts
    shown = [image for image in setting.images if reverse("image", args=["parts", image.sha256]) in parts]
    assert shown == [setting.images[0], *setting.images[2:]]
    for code in ("negation", "too_long", "nearly_same"):
        assert f'data-warning="{code}"' in parts, code
    assert "50.0" in parts and "3 of 5" in parts and "better without" in parts
    # Without htmx the same form leads back to the page.
    plain = setting.client.post(setting.url("workbench-draft"), {"label": good.pk, "prompts": "a good part"})
    assert plain.status_code == 302 and plain.url.endswith(f"label={good.pk}")
    # Another admin saves a version. The draft is compared with it before it replaces it.
    base = setting.set.pk
    services.save_prompts(dataset=setting.dataset, prompts={good.pk: ["fine"]}, user=setting.admin)
    data = {"label": good.pk, "prompts": "a good part", "base": base, "name": "with steel"}
    refused = setting.client.post(setting.url("workbench-save"), data)
    assert refused.status_code == 422 and "in the meantime" in refused.content.decode()
    newer = current_prompt_set(setting.dataset)
    assert f"Version v{newer.version}" in refused.content.decode()
    saved = setting.client.post(setting.url("workbench-save"), data | {"base": newer.pk})
    assert saved.status_code == 302 and not PromptDraft.objects.exists()
    version = current_prompt_set(setting.dataset)
    assert (version.version, version.name, version.created_by) == (3, "with steel", setting.admin)
    assert prompts_of(version) == {
        good.pk: ["a good part"], scratch.pk: ["a photo of scratches", "no scratch on steel"],
    }  # fmt: skip
    assert Job.objects.filter(kind=Kind.PREDICT).exists()


def test_trial_goes_on_while_images_are_embedded(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page asks every few seconds. Meanwhile more images are embedded."""
    assert "Computing" in setting.client.get(setting.url()).content.decode()
    waiting = PromptTrial.objects.get()
    setting.embed([ImageFactory(dataset=setting.dataset)])
    assert "Computing" in setting.client.get(setting.url("workbench-results")).content.decode()
    assert PromptTrial.objects.get() == waiting
    setting.answer(waiting)  # of the first four images
    first = setting.client.get(setting.url("workbench-results")).content.decode()
    assert "1 of 4 images changes its label" in first
    assert "More images are being embedded" in first and 'hx-trigger="load delay:5s"' in first
    later = clock.now() + timedelta(seconds=30)
    monkeypatch.setattr("mekiki.config.clock.now", lambda *_: later)
    assert "Computing" in setting.client.get(setting.url()).content.decode()
    assert PromptTrial.objects.get(answered_at=None) == waiting
    setting.answer(waiting, images=5)
    complete = setting.client.get(setting.url("workbench-results")).content.decode()
    assert "1 of 5 images changes its label" in complete and "load delay" not in complete
    # More images follow while an import runs.
    JobFactory(dataset=setting.dataset, kind=Kind.IMPORT_IMAGES, running=True)
    assert "load delay:5s" in setting.client.get(setting.url("workbench-results")).content.decode()


def test_draft_is_private_and_can_be_discarded(setting: Setting) -> None:
    good, scratch = setting.labels
    other = UserFactory()
    setting.change(good, "mine")
    assert services.discard_draft(dataset=setting.dataset, user=setting.admin)
    setting.change(good, "")
    page = setting.client.get(setting.url()).content.decode()
    assert (
        "has no prompt in this draft" in page
        and not PromptTrial.objects.filter(prompts__contains={}).count() > 1
    )
    refused = setting.client.post(setting.url("workbench-save"), {"base": setting.set.pk})
    assert refused.status_code == 422 and PromptSet.objects.count() == 1
    assert setting.change(good, "x" * 30_000).status_code == 422
    assert (
        setting.client.post(setting.url("workbench-draft"), {"label": 10**9, "prompts": ""}).status_code
        == 422
    )
    setting.client.post(setting.url("workbench-discard"), {"label": scratch.pk})
    assert not PromptDraft.objects.exists()
    for user, status in ((setting.reviewer, 403), (other, 404)):
        client = Client()
        client.force_login(user)
        assert client.get(setting.url()).status_code == status
        for name in ("draft", "save", "discard"):
            assert client.post(setting.url(f"workbench-{name}"), {}).status_code == status


def test_page_says_why_it_has_no_images(setting: Setting) -> None:
    empty = DatasetFactory(slug="empty", admin=setting.admin)
    assert setting.client.get(reverse("workbench", args=["empty"])).url == reverse("labels", args=["empty"])
    LabelFactory(dataset=empty)
    PromptSetFactory(dataset=empty)
    page = setting.client.get(reverse("workbench", args=["empty"])).content.decode()
    assert "as soon as the first images are imported" in page
    row = PromptTrial.objects.create(
        dataset=setting.dataset, encoder=setting.encoder, digest="0" * 64, prompts={}, began_at=clock.now(),
        used_at=clock.now(), created_by=setting.admin,
    )  # fmt: skip
    prompt_trials.record_trial_problem(row=row, problem=prompt_trials.Problem.FAILED, reason="x")
    assert prompt_trials.delete_unused_trials(keep=0) and not PromptTrial.objects.exists()
    assert Image.objects.count() == 4


def test_earlier_prompts_become_the_next_version_again(setting: Setting) -> None:
    good, scratch = setting.labels
    services.save_prompts(dataset=setting.dataset, prompts={good.pk: ["fine"]}, user=setting.admin)
    dent = services.add_label(dataset=setting.dataset, name="dent", user=setting.admin)
    services.save_prompts(dataset=setting.dataset, prompts={dent.pk: ["a dent"]}, user=setting.admin)
    services.archive_label(label=scratch, user=setting.admin)
    again = services.use_prompt_set(prompt_set=setting.set, user=setting.admin, name="back")
    assert (again.version, again.taken_from, again.name) == (4, setting.set, "back")
    assert prompts_of(again) == {good.pk: ["a photo of good"], dent.pk: ["a dent"]}
