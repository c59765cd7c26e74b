"""A broker that hangs or does not run: requests do not wait for it, and no job is lost."""

import os
import re
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse

from mekiki.config.celery import app
from mekiki.embedded.valkey import Valkey
from mekiki.jobs import broker as broker_module
from mekiki.jobs import progress, services
from mekiki.jobs.models import Job, Kind, State
from mekiki.jobs.sweeping import RESEND_AFTER, SEND_AFTER
from mekiki.labeling.services import set_schema
from tests.conftest import PREFIX
from tests.factories import ConfirmedLabelFactory, DatasetFactory, UserFactory
from tests.jobs.conftest import SocketWaits
from tests.jobs.watch import Watch

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def valkey(broker: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Valkey]:
    """Start a broker that only this test uses and may stop."""
    home = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
    server = Valkey(home / "valkey")
    monkeypatch.setattr(app.conf, "broker_write_url", server.start())
    broker_module.rest.end()
    yield server
    if server.alive():
        os.kill(server.pid, signal.SIGCONT)
    server.stop()
    broker_module.rest.end()
    shutil.rmtree(home, ignore_errors=True)


def test_request_with_a_hanging_broker_waits_less_than_two_seconds(
    valkey: Valkey, client: Client, socket_waits: SocketWaits
) -> None:
    """Press a button that requests work several times while the broker's process is stopped."""
    admin = UserFactory()
    dataset = DatasetFactory(admin=admin)
    set_schema(dataset=dataset, labels=[{"name": "good", "prompts": ["good"]}], user=admin)
    ConfirmedLabelFactory(dataset=dataset, image__dataset=dataset, in_training=True)
    client.force_login(admin)
    client.get(reverse("overview", args=[dataset.slug]))  # the first page's own loading is not measured
    os.kill(valkey.pid, signal.SIGSTOP)
    answers = []
    wait = socket_waits.during(lambda: answers.append(client.post(reverse("train", args=[dataset.slug]))))
    (answer,) = answers
    assert answer.status_code == 302
    assert 0 < wait < 2.0
    assert next(str(m) for m in get_messages(answer.wsgi_request)).startswith("The training is queued.")
    job = Job.objects.get(kind=Kind.TRAIN)
    assert (job.state, job.sent_at) == (State.QUEUED, None)
    assert progress.job_status(job).detail == (
        "The job is stored and waits for a worker. It starts automatically."
    )

    # After that the broker is not contacted for a while, and nobody waits.
    datasets = [DatasetFactory() for _ in range(20)]
    wait = socket_waits.during(
        lambda: [services.enqueue(kind=Kind.REFILL, dataset=other) for other in datasets]
    )
    assert wait == 0

    os.kill(valkey.pid, signal.SIGCONT)
    broker_module.rest.end()
    assert Watch().after(SEND_AFTER + 5)["resent"] == 21
    assert not Job.objects.filter(sent_at=None).exists()


def test_jobs_are_sent_when_the_broker_runs_again(valkey: Valkey, socket_waits: SocketWaits) -> None:
    services.enqueue(kind=Kind.REFILL, dataset=DatasetFactory())
    os.kill(valkey.pid, signal.SIGKILL)
    assert valkey.process is not None and valkey.process.wait(10)
    dataset = DatasetFactory()
    assert socket_waits.during(lambda: services.enqueue(kind=Kind.REFILL, dataset=dataset)) < 2.0
    watch = Watch()
    assert watch.after(RESEND_AFTER + 5)["resent"] == 0
    valkey.start()
    broker_module.rest.end()
    assert watch.after(10)["resent"] == 2
    with app.connection_for_write() as connection:
        assert connection.default_channel.client.llen("celery") >= 2


def test_only_the_broker_module_sends_messages() -> None:
    """Any other module that enqueues by Celery's own calls would hang with the broker."""
    own = ROOT / "platform" / "mekiki" / "jobs" / "broker.py"
    files = [*(ROOT / "platform").rglob("*.py"), *(ROOT / "workers").rglob("*.py")]
    senders = [
        str(path) for path in files if re.search(r"send_task\(|apply_async\(|\.delay\(", path.read_text())
    ]
    assert senders == [str(own)]
