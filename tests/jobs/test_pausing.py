"""Pause and resume of imports, by services, pages and the API."""

import io
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied, ValidationError
from django.test import Client

from mekiki.accounts.models import Role, User
from mekiki.accounts.services import set_role
from mekiki.datasets import services as datasets
from mekiki.datasets.importing import pipeline
from mekiki.datasets.models import ImportBatch
from mekiki.jobs import services
from mekiki.jobs.models import Job, Kind, State
from mekiki.jobs.progress import job_status
from tests.datasets.helpers import picture
from workers.runner import Report, run_job
from workers.stages import import_images


@pytest.mark.django_db(transaction=True)
def test_an_import_is_paused_and_goes_on(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "CHUNK_FILES", 2)
    admin = User.objects.create_user("ada", may_create_datasets=True)
    reviewer = User.objects.create_user("rin")
    dataset = datasets.create_dataset(name="Parts", user=admin, audit_fraction=0.0)
    set_role(dataset=dataset, user=reviewer, role=Role.REVIEWER, actor=admin)
    batch = datasets.start_upload(dataset=dataset, user=admin)
    for n in range(10):
        datasets.add_file(batch=batch, user=admin, name=f"{n}.png", file=io.BytesIO(picture(n, kind="PNG")))
    job = datasets.finish_upload(batch=batch, user=admin)
    job.dataset = dataset
    with pytest.raises(PermissionDenied):
        services.pause(job=job, user=reviewer)
    client.force_login(admin)
    # A waiting job: it is not started until it is resumed.
    assert client.post(f"/d/{dataset.slug}/jobs/{job.pk}/pause/").status_code == 302
    assert run_job(str(job.pk)) == "waits"
    status = client.get(f"/api/v1/jobs/{job.pk}").json()
    assert (status["can_pause"], status["can_resume"], status["can_cancel"]) == (False, True, True)
    assert status["state_label"] == "paused" and "Paused" in status["detail"]
    assert client.post(f"/api/v1/jobs/{job.pk}/resume").json()["can_pause"] is True

    # A running job: it pauses at its next sign of life, keeps what is stored, and goes on after it.
    def pausing(job: Job, report: Report) -> Any:
        calls = []

        def report_and_pause(**values: Any) -> None:
            calls.append(values)
            if values.get("done", 0) >= 4 and len(calls) < 10:
                services.pause(job=Job.objects.select_related("dataset").get(pk=job.pk), user=admin)
                report.write()
            report(**values)

        return import_images.run(job, report_and_pause)  # type: ignore[arg-type]

    admin.is_superuser = True
    admin.save()
    assert run_job(str(job.pk), stage=pausing) == "paused"
    job.refresh_from_db()
    assert (job.state, job.paused, job.waiting_for) == (State.QUEUED, True, "paused")
    assert 0 < dataset.images.count() < 10
    assert run_job(str(job.pk)) == "waits"
    services.resume(job=job, user=admin)
    assert run_job(str(job.pk)) == "succeeded"
    assert dataset.images.count() == 10
    assert ImportBatch.objects.get(pk=batch.pk).duplicates == 0
    # A paused job can be cancelled; other kinds cannot be paused.
    other = services.enqueue(kind=Kind.ENCODE, dataset=dataset)
    other.dataset = dataset
    assert not job_status(other, Role.ADMIN).can_pause
    with pytest.raises(ValidationError):
        services.pause(job=other, user=admin)
    assert client.post(f"/api/v1/jobs/{other.pk}/pause").status_code == 422
    held = services.enqueue(kind=Kind.IMPORT_IMAGES, dataset=dataset, key="held", payload={"batch": batch.pk})
    held.dataset = dataset
    services.pause(job=held, user=admin)
    services.cancel(job=held, user=admin)
    held.refresh_from_db()
    assert held.state == State.CANCELLED
