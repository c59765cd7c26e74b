"""The OpenID provider that tests of single sign-on share."""

from collections.abc import Iterator

import pytest

from tests.oidc import Provider, running_provider


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
