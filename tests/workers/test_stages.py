"""The loop's stages on real pictures with a real (tiny) encoder and a real PostgreSQL."""

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from django.core.files.storage import default_storage

from mekiki.datasets import storage
from mekiki.jobs.models import Job, Kind, State
from mekiki.jobs.services import enqueue
from mekiki.labeling.models import Label
from mekiki.labeling.selectors import active_labels
from mekiki.labeling.services import archive_label, set_schema
from mekiki.learning import selectors
from mekiki.learning.models import (
    Embedding,
    Encoder,
    EncodingProblem,
    Evaluation,
    Head,
    HeadTrainingLabel,
    LongPrompt,
    Prediction,
    TrainingRun,
)
from mekiki.learning.reasons import parse, sentence
from mekiki.learning.services import record_long_prompts
from mekiki.review.models import ConfirmedLabel, QueueItem
from tests.workers.conftest import COLOURS, PROMPTS, add_image, picture
from workers.errors import StageError
from workers.steps import sharing
from workers.steps.promotion import compare_on_audit, decide_promotion, sign_test

pytestmark = pytest.mark.django_db
Work = Callable[..., dict[str, Any]]


def waiting_items(dataset: Any) -> list[QueueItem]:
    rows = QueueItem.objects.filter(dataset=dataset, state=QueueItem.State.WAITING)
    return list(rows.select_related("image").order_by("position"))


def test_killed_encoding_continues_with_the_remaining_images(
    coloured: Any, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharing, "CHUNK", 8)
    real, calls = sharing.store_embeddings, []

    def store_then_die(**arguments: Any) -> int:
        if arguments["encoder"].kind == Encoder.Kind.DETAIL:
            return real(**arguments)
        calls.append([int(i) for i in arguments["image_ids"]])
        if len(calls) == 3:
            raise RuntimeError("killed")
        return real(**arguments)

    monkeypatch.setattr(sharing, "store_embeddings", store_then_die)
    with pytest.raises(RuntimeError, match="killed"):
        work(coloured, "encode")
    of_encoder = Embedding.objects.filter(encoder__kind=Encoder.Kind.IMAGE_TEXT)
    stored = of_encoder.count()
    assert 8 <= stored <= 16, "stored embeddings stay; the first chunk may be smaller than the others"
    Job.objects.filter(kind=Kind.ENCODE).update(state=State.QUEUED)  # as the sweeper does
    assert work(coloured, "encode")["embedded"] == 30 - stored
    again = [i for call in calls[3:] for i in call]
    assert not set(again) & {i for call in calls[:2] for i in call}, "no image was embedded twice"
    assert of_encoder.count() == 30
    assert Job.objects.filter(kind=Kind.PREDICT, state=State.QUEUED).exists()
    assert work(coloured, "encode")["embedded"] == 0


def test_unreadable_file_is_reported_and_the_others_are_embedded(coloured: Any, work: Work) -> None:
    broken = add_image(coloured, picture(COLOURS["red"], 900), "broken.png", 0.5)
    path = storage.original_name(coloured.pk, broken.sha256)
    with default_storage.open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\nnothing more")
    lost = add_image(coloured, picture(COLOURS["red"], 901), "lost.png", 0.5)
    default_storage.delete(storage.original_name(coloured.pk, lost.sha256))
    result = work(coloured, "encode")
    assert (result["embedded"], result["unreadable"]) == (30, 2)
    reasons = dict(EncodingProblem.objects.values_list("image__name", "reason"))
    assert set(reasons) == {"broken.png", "lost.png"} and all(reasons.values())
    assert work(coloured, "encode")["unreadable"] == 0, "unreadable files are not tried again"
    work(coloured, "predict")
    assert Prediction.objects.count() == 30


def test_zero_shot_predicts_everything_and_fills_the_queue(
    coloured: Any, work: Work, champion: Callable[[Any], Head]
) -> None:
    work(coloured, "encode")
    result = work(coloured, "predict")
    head = champion(coloured)
    assert head.kind == Head.Kind.ZERO_SHOT and not head.calibrated
    assert result["predicted"] == Prediction.objects.filter(head=head).count() == 30
    assert hashlib.sha256(bytes(head.weights)).hexdigest() == head.digest
    for p in Prediction.objects.all():
        assert 0 < p.confidence <= 1 and 0 <= p.margin <= p.confidence and p.label_id != p.runner_up_id
    items = waiting_items(coloured)
    assert len(items) == 10
    for item in items:
        assert (item.stream == "audit") == (item.image.audit_key < coloured.audit_fraction)
        assert item.head_id == head.pk and 0 < item.propensity <= 1
    assert {item.stream for item in items} == {"audit", "diverse"}
    # New images get predictions of the same head. The same prompts create no new head.
    add_image(coloured, picture(COLOURS["blue"], 500), "blue-500.png", 0.7)
    work(coloured, "encode")
    assert work(coloured, "predict")["predicted"] == 1
    assert champion(coloured).pk == head.pk and Head.objects.count() == 1


def test_new_prompts_create_a_new_head_and_delete_the_old_predictions(
    coloured: Any, work: Work, champion: Callable[[Any], Head]
) -> None:
    work(coloured, "encode")
    work(coloured, "predict")
    admin = coloured.memberships.get(role="admin").user
    long = " ".join(["an endless description of a colour"] * 10)
    set_schema(
        dataset=coloured,
        labels=[{"name": n, "prompts": [*p, long] if n == "red" else p} for n, p in PROMPTS.items()],
        user=admin,
    )
    result = work(coloured, "predict")
    assert champion(coloured).version == 2
    assert set(Prediction.objects.values_list("head__version", flat=True)) == {2}
    assert [(entry["label"], entry["prompt"], entry["context"]) for entry in result["long_prompts"]] == [
        ("red", long, 32)
    ]
    assert result["long_prompts"][0]["tokens"] > 32
    row = LongPrompt.objects.get()
    assert (row.label, row.prompt.text, row.context) == ("red", long, 32) and row.tokens > 32
    assert row.encoder == champion(coloured).encoder and row.prompt.prompt_set.version == 2
    work(coloured, "predict")
    assert LongPrompt.objects.get() == row, "a second prediction writes nothing"
    record_long_prompts(encoder=row.encoder, prompt_set=row.prompt.prompt_set, long_prompts=[])
    assert not LongPrompt.objects.exists()


def test_prediction_without_labels_fails_with_a_reason(work: Work, tiny_encoder: str) -> None:
    from tests.factories import DatasetFactory

    dataset = DatasetFactory(encoder_name=tiny_encoder)
    with pytest.raises(StageError, match="no labels with prompts"):
        work(dataset, "predict")
    with pytest.raises(StageError, match="no predictions"):
        work(dataset, "refill")


def test_loop_trains_on_reviewed_images_and_never_on_audits(
    coloured: Any, work: Work, answer_queue: Callable[..., int], champion: Callable[[Any], Head]
) -> None:
    work(coloured, "encode")
    work(coloured, "predict")
    for _round in range(3):
        assert answer_queue(coloured) == 10
        work(coloured, "train")
    head, run = champion(coloured), TrainingRun.objects.latest("id")
    assert head.is_trained and head.calibrated
    assert run.head_id == head.pk and run.promoted and run.finished_at is not None
    reason = parse(run.reason)
    assert reason["code"] == "better_than_prompts" and reason["log_loss"] < reason["prompts_log_loss"]
    assert "cross-validated" in sentence(run.reason) and run.log

    audited = set(ConfirmedLabel.objects.filter(stream="audit").values_list("image_id", flat=True))
    training_image_ids = set(HeadTrainingLabel.objects.values_list("image_id", flat=True))
    assert audited and training_image_ids and not audited & training_image_ids
    assert all(
        row.image.audit_key >= coloured.audit_fraction
        for row in HeadTrainingLabel.objects.select_related("image")
    )
    assert head.n_labels == head.training_labels.count() == 30 - len(audited)

    evaluation = Evaluation.objects.filter(head=head).latest("id")
    assert evaluation.n == len(audited) and evaluation.answers == 30
    truth = dict(ConfirmedLabel.objects.filter(stream="audit").values_list("image_id", "label_id"))
    predicted_labels = dict(Prediction.objects.filter(image__in=audited).values_list("image_id", "label_id"))
    assert evaluation.correct == sum(predicted_labels[i] == truth[i] for i in audited)
    assert 0 <= evaluation.low <= evaluation.correct / evaluation.n <= evaluation.high <= 1
    # The three colours are easy: the head is right where the prompts of an untrained model are not.
    names = dict(Label.objects.values_list("pk", "name"))
    n_correct = sum(
        p.image.name.startswith(names[p.label_id]) for p in Prediction.objects.select_related("image")
    )
    assert n_correct >= 28
    assert waiting_items(coloured) == [], "everything was answered"
    assert len(selectors.learning_curve(coloured)) == 3

    # Without a change there is no new head, and the run says so.
    assert work(coloured, "train")["code"] == "same_head"
    assert champion(coloured).pk == head.pk
    assert "Nothing changed" in sentence(TrainingRun.objects.latest("id").reason)


def test_same_labels_and_seed_give_the_same_head(
    coloured: Any, work: Work, answer_queue: Callable[..., int], champion: Callable[[Any], Head]
) -> None:
    from workers import embeddings
    from workers.heads.serial import dump_head
    from workers.heads.train import train_head
    from workers.steps.encoders import class_embeddings, encoder_for, ordered_prompts, schema_of
    from workers.steps.training import training_set
    from workers.steps.vectors import load_vectors, training_detail

    work(coloured, "encode")
    work(coloured, "predict")
    answer_queue(coloured)
    work(coloured, "refill")
    answer_queue(coloured)
    work(coloured, "train")
    head = champion(coloured)
    assert head.calibrated, "the folds were used"
    # Computed again from the database, as an auditor would.
    encoder, row = encoder_for(coloured)
    labels, prompt_set = schema_of(coloured)
    embeddings.delete_mirror(row, coloured)
    mirror = load_vectors(row, coloured, lambda **_facts: None)
    rows, y, training, _near = training_set(coloured, mirror, [label.pk for label in labels])
    text = class_embeddings(encoder, labels, ordered_prompts(labels, prompt_set))
    X = np.asarray(mirror.vectors[rows], np.float32)
    assert training_detail(coloured, mirror, rows) is None, "a dataset uses no local detail at first"
    facts = {"class_embeddings": text, "logit_scale": encoder.logit_scale}
    again = train_head(X, y, seed=head.seed, **facts)
    assert hashlib.sha256(dump_head(again.head)).hexdigest() == head.digest
    assert [votes.image for votes in training] == list(
        head.training_labels.order_by("image_id").values_list("image_id", flat=True)
    )
    other = y.copy()
    other[0] = (other[0] + 1) % 3
    changed = train_head(X, other, seed=head.seed, **facts)
    assert hashlib.sha256(dump_head(changed.head)).hexdigest() != head.digest


def test_training_killed_after_storing_its_head_continues_with_it(
    coloured: Any,
    work: Work,
    answer_queue: Callable[..., int],
    kill_training_while_storing: Callable[[Job], None],
) -> None:
    work(coloured, "encode")
    work(coloured, "predict")
    answer_queue(coloured)
    kill_training_while_storing(enqueue(kind=Kind.TRAIN, dataset=coloured, payload={"trigger": "count"}))
    assert Head.objects.exclude(kind="zero_shot").count() == 1
    work(coloured, "train")
    assert Head.objects.exclude(kind="zero_shot").count() == 1, "trained once"
    run = TrainingRun.objects.get()
    assert run.promoted and run.trigger == "count" and run.finished_at is not None
    assert Prediction.objects.filter(head=run.head).count() == 30


def test_a_training_computes_without_the_database(
    coloured: Any, work: Work, answer_queue: Callable[..., int], django_assert_num_queries: Any
) -> None:
    from mekiki.jobs.services import claim
    from mekiki.learning.services import get_or_create_run
    from workers.runner import Report
    from workers.stages import train

    work(coloured, "encode")
    work(coloured, "predict")
    answer_queue(coloured)
    job = claim(str(enqueue(kind=Kind.TRAIN, dataset=coloured).pk))
    assert job is not None
    lines: list[str] = []
    log: Any = lambda code, **values: lines.append(code)  # noqa: E731
    gathered = train.gather(job, get_or_create_run(job), Report(job), log)
    with django_assert_num_queries(0):
        computed = train.compute(gathered, lambda **progress: None, log)
    assert computed.new is not None and len(computed.scores.label) == 30
    assert lines[0] == "learning_from" and lines[-1] == "predicting"
    assert not Head.objects.exclude(kind="zero_shot").exists()


def test_challenger_that_is_worse_is_not_promoted(
    coloured: Any,
    work: Work,
    answer_queue: Callable[..., int],
    champion: Callable[[Any], Head],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from workers.steps import training

    work(coloured, "encode")
    work(coloured, "predict")
    answer_queue(coloured)
    work(coloured, "refill")
    answer_queue(coloured)
    # As if the prompts explained every label perfectly: nothing can be better.
    monkeypatch.setattr(training, "prompts_log_loss", lambda *_arguments: -1.0)
    result = work(coloured, "train")
    assert (result["promoted"], result["code"], result["queued"]) == (False, "worse_than_prompts", 10)
    assert champion(coloured).version == 1
    assert set(Prediction.objects.values_list("head__version", flat=True)) == {1}
    assert {item.head.version for item in waiting_items(coloured) if item.head} == {1}
    run = TrainingRun.objects.get()
    assert run.head is not None and run.head.version == 2 and "Not used" in sentence(run.reason)
    assert {e.head.version for e in selectors.learning_curve(coloured)} == {1}


def test_failed_training_stores_the_reason_on_its_run(coloured: Any, work: Work) -> None:
    work(coloured, "encode")
    assert work(coloured, "train")["code"] == "no_labels"
    run = TrainingRun.objects.get()
    assert not run.promoted and "no image outside the audit sample" in sentence(run.reason)
    coloured.encoder_name = "no such encoder"
    coloured.save()
    with pytest.raises(Exception, match="no such encoder"):
        work(coloured, "train")
    run = TrainingRun.objects.latest("id")
    assert parse(run.reason)["code"] == "failed" and "no such encoder" in sentence(run.reason)


def test_archived_and_added_labels_lead_to_a_new_head(
    coloured: Any, work: Work, answer_queue: Callable[..., int], champion: Callable[[Any], Head]
) -> None:
    work(coloured, "encode")
    work(coloured, "predict")
    answer_queue(coloured)
    work(coloured, "refill")
    answer_queue(coloured)
    work(coloured, "train")
    admin = coloured.memberships.get(role="admin").user
    archive_label(label=active_labels(coloured).get(name="blue"), user=admin, confirmed=True)
    set_schema(
        dataset=coloured,
        labels=[
            {"name": n, "prompts": p}
            for n, p in (PROMPTS | {"violet": ["a photo of violet"]}).items()
            if n != "blue"
        ],
        user=admin,
    )
    work(coloured, "predict")
    run = TrainingRun.objects.latest("id")
    assert run.trigger == "labels" and run.finished_at is None
    work(coloured, "train")
    head = champion(coloured)
    assert head.label_ids == [x.pk for x in active_labels(coloured)]
    names = {x.pk: x.name for x in Label.objects.filter(pk__in=head.label_ids)}
    assert set(names.values()) == {"red", "green", "violet"}
    assert not head.training_labels.filter(label__name="blue").exists()
    assert set(Prediction.objects.values_list("label_id", flat=True)) <= set(names)


def test_skipped_image_is_queued_after_the_others(coloured: Any, work: Work) -> None:
    import uuid

    from mekiki.review.services import answer, next_items
    from tests.factories import MembershipFactory

    coloured.audit_fraction, coloured.queue_target = 0.0, 5
    coloured.save()
    work(coloured, "encode")
    work(coloured, "predict")
    user = MembershipFactory(dataset=coloured).user
    leased = next_items(dataset=coloured, user=user, count=1)[0]
    answer(
        dataset=coloured,
        user=user,
        item_id=leased.item.pk,
        lease_id=leased.lease.pk,
        kind="skip",
        client_key=uuid.uuid4(),
    )
    work(coloured, "refill")
    items = waiting_items(coloured)
    assert len(items) == 5 and leased.item.image_id not in {item.image_id for item in items}
    coloured.queue_target = 30
    coloured.save()
    work(coloured, "refill")
    assert leased.item.image_id in {item.image_id for item in waiting_items(coloured)}


def test_leased_images_are_not_chosen_again(coloured: Any, work: Work) -> None:
    from mekiki.review.services import next_items
    from tests.factories import MembershipFactory

    work(coloured, "encode")
    work(coloured, "predict")
    leased = next_items(dataset=coloured, user=MembershipFactory(dataset=coloured).user, count=3)
    coloured.queue_target = 30
    coloured.save()
    assert work(coloured, "refill")["queued"] == 27
    items = waiting_items(coloured)
    assert len(items) == len({item.image_id for item in items}) == 30
    assert {x.item.pk for x in leased} <= {item.pk for item in items}


def test_schedule_requests_a_training(coloured: Any) -> None:
    from mekiki.learning.services import request_scheduled_training
    from tests.factories import ConfirmedLabelFactory

    assert request_scheduled_training(dataset_id=coloured.pk) == "nothing to train"
    ConfirmedLabelFactory(dataset=coloured, label=coloured.labels.first())
    assert request_scheduled_training(dataset_id=coloured.pk).startswith("run ")
    assert TrainingRun.objects.get().trigger == "schedule"
    assert request_scheduled_training(dataset_id=10**9) == "no such dataset"


def test_a_challenger_must_beat_the_prompts_and_not_lose_the_audit() -> None:
    assert sign_test(0, 0) == 1 and sign_test(5, 5) == 1 / 32
    truth = np.zeros(40, int)
    good, bad = np.zeros(40, int), np.r_[np.ones(6, int), np.zeros(34, int)]
    worse, even = compare_on_audit(good, bad, truth), compare_on_audit(bad, bad, truth)
    assert (worse.champion_right, worse.challenger_right, worse.only_champion) == (40, 34, 6)
    common: dict[str, Any] = {"labels": 50, "prompts": 0.5, "schema_changed": False}
    assert decide_promotion(log_loss=0.4, audit=even, **common).promote
    assert decide_promotion(log_loss=0.4, audit=None, **common).reason["code"] == "better_than_prompts"
    refused = decide_promotion(log_loss=0.4, audit=worse, **common)
    assert not refused.promote and refused.reason["code"] == "worse_on_audit" and refused.reason["p"] < 0.05
    assert decide_promotion(log_loss=0.6, audit=None, **common).reason["code"] == "worse_than_prompts"
    # Too few audited images to decide, or a champion with archived labels: it is replaced.
    few = compare_on_audit(good[:20], bad[:20], truth[:20])
    assert decide_promotion(log_loss=0.4, audit=few, **common).promote
    assert decide_promotion(log_loss=0.4, audit=worse, **{**common, "schema_changed": True}).promote
    for reason in ("worse_on_audit", "worse_than_prompts"):
        assert len(sentence(refused.reason | {"code": reason, "log_loss": 0.6})) > 40
