"""Every service refuses a user of too low a role, and changes no row."""

from collections.abc import Callable
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.test.utils import CaptureQueriesContext

from mekiki.accounts import access
from mekiki.accounts import services as accounts
from mekiki.accounts.models import Role
from mekiki.accounts.second_factor import services as second_factor
from mekiki.accounts.sign_on import services as sign_on
from mekiki.datasets.access import dataset_for
from mekiki.jobs import services as jobs
from tests.accounts.service_cases import CASES, ServiceArguments
from tests.architecture.test_service_permissions import (
    EXCEPTIONS,
    MEKIKI,
    checked_services,
    service_modules,
)
from tests.factories import DatasetFactory, JobFactory, MembershipFactory, UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def world() -> ServiceArguments:
    return ServiceArguments()


def test_every_service_that_checks_is_in_the_list() -> None:
    names = {
        f"{path.relative_to(MEKIKI)}:{name}"
        for path in service_modules()
        for name in checked_services(path.read_text(), EXCEPTIONS.get(str(path.relative_to(MEKIKI))))
    }
    assert names == set(CASES)


def all_rows() -> dict[str, list[dict[str, Any]]]:
    """Return the rows of all tables of the platform."""
    models = [model for model in apps.get_models() if model.__module__.startswith("mekiki.")]
    rows = {model._meta.label: list(model.objects.order_by("pk").values()) for model in models}
    assert rows["datasets.Dataset"] and rows["review.QueueItem"]
    return rows


def count_writes() -> int:
    """Return how many rows the test's transaction has inserted, changed or deleted in all tables."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) FROM pg_stat_xact_all_tables")
        return int(cursor.fetchone()[0])


def assert_refused(*calls: tuple[Callable[..., Any], Any, dict[str, Any]]) -> None:
    """Call each (service, user, arguments). The rows before the first call must be there after each.

    The rows are compared only after a call that wrote some, which it may have rolled back.
    """
    before, writes = all_rows(), count_writes()
    for service, user, arguments in calls:
        name_of_actor = "actor" if service in USERS_ARE_CHANGED else "user"
        with pytest.raises(PermissionDenied):
            service(**arguments, **{name_of_actor: user})
            pytest.fail(f"{service.__name__} did not refuse")
        if count_writes() != writes:
            assert all_rows() == before, service.__name__
            writes = count_writes()


# Services that change another user. Their `user` is the changed account, and `actor` acts.
USERS_ARE_CHANGED = {
    accounts.create_user,
    accounts.change_password,
    accounts.reset_password,
    accounts.set_admin,
    accounts.set_active,
    accounts.set_may_create_datasets,
    accounts.set_role,
    accounts.set_adjudicator,
    accounts.set_daily_goal,
    accounts.remove_member,
    accounts.set_email,
    accounts.end_user_sessions_as_admin,
    second_factor.reset,
    sign_on.unlink_all,
}


def test_every_write_is_counted() -> None:
    counts = [count_writes()]
    member = MembershipFactory()
    counts.append(count_writes())
    member.save()
    counts.append(count_writes())
    member.delete()
    counts.append(count_writes())
    assert counts == sorted(set(counts))


def test_services_refuse_users_of_too_low_a_role(world: ServiceArguments) -> None:
    cases = CASES.values()
    assert_refused(*((service, getattr(world, role), arguments(world)) for service, role, arguments in cases))


def test_services_refuse_deactivated_users(world: ServiceArguments) -> None:
    world.root.is_active = False
    world.root.save()
    assert_refused(*((service, world.root, arguments(world)) for service, _role, arguments in CASES.values()))


def test_strangers_and_deactivated_users_have_no_role() -> None:
    dataset = DatasetFactory()
    for user in (AnonymousUser(), UserFactory(), UserFactory(is_superuser=True, is_active=False)):
        with pytest.raises(PermissionDenied):
            access.require_role(user, dataset, Role.VIEWER)
        with pytest.raises(PermissionDenied):
            access.require_platform_admin(user)


def test_first_admin_of_a_dataset_is_made_only_once(world: ServiceArguments) -> None:
    world.stranger.may_create_datasets = True
    assert_refused((accounts.make_first_admin, world.stranger, {"dataset": world.dataset}))


def test_a_job_of_the_platform_is_for_admins_of_the_platform(world: ServiceArguments) -> None:
    job = JobFactory(dataset=None)
    assert_refused((jobs.cancel, world.admin, {"job": job}))
    jobs.cancel(job=job, user=world.root)
    assert_refused((jobs.retry, world.admin, {"job": type(job).objects.get(pk=job.pk)}))


def test_known_role_needs_no_query_and_belongs_to_one_user(world: ServiceArguments) -> None:
    dataset = dataset_for(world.admin, world.dataset.slug)
    with CaptureQueriesContext(connection) as queries:
        access.require_role(world.admin, dataset, Role.ADMIN)
    assert not queries.captured_queries
    with pytest.raises(PermissionDenied):
        access.require_role(world.viewer, dataset, Role.REVIEWER)
    access.require_role(world.reviewer, dataset, Role.REVIEWER)
