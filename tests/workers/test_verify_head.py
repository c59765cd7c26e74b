"""A head's training repeated from its own inputs: the same digest, or another one with its cause.

If it cannot be repeated, the reason is reported.
"""

import hashlib
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client

from mekiki.audit.models import Event
from mekiki.datasets.hooks import LabelledImage
from mekiki.datasets.importing.manifests.rows import labels_of
from mekiki.datasets.models import ImportBatch
from mekiki.jobs.models import Job, Kind, State
from mekiki.labeling.models import Label
from mekiki.labeling.services import archive_label, set_schema, update_label
from mekiki.learning.models import Embedding, Encoder, Head, HeadTrainingLabel, Prediction
from mekiki.learning.repeating import sentence
from mekiki.learning.services import record_head, request_verification
from mekiki.review.models import Decision
from mekiki.review.selectors import ImageVotes
from mekiki.review.services.imported import map_label_names, store_imported_labels
from tests.factories import DatasetFactory, HeadFactory
from tests.roles import as_owner, set_fixed
from tests.workers.conftest import COLOURS, add_image, picture
from workers import embeddings
from workers.heads.log import ignore_step
from workers.runner import run_job
from workers.stages import verify_head
from workers.steps.encoders import encoder_for
from workers.steps.training import HeadInputs, trained_bytes, training_set_digest
from workers.steps.vectors import load_vectors, training_detail

pytestmark = pytest.mark.django_db
Work = Callable[..., dict[str, Any]]


@pytest.fixture
def scene(coloured: Any, work: Work, answer_queue: Callable[..., int]) -> tuple[Any, Any]:
    """Create (dataset, admin): head 1 by the prompts, head 2 trained."""
    work(coloured, "encode")
    work(coloured, "predict")
    answer_queue(coloured)
    work(coloured, "train")
    Job.objects.filter(state=State.QUEUED).delete()
    return coloured, coloured.memberships.get(role="admin").user


def verify_version(work: Work, dataset: Any, version: int) -> dict[str, Any]:
    return work(dataset, "verify_head", head=Head.objects.get(dataset=dataset, version=version).pk)


def test_repeated_training_gives_the_same_digest_after_other_changes(
    scene: tuple[Any, Any], work: Work
) -> None:
    """Archived and reordered labels, other prompts, answers and images are no inputs of these heads."""
    dataset, admin = scene
    archive_label(label=dataset.labels.get(name="blue"), user=admin, confirmed=True)
    labels = [{"name": name, "prompts": [f"another {name}"]} for name in ("green", "red", "violet")]
    set_schema(dataset=dataset, labels=labels, user=admin)
    add_image(dataset, picture(COLOURS["red"], 700), "red-700.png", 0.9)
    work(dataset, "encode")
    before = (Head.objects.count(), Prediction.objects.count())
    for version in (1, 2):
        head = Head.objects.get(version=version)
        result = verify_version(work, dataset, version)
        assert result["outcome"] == "same" and result["computed"] == head.digest, result
        assert sentence(result) == f"The repeated training gave the same digest, {head.digest}."
        event = Event.objects.filter(kind="head.verified").latest("pk")
        assert event.object_id == str(head.pk) and event.data == result
    assert (Head.objects.count(), Prediction.objects.count()) == before, "nothing was stored"


def test_a_head_is_trained_on_imported_labels_and_its_training_is_repeated(
    coloured: Any, work: Work, client: Client
) -> None:
    """No reviewer has answered. Mapping the names to other labels later changes no input of the head."""
    dataset, admin = coloured, coloured.memberships.get(role="admin").user
    work(dataset, "encode")
    work(dataset, "predict")
    batch = ImportBatch.objects.create(
        dataset=dataset, source="folder", label_use="train", label_source="Old tool", created_by=admin
    )
    images = dataset.images.filter(audit_key__gte=dataset.audit_fraction)
    store_imported_labels(
        batch,
        [LabelledImage(image.pk, image.name, labels_of([image.name.split("-")[0]])) for image in images],
    )
    work(dataset, "train")
    head = Head.objects.get(dataset=dataset, version=2)
    trained = head.training_labels.values_list("imported", flat=True)
    assert len(trained) == images.count() == head.n_labels and all(trained)
    assert not Decision.objects.exists()
    names = {name.text: name for name in batch.label_names.all()}
    map_label_names(batch=batch, user=admin, labels={names["red"].pk: names["blue"].label_id})
    assert verify_version(work, dataset, 2)["outcome"] == "same"
    client.force_login(admin)
    page = client.get(f"/d/{dataset.slug}/models/2/").content.decode()
    assert f"{images.count()} of them came with their images" in page
    csv = client.get(f"/d/{dataset.slug}/models/2/training-labels.csv").getvalue().decode()
    assert csv.count(",Old tool,") == csv.count(",imported\r\n") == images.count()


def bytes_of_shifted_labels(dataset: Any, real: Head) -> bytes:
    """Return the bytes of a head whose labels are shifted by one."""
    rows = list(real.training_labels.order_by("image_id").values_list("image_id", "label_id", "decision_id"))
    encoder, row = encoder_for(dataset)
    labels = [Label.objects.get(pk=pk) for pk in real.label_ids]
    setting = HeadInputs.of(dataset, encoder, row, labels, real.prompt_set)
    mirror = load_vectors(row, dataset, lambda **_facts: None)
    at, _is_known = mirror.rows_of([image for image, _l, _d in rows])
    y = np.array([(real.label_ids.index(label) + 1) % len(labels) for _i, label, _d in rows])
    X = np.asarray(mirror.vectors[at], np.float32)
    found = training_detail(dataset, mirror, at)
    detail = found[0] if found is not None else None
    return trained_bytes(setting, X, y, detail=detail, groups=None, seed=real.seed, log=ignore_step)[0]


def test_head_trained_on_other_labels_than_recorded_is_detected(scene: tuple[Any, Any], work: Work) -> None:
    dataset, admin = scene
    real = Head.objects.get(version=2)
    rows = list(real.training_labels.order_by("image_id").values_list("image_id", "label_id", "decision_id"))
    weights = bytes_of_shifted_labels(dataset, real)
    forged = record_head(
        dataset=dataset, kind=real.kind, encoder=real.encoder, prompt_set=real.prompt_set,
        label_ids=real.label_ids, weights=weights, calibrated=real.calibrated, seed=real.seed,
        code_version=real.code_version, metrics=real.metrics, training=rows,
        training_digest=training_set_digest(dataset, [ImageVotes(*row) for row in rows]), user=admin,
        detail=real.detail,
    )  # fmt: skip
    result = verify_version(work, dataset, forged.version)
    assert result["outcome"] == "different"
    assert result["digest"] == hashlib.sha256(weights).hexdigest() and result["computed"] == real.digest
    assert "not trained on these labels" in sentence(result) and real.digest in sentence(result)


def without_triggers(statement: str, values: list[Any]) -> None:
    """Run a statement with the triggers off, as a person with the database's password can."""
    with as_owner(triggers=False), connection.cursor() as cursor:
        cursor.execute(statement, values)


def test_exchanged_weights_are_detected_by_the_kept_digest(scene: tuple[Any, Any], work: Work) -> None:
    dataset, _admin = scene
    head = Head.objects.get(version=2)
    without_triggers(
        "UPDATE learning_head SET weights = %s WHERE id = %s",
        [bytes_of_shifted_labels(dataset, head), head.pk],
    )
    result = verify_version(work, dataset, 2)
    assert (result["outcome"], result["altered"]) == ("different", True)
    assert result["computed"] == head.digest and "were changed since" in sentence(result)


def test_changed_training_labels_are_distinguished_from_renamed_labels(
    scene: tuple[Any, Any], work: Work
) -> None:
    dataset, admin = scene
    update_label(label=dataset.labels.get(name="red"), user=admin, name="scarlet")
    result = verify_version(work, dataset, 2)
    assert result["outcome"] == "same" and result["relabelled"]
    assert "a label was renamed since" in sentence(result)
    row = HeadTrainingLabel.objects.filter(head__version=2).order_by("image_id").first()
    assert row is not None
    other = dataset.labels.exclude(pk=row.label_id).first()
    set_fixed(row, label=other)
    result = verify_version(work, dataset, 2)
    assert result["outcome"] == "different" and result["relabelled"]


def test_difference_by_other_code_is_reported_as_other_code(
    scene: tuple[Any, Any], work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, _admin = scene
    monkeypatch.setattr(verify_head, "code_version", lambda: "9.9.9+heads.0")
    assert verify_version(work, dataset, 2)["outcome"] == "same", (
        "other code that gives the same bytes is no difference"
    )
    head = Head.objects.get(version=2)
    without_triggers("UPDATE learning_head SET seed = %s WHERE id = %s", [head.seed + 1, head.pk])
    without_triggers(
        "UPDATE learning_head SET weights = %s, digest = %s WHERE id = %s",
        [b"of other code", hashlib.sha256(b"of other code").hexdigest(), head.pk],
    )
    message = sentence(verify_version(work, dataset, 2))
    assert "has changed since" in message and "9.9.9+heads.0" in message and head.code_version in message
    assert "not trained on these labels" not in message


def test_missing_inputs_are_named(
    scene: tuple[Any, Any], work: Work, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, _admin = scene
    head = Head.objects.get(version=2)
    image = (
        HeadTrainingLabel.objects.filter(head=head).order_by("image_id").values_list("image_id", flat=True)[0]
    )
    Embedding.objects.filter(image_id=image).delete()
    result = verify_version(work, dataset, 2)
    assert (result["code"], result["missing"], result["total"]) == ("embeddings_gone", 1, head.n_labels)
    assert "cannot be repeated" in sentence(result)
    with as_owner(triggers=False):
        HeadTrainingLabel.objects.filter(head=head, image_id=image).delete()
    assert verify_version(work, dataset, 2)["code"] == "images_deleted"
    set_fixed(head.encoder, digest="0" * 64)
    result = verify_version(work, dataset, 1)
    known = Encoder.objects.filter(kind=Encoder.Kind.IMAGE_TEXT)
    assert known.count() == 1, "the verification stores no encoder"
    assert result["code"] == "encoder_other" and "0" * 12 in sentence(result)
    set_fixed(head.encoder, name=f"local-dir:{tmp_path}/gone")
    result = verify_version(work, dataset, 1)
    assert result["outcome"] == "impossible" and result["code"] == "encoder_gone"
    assert "gone" in sentence(result)
    assert Event.objects.filter(kind="head.verified").count() == 4, (
        "an impossible verification is recorded too"
    )


def test_recomputed_embeddings_are_reported(scene: tuple[Any, Any], work: Work) -> None:
    dataset, admin = scene
    from mekiki.learning.services import record_removal

    head = Head.objects.get(version=2)
    Embedding.objects.filter(encoder=head.encoder).delete()
    embeddings.delete_mirror(head.encoder, dataset)
    record_removal(dataset=dataset, encoder=head.encoder, removed=30, user=admin)
    work(dataset, "encode")
    result = verify_version(work, dataset, 2)
    assert result["reembedded"] is True
    assert result["outcome"] == "same", "one machine computes the same vectors again"


@pytest.mark.django_db(transaction=True)
def test_command_waits_for_the_worker_and_returns_its_outcome_as_status(
    coloured: Any, work: Work, answer_queue: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    work(coloured, "encode")
    work(coloured, "predict")
    answer_queue(coloured)
    work(coloured, "train")
    head = Head.objects.get(version=2)

    def call_with_a_running_worker(*arguments: str) -> None:
        finished = threading.Event()

        def worker() -> None:
            try:
                while not finished.wait(0.05):
                    job = Job.objects.filter(kind=Kind.VERIFY_HEAD, state=State.QUEUED).first()
                    if job is not None:
                        run_job(str(job.pk))
                        return
            finally:
                connection.close()

        thread = threading.Thread(target=worker)
        thread.start()
        try:
            call_command("retrain", *arguments)
        finally:
            finished.set()
            thread.join()

    for arguments in (["--verify", head.digest[:10]], [coloured.slug, "--verify", "#2"]):
        call_with_a_running_worker(*arguments)
        assert f"same digest, {head.digest}" in capsys.readouterr().out
    without_triggers("UPDATE learning_head SET weights = %s WHERE id = %s", [b"something else", head.pk])
    with pytest.raises(CommandError, match="were changed since") as stopped:
        call_with_a_running_worker(coloured.slug, "--verify", "2")
    assert stopped.value.returncode == 1
    Embedding.objects.all().delete()
    with pytest.raises(CommandError, match="cannot be repeated") as stopped:
        call_with_a_running_worker(coloured.slug, "--verify", "2")
    assert stopped.value.returncode == 2


def test_command_reports_heads_and_datasets_it_cannot_find() -> None:
    head = HeadFactory(dataset=DatasetFactory(slug="one"), digest="ab" * 32)
    HeadFactory(dataset=DatasetFactory(slug="two"), digest="ab" * 32)
    for arguments, message in (
        (["--verify", "1"], "of which dataset"),
        (["one", "--verify", "99"], "no head"),
        (["one", "--verify", "zzzzzzzz"], "no head"),
        (["nowhere", "--verify", "1"], "no dataset"),
        (["--verify", "abababab"], "More than one head"),
    ):
        with pytest.raises(CommandError, match=message) as stopped:
            call_command("retrain", *arguments)
        assert stopped.value.returncode == 2, arguments
    with pytest.raises(CommandError, match="Which dataset"):
        call_command("retrain")
    call_command("retrain", "one", "--verify", "abababab", "--no-wait")
    assert Job.objects.get(kind=Kind.VERIFY_HEAD).payload == {"head": head.pk}
    again = request_verification(dataset=head.dataset, head=head)
    assert Job.objects.filter(kind=Kind.VERIFY_HEAD).count() == 1 and again.key == f"verify_head:{head.pk}"
