"""The logs of real trainings over HTTP in both languages: running, done, failed, retried, cancelled."""

import html
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import translation

from mekiki.jobs.models import Job, Kind
from mekiki.jobs.services import CancelledError, cancel, claim, enqueue
from mekiki.learning.models import TrainingRun
from mekiki.learning.reasons import sentence
from mekiki.review.models import ConfirmedLabel, ImageTag, Tag
from mekiki.review.services import save_view, train_without_view
from tests.factories import LabelFactory
from workers.errors import StageError
from workers.runner import Report
from workers.stages import train

pytestmark = pytest.mark.django_db
Work = Callable[..., dict[str, Any]]

TIME = re.compile(r"\d\d:\d\d:\d\d  (.+)")
STOPS_ASKING = 286  # htmx stops polling


def read_log(run: TrainingRun, language: str) -> tuple[int, list[str]]:
    """Return (status, the sentences) that the page requests.

    The models page and the head's page show the same.
    """
    browser = Client(headers={"accept-language": language})
    browser.force_login(run.dataset.memberships.get(role="admin").user)
    reply = browser.get(reverse("run-log", args=[run.dataset.slug, run.pk]))
    text = reply.content.decode()
    assert text in browser.get(reverse("models", args=[run.dataset.slug])).content.decode()
    if run.head is not None:
        assert (
            text in browser.get(reverse("head", args=[run.dataset.slug, run.head.version])).content.decode()
        )
    sentences = []
    for line in html.unescape(text).split("\n") if text else []:
        match = TIME.fullmatch(line)
        assert match, f"no time of day: {line}"
        sentences.append(match[1])
    return reply.status_code, sentences


def codes(run: TrainingRun) -> list[str]:
    return [json.loads(line)["code"] for line in run.log.split("\n")]


def sentences_in_both_languages(run: TrainingRun) -> tuple[list[str], list[str]]:
    """Return the sentences in English and in Japanese.

    No sentence is a bare code, and each is in its language.
    """
    english, japanese = read_log(run, "en")[1], read_log(run, "ja")[1]
    assert len(english) == len(japanese) == len(codes(run))
    for code, en, ja in zip(codes(run), english, japanese, strict=True):
        assert re.search(r"[ぁ-んァ-ヶ]", ja), ja
        assert not en.startswith(code) and not ja.startswith(code)
    return english, japanese


@pytest.fixture
def reviewed(coloured: Any, work: Work, answer_queue: Callable[..., int]) -> Any:
    """Create a dataset whose first ten images are answered."""
    work(coloured, "encode")
    work(coloured, "predict")
    answer_queue(coloured)
    return coloured


def test_log_is_shown_during_and_after_the_training(reviewed: Any) -> None:
    job = claim(str(enqueue(kind=Kind.TRAIN, dataset=reviewed).pk))
    assert job is not None
    logs_of_stages: dict[str, list[tuple[int, list[str]]]] = {}
    real = Report(job)

    def report_and_read(**progress: Any) -> None:
        real(**progress)
        if "stage" in progress:
            run = TrainingRun.objects.get()
            logs_of_stages[progress["stage"]] = [read_log(run, "en"), read_log(run, "ja")]

    train.run(job, report_and_read)  # type: ignore[arg-type]
    (status, english), (_status, japanese) = logs_of_stages["training"]
    assert status == 200 and len(english) == len(japanese) == 1
    assert english[0].endswith("labels are used for training; 30 images have an embedding.")
    assert japanese[0].startswith("学習に使うラベルは ") and japanese[0].endswith(
        "埋め込みのある画像は 30 枚です。"
    )
    (status, english), (_status, japanese) = logs_of_stages["evaluating"]
    assert status == 200 and "Head #2 predicts 30 images." in english
    assert "判定モデル #2 で 30 枚の画像を予測します。" in japanese
    assert english[-1].startswith("Promoted. ") and "too few to cross-validate" in english[-1]
    assert japanese[-1].startswith("採用しました。ラベルが ") and "件では交差検証に足りません" in japanese[-1]
    run = TrainingRun.objects.get()
    assert read_log(run, "ja") == (STOPS_ASKING, japanese), "no line is added, and polling stops"
    sentences_in_both_languages(run)
    # Another worker has the job now. Messages of this worker do not disturb it.
    Job.objects.filter(pk=job.pk).update(attempt=2)
    train._Log(run, 1)("failed", error="too late")
    assert "too late" not in TrainingRun.objects.get().log


def test_log_of_a_cross_validated_training_is_complete(reviewed: Any, work: Work, answer_queue: Any) -> None:
    work(reviewed, "refill")
    answer_queue(reviewed)
    work(reviewed, "train")
    run = TrainingRun.objects.get()
    english, japanese = sentences_in_both_languages(run)
    assert codes(run)[:3] == ["learning_from", "made_with", "labels"]
    assert codes(run).count("candidate") == 3 and codes(run)[-2:] == ["predicting", "verdict"]
    assert {"cross_validated", "calibrated"} <= set(codes(run))
    line_number = codes(run).index("cross_validated")
    figures = run.head.metrics.cross_validated_on_reviewed_labels  # type: ignore[union-attr]
    assert f"log-loss {figures.log_loss:.3f}" in english[line_number]
    assert (
        f"対数損失 {figures.log_loss:.3f}" in japanese[line_number]
        and "正解率の推定ではありません" in japanese[line_number]
    )


def test_retried_training_appends_to_its_log(
    reviewed: Any, work: Work, kill_training_while_storing: Callable[[Job], None]
) -> None:
    kill_training_while_storing(enqueue(kind=Kind.TRAIN, dataset=reviewed))
    before = TrainingRun.objects.get().log
    work(reviewed, "train")
    run = TrainingRun.objects.get()
    assert run.log.startswith(before + "\n"), "the lines of the first try stay"
    english, japanese = sentences_in_both_languages(run)
    line_number = codes(run).index("tried_again")
    assert (english[line_number], japanese[line_number]) == (
        "Tried again: attempt 2.",
        "再試行します（2 回目）。",
    )
    assert codes(run)[line_number:] == ["tried_again", "predicting", "verdict"]


def test_retried_log_in_plain_text_continues_with_sentences(reviewed: Any, work: Work) -> None:
    """A run whose first attempt used the version before this one."""
    job = enqueue(kind=Kind.TRAIN, dataset=reviewed)
    old = "14:02:11  24 labels to learn from, of 30 images with an embedding"
    Job.objects.filter(pk=job.pk).update(attempt=1)
    TrainingRun.objects.create(dataset=reviewed, job=job, trigger="count", log=old)
    work(reviewed, "train")
    run = TrainingRun.objects.get()
    for language, again in (("en", "Tried again: attempt 2."), ("ja", "再試行します（2 回目）。")):
        sentences = read_log(run, language)[1]
        assert sentences[:2] == [old.split("  ", 1)[1], again] and len(sentences) > 4


def test_log_of_a_failed_training_shows_the_reason(reviewed: Any, work: Work) -> None:
    hostile = "<img src=x onerror=alert(1)>"
    LabelFactory(dataset=reviewed, name=hostile)  # without a prompt
    with pytest.raises(StageError, match="no prompt"):
        work(reviewed, "train")
    run = TrainingRun.objects.get()
    assert codes(run) == ["failed"]
    english, japanese = sentences_in_both_languages(run)
    assert english[0].startswith("The run failed: ") and f"“{hostile}”" in english[0]
    assert (
        japanese[0].startswith("学習に失敗しました")
        and f"「{hostile}」にはプロンプトがありません" in japanese[0]
    )
    for language, outcome in (("en", english[0]), ("ja", japanese[0])):
        with translation.override(language):
            assert sentence(run.reason) == outcome, "the reason of the run is in the reader's language too"
    browser = Client()
    browser.force_login(reviewed.memberships.get(role="admin").user)
    for url in (reverse("run-log", args=[reviewed.slug, run.pk]), reverse("models", args=[reviewed.slug])):
        assert hostile not in browser.get(url).content.decode(), "the name is escaped"


def test_log_of_a_cancelled_training_shows_the_cancellation(reviewed: Any) -> None:
    job = claim(str(enqueue(kind=Kind.TRAIN, dataset=reviewed).pk))
    assert job is not None
    real = Report(job)

    def report(**progress: Any) -> None:
        if progress.get("stage") == "predicting":
            cancel(job=job, user=None)
        real(**progress)

    with pytest.raises(CancelledError):
        train.run(job, report)  # type: ignore[arg-type]
    run = TrainingRun.objects.get()
    english, japanese = sentences_in_both_languages(run)
    assert codes(run)[-1] == "stopped" and len(english) > 3
    assert (english[-1], japanese[-1]) == ("Stopped by a person.", "人の操作で中止されました。")


def test_training_without_a_view_leaves_out_its_images_and_the_head_names_it(
    reviewed: Any, work: Work
) -> None:
    admin = reviewed.memberships.get(role="admin").user
    labels = list(ConfirmedLabel.objects.filter(in_training=True).order_by("image_id"))
    first, tag = labels[0], Tag.objects.create(dataset=reviewed, name="blurred")
    ImageTag.objects.create(image=first.image, tag=tag)
    view = save_view(dataset=reviewed, user=admin, name="blurred", query=f"tag={tag.pk}")
    run = train_without_view(dataset=reviewed, user=admin, view=view)
    job = claim(str(run.job_id))
    assert job is not None
    train.run(job, Report(job))
    run.refresh_from_db()
    head = run.head
    assert head is not None and (head.without_view, head.without_query) == ("blurred", view.query)
    trained = set(head.training_labels.values_list("image_id", flat=True))
    assert trained == {label.image_id for label in labels} - {first.image_id}
    english, _japanese = sentences_in_both_languages(run)
    assert f"Left out: the saved view “blurred” ({view.query}), which 1 image matches." in english
    # A view whose filter lost its value trains nothing.
    query = f"tag={tag.pk}&confirmed=some"
    view = save_view(dataset=reviewed, user=admin, name="blurred, confirmed", query=query)
    run = train_without_view(dataset=reviewed, user=admin, view=view)
    tag.delete()
    job = claim(str(run.job_id))
    assert job is not None and train.run(job, Report(job))["code"] == "view_changed"
