"""Every place that requests work, with a broker that never answers.

A request waits two seconds at most, and the job is stored.
"""

import re
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from mekiki.audit.private_key import make_first_key
from mekiki.audit.services import record
from mekiki.datasets.models import ImportBatch, PixelWindow
from mekiki.datasets.services import update_settings
from mekiki.exports.models import LabelSet
from mekiki.jobs import broker
from mekiki.jobs.models import Job, Kind, State
from mekiki.jobs.seals import enqueue_scheduled_seal
from mekiki.jobs.services import claim, enqueue, succeed
from mekiki.jobs.sweeping import RESEND_AFTER
from mekiki.labeling.services import set_schema
from mekiki.learning.models import Embedding
from mekiki.learning.search import index, maintain_search
from mekiki.learning.services import request_encoding, request_scheduled_training
from mekiki.quality.services import certificates
from tests.factories import (
    ChampionFactory,
    ConfirmedLabelFactory,
    EncoderFactory,
    HeadFactory,
    MembershipFactory,
    UserFactory,
    png,
)
from tests.jobs.conftest import SocketWaits
from tests.jobs.watch import Watch
from tests.review_setup import Station
from tests.vectors import embedded
from verification.certificates.protocol import Protocol
from workers.runner import run_job

pytestmark = pytest.mark.django_db(transaction=True)

ROOT = Path(__file__).parents[2]
SECONDS = 2.0


class World:
    """A dataset in which every kind of work can be requested, with its admin's browser."""

    def __init__(self, folder: Path, settings: Any) -> None:
        self.settings = settings
        settings.HOME = folder / "home"
        settings.HOME.mkdir()
        self.pictures = folder / "pictures"
        self.pictures.mkdir()
        (self.pictures / "a.png").write_bytes(png())
        self.station = Station(items=1, queue_target=50)
        self.dataset, self.admin = self.station.dataset, UserFactory(is_superuser=True)
        MembershipFactory(dataset=self.dataset, user=self.admin, role="admin")
        set_schema(
            dataset=self.dataset, labels=[{"name": "good", "prompts": ["a good part"]}], user=self.admin
        )
        label = self.dataset.labels.get(name="good")
        ConfirmedLabelFactory(dataset=self.dataset, image__dataset=self.dataset, label=label)
        self.client = Client(headers={"accept-language": "en"})
        self.client.force_login(self.admin)
        self.client.get(f"/d/{self.dataset.slug}/")  # the first page's own loading is not measured
        Job.objects.all().delete()

    def post(self, page: str, *arguments: Any, json: bool = False, **fields: Any) -> None:
        """Send a form, which must be accepted."""
        more = {"content_type": "application/json"} if json else {}
        url = page if page.startswith("/") else reverse(page, args=[self.dataset.slug, *arguments])
        answer = self.client.post(url, fields, **more)
        assert answer.status_code in (200, 202, 302), answer.content[-1500:]

    def other_head(self) -> Any:
        """Create a head that could replace the champion."""
        ids = [label.pk for label in self.dataset.labels.filter(archived_at=None)]
        return HeadFactory(dataset=self.dataset, encoder=self.station.head.encoder, label_ids=ids)


def import_by_browser(world: World) -> None:
    started = world.client.post(reverse("import-start", args=[world.dataset.slug])).json()
    part = {"names": "a.png", "files": SimpleUploadedFile("a.png", png()), "complete": "1"}
    assert world.client.post(f"{started['files']}?part=0", part).status_code == 200
    world.post(started["finish"])


def import_by_command(world: World) -> None:
    call_command("import", world.dataset.slug, str(world.pictures), verbosity=0)


def finish_an_import(world: World) -> None:
    broker.rest.begin()  # the request of the import itself is another entry
    call_command("import", world.dataset.slug, str(world.pictures), verbosity=0)
    broker.rest.end()
    assert run_job(str(Job.objects.get(kind=Kind.IMPORT_IMAGES).pk)) == "succeeded"


def take_an_import_back(world: World) -> None:
    finished = {"finished_at": timezone.now(), "source": "folder", "location": str(world.pictures)}
    batch = ImportBatch.objects.create(dataset=world.dataset, **finished)
    world.post("import-undo", batch.pk)


def watch_a_folder(world: World) -> None:
    world.settings.IMPORT_FOLDERS = [str(world.pictures)]
    world.post("import-folder", path=str(world.pictures), watch="on")


def retry_an_import(world: World) -> None:
    batch = ImportBatch.objects.create(dataset=world.dataset, source="folder", location=str(world.pictures))
    fields = {"payload": {"batch": batch.pk}, "state": State.FAILED, "dataset": world.dataset}
    job = Job.objects.create(kind=Kind.IMPORT_IMAGES, key=f"import_images:{batch.pk}", **fields)
    world.post("job-retry", job.pk)


def train_by_browser(world: World) -> None:
    world.post("train")


def train_by_command(world: World) -> None:
    call_command("retrain", world.dataset.slug, no_wait=True, verbosity=0)


def train_on_schedule(world: World) -> None:
    assert request_scheduled_training(dataset_id=world.dataset.pk).startswith("run ")


def verify_a_head(world: World) -> None:
    world.post("head-verify", world.station.head.version)


def use_another_head(world: World) -> None:
    world.post("head-use", world.other_head().version)


def change_labels(world: World) -> None:
    good = world.dataset.labels.get(name="good")
    labels = [{"id": good.pk, "name": "good", "prompts": ["a part without a scratch"]}]
    set_schema(dataset=world.dataset, labels=labels, user=world.admin)


def answer_an_image(world: World) -> None:
    leased = world.station.next(world.admin)[0]
    label = world.dataset.labels.get(name="good")
    url = f"/api/v1/datasets/{world.dataset.slug}/review/answer"
    held = {"item": leased.item.pk, "lease": leased.lease.pk, "client_key": str(uuid.uuid4())}
    world.post(url, json=True, kind="correct", label=label.pk, **held)


def request_the_next_image(world: World) -> None:
    world.dataset.queue_items.update(state="withdrawn")
    url = f"/api/v1/datasets/{world.dataset.slug}/review/next"
    world.post(url, json=True, count=1)


def change_the_settings(world: World) -> None:
    target = world.dataset.queue_target + 100
    update_settings(dataset=world.dataset, user=world.admin, queue_target=target)


def embed(world: World) -> None:
    request_encoding(dataset=world.dataset, user=world.admin)


def embed_by_another_encoder(world: World) -> None:
    request_encoding(dataset=world.dataset, encoder="pocket+onnx", user=world.admin)


def change_the_encoder_by_browser(world: World) -> None:
    world.post("encoder-change", name="pocket+onnx")


def change_the_encoder_by_api(world: World) -> None:
    world.post(f"/api/v1/datasets/{world.dataset.slug}/encoder/changes", json=True, name="pocket+onnx")


def remove_embeddings(world: World) -> None:
    old = EncoderFactory(name="old")
    image = world.dataset.images.first()
    Embedding.objects.create(encoder_id=old.pk, image_id=image.pk, vector=[1, 0, 0, 0])
    world.post("encoder-remove", old.pk)


def compare_images(world: World) -> None:
    world.post("near-duplicates-act", survey="1")


def make_pictures_again(world: World) -> None:
    world.post("dataset-rebuild")


def change_a_window(world: World) -> None:
    window = PixelWindow.objects.create(dataset=world.dataset, camera="", sample="uint16", black=0, white=9)
    world.post("dataset-window", window.pk, black=1, white=8, agreed=1)


def freeze(world: World) -> None:
    world.post("exports", labels="people", note="")


def freeze_again(world: World) -> None:
    label_set = LabelSet.objects.create(dataset=world.dataset, version=1, state=LabelSet.State.FAILED)
    world.post("label-set-retry", label_set.version)


def start_a_certificate(world: World) -> None:
    protocol = Protocol(alpha=0.05, delta=0.05, limit=100)
    certificates.start(dataset=world.dataset, user=world.admin, protocol=protocol)


def plan_a_certificate(world: World) -> None:
    protocol = Protocol(alpha=0.05, delta=0.05, limit=1)
    certificates.request_plan(dataset=world.dataset, user=world.admin, protocol=protocol)


def seal_by_browser(world: World) -> None:
    world.client.post(reverse("seals-ask"), {"act": "seal"})


def check_seals_by_browser(world: World) -> None:
    world.client.post(reverse("seals-ask"), {"act": "check"})


def seal_on_schedule(world: World) -> None:
    make_first_key()
    record(kind="test.happened")
    assert enqueue_scheduled_seal() is not None


def request_a_running_job_again(world: World) -> None:
    broker.rest.begin()
    job = claim(str(enqueue(kind=Kind.REFILL, dataset=world.dataset).pk))
    assert job is not None
    enqueue(kind=Kind.REFILL, dataset=world.dataset)
    broker.rest.end()
    succeed(job)


def search_by_text(world: World) -> None:
    Embedding.objects.create(
        encoder_id=world.station.head.encoder_id,
        image_id=world.dataset.images.first().pk,
        vector=[1, 0, 0, 0],
    )
    answer = world.client.get(reverse("images", args=[world.dataset.slug]), {"text": "a scratch"})
    assert answer.status_code == 200


# Request → the kind of job that it leaves queued. None: it sends a message to a worker without a job.
REQUESTS: dict[Callable[[World], None], Kind | None] = {
    import_by_browser: Kind.IMPORT_IMAGES,
    import_by_command: Kind.IMPORT_IMAGES,
    retry_an_import: Kind.IMPORT_IMAGES,
    finish_an_import: Kind.ENCODE,
    take_an_import_back: Kind.UNDO_IMPORT,
    watch_a_folder: Kind.WATCH_FOLDER,
    train_by_browser: Kind.TRAIN,
    train_by_command: Kind.TRAIN,
    train_on_schedule: Kind.TRAIN,
    verify_a_head: Kind.VERIFY_HEAD,
    use_another_head: Kind.PREDICT,
    change_labels: Kind.PREDICT,
    answer_an_image: Kind.REFILL,
    request_the_next_image: Kind.REFILL,
    change_the_settings: Kind.REFILL,
    request_a_running_job_again: Kind.REFILL,
    embed: Kind.ENCODE,
    embed_by_another_encoder: Kind.ENCODE,
    change_the_encoder_by_browser: Kind.CHANGE_ENCODER,
    change_the_encoder_by_api: Kind.CHANGE_ENCODER,
    remove_embeddings: Kind.REMOVE_EMBEDDINGS,
    compare_images: Kind.NEAR_DUPLICATES,
    make_pictures_again: Kind.REBUILD_PICTURES,
    change_a_window: Kind.REBUILD_PICTURES,
    freeze: Kind.FREEZE,
    freeze_again: Kind.FREEZE,
    plan_a_certificate: Kind.PLAN_CERTIFICATE,
    start_a_certificate: Kind.CERTIFY,
    seal_by_browser: Kind.SEAL,
    check_seals_by_browser: Kind.CHECK_SEALS,
    seal_on_schedule: Kind.SEAL,
    search_by_text: None,
}


@pytest.fixture
def world(tmp_path: Path, settings: Any, silent_broker: None) -> Iterator[World]:
    broker.rest.begin()  # preparing accepts no messages
    prepared = World(tmp_path, settings)
    broker.rest.end()
    yield prepared


@pytest.mark.parametrize(
    ("request_work", "kind"), REQUESTS.items(), ids=[request_work.__name__ for request_work in REQUESTS]
)
def test_request_does_not_wait_for_the_broker(
    world: World, request_work: Callable[[World], None], kind: Kind | None, socket_waits: SocketWaits
) -> None:
    assert 0 < socket_waits.during(lambda: request_work(world)) < SECONDS
    assert not broker.rest.is_over()  # the broker was contacted and did not answer
    if kind is not None:
        assert Job.objects.filter(kind=kind, state=State.QUEUED, sent_at=None).exists()


def test_request_for_an_index_does_not_wait_for_the_broker(
    silent_broker: None, monkeypatch: pytest.MonkeyPatch, socket_waits: SocketWaits
) -> None:
    monkeypatch.setattr(index, "has_more_embeddings_than", lambda encoder_id: True)
    dataset, encoder, *_ = embedded(30)
    ChampionFactory(head=HeadFactory(dataset=dataset, encoder=encoder))
    assert 0 < socket_waits.during(maintain_search) < SECONDS
    assert Job.objects.filter(kind=Kind.INDEX, state=State.QUEUED, sent_at=None).exists()


def test_sweeper_waits_once_for_all_unsent_jobs(silent_broker: None, socket_waits: SocketWaits) -> None:
    broker.rest.begin()
    for _ in range(30):
        enqueue(kind=Kind.REFILL, dataset=Station().dataset)
    broker.rest.end()
    watch = Watch()
    resent = []
    wait = socket_waits.during(lambda: resent.append(watch.after(RESEND_AFTER + 5)["resent"]))
    assert resent == [0]
    assert 0 < wait < SECONDS


def test_every_file_that_requests_work_is_listed() -> None:
    """A request in a new file belongs into REQUESTS, unless it runs in a worker, where no user waits."""
    folder = ROOT / "platform" / "mekiki"
    request_pattern = re.compile(r"(?<!def )\b(?:jobs\.)?enqueue\(|broker\.send\(")
    files = {
        str(path.relative_to(folder))
        for path in folder.rglob("*.py")
        if request_pattern.search(path.read_text("utf-8"))
    }
    assert files == {
        "datasets/services/buckets.py",  # watch_a_folder
        "datasets/services/datasets.py",  # change_the_settings
        "datasets/services/imports.py",  # finish_an_import
        "datasets/services/lifecycle.py",  # the sweeper
        "datasets/services/metadata_fields.py",  # tests/datasets/test_metadata_fields.py
        "datasets/services/undoing.py",  # take_an_import_back
        "datasets/services/uploads.py",  # import_by_browser, import_by_command
        "datasets/services/windows.py",  # make_pictures_again, change_a_window
        "exports/services.py",  # freeze, freeze_again
        "jobs/seals.py",  # seal_by_browser, check_seals_by_browser, seal_on_schedule
        "jobs/services/ending.py",  # request_a_running_job_again
        "jobs/services/enqueueing.py",  # the sweeper
        "jobs/services/user_requests.py",  # retry_an_import
        "labeling/services/prompts.py",  # change_labels
        "learning/beat.py",  # tests/learning/test_beat.py
        "learning/explaining/heat_maps.py",  # tests/review/test_why_heat_map.py
        "learning/explaining/prompts.py",  # tests/review/test_why.py
        "learning/explaining/requests.py",  # tests/review/test_why.py
        "learning/prompt_trials.py",  # tests/web/test_workbench.py
        "learning/search/tending.py",  # test_request_for_an_index_does_not_wait_for_the_broker
        "learning/search/texts.py",  # search_by_text
        "learning/services/choosing.py",  # use_another_head
        "learning/services/embeddings.py",  # embed
        "learning/services/encoder_changes.py",  # change_the_encoder
        "learning/services/encoder_upkeep.py",  # remove_embeddings
        "learning/services/near_duplicates.py",  # compare_images
        "learning/services/repeating.py",  # verify_a_head
        "learning/services/training.py",  # train_by_browser, train_by_command, train_on_schedule
        "quality/services/certificates/ending.py",  # tests/workers/test_pool_figure.py
        "quality/services/certificates/planning.py",  # plan_a_certificate
        "quality/services/certificates/starting.py",  # start_a_certificate
        "quality/services/studies.py",  # tests/quality/test_studies.py
        "review/services/bulk_acts.py",  # tests/web/test_gallery_acts.py
        "review/services/queue.py",  # answer_an_image, request_the_next_image
    }
