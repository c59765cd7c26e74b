"""The page of a head: choice of its kind, reliability, confusion, curve, repetition, downloads."""

import csv
import io
import random
import re
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st

from mekiki.jobs.models import Job, Kind, State
from mekiki.labeling.models import Label
from mekiki.learning.models import Head, HeadTrainingLabel
from mekiki.web.heads import confusion
from mekiki.web.heads.confusion import MAX_TABLE_LABELS, STEPS
from tests.factories import (
    ChampionFactory,
    DatasetFactory,
    DecisionFactory,
    EvaluationFactory,
    HeadFactory,
    ImageFactory,
    LabelFactory,
    TrainingRunFactory,
    UserFactory,
)
from tests.head_metrics import METRICS
from tests.pages import without_gaps


@pytest.fixture
def dataset(db: None) -> Any:
    people = {role: UserFactory(username=role) for role in ("admin", "reviewer", "viewer")}
    dataset = DatasetFactory(slug="parts", **people)
    for name in ("good", "scratch"):
        LabelFactory(dataset=dataset, name=name)
    return dataset


def page(dataset: Any, head: Head, role: str = "viewer", language: str = "en") -> str:
    client = Client(headers={"accept-language": language})
    client.force_login(dataset.memberships.get(role=role).user)
    reply = client.get(reverse("head", args=[dataset.slug, head.version]))
    assert reply.status_code == 200
    return without_gaps(reply.content.decode())


def report(head: Head, matrix: list[list[int]]) -> dict[str, Any]:
    return {"label_ids": head.label_ids, "confusion": matrix, "labels": []}


def test_page_shows_the_reason_for_the_kind_and_the_comparison(dataset: Any) -> None:
    head = HeadFactory(
        dataset=dataset, kind=Head.Kind.GAUSSIAN, calibrated=True, n_labels=70, metrics=METRICS
    )
    text = page(dataset, head)
    assert "“Gaussian, trained on labels” has the lowest log-loss" in text
    row = re.search(r"<tr><th scope=\"row\">Gaussian, trained on labels(.*?)</tr>", text)
    assert row and "chosen" in row[1] and "0.400" in row[1] and "88.0 %" in row[1]
    assert "0.120 ± 0.020" in text and "biased sample" in text
    for code, message in (
        ("simpler", "so it is used"),
        ("few_labels", "Too few labels to compare"),
        ("new_code", "new_code"),
    ):
        head = HeadFactory(dataset=dataset, metrics={"choice": {"code": code}, "candidates": []})
        assert message in page(dataset, head)
    head_with_prior = HeadFactory(dataset=dataset, metrics={"choice": {"code": "best"}, "candidates": []})
    assert "with the prompts as a prior, has the lowest log-loss" in page(dataset, head_with_prior)
    assert "Kinds of head were not compared" in page(dataset, HeadFactory(dataset=dataset, metrics={}))
    assert "uses the prompts alone" in page(dataset, HeadFactory(dataset=dataset, kind="zero_shot"))


def test_strength_of_the_prior_is_shown_as_chart_and_table(dataset: Any) -> None:
    text = page(dataset, HeadFactory(dataset=dataset, metrics=METRICS))
    assert text.count("chart__dot--chosen") == 1 and "10⁻¹" in text
    assert "Lowest at 0.001; 0.1 was chosen." in text
    rows = re.findall(
        r'class="numeric">([\d.e-]+)</th><td class="numeric">([\d.]+)</td><td class="numeric">([\d.]+)', text
    )
    other = page(dataset, HeadFactory(dataset=dataset, kind=Head.Kind.PLAIN, metrics=METRICS))
    assert "chart__dot--chosen" not in other, "the cross-validation belongs to a head with a prior"
    assert rows == [("0.001", "0.420", "0.040"), ("0.1", "0.430", "0.030"), ("10", "0.620", "0.050")]


def test_reliability_shows_number_and_origin_of_its_labels(dataset: Any) -> None:
    text = page(dataset, HeadFactory(dataset=dataset, calibrated=True, metrics=METRICS))
    assert "On 70 reviewed labels, out of fold" in text and "From 70 reviewed labels." in text
    assert text.count('class="chart__bar"') == 2, "a bin without labels has no bar"
    assert '<td class="numeric">71.0 %</td><td class="numeric">60.0 %</td>' in text
    assert '<th scope="row">0 % – 50 %</th><td class="numeric">0</td><td class="numeric">–</td>' in text
    for fields, message in (
        ({"kind": "zero_shot"}, "raw softmax of the prompts"),
        ({"calibrated": False}, "too few reviewed labels"),
        ({"calibrated": True}, "holds no record of the calibration error"),
    ):
        assert message in page(dataset, HeadFactory(dataset=dataset, **fields))


def test_confusion_uses_the_audit_sample_if_there_is_one(dataset: Any) -> None:
    head = HeadFactory(dataset=dataset, calibrated=True, metrics=METRICS)
    text = page(dataset, head)
    assert "Confusion on the reviewed labels" in text and "10 of 70 are wrong" in text
    assert "not how often that happens in the dataset" in text
    EvaluationFactory(head=head, n=20, correct=17, report=report(head, [[9, 1], [2, 8]]))
    text = page(dataset, head)
    assert "Confusion on the audit sample" in text and "3 of 20 are wrong" in text
    assert "Confusion on the reviewed labels" not in text
    good, scratch = Label.objects.order_by("pk")
    address = f"{reverse('images', args=['parts'])}?confirmed={scratch.pk}&amp;label={good.pk}"
    assert address not in text, "the gallery has predictions of the champion only"
    ChampionFactory(head=head)
    text = page(dataset, head)
    assert f'<a href="{address}">2</a>' in text
    Label.objects.filter(pk=scratch.pk).update(archived_at=timezone.now())
    assert address not in page(dataset, head), "the gallery does not filter by an archived label"


def test_confusion_file_contains_every_pair_that_occurs(dataset: Any) -> None:
    head = HeadFactory(dataset=dataset)
    client = Client()
    client.force_login(dataset.memberships.get(role="viewer").user)
    address = reverse("head-confusion", args=["parts", head.version])
    assert client.get(address).status_code == 404, "nothing was measured yet"
    Label.objects.filter(name="good").update(name="=good")
    EvaluationFactory(head=head, report=report(head, [[9, 0], [2, 8]]))
    text = b"".join(client.get(address).streaming_content).decode("utf-8-sig")  # type: ignore[attr-defined]
    assert list(csv.reader(io.StringIO(text))) == [
        ["people_said", "head_said", "images", "note"],
        ["'=good", "'=good", "9", ""],
        ["scratch", "'=good", "2", ""],
        ["scratch", "scratch", "8", ""],
    ]
    client.force_login(UserFactory())
    assert client.get(address).status_code == 404


def test_many_labels_stay_readable(dataset: Any) -> None:
    for number in range(98):
        LabelFactory(dataset=dataset, name=f"kind {number}")
    head = HeadFactory(dataset=dataset)
    rng, n = random.Random(1), 100
    matrix = [
        [50 if t == s else (rng.random() < 0.02) * rng.randrange(1, 9) for s in range(n)] for t in range(n)
    ]
    matrix[70][3] = 40
    EvaluationFactory(head=head, report=report(head, matrix))
    text = page(dataset, head)
    named = re.search(r"The most frequent mistakes(.*?)The whole table", text)
    assert named and re.search(
        r'<tr><th scope="row">kind 68</th><td>kind 1</td><td class="numeric">40</td>', named[1]
    )
    assert f"{n - MAX_TABLE_LABELS} labels with few mistakes are not shown" in text
    assert "confusion--upright" in text and '<details class="details"><summary>The whole table' in text
    assert len(text) < 400_000


places = st.tuples(st.integers(0, 59), st.integers(0, 59))


@settings(deadline=None)  # a machine may be busy
@given(st.integers(1, 60), st.dictionaries(places, st.integers(0, 50), max_size=80))
def test_displayed_matrix_agrees_with_the_stored_matrix(n: int, counts: dict[tuple[int, int], int]) -> None:
    matrix = [[0] * n for _ in range(n)]
    for (t, s), count in counts.items():
        matrix[t % n][s % n] = count
    labels = {i: Label(pk=i, name=f"label {i}") for i in range(n)}
    table = confusion._confusion(matrix, list(range(n)), labels, "")
    total = sum(map(sum, matrix))
    if not total:
        assert table is None
        return
    assert table is not None
    wrong = {(f"label {t}", f"label {s}"): matrix[t][s] for t in range(n) for s in range(n) if t != s}
    assert (table.total, table.wrong) == (total, sum(wrong.values()))
    assert len(table.rows) == len(table.columns) == min(n, MAX_TABLE_LABELS) and table.left_out == max(
        0, n - MAX_TABLE_LABELS
    )
    for row in table.rows:
        for name, cell in zip(table.columns, row.cells, strict=True):
            assert cell.right == (name == row.name)
            assert cell.count == (matrix[int(row.name[6:])][int(name[6:])])
            assert (cell.step == 0) == (cell.count == 0) and cell.step <= STEPS
    named = [mistake.count for mistake in table.mistakes]
    assert named == sorted((n for n in wrong.values() if n), reverse=True)[: len(named)]
    assert all(wrong[mistake.truth, mistake.predicted] == mistake.count for mistake in table.mistakes)


def test_report_without_a_matrix_shows_no_confusion(dataset: Any) -> None:
    head = HeadFactory(dataset=dataset)
    for incomplete_report in (
        {},
        {"confusion": []},
        {"confusion": [[1]], "label_ids": [1, 2]},
        report(head, [[0, 0], [0, 0]]),
    ):
        EvaluationFactory(head=head, report=incomplete_report)
        assert "Confusion" not in page(dataset, head)


def test_curve_ends_at_this_head(dataset: Any) -> None:
    heads = [HeadFactory(dataset=dataset) for _ in range(4)]
    for number, head in enumerate(heads, 1):
        EvaluationFactory(head=head, n=100, correct=50 + number, answers=100 * number)
    TrainingRunFactory(dataset=dataset, head=heads[1], promoted=False, finished_at=timezone.now())
    TrainingRunFactory(dataset=dataset, head=heads[2], promoted=False, finished_at=timezone.now())

    def curve_versions(head: Head) -> list[str]:
        section = re.search(r'id="curve-title"(.*?)</section>', page(dataset, head))
        assert section
        return re.findall(r"<td>#(\d+)</td>", section[1])

    assert curve_versions(heads[0]) == ["1"]
    assert curve_versions(heads[2]) == ["1", "3"], (
        "a head that was not promoted appears on its own curve only"
    )
    assert curve_versions(heads[3]) == ["1", "4"]
    EvaluationFactory(head=heads[0], n=100, correct=90, answers=900)
    assert curve_versions(heads[3]) == ["1", "4"], "a later evaluation is not part of the curve"
    empty = DatasetFactory(slug="empty", viewer=UserFactory())
    assert "Not measured yet" in page(empty, HeadFactory(dataset=empty))


def test_admin_repeats_the_training_and_members_see_the_result(dataset: Any) -> None:
    head, other = HeadFactory(dataset=dataset), HeadFactory(dataset=dataset)
    address = reverse("head-verify", args=["parts", head.version])
    client = Client()
    for role, status in (("viewer", 403), ("reviewer", 403), ("admin", 302)):
        client.force_login(dataset.memberships.get(role=role).user)
        assert client.post(address).status_code == status
    client.force_login(UserFactory())
    assert client.post(address).status_code == 404
    job = Job.objects.get(kind=Kind.VERIFY_HEAD)
    assert job.payload == {"head": head.pk} and job.created_by.username == "admin"
    assert f'data-job="{job.pk}"' in page(dataset, head) and "Not tried yet" in page(dataset, head)
    main = page(dataset, other).split("<main", 1)[1]
    assert f'data-job="{job.pk}"' not in main, "the repetition belongs to another head"
    facts = {"version": head.version, "digest": head.digest, "code_before": "a", "code_now": "a"}
    for result, message, level in (
        ({**facts, "outcome": "same"}, f"same digest, {head.digest}", "good"),
        ({**facts, "outcome": "different", "computed": "f" * 64}, f"a different digest: {'f' * 64}", "bad"),
        (
            {**facts, "outcome": "impossible", "code": "images_deleted", "missing": 2, "total": 9},
            "images were deleted",
            "warn",
        ),
    ):
        Job.objects.filter(pk=job.pk).update(state=State.SUCCEEDED, result=result, finished_at=timezone.now())
        text = page(dataset, head)
        assert message in text and f"notice--{level}" in text and "requested by admin" in text
        japanese = page(dataset, head, language="ja")
        assert message not in japanese and "admin" in japanese
    assert "Repeat the training</button>" not in page(dataset, head)
    assert "Repeat the training</button>" in page(dataset, head, "admin")
    Job.objects.filter(pk=job.pk).update(state=State.FAILED, error="The disk is full.")
    assert "The disk is full." in page(dataset, head)


def test_training_labels_list_reviewer_time_and_kind_of_decision(dataset: Any) -> None:
    head, other = HeadFactory(dataset=dataset, n_labels=3), HeadFactory(dataset=dataset)
    label = Label.objects.get(name="scratch")
    reviewer = UserFactory(username="@haruka", is_active=False)
    images = [ImageFactory(dataset=dataset, name=name) for name in ("=1+1.png", "写真.png", "c.png")]
    decisions = [
        DecisionFactory(dataset=dataset, image=image, user=reviewer, label=label, kind=kind)
        for image, kind in zip(images[:2], ("confirm", "correct"), strict=True)
    ]
    decision_of_other_dataset = DecisionFactory()
    for image, decision in zip(
        images, [*(d.pk for d in decisions), decision_of_other_dataset.pk], strict=True
    ):
        HeadTrainingLabel.objects.create(head_id=head.pk, image=image, label=label, decision_id=decision)
    HeadTrainingLabel.objects.create(head_id=other.pk, image=images[0], label=label, decision_id=1)
    client = Client()
    client.force_login(dataset.memberships.get(role="viewer").user)
    reply = client.get(reverse("head-training-labels", args=["parts", head.version]))
    text = b"".join(reply.streaming_content).decode("utf-8-sig")  # type: ignore[attr-defined]
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [(row["file_name"], row["decided_by"], row["kind"]) for row in rows] == [
        ("'=1+1.png", "'@haruka", "confirm"),
        ("写真.png", "'@haruka", "correct"),
        ("c.png", "", ""),
    ], "a decision of another dataset is not shown"
    assert [row["image_sha256"] for row in rows] == [image.sha256 for image in images]
    assert rows[0]["decided_at"] == decisions[0].created_at.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert [row["decision"] for row in rows[:2]] == [str(d.pk) for d in decisions]


def test_training_labels_take_three_queries_for_two_thousand_rows(dataset: Any) -> None:
    head, label = HeadFactory(dataset=dataset), Label.objects.get(name="good")
    client = Client()
    client.force_login(dataset.memberships.get(role="viewer").user)
    address = reverse("head-training-labels", args=["parts", head.version])

    def count_queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            text = b"".join(client.get(address).streaming_content)  # type: ignore[attr-defined]
        assert text.count(b"\n") == HeadTrainingLabel.objects.count() + 1
        return len(captured)

    few = count_queries()
    for _ in range(60):
        decision = DecisionFactory(
            dataset=dataset, image=ImageFactory(dataset=dataset), label=label, kind="confirm"
        )
        HeadTrainingLabel.objects.create(
            head_id=head.pk, image=decision.image, label=label, decision_id=decision.pk
        )
    assert count_queries() <= few + 3


def test_full_page_is_shown_in_japanese(dataset: Any) -> None:
    head = HeadFactory(dataset=dataset, calibrated=True, n_labels=70, metrics=METRICS)
    text = page(dataset, head, language="ja")
    for english in (
        "Why this kind",
        "reviewed labels",
        "Difference from the best",
        "Standard error",
        "Reviewed label",
        "repeated",
    ):
        assert english not in text, english
    EvaluationFactory(head=head, report=report(head, [[9, 1], [2, 8]]))
    assert "audit" not in page(dataset, head, language="ja").split("<main", 1)[1].replace("audit-title", "")


def test_label_noise_is_shown_from_half_a_percent(dataset: Any) -> None:
    for noise, is_shown in ((0.083, True), (0.001, False), (None, False)):
        metrics = {**METRICS, "label_noise": noise}
        head = HeadFactory(dataset=dataset, calibrated=True, n_labels=70, metrics=metrics)
        assert ("Estimated label noise: about 8.3 %" in page(dataset, head)) is is_shown
    metrics = {**METRICS, "label_noise": 0.083}
    head = HeadFactory(dataset=dataset, calibrated=True, n_labels=70, metrics=metrics)
    assert "ラベルノイズの推定" in page(dataset, head, language="ja")
