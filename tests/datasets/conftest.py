"""Fixtures for the tests of datasets: a dataset with its users, and an upload that is imported."""

# Models are imported inside the functions: this file is loaded before the root conftest sets Django up.
from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from mekiki.accounts.models import User
    from mekiki.datasets.models import Dataset, ImportBatch

Files = dict[str, bytes]


@pytest.fixture
def admin(db: None) -> User:
    from mekiki.accounts.models import User

    return User.objects.create_user("ada", may_create_datasets=True)


@pytest.fixture
def dataset(admin: User) -> Dataset:
    from mekiki.datasets import services

    # Without an audit reserve no image hides its name.
    return services.create_dataset(name="Scratches", user=admin, audit_fraction=0.0)


@pytest.fixture
def reviewer(dataset: Dataset, admin: User) -> User:
    from mekiki.accounts.models import Role, User
    from mekiki.accounts.services import set_role

    user = User.objects.create_user("rin")
    set_role(dataset=dataset, user=user, role=Role.REVIEWER, actor=admin)
    return user


@pytest.fixture
def stranger(db: None) -> User:
    from mekiki.accounts.models import User

    return User.objects.create_user("sam")


@pytest.fixture
def upload(dataset: Dataset, admin: User) -> Callable[[Files], ImportBatch]:
    """Return a function that uploads files and runs the import."""
    from mekiki.datasets import services

    def run(files: Files, into: Dataset = dataset) -> ImportBatch:
        batch = services.start_upload(dataset=into, user=admin)
        for name, data in files.items():
            services.add_file(batch=batch, user=admin, name=name, file=io.BytesIO(data))
        services.finish_upload(batch=batch, user=admin)
        return services.run_import(batch=batch, progress=lambda done, total: None)

    return run
