"""Changing a dataset's encoder with real models: prepared beside the old one, switched, rolled back."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.utils import translation
from safetensors.numpy import load_file, save_file

from mekiki.audit.models import Event
from mekiki.datasets.models import Dataset
from mekiki.jobs.models import Job, Kind, State
from mekiki.jobs.services import claim, fail, succeed
from mekiki.learning.models import (
    Champion,
    Embedding,
    EncoderChange,
    Evaluation,
    Head,
    LongPrompt,
    Prediction,
)
from mekiki.learning.reasons import sentence
from mekiki.learning.selectors import embedded_counts, encoder_in_use, learning_curve, worker_reports
from mekiki.learning.services import (
    cancel_change,
    drop_replaced_predictions,
    remove_embeddings,
    request_change,
    request_promotion,
    request_removal,
    request_revert,
    request_switch,
)
from mekiki.review.models import ConfirmedLabel, QueueItem
from tests.workers.conftest import COLOURS, add_image, answer_waiting, make_model, picture, run_job
from workers.errors import StageError
from workers.locks import _LOCK_NAMESPACE
from workers.runner import Report
from workers.stages import change_encoder
from workers.steps import after_scoring, encoders

pytestmark = pytest.mark.django_db
Work = Callable[..., dict[str, Any]]
S = EncoderChange.State


@pytest.fixture(autouse=True)
def _fresh_models() -> Any:
    """Clear the models that are cached in the process, because these tests replace weights behind a name."""
    encoders._loaded.cache_clear()
    yield
    encoders._loaded.cache_clear()


@pytest.fixture(scope="module")
def trained(coloured_of_module: Dataset) -> Dataset:
    """Create a dataset that is embedded and predicted: twenty images answered, a trained head in use."""
    run_job(coloured_of_module, "encode")
    run_job(coloured_of_module, "predict")
    for _round in range(2):
        answer_waiting(coloured_of_module)
        run_job(coloured_of_module, "train")
    Job.objects.filter(state=State.QUEUED).delete()
    return coloured_of_module


@pytest.fixture
def scene(trained: Dataset, db: None) -> tuple[Dataset, Any]:
    """Return (dataset, admin), as they were before the test."""
    dataset = Dataset.objects.get(pk=trained.pk)
    return dataset, dataset.memberships.get(role="admin").user


def step(change: EncoderChange) -> dict[str, Any]:
    """Run the change's job to its end, as workers.runner would."""
    change.refresh_from_db()
    assert change.job is not None
    job = claim(str(change.job.pk))
    assert job is not None
    try:
        result = change_encoder.run(job, Report(job))
    except Exception as error:
        fail(job, str(error))
        raise
    succeed(job, result)
    change.refresh_from_db()
    return result


def waiting_heads(dataset: Dataset) -> set[int]:
    items = QueueItem.objects.filter(dataset=dataset, state=QueueItem.State.WAITING)
    return set(items.values_list("head__version", flat=True))


def test_change_is_prepared_switched_and_reverted(
    scene: tuple[Dataset, Any], other_encoder: str, work: Work
) -> None:
    dataset, admin = scene
    old_name, old_head = dataset.encoder_name, Champion.objects.get().head
    confirmed = list(ConfirmedLabel.objects.order_by("pk").values_list("image_id", "label_id"))
    curve = len(learning_curve(dataset))

    change = request_change(dataset=dataset, name=other_encoder, user=admin)
    step(change)
    assert change.state == S.READY and change.to_encoder is not None and change.to_encoder.dim == 24
    assert change.from_encoder == old_head.encoder and change.from_name == old_name
    # Nothing that is in use has changed.
    assert Champion.objects.get().head == old_head
    assert Dataset.objects.get().encoder_name == old_name
    assert set(Prediction.objects.values_list("head", flat=True)) == {old_head.pk}
    assert (
        len(learning_curve(dataset)) == curve and Evaluation.objects.filter(head=change.to_head).count() == 0
    )
    assert Embedding.objects.filter(encoder=change.to_encoder).count() == 30
    assert change.to_head is not None and change.to_head.encoder == change.to_encoder

    comparison = change.comparison
    audited = ConfirmedLabel.objects.filter(stream="audit").count()
    assert comparison["images"] == 30 and comparison["audit"]["n"] == audited > 0
    for side in ("old", "new"):
        figures = comparison["audit"][side]
        assert 0 <= figures["low"] <= figures["correct"] / audited <= figures["high"] <= 1
        assert comparison["reviewed"][side]["log_loss"] >= 0
    assert comparison["reviewed"]["n"] == len(confirmed) - audited
    assert change.facts["embedded"] == 30 and change.facts["unreadable"] == 0
    # «a photo of red» fits into 6 tokens, the Japanese sentences do not. The page says so before the switch.
    long = LongPrompt.objects.filter(encoder=change.to_encoder)
    assert long and all(prompt.tokens > prompt.context == 6 for prompt in long)

    add_image(dataset, picture(COLOURS["red"], 901), "red-901.png", 0.9)
    request_switch(change=change, user=admin)
    result = step(change)
    assert (change.state, result["predicted"]) == (S.SWITCHED, 31), (
        "an image that was added since is embedded first"
    )
    champion = Champion.objects.get()
    assert champion.head.encoder == change.to_encoder and Dataset.objects.get().encoder_name == other_encoder
    assert other_encoder in sentence(champion.reason)
    assert set(Prediction.objects.values_list("head", flat=True)) == {champion.head.pk}
    assert waiting_heads(dataset) == {champion.head.version}
    assert list(ConfirmedLabel.objects.order_by("pk").values_list("image_id", "label_id")) == confirmed
    event = Event.objects.get(kind="encoder.switched")
    assert event.actor_name == admin.username
    assert event.data["from"]["digest"] == old_head.encoder.digest
    assert event.data["to"]["digest"] == champion.head.encoder.digest
    assert (event.data["head_before"], event.data["head_after"]) == (old_head.version, champion.head.version)

    # The loop continues with the new encoder, and no other part is affected.
    assert work(dataset, "encode")["embedded"] == 0
    work(dataset, "predict")
    assert Champion.objects.get().head == champion.head

    add_image(dataset, picture(COLOURS["blue"], 902), "blue-902.png", 0.9)
    request_revert(change=change, user=admin)
    result = step(change)
    assert change.state == S.TAKEN_BACK and result["predicted"] == 32
    assert Champion.objects.get().head == old_head, "the same labels and prompts give the head of before"
    assert Dataset.objects.get().encoder_name == old_name
    assert waiting_heads(dataset) == {old_head.version}
    assert Event.objects.filter(kind="encoder.taken_back", actor_name=admin.username).count() == 1
    assert EncoderChange.objects.count() == 1


def test_decisions_during_the_change_are_in_the_new_head(
    scene: tuple[Dataset, Any], other_encoder: str, work: Work, answer_queue: Callable[..., int]
) -> None:
    dataset, admin = scene
    change = request_change(dataset=dataset, name=other_encoder, user=admin)
    step(change)
    prepared_n_labels = change.to_head.n_labels  # type: ignore[union-attr]
    assert answer_queue(dataset) == 10, "the queue of the encoder in use continues"
    work(dataset, "train")
    assert Champion.objects.get().head.encoder == change.from_encoder
    request_switch(change=change, user=admin)
    step(change)
    assert Champion.objects.get().head.n_labels > prepared_n_labels


@pytest.mark.parametrize("act", ["switch", "take_back"])
def test_change_killed_at_any_step_is_done_once(
    scene: tuple[Dataset, Any], other_encoder: str, monkeypatch: pytest.MonkeyPatch, act: str
) -> None:
    dataset, admin = scene
    change = request_change(dataset=dataset, name=other_encoder, user=admin)
    step(change)
    request_switch(change=change, user=admin)
    if act == "take_back":
        step(change)
        request_revert(change=change, user=admin)
    for place in ("store_missing_predictions", "switch_over", "drop_replaced_predictions", "refill_queue"):
        with transaction.atomic():  # from the same state for each place
            check_killed_change(change, act, place, monkeypatch)
            transaction.set_rollback(True)


def check_killed_change(change: EncoderChange, act: str, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    change.refresh_from_db()
    before = Champion.objects.get().head
    job = claim(str(change.job.pk))  # type: ignore[union-attr]
    assert job is not None

    def die(*_arguments: Any, **_keywords: Any) -> None:
        raise change_encoder.LostClaimError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(change_encoder if place == "switch_over" else after_scoring, place, die)
        with pytest.raises(change_encoder.LostClaimError):
            change_encoder.run(job, Report(job))
    is_switched = place in {"drop_replaced_predictions", "refill_queue"}
    now, row = Champion.objects.get().head, Dataset.objects.get()
    assert (now != before) == is_switched
    # The encoder's name, the champion and its predictions always match.
    assert row.encoder_name == now.encoder.name
    assert Prediction.objects.filter(head=now).count() == 30
    Job.objects.filter(pk=job.pk).update(state=State.QUEUED)

    def drop(dataset: Dataset) -> int:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = %s",
                [_LOCK_NAMESPACE],
            )
            assert cursor.fetchone()[0] == 1, "another job may be storing predictions"
        return drop_replaced_predictions(dataset)

    with monkeypatch.context() as patch:
        patch.setattr(change_encoder, "drop_replaced_predictions", drop)
        patch.setattr(after_scoring, "drop_replaced_predictions", drop)
        step(change)
    assert change.state == (S.SWITCHED if act == "switch" else S.TAKEN_BACK)
    assert set(Prediction.objects.values_list("head", flat=True)) == {Champion.objects.get().head.pk}
    kind = "encoder.switched" if act == "switch" else "encoder.taken_back"
    assert Event.objects.filter(kind=kind).count() == 1
    assert Head.objects.filter(encoder=change.to_encoder).exclude(kind="zero_shot").count() == 1, (
        "trained once"
    )


def test_unusable_encoder_changes_nothing(scene: tuple[Dataset, Any], settings: Any, work: Work) -> None:
    dataset, admin = scene
    models = settings.HOME / "models"
    before = Champion.objects.get().head
    damaged = models / "damaged"
    make_model(damaged, seed=3)
    (damaged / "open_clip_model.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{broken}")
    useless = models / "useless"
    make_model(useless, seed=4)
    weights = load_file(useless / "open_clip_model.safetensors")
    save_file(
        {k: np.full_like(v, np.nan) for k, v in weights.items()}, useless / "open_clip_model.safetensors"
    )
    for name in (f"local-dir:{damaged}", f"local-dir:{useless}", f"local-dir:{models}/there-is-none"):
        change = request_change(dataset=dataset, name=name, user=admin)
        with pytest.raises(Exception):  # noqa: B017 (the message is checked below)
            step(change)
        assert change.refresh_from_db() is None and change.state == S.FAILED
        assert change.error and change.error_code, name
        assert Champion.objects.get().head == before
        assert Event.objects.filter(kind="encoder.change_failed", object_id=str(change.pk)).exists()
    assert "cannot be used" in EncoderChange.objects.get(to_name=f"local-dir:{useless}").error
    work(dataset, "predict")
    assert Champion.objects.get().head == before
    for folder in (damaged, useless):
        shutil.rmtree(folder)


def test_the_same_weights_under_another_name_are_no_change(scene: tuple[Dataset, Any], settings: Any) -> None:
    dataset, admin = scene
    copy = settings.HOME / "models" / "copy"
    shutil.copytree(dataset.encoder_name.removeprefix("local-dir:"), copy)
    change = request_change(dataset=dataset, name=f"local-dir:{copy}", user=admin)
    with translation.override("en"), pytest.raises(ValidationError, match="same weights"):
        step(change)
    change.refresh_from_db()
    assert change.state == S.FAILED and "nothing to change" in change.error
    shutil.rmtree(copy)


def test_cancelling_a_step_restores_the_state_before_it(
    scene: tuple[Dataset, Any], other_encoder: str
) -> None:
    dataset, admin = scene
    change = request_change(dataset=dataset, name=other_encoder, user=admin)
    assert cancel_change(change=change, user=admin).state == S.CANCELLED, (
        "a waiting step is cancelled at once"
    )

    change = request_change(dataset=dataset, name=other_encoder, user=admin)
    job = claim(str(change.job.pk))  # type: ignore[union-attr]
    assert job is not None
    assert cancel_change(change=change, user=admin).state == S.PREPARING, (
        "the worker stops at its next report"
    )
    with pytest.raises(change_encoder.CancelledError):
        change_encoder.run(job, Report(job))
    change.refresh_from_db()
    assert change.state == S.CANCELLED
    # Its job is still ending. A new request would count as part of that job and end with it.
    with pytest.raises(ValidationError, match="step is being stopped"):
        request_change(dataset=dataset, name=other_encoder, user=admin)
    assert EncoderChange.objects.count() == 2
    Job.objects.filter(pk=job.pk).update(state=State.CANCELLED)

    change = request_change(dataset=dataset, name=other_encoder, user=admin)
    step(change)
    request_switch(change=change, user=admin)
    assert cancel_change(change=change, user=admin).state == S.READY
    request_switch(change=change, user=admin)
    step(change)
    request_revert(change=change, user=admin)
    assert cancel_change(change=change, user=admin).state == S.SWITCHED
    assert Dataset.objects.get().encoder_name == other_encoder


def test_replaced_weights_start_a_change_by_the_platform(
    coloured: Dataset, work: Work, tmp_path: Path, settings: Any
) -> None:
    settings.MODEL_FOLDERS = [tmp_path]
    folder = tmp_path / "mine"
    Dataset.objects.filter(pk=coloured.pk).update(encoder_name=make_model(folder, seed=5))
    coloured.refresh_from_db()
    work(coloured, "encode")
    work(coloured, "predict")
    before = Champion.objects.get(dataset=coloured).head
    shutil.rmtree(folder)
    make_model(folder, seed=6)
    encoders._loaded.cache_clear()
    assert work(coloured, "predict")["code"] == "encoding_first"
    assert work(coloured, "train")["code"] == "encoding_first"
    assert (
        Champion.objects.get(dataset=coloured).head == before
        and Prediction.objects.filter(head=before).count() == 30
    )
    change = EncoderChange.objects.get(dataset=coloured)
    assert change.created_by is None and change.from_encoder == before.encoder
    step(change)
    assert change.state == S.SWITCHED, "the change waits for no admin, because the old weights are missing"
    after = Champion.objects.get(dataset=coloured).head
    assert after.encoder == change.to_encoder != before.encoder
    assert change.comparison["reviewed"] is None
    assert Event.objects.get(kind="encoder.switched").actor_name == ""
    # The old weights are missing: the rollback fails with a message, and the encoder in use stays.
    admin = coloured.memberships.get(role="admin").user
    request_revert(change=change, user=admin)
    with pytest.raises(StageError, match="other weights"):
        step(change)
    change.refresh_from_db()
    assert change.state == S.SWITCHED and Champion.objects.get(dataset=coloured).head == after
    # A worker that still has the old weights does not change the dataset back.
    shutil.rmtree(folder)
    make_model(folder, seed=5)
    encoders._loaded.cache_clear()
    with pytest.raises(StageError, match="before the last change"):
        work(coloured, "predict")
    assert EncoderChange.objects.filter(dataset=coloured).count() == 1


def test_old_embeddings_are_removed_on_request_and_prevent_a_revert(
    scene: tuple[Dataset, Any], other_encoder: str, work: Work
) -> None:
    dataset, admin = scene
    change = request_change(dataset=dataset, name=other_encoder, user=admin)
    step(change)
    old, new = change.from_encoder, change.to_encoder
    assert old is not None and new is not None
    with pytest.raises(ValidationError):
        request_removal(dataset=dataset, encoder=new, user=admin)
    with pytest.raises(ValidationError):  # an old removal that runs again is refused in the same way
        remove_embeddings(dataset=dataset, encoder=new)
    request_switch(change=change, user=admin)
    step(change)
    assert {encoder.pk: n for encoder, n in embedded_counts(dataset)} == {old.pk: 30, new.pk: 30}
    with pytest.raises(ValidationError):
        request_removal(dataset=dataset, encoder=new, user=admin)
    request_removal(dataset=dataset, encoder=old, user=admin)
    with pytest.raises(ValidationError, match="being removed"):
        request_revert(change=change, user=admin)
    assert work(dataset, "remove_embeddings")["removed"] == 30
    assert {encoder.pk: n for encoder, n in embedded_counts(dataset)} == {new.pk: 30}
    assert Event.objects.get(kind="encoder.embeddings_removed").data["removed"] == 30
    with pytest.raises(ValidationError, match="were removed"):
        request_revert(change=change, user=admin)
    assert Head.objects.filter(encoder=old).exists(), "heads are kept"
    head = Head.objects.filter(encoder=old).first()
    with pytest.raises(ValidationError):
        request_promotion(dataset=dataset, head=head, user=admin)


def test_training_begun_before_the_switch_promotes_no_head(
    scene: tuple[Dataset, Any],
    other_encoder: str,
    work: Work,
    answer_queue: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from mekiki.jobs.services import enqueue
    from workers.stages import train

    dataset, admin = scene
    change = request_change(dataset=dataset, name=other_encoder, user=admin)
    step(change)
    answer_queue(dataset)
    job = claim(str(enqueue(kind=Kind.TRAIN, dataset=dataset, payload={"trigger": "count"}).pk))
    assert job is not None

    def die(*_arguments: Any) -> None:
        raise train.LostClaimError("killed")

    with monkeypatch.context() as patch:  # it has recorded its head and promoted nothing
        patch.setattr(after_scoring, "store_missing_predictions", die)
        with pytest.raises(train.LostClaimError):
            train.run(job, Report(job))
    request_switch(change=change, user=admin)
    step(change)
    after = Champion.objects.get().head
    Job.objects.filter(pk=job.pk).update(state=State.QUEUED)
    assert work(dataset, "train")["code"] == "encoder_switched"
    assert Champion.objects.get().head == after


def test_a_dataset_without_labels_or_images_can_change(tiny_encoder: str, other_encoder: str) -> None:
    from tests.factories import DatasetFactory, UserFactory

    admin = UserFactory()
    dataset = DatasetFactory(admin=admin, encoder_name=tiny_encoder)
    change = request_change(dataset=dataset, name=other_encoder, user=admin)
    step(change)
    assert change.state == S.READY and change.comparison == {} and change.to_head is None
    request_switch(change=change, user=admin)
    step(change)
    dataset.refresh_from_db()
    assert change.state == S.SWITCHED and dataset.encoder_name == other_encoder
    assert encoder_in_use(dataset) is None


def test_worker_reports_its_machine_when_it_loads_an_encoder(coloured: Dataset, work: Work) -> None:
    work(coloured, "encode")
    report = worker_reports().get()
    assert report.device == "cpu" and report.memory > 2**30 and report.cpus >= 1
