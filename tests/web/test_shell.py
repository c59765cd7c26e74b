"""The shell: reachable pages, language, theme, error pages, health."""

import pytest
from django.test import Client

pytestmark = pytest.mark.django_db


def test_health_needs_no_login():
    response = Client().get("/healthz")
    assert response.status_code == 200
    assert response.json()["status"] == "ok"


def test_health_says_when_the_database_is_gone(monkeypatch):
    from django.db import OperationalError, connection

    def gone(*args, **kwargs):
        raise OperationalError("gone")

    monkeypatch.setattr(connection, "cursor", gone)
    assert Client().get("/healthz").status_code == 503
