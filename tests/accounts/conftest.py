"""Fixtures for the tests of accounts: a mail server in the settings and a shared OpenID provider."""

from collections.abc import Iterator

import pytest
from django.test import override_settings

from tests.oidc import Provider, running_provider


@pytest.fixture
def with_mail() -> Iterator[None]:
    """Set the platform up so that it can send mail."""
    with override_settings(EMAIL_HOST="mail.example", PUBLIC_URL="https://mekiki.example"):
        yield


@pytest.fixture(scope="session")
def shared_provider() -> Iterator[Provider]:
    with running_provider() as provider:
        yield provider


@pytest.fixture
def idp(shared_provider: Provider) -> Iterator[Provider]:
    """Return the OpenID provider, with its falsified answers removed before each test."""
    shared_provider.requested_paths.clear()
    yield shared_provider
    shared_provider.tamper = None
