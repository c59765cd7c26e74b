"""Creating datasets, changing settings, archiving."""

import pytest
from django.core.exceptions import PermissionDenied, ValidationError

from mekiki.accounts.access import role_in
from mekiki.accounts.models import Role, User
from mekiki.audit.models import Event
from mekiki.datasets import services
from mekiki.datasets.access import dataset_for
from mekiki.datasets.models import AuditShareChange, Dataset
from mekiki.jobs.models import Job, Kind, State
from mekiki.jobs.services import enqueue


def test_creator_becomes_admin(admin: User) -> None:
    dataset = services.create_dataset(name="  Line 3, brackets ", user=admin, audit_fraction=0.2)
    assert (dataset.slug, dataset.name, dataset.audit_fraction) == (
        "line-3-brackets",
        "Line 3, brackets",
        0.2,
    )
    assert role_in(admin, dataset) == Role.ADMIN
    assert Event.objects.get(kind="dataset.created").actor_id == admin.pk


def test_addresses_are_unique_and_never_empty(admin: User) -> None:
    slugs = [
        services.create_dataset(name=n, user=admin).slug
        for n in ("Parts", "parts", "傷検査", "傷検査", "new")
    ]
    assert slugs[:2] == ["parts", "parts-2"]
    assert slugs[2] == "kizu-kensa" and slugs[3] == "kizu-kensa-2"
    assert slugs[4] == "new-dataset"
    with pytest.raises(ValidationError):
        services.create_dataset(name="X", slug="parts", user=admin)
    with pytest.raises(ValidationError):
        services.create_dataset(name="X", slug="api", user=admin)
    with pytest.raises(ValidationError):
        services.create_dataset(name="X", slug="not a slug", user=admin)


@pytest.mark.parametrize(
    "bad",
    [{"name": ""}, {"name": "x" * 121}, {"audit_fraction": 0.95}, {"overlap": 0}, {"acquisition": "x"}],
)
def test_values_out_of_range_are_refused(admin: User, bad: dict) -> None:
    with pytest.raises(ValidationError):
        services.create_dataset(**({"name": "X", "user": admin} | bad))
    assert not Dataset.objects.exists() and not Event.objects.exists()


def test_creation_without_the_right_is_refused(stranger: User) -> None:
    with pytest.raises(PermissionDenied):
        services.create_dataset(name="X", user=stranger)


def test_changes_of_settings_are_recorded(dataset: Dataset, admin: User) -> None:
    services.update_settings(dataset=dataset, user=admin, queue_target=40, name=dataset.name)
    event = Event.objects.get(kind="dataset.settings_changed")
    assert event.data == {"before": {"queue_target": 100}, "after": {"queue_target": 40}}
    services.update_settings(dataset=dataset, user=admin, queue_target=40)
    assert Event.objects.filter(kind="dataset.settings_changed").count() == 1
    assert not AuditShareChange.objects.exists()
    services.update_settings(dataset=dataset, user=admin, audit_fraction=0.3, queue_target=40)
    change = AuditShareChange.objects.get()
    assert (change.dataset, change.before, change.after) == (dataset, 0.0, 0.3)
    with pytest.raises(ValidationError):
        services.update_settings(dataset=dataset, user=admin, audit_fraction=1.5)
    with pytest.raises(TypeError):
        services.update_settings(dataset=dataset, user=admin, seed="mine")


def test_archiving_hides_the_dataset_and_cancels_its_jobs(dataset: Dataset, admin: User) -> None:
    from django.http import Http404

    job = enqueue(kind=Kind.ENCODE, dataset=dataset, user=admin)
    services.archive_dataset(dataset=dataset, user=admin)
    with pytest.raises(Http404):
        dataset_for(admin, dataset.slug)
    assert Job.objects.get(pk=job.pk).state == State.CANCELLED
    assert Dataset.objects.filter(pk=dataset.pk).exists()
