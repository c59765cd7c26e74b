"""Fixtures of accounts: a mail server in the settings, and the OpenID provider that tests of single sign-on share."""

from collections.abc import Iterator

import pytest
from django.test import override_settings

from tests.oidc import Provider, running_provider


@pytest.fixture
def with_mail() -> Iterator[None]:
    """A platform that can send mail."""
    with override_settings(EMAIL_HOST="mail.example", PUBLIC_URL="https://mekiki.example"):
        yield


@pytest.fixture(scope="session")
def shared_provider() -> Iterator[Provider]:
    with running_provider() as provider:
        yield provider


@pytest.fixture
def idp(shared_provider: Provider) -> Iterator[Provider]:
    """The provider, honest again after each test."""
    shared_provider.asked.clear()
    yield shared_provider
    shared_provider.tamper = None
