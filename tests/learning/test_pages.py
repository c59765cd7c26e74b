"""The models page, a head's page, the schedule form, and permissions."""

import csv
import io
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from mekiki.audit.models import Event
from mekiki.datasets.forms import SettingsForm
from mekiki.learning import selectors
from mekiki.learning.forms import ScheduleForm
from mekiki.learning.models import Head, HeadTrainingLabel, TrainingRun
from mekiki.learning.reasons import dump
from tests.factories import (
    ChampionFactory,
    ConfirmedLabelFactory,
    DatasetFactory,
    EvaluationFactory,
    HeadFactory,
    ImageFactory,
    LabelFactory,
    PromptSetFactory,
    TrainingRunFactory,
    UserFactory,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def people() -> dict[str, Any]:
    return {name: UserFactory(username=name) for name in ("admin", "reviewer", "viewer", "stranger")}


@pytest.fixture
def dataset(people: dict[str, Any]) -> Any:
    return DatasetFactory(
        admin=people["admin"], reviewer=people["reviewer"], viewer=people["viewer"], slug="parts"
    )


def client_of(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


def trained_heads(dataset: Any) -> tuple[Head, Head]:
    """Create a zero-shot head that was replaced, and the champion with everything that a page shows."""
    labels = [LabelFactory(dataset=dataset, name=name) for name in ("=good", "傷")]
    prompt_set = PromptSetFactory(dataset=dataset)
    first = HeadFactory(dataset=dataset, kind=Head.Kind.ZERO_SHOT, prompt_set=prompt_set)
    second = HeadFactory(
        dataset=dataset,
        prompt_set=prompt_set,
        n_labels=2,
        calibrated=True,
        decisions_digest="d" * 64,
        metrics={
            "lambda0": 0.31622776601683794,
            "text_scale": 0.9,
            "temperature": 1.25,
            "trust_in_text": [1.4, 0.6],
            "prompts_log_loss": 0.9,
            "cross_validated_on_reviewed_labels": {
                "n": 2,
                "cv_accuracy": 0.875,
                "log_loss": 0.432,
                "expected_calibration_error": 0.05,
                "zero_shot_reviewed_accuracy": 0.5,
            },
        },
    )
    ChampionFactory(head=second)
    for number, label in enumerate(labels):
        HeadTrainingLabel.objects.create(
            head_id=second.pk, image=ImageFactory(dataset=dataset), label=label, decision_id=100 + number
        )
    EvaluationFactory(head=first, n=20, correct=10, low=0.3, high=0.7)
    EvaluationFactory(
        head=second,
        n=40,
        correct=36,
        report={
            "labels": [
                {
                    "name": "傷",
                    "precision": {"k": 9, "n": 10, "low": 0.6, "high": 0.98, "value": 0.9},
                    "recall": {"k": 0, "n": 0, "low": 0, "high": 1, "value": None},
                }
            ]
        },
    )
    TrainingRunFactory(
        dataset=dataset,
        head=second,
        promoted=True,
        finished_at=second.created_at,
        log="a line of the log",
        reason=dump(
            {
                "code": "better_than_prompts",
                "log_loss": 0.432,
                "prompts_log_loss": 0.9,
                "audited": 40,
                "champion_right": 20,
                "challenger_right": 36,
                "only_champion": 1,
                "only_challenger": 17,
                "p": 1.0,
                "changed": 300,
                "images": 1000,
                "compared_with": 1,
            }
        ),
    )
    return first, second


def test_empty_page_links_to_the_labels(dataset: Any, people: dict[str, Any]) -> None:
    text = client_of(people["admin"]).get(reverse("models", args=["parts"])).content.decode()
    assert "Write labels and prompts" in text and reverse("labels", args=["parts"]) in text
    assert "Retrain now" not in text, "there is nothing to train yet"
    text = client_of(people["viewer"]).get(reverse("models", args=["parts"])).content.decode()
    assert "An admin of this dataset writes labels" in text


def test_models_page_shows_head_in_use_reason_and_accuracy(dataset: Any, people: dict[str, Any]) -> None:
    trained_heads(dataset)
    text = client_of(people["viewer"]).get(reverse("models", args=["parts"])).content.decode()
    assert "90.0 %" in text and "77.0 %" in text and "96.0 %" in text and "40 audited images" in text
    assert "Log-loss 0.432 against 0.900" in text
    assert "a line of the log" in text
    assert "Retrain now" not in text and 'name="cron"' not in text, "a viewer may not retrain"
    assert "Retrain now" in client_of(people["admin"]).get(reverse("models", args=["parts"])).content.decode()


def test_head_page_shows_training_labels_and_comparison(dataset: Any, people: dict[str, Any]) -> None:
    first, second = trained_heads(dataset)
    text = client_of(people["viewer"]).get(reverse("head", args=["parts", second.version])).content.decode()
    for part in (
        "biased sample",
        "87.5 %",
        "prompts alone 50.0 %",
        "300 of 1,000 (30.0 %)",
        "this head 36, the other 20, of 40",
        "this head 17 times, the other 1 times",
        second.digest,
        second.encoder.digest,
        "d" * 64,
        "0.316",
        "1.40",
        "calibrated",
        "9/10",
    ):
        assert part in text, part
    text = client_of(people["viewer"]).get(reverse("head", args=["parts", first.version])).content.decode()
    assert "On no label" in text and "uncalibrated" in text
    assert client_of(people["viewer"]).get(reverse("head", args=["parts", 99])).status_code == 404


def test_pages_are_shown_in_japanese(dataset: Any, people: dict[str, Any]) -> None:
    _first, second = trained_heads(dataset)
    client = client_of(people["viewer"])
    for name, more in (("models", []), ("head", [second.version])):
        reply = client.get(reverse(name, args=["parts", *more]), headers={"accept-language": "ja"})
        assert reply.status_code == 200 and 'lang="ja"' in reply.content.decode()


def test_csv_of_training_labels_contains_no_formula(dataset: Any, people: dict[str, Any]) -> None:
    _first, second = trained_heads(dataset)
    reply = client_of(people["viewer"]).get(reverse("head-training-labels", args=["parts", second.version]))
    text = b"".join(reply.streaming_content).decode("utf-8-sig")  # type: ignore[attr-defined]
    rows = list(csv.DictReader(io.StringIO(text)))
    stored = second.training_labels.order_by("image_id").select_related("image")
    assert [row["image_sha256"] for row in rows] == [x.image.sha256 for x in stored]
    assert [row["label"] for row in rows] == ["'=good", "傷"]
    assert [row["decision"] for row in rows] == ["100", "101"]


def test_only_admins_retrain_and_schedule(dataset: Any, people: dict[str, Any]) -> None:
    trained_heads(dataset)
    ConfirmedLabelFactory(dataset=dataset, label=dataset.labels.first())
    train, plan = reverse("train", args=["parts"]), reverse("schedule", args=["parts"])
    form_data = {"retrain_every": "25", "mode": "weekly", "at": "06:30", "weekday": "1", "hours": "6"}
    for name, status in (("reviewer", 403), ("viewer", 403), ("stranger", 404)):
        assert client_of(people[name]).post(train).status_code == status
        assert client_of(people[name]).post(plan, form_data).status_code == status
    for page, more in (("models", []), ("head", [1]), ("head-training-labels", [1])):
        assert client_of(people["stranger"]).get(reverse(page, args=["parts", *more])).status_code == 404
    assert TrainingRun.objects.count() == 1 and selectors.schedule_of(dataset) is None
    admin = client_of(people["admin"])
    assert admin.get(train).status_code == 405
    assert admin.post(train).status_code == 302
    run = TrainingRun.objects.latest("id")
    assert run.created_by == people["admin"] and run.trigger == "button" and run.job is not None
    assert admin.post(plan, form_data).status_code == 302
    task = selectors.schedule_of(dataset)
    assert task is not None and task.crontab is not None
    assert (task.crontab.minute, task.crontab.hour, task.crontab.day_of_week) == ("30", "6", "1")
    dataset.refresh_from_db()
    assert dataset.retrain_every == 25
    text = admin.get(reverse("models", args=["parts"])).content.decode()
    assert 'value="06:30"' in text and 'value="25"' in text
    assert (
        "every Monday at 06:30"
        in client_of(people["viewer"]).get(reverse("models", args=["parts"])).content.decode()
    )


def test_invalid_schedule_is_reported_next_to_its_field(dataset: Any, people: dict[str, Any]) -> None:
    admin, plan = client_of(people["admin"]), reverse("schedule", args=["parts"])
    for form_data, message in (
        ({"retrain_every": "5", "mode": "advanced", "cron": "tomorrow"}, "five parts"),
        ({"retrain_every": "5", "mode": "advanced", "cron": "99 * * * *"}, "is not a schedule"),
        ({"retrain_every": "5", "mode": "daily", "at": ""}, "Choose a time"),
        ({"retrain_every": "-1", "mode": "off"}, "greater than or equal to 0"),
    ):
        reply = admin.post(plan, form_data)
        assert reply.status_code == 422 and message in reply.content.decode(), message
    dataset.refresh_from_db()
    assert selectors.schedule_of(dataset) is None and dataset.retrain_every == 50


def test_a_schedule_is_saved_as_a_whole_or_not_at_all(dataset: Any, people: dict[str, Any]) -> None:
    # A setting that a newer version no longer accepts makes the second half of the form fail.
    type(dataset).objects.filter(pk=dataset.pk).update(acquisition="gone")
    form_data = {"retrain_every": "25", "mode": "daily", "at": "06:30"}
    reply = client_of(people["admin"]).post(reverse("schedule", args=["parts"]), form_data)
    assert reply.status_code == 422 and "gone" in reply.content.decode()
    dataset.refresh_from_db()
    assert selectors.schedule_of(dataset) is None and dataset.retrain_every == 50
    assert not Event.objects.filter(kind="schedule.set").exists()


def test_the_number_of_queries_does_not_grow_with_the_heads(dataset: Any, people: dict[str, Any]) -> None:
    client, url = client_of(people["admin"]), reverse("models", args=["parts"])
    trained_heads(dataset)
    with CaptureQueriesContext(connection) as few:
        client.get(url)
    for _ in range(25):
        head = HeadFactory(dataset=dataset, prompt_set=Head.objects.all()[0].prompt_set)
        EvaluationFactory(head=head)
        TrainingRunFactory(dataset=dataset, head=head, created_by=people["admin"])
    with CaptureQueriesContext(connection) as many:
        page = client.get(url)
    assert len(many) <= len(few) + 2
    text = page.content.decode()
    assert "?heads=8#heads" in text, "older heads are on the next page"
    assert "#7</a>" in client.get(url + "?heads=8").content.decode()


def test_both_forms_accept_the_same_numbers_of_answers() -> None:
    fields = [form.base_fields["retrain_every"] for form in (SettingsForm, ScheduleForm)]
    assert len({(field.min_value, field.max_value) for field in fields}) == 1, (
        "one form would refuse what the other saves"
    )
