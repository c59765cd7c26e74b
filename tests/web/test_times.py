""" "Times, dates and the mark "optional" are shown in the same way on every page."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse
from django.utils import timezone, translation

from mekiki.learning.forms import ScheduleForm
from mekiki.web.templatetags.shell import is_optional
from mekiki.web.templatetags.times import ago, moment
from tests.factories import DatasetFactory, UserFactory
from tests.pages import without_gaps

AT = datetime(2026, 11, 29, 16, 30, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "style", "text", "label"),
    [
        ("Asia/Tokyo", "", "2026-11-30 01:30", "JST"),
        ("Asia/Tokyo", "seconds", "2026-11-30 01:30:05", "JST"),
        ("Asia/Tokyo", "date", "2026-11-30", "JST"),
        ("Europe/Berlin", "zone", "2026-11-29 17:30 CET", "CET"),
        ("America/Sao_Paulo", "zone", "2026-11-29 13:30 UTC-03:00", "UTC-03:00"),
        ("Asia/Kathmandu", "zone", "2026-11-29 22:15 UTC+05:45", "UTC+05:45"),
    ],
)
def test_time_is_shown_in_the_active_zone(zone: str, style: str, text: str, label: str) -> None:
    with timezone.override(ZoneInfo(zone)):
        for language in ("en", "ja"):
            with translation.override(language):
                html = moment(AT, style)
                assert f">{text}</time>" in html
                assert f":05 {label} · " in html.split('title="')[1]
    assert moment(None) == ""


def test_relative_time_is_in_the_active_language() -> None:
    now = timezone.now()
    with translation.override("en"):
        assert ago(now) == "just now"
        assert ago(now - timedelta(minutes=3)).replace("\xa0", " ") == "3 minutes ago"
        assert ago(now + timedelta(hours=2, seconds=5)).replace("\xa0", " ") == "in 2 hours"
    with translation.override("ja"):
        assert "前" in ago(now - timedelta(days=2)) and "ago" not in ago(now - timedelta(days=2))


def test_no_template_formats_a_time_by_itself() -> None:
    wrong = []
    for path in sorted(Path(settings.TEMPLATES_DIR).rglob("*.html")):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if (
                re.search(r"\|(date|time|timesince|timeuntil|naturaltime)\b(?!:\"l\")", line)
                or "{% now" in line
            ):
                wrong.append(f"{path.name}:{number}: {line.strip()[:80]}")
    assert not wrong, "use {{ …|moment }} of {% load times %}"


@pytest.mark.django_db
def test_field_required_by_another_choice_is_not_marked_optional() -> None:
    form = ScheduleForm()
    assert [field.name for field in form if is_optional(field)] == []
    user = UserFactory(may_create_datasets=True)
    client = Client(headers={"accept-language": "en"})
    client.force_login(user)
    page = without_gaps(client.get(reverse("dataset-create")).content.decode())
    optional_labels = re.findall(r"<label[^>]*>([^<]+)<span class=\"field__optional\">", page)
    assert optional_labels == ["Description", "Address"]
    dataset = DatasetFactory(admin=user)
    assert "field__optional" not in client.get(reverse("models", args=[dataset.slug])).content.decode()
