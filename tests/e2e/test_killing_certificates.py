"""After `kill -9` of worker and database while labels are accepted, each label is set once.

The test uses real processes. The images of the certificate are numbers without files: the job that accepts
labels reads none.
"""

import shutil
from collections.abc import Iterator

import pytest

from mekiki.embedded import places
from mekiki.embedded.supervisor import Platform
from tests import prepared_homes
from tests.e2e.killing import Site
from tests.waiting import until

pytestmark = pytest.mark.slow

IMAGES = 400_000  # eight blocks
SETTINGS = {"DATABASE_URL": "", "BROKER_URL": ""}
START = f"""
from django.db import connection
from django.utils import timezone
from mekiki.accounts.models import User
from mekiki.datasets.models import Dataset
from mekiki.learning.models import Head
from mekiki.quality.models import Certificate
from mekiki.quality.services.certificates import request_work
dataset = Dataset.objects.get(slug="certified")
labels = list(dataset.labels.order_by("pk").values_list("pk", flat=True))
head = Head.objects.get(champion__dataset=dataset)  # by the prompts
certificate = Certificate.objects.create(
    dataset=dataset, version=1, state="accepting", alpha=0.02, delta=0.05, limit=300, levels=[1.0], head=head,
    pool={IMAGES}, candidates={IMAGES}, region={IMAGES}, created_by=User.objects.get(username="admin"),
    frozen_at=timezone.now(), ended_at=timezone.now(),
)
with connection.cursor() as cursor:
    cursor.execute(
        "INSERT INTO quality_certificateimage (certificate_id, image_id, label_id, confidence,"
        " critical_probability, rank, audit_position)"
        " SELECT %s, n + 1000000000, %s, 0.9, 0, n, n FROM generate_series(1, {IMAGES}) AS n",
        [certificate.pk, labels[0]],
    )
request_work(certificate=certificate)
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, django_db_setup: None) -> Iterator[Site]:
    """Start a platform with one empty dataset."""
    home = prepared_homes.prepare(tmp_path_factory.mktemp("killing-certificates") / "home")
    platform = Platform(home, quiet=True, env=SETTINGS)
    try:
        platform.start()
        site = Site(platform, ["certified"])
        yield site
        site.close()
    finally:
        platform.stop()
        places.delete_database(platform.home / "postgres")
        shutil.rmtree(platform.home, ignore_errors=True)


def labels_set(site: Site) -> int:
    return int(site.first_value("SELECT count(*) FROM quality_machinelabel"))


def state(site: Site) -> str:
    return str(site.first_value("SELECT state FROM quality_certificate"))


def test_labels_are_set_once_after_kills_of_worker_and_database(site: Site) -> None:
    site._manage("manage", "shell", "-v", "0", "-c", START)
    until(lambda: labels_set(site), "the first labels are stored", every=0.005)
    before = site.platform.pids()["worker"]
    site.kill_children("worker")
    site.kill("worker")
    assert state(site) == "accepting" and 0 < labels_set(site) < IMAGES
    until(lambda: site.was_restarted("worker", before), "the worker is started again")
    # The job goes on from the labels that are stored. The database is killed during the second attempt.
    until(lambda: site.attempt("certified", "certify") >= 2, "a worker resumes the job", every=0.005)
    site.kill("postgres")
    site.close()
    until(lambda: state(site) == "accepted", "the labels are accepted")
    until(lambda: not site.active("certified"), "the job has ended")
    # Each label once, one event, and a certificate that counts all of them.
    assert labels_set(site) == IMAGES
    assert site.first_value("SELECT accepted FROM quality_certificate") == IMAGES
    events = "SELECT count(*) FROM audit_event WHERE kind = 'certificate.labels_set'"
    assert site.first_value(events) == 1
    assert {job[1] for job in site.jobs("certified") if job[0] == "certify"} == {"succeeded"}
