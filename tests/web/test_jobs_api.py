""" "Jobs in the API and on the page: who may see and cancel them, and what they show."""

import uuid

import pytest
from django.test import Client
from django.utils import timezone

from mekiki.jobs.models import Kind, State
from tests.factories import DatasetFactory, JobFactory, UserFactory

pytestmark = pytest.mark.django_db


def client_of(user, **kwargs) -> Client:
    client = Client(headers={"accept-language": "en"}, **kwargs)
    client.force_login(user)
    return client


@pytest.fixture
def job():
    job = JobFactory(kind=Kind.ENCODE, running=True)
    job.stage, job.done, job.total, job.rate, job.unit = "computing embeddings", 250, 1000, 50.0, "images"
    job.save()
    return job


def create_member(dataset, role: str):
    user = UserFactory()
    user.memberships.create(dataset=dataset, role=role)
    return user


def test_api_answers_404_for_jobs_to_users_without_access(job):
    client = client_of(UserFactory())
    assert client.get(f"/api/v1/jobs/{job.pk}").status_code == 404
    assert client.get(f"/api/v1/jobs?dataset={job.dataset.slug}").status_code == 404
    assert client.post(f"/api/v1/jobs/{job.pk}/cancel").status_code == 404


def test_api_answers_401_without_a_login(job):
    assert Client().get(f"/api/v1/jobs/{job.pk}").status_code == 401
    assert Client().get(f"/api/v1/jobs?dataset={job.dataset.slug}").status_code == 401


def test_job_without_a_dataset_is_visible_to_platform_admins_only():
    job = JobFactory(dataset=None)
    assert client_of(UserFactory()).get(f"/api/v1/jobs/{job.pk}").status_code == 404
    assert client_of(UserFactory(is_superuser=True)).get(f"/api/v1/jobs/{job.pk}").status_code == 200


def test_api_answers_404_for_an_unknown_job():
    assert client_of(UserFactory(is_superuser=True)).get(f"/api/v1/jobs/{uuid.uuid4()}").status_code == 404


def test_viewer_sees_the_progress_but_may_not_cancel_the_job(job):
    client = client_of(create_member(job.dataset, "viewer"))
    body = client.get(f"/api/v1/jobs/{job.pk}").json()
    assert body["percent"] == 25
    assert body["eta_seconds"] == 15
    assert body["kind_label"] == "Compute embeddings"
    assert body["state"] == "running" and body["active"] is True
    assert "250 of 1,000 images" in body["detail"]
    assert "about 15 seconds left" in body["detail"]
    assert body["can_cancel"] is False
    refused = client.post(f"/api/v1/jobs/{job.pk}/cancel")
    assert refused.status_code == 403
    assert refused.json()["detail"]
    job.refresh_from_db()
    assert not job.cancel_requested


def test_admin_cancels_a_job(job):
    client = client_of(create_member(job.dataset, "admin"))
    assert client.get(f"/api/v1/jobs/{job.pk}").json()["can_cancel"] is True
    body = client.post(f"/api/v1/jobs/{job.pk}/cancel").json()
    assert body["state_label"] == "stopping" and body["can_cancel"] is False
    job.refresh_from_db()
    assert job.cancel_requested


def test_the_api_checks_the_csrf_token(job):
    client = client_of(create_member(job.dataset, "admin"), enforce_csrf_checks=True)
    assert client.post(f"/api/v1/jobs/{job.pk}/cancel").status_code == 403
    job.refresh_from_db()
    assert not job.cancel_requested


def test_cancelling_on_the_page_needs_an_admin_of_the_dataset(job):
    url = f"/d/{job.dataset.slug}/jobs/{job.pk}/cancel/"
    assert client_of(create_member(job.dataset, "reviewer")).post(url).status_code == 403
    admin = create_member(job.dataset, "admin")
    other = DatasetFactory(admin=admin)
    assert client_of(admin).post(f"/d/{other.slug}/jobs/{job.pk}/cancel/").status_code == 404
    assert client_of(admin).get(url).status_code == 405
    job.refresh_from_db()
    assert not job.cancel_requested
    assert client_of(admin).post(url).status_code == 302
    job.refresh_from_db()
    assert job.cancel_requested


def test_list_contains_active_and_recent_jobs_of_the_dataset_only(job):
    dataset = job.dataset
    queued = JobFactory(dataset=dataset, kind=Kind.PREDICT)
    ended = JobFactory(dataset=dataset, state=State.SUCCEEDED, finished_at=timezone.now())
    JobFactory(
        dataset=dataset, state=State.SUCCEEDED, finished_at=timezone.now() - timezone.timedelta(hours=1)
    )
    JobFactory()
    body = client_of(create_member(dataset, "viewer")).get(f"/api/v1/jobs?dataset={dataset.slug}").json()
    assert {row["id"] for row in body} == {str(j.pk) for j in (job, queued, ended)}
    assert body[0]["id"] == str(job.pk), "the running job is first"


def test_running_job_shows_at_most_99_percent(job):
    job.done = job.total
    job.save()
    assert (
        client_of(create_member(job.dataset, "viewer")).get(f"/api/v1/jobs/{job.pk}").json()["percent"] == 99
    )


def test_job_is_described_in_the_language_of_the_request(job):
    client = Client(headers={"accept-language": "ja"})
    client.force_login(create_member(job.dataset, "viewer"))
    body = client.get(f"/api/v1/jobs/{job.pk}").json()
    assert body["kind_label"] == "埋め込みの計算"
    assert "残り約15秒" in body["detail"]
