"""A worker whose vectors differ from the record embeds nothing, and another worker takes the job."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from django.db import Error
from django.utils import timezone, translation

from mekiki.datasets.models import Dataset
from mekiki.jobs import progress
from mekiki.jobs.models import Job, Kind, State
from mekiki.jobs.services import DECLINED_FOR, LostClaimError, cancel, claim, decline, enqueue
from mekiki.jobs.sweeping import RESEND_AFTER
from mekiki.learning.models import (
    Embedding,
    Encoder,
    EncoderChange,
    EncoderProbe,
    TextEmbedding,
    TrainingRun,
    WorkerDifference,
)
from mekiki.learning.search.texts import text_digest
from mekiki.learning.services import request_change
from tests.factories import DatasetFactory
from tests.jobs.watch import Watch
from tests.roles import as_owner
from tests.workers.conftest import COLOURS, PROMPTS, add_image, picture
from tests.workers.dying import do_job_with_noise
from tests.workers.forked import run_in_worker
from workers import runner
from workers.encoders import VectorMismatchError, load_encoder
from workers.encoders.probing import PROBE_VERSION, probe_texts
from workers.stages import encode
from workers.steps import encoders, probing, texts

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def dataset(tiny_encoder: str) -> Dataset:
    from mekiki.labeling.services import set_schema
    from tests.factories import UserFactory

    admin = UserFactory()
    dataset = DatasetFactory(admin=admin, encoder_name=tiny_encoder, retrain_every=0)
    for number in range(12):
        add_image(dataset, picture(list(COLOURS.values())[number % 3], number), f"{number}.png", 0.5)
    labels = [{"name": name, "prompts": prompts} for name, prompts in PROMPTS.items()]
    set_schema(dataset=dataset, labels=labels, user=admin)
    Job.objects.all().delete()
    return dataset


@pytest.fixture
def set_host(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Make this process a worker on a machine of this name."""

    def set_name(name: str) -> None:
        monkeypatch.setattr(runner, "host", lambda: name)
        monkeypatch.setattr(probing, "host", lambda: name)

    return set_name


@pytest.fixture
def deviating_record(tiny_encoder: str) -> EncoderProbe:
    """Store a probe record of another machine that computes other vectors."""
    loaded = load_encoder(tiny_encoder, device="cpu")
    row = Encoder.objects.create(
        name=loaded.name,
        digest=loaded.digest,
        precision="fp32",
        dim=loaded.dim,
        logit_scale=loaded.logit_scale,
    )
    noise = np.random.default_rng(0).normal(0, 0.02, loaded.probe.shape)
    vectors = (loaded.probe + noise).astype("<f4").tobytes()
    return EncoderProbe.objects.create(
        encoder=row, version=PROBE_VERSION, vectors=vectors, host="first", processor="another"
    )


def test_first_worker_stores_the_record_and_the_second_is_compared(
    dataset: Dataset, set_host: Callable[[str], None]
) -> None:
    set_host("first")
    assert runner.run_job(str(enqueue(kind=Kind.ENCODE, dataset=dataset).pk)) == "succeeded"
    probe = EncoderProbe.objects.get()
    loaded = encoders.load_cached_encoder(dataset.encoder_name)
    assert (probe.version, probe.host) == (PROBE_VERSION, "first") and probe.processor
    assert bytes(probe.vectors) == loaded.probe.astype("<f4").tobytes()
    set_host("second")
    assert runner.run_job(str(enqueue(kind=Kind.ENCODE, dataset=dataset).pk)) == "succeeded"
    assert EncoderProbe.objects.count() == 1 and not WorkerDifference.objects.exists()
    with pytest.raises(Error):
        EncoderProbe.objects.update(host="somebody")


@pytest.mark.parametrize("kind", [Kind.ENCODE, Kind.PREDICT, Kind.TRAIN, Kind.CHANGE_ENCODER])
def test_job_of_a_worker_that_differs_waits_for_another_worker(
    kind: Kind,
    dataset: Dataset,
    deviating_record: EncoderProbe,
    set_host: Callable[[str], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    if kind == Kind.CHANGE_ENCODER:
        Dataset.objects.filter(pk=dataset.pk).update(encoder_name="pocket")
        dataset.refresh_from_db()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("mekiki.learning.services.encoder_changes.checked_encoder", lambda name: None)
            job = request_change(dataset=dataset, name=deviating_record.encoder.name).job
        assert job is not None
    else:
        job = enqueue(kind=kind, dataset=dataset, payload={"trigger": "count"} if kind == Kind.TRAIN else {})
    set_host("different")
    assert runner.run_job(str(job.pk)) == "declined"
    job.refresh_from_db()
    assert (job.state, job.declined_by, job.finished_at) == (State.QUEUED, ["different"], None)
    assert "different" in job.error and (job.deaths, job.retries) == (0, 0)
    assert not Embedding.objects.exists()
    difference = WorkerDifference.objects.get()
    assert (difference.host, difference.least) == ("different", 0.99999) and difference.cosine < 0.999
    assert difference.encoder == deviating_record.encoder and difference.processor
    assert "embeds nothing" in caplog.text and "first" in caplog.text
    assert progress.job_status(job, "admin").error == job.error
    if kind == Kind.CHANGE_ENCODER:
        assert EncoderChange.objects.get().state == EncoderChange.State.PREPARING
    if kind == Kind.TRAIN:
        assert not TrainingRun.objects.filter(finished_at__isnull=False).exists()

    # After its next message this worker releases the job, and another worker takes it.
    assert runner.run_job(str(job.pk)) == ""
    with as_owner(triggers=False):  # stands for a worker that computes the vectors of the record
        EncoderProbe.objects.all().delete()
    if kind == Kind.ENCODE:
        set_host("alike")
        assert runner.run_job(str(job.pk)) == "succeeded"
        assert Embedding.objects.filter(encoder__kind="image_text").count() == 12
        job.refresh_from_db()
        assert job.error == ""


def test_worker_that_differed_is_compared_again_later(
    dataset: Dataset, deviating_record: EncoderProbe, set_host: Callable[[str], None]
) -> None:
    set_host("mended")
    job = enqueue(kind=Kind.ENCODE, dataset=dataset)
    for _number in range(7):  # more often than a job may fail
        assert runner.run_job(str(job.pk)) == "declined"
        assert runner.run_job(str(job.pk)) == ""
        Job.objects.update(declined_at=timezone.now() - DECLINED_FOR - timedelta(seconds=1))
    assert WorkerDifference.objects.count() == 1
    with as_owner(triggers=False):
        EncoderProbe.objects.all().delete()
    assert runner.run_job(str(job.pk)) == "succeeded"
    assert not WorkerDifference.objects.exists()


def test_worker_that_differs_does_not_share_an_encoding(
    dataset: Dataset, deviating_record: EncoderProbe
) -> None:
    job = enqueue(kind=Kind.ENCODE, dataset=dataset)
    assert claim(str(job.pk)) is not None
    assert encode.help_with(str(job.pk), deviating_record.encoder_id) == 0
    assert not Embedding.objects.exists()


def test_declining_a_job_is_fenced_and_ends_a_cancelled_job(dataset: Dataset) -> None:
    job = claim(str(enqueue(kind=Kind.ENCODE, dataset=dataset).pk), worker="a")
    assert job is not None
    stale = Job(pk=job.pk, attempt=job.attempt - 1)
    with pytest.raises(LostClaimError):
        decline(stale, worker="b", reason="late")
    decline(job, worker="a", reason="why")
    with pytest.raises(LostClaimError):
        decline(job, worker="a", reason="twice")
    assert claim(str(job.pk), worker="a") is None
    assert Watch().after(RESEND_AFTER)["resent"] == 1, "another worker gets a message"
    again = claim(str(job.pk), worker="b")
    assert again is not None and again.error == ""
    cancel(job=again, user=None)
    decline(again, worker="b", reason="why")
    again.refresh_from_db()
    assert again.state == State.CANCELLED


def test_error_of_a_declined_job_is_in_the_language_of_the_job(
    dataset: Dataset, deviating_record: EncoderProbe, set_host: Callable[[str], None]
) -> None:
    set_host("different")
    with translation.override("ja"):
        job = enqueue(kind=Kind.ENCODE, dataset=dataset)
        runner.run_job(str(job.pk))
    job.refresh_from_db()
    assert "ワーカー" in job.error and "different" in job.error


def test_search_worker_that_differs_embeds_no_text(tiny_encoder: str, deviating_record: EncoderProbe) -> None:
    loaded = load_encoder(tiny_encoder, device="cpu")

    def embed_text(text: str) -> TextEmbedding:
        row = TextEmbedding.objects.create(
            encoder=deviating_record.encoder, digest=text_digest(text), text=text, used_at=timezone.now()
        )
        reader = texts.TextEncoderProcess()
        try:
            texts.embed_search_text(row.pk, reader)
        finally:
            reader.close()
        row.refresh_from_db()
        return row

    refused = embed_text("red")
    assert (refused.problem, refused.vector) == ("other_vectors", None)
    assert WorkerDifference.objects.get().encoder == deviating_record.encoder
    with as_owner(triggers=False):
        deviating_record.delete()
    EncoderProbe.objects.create(
        encoder=refused.encoder,
        version=PROBE_VERSION,
        # Pictures from a GPU, for example: the search worker is compared only by its sentences.
        vectors=np.concatenate([np.zeros((8, loaded.dim)), probe_texts(loaded)]).astype("<f4").tobytes(),
        host="first",
        processor="",
    )
    assert embed_text("green").vector is not None


def test_worker_declines_for_different_vectors_but_not_for_similar_ones(
    dataset: Dataset, tmp_path: Path
) -> None:
    """Real processes: with unchanged vectors, with vectors off by two per cent, and off by a millionth."""
    outcome = tmp_path / "outcome"

    def run_worker(host: str, noise: float) -> str:
        job = enqueue(kind=Kind.ENCODE, dataset=dataset)
        assert run_in_worker(do_job_with_noise, str(job.pk), host, noise, outcome) == 0
        return outcome.read_text()

    assert run_worker("first", 0) == "succeeded"
    embedded = Embedding.objects.filter(encoder__kind="image_text")
    before = embedded.count()
    assert before == 12
    add_image(dataset, picture((9, 9, 9), 99), "late.png", 0.5)
    assert run_worker("clipping", 0.02) == "declined"
    assert embedded.count() == before
    assert WorkerDifference.objects.get().host == "clipping"
    assert run_worker("nearly alike", 1e-6) == "succeeded"
    assert embedded.count() == before + 1


def test_vector_mismatch_is_an_encoder_error() -> None:
    """Code that handles an encoder that cannot be loaded also handles an encoder that differs."""
    from workers.encoders import EncoderError

    assert issubclass(VectorMismatchError, EncoderError)
