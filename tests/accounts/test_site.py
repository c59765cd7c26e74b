"""The time zone of the site: one source for pages and schedules."""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.core.exceptions import PermissionDenied, ValidationError
from django.test import Client
from django.urls import reverse
from django_celery_beat.models import CrontabSchedule, PeriodicTasks
from django_celery_beat.schedulers import DatabaseScheduler
from django_celery_beat.tzcrontab import TzAwareCrontab

from mekiki.accounts import site
from mekiki.accounts.models import SiteSettings
from mekiki.audit.models import Event
from mekiki.config import env
from mekiki.learning.beat import SiteScheduler
from mekiki.learning.cron import next_runs
from mekiki.learning.services import set_schedule
from tests.factories import PASSWORD, DatasetFactory, UserFactory

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _quick_passwords(settings) -> None:
    settings.PASSWORD_HASHERS = [
        "django.contrib.auth.hashers.MD5PasswordHasher",
        "django.contrib.auth.hashers.PBKDF2PasswordHasher",
    ]


def client_of(user, language: str = "en") -> Client:
    client = Client(headers={"accept-language": language})
    client.force_login(user)
    return client


@pytest.mark.django_db
def test_change_of_the_zone_updates_schedules_and_pages() -> None:
    admin = UserFactory(is_superuser=True)
    dataset = DatasetFactory(admin=admin)
    site.set_time_zone(name="Asia/Tokyo", user=admin)
    set_schedule(dataset=dataset, cron="0 3 * * *", user=admin)
    assert CrontabSchedule.objects.get(hour="3", minute="0").timezone.key == "Asia/Tokyo"
    before = PeriodicTasks.last_change()
    client = client_of(admin)
    assert client.post(reverse("site-settings"), {"time_zone": "Europe/Berlin"}).status_code == 302
    assert {str(row.timezone) for row in CrontabSchedule.objects.all()} == {"Europe/Berlin"}
    assert before is None or PeriodicTasks.last_change() > before, "beat reads the schedules again"
    page = client.get(reverse("models", args=[dataset.slug])).content.decode()
    assert "Europe/Berlin" in page and "Tokyo" not in page
    events = Event.objects.filter(kind="site.time_zone_set").order_by("id")
    assert [(e.data["from"], e.data["to"]) for e in events] == [
        ("UTC", "Asia/Tokyo"),
        ("Asia/Tokyo", "Europe/Berlin"),
    ]


@pytest.mark.django_db
def test_times_on_pages_are_in_the_site_zone_and_name_it() -> None:
    admin = UserFactory(is_superuser=True, last_login=datetime(2026, 11, 29, 16, 30, tzinfo=UTC))
    site.set_time_zone(name="Asia/Tokyo", user=admin)
    client = Client(headers={"accept-language": "en"})
    client.force_login(UserFactory(is_superuser=True))
    page = client.get(reverse("user", args=[admin.pk])).content.decode()
    assert ">2026-11-30 01:30</time>" in page
    assert 'datetime="2026-11-30T01:30:00+09:00"' in page and "2026-11-30 01:30:00 JST" in page


@pytest.mark.django_db
def test_only_admins_of_the_platform_change_the_zone() -> None:
    member = UserFactory()
    DatasetFactory(admin=member)
    assert client_of(member).post(reverse("site-settings"), {"time_zone": "Asia/Tokyo"}).status_code == 403
    assert client_of(member).get(reverse("site-settings")).status_code == 403
    assert Client().get(reverse("site-settings")).status_code == 302
    with pytest.raises(PermissionDenied):
        site.set_time_zone(name="Asia/Tokyo", user=member)
    assert not SiteSettings.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize(
    "name", ["JST", "", "Asia/Tokio", "../../etc/passwd", "a\0b", "x" * 9999, "Asia/Tokyo\n"]
)
def test_unknown_time_zone_is_refused(name: str) -> None:
    admin = UserFactory(is_superuser=True)
    assert client_of(admin).post(reverse("site-settings"), {"time_zone": name}).status_code == 422
    with pytest.raises(ValidationError):
        site.set_time_zone(name=name, user=admin)
    assert not site.take_zone_of_browser(name=name, user=admin)
    assert site.zone_name() == "UTC"


def log_in(user, zone: str) -> Client:
    client = Client(headers={"accept-language": "en"})
    answer = client.post(
        reverse("login"), {"username": user.username, "password": PASSWORD, "browser_zone": zone}
    )
    assert answer.status_code == 302
    return client


@pytest.mark.django_db
def test_first_login_of_an_admin_sets_the_zone_of_the_browser() -> None:
    log_in(UserFactory(), "America/Lima")
    assert site.zone_name() == "UTC", "only an admin of the platform decides"
    admin = UserFactory(is_superuser=True)
    client = log_in(admin, "Asia/Tokyo")
    assert site.zone_name() == "Asia/Tokyo"
    assert "Asia/Tokyo" in client.get("/").content.decode()
    log_in(admin, "Europe/Berlin")
    assert site.zone_name() == "Asia/Tokyo", "only the first time"
    assert Event.objects.get(kind="site.time_zone_set").data["source"] == "browser"


@pytest.mark.django_db
@pytest.mark.parametrize("zone", ["Z" * 65, "a\0b", "<script>", "\n", "../../etc/passwd"])
def test_invalid_zone_of_a_browser_does_not_prevent_the_login(zone: str) -> None:
    log_in(UserFactory(is_superuser=True), zone)
    assert site.zone_name() == "UTC"


@pytest.mark.django_db
def test_zone_of_the_variable_is_used_and_shown_as_fixed(settings) -> None:
    admin = UserFactory(is_superuser=True)
    site.set_time_zone(name="Asia/Tokyo", user=admin)
    settings.FIXED_TIME_ZONE = "Europe/Berlin"
    assert site.zone_name() == "Europe/Berlin"
    page = client_of(admin).get(reverse("site-settings")).content.decode()
    assert "MEKIKI_TIME_ZONE" in page and "Europe/Berlin" in page and "disabled" in page
    with pytest.raises(ValidationError, match="MEKIKI_TIME_ZONE"):
        site.set_time_zone(name="Asia/Tokyo", user=admin)


@pytest.mark.django_db
def test_beat_moves_schedules_to_the_current_zone(settings, monkeypatch: pytest.MonkeyPatch) -> None:
    user = UserFactory()
    dataset = DatasetFactory(admin=user)
    set_schedule(dataset=dataset, cron="0 3 * * *", user=user)
    settings.FIXED_TIME_ZONE = "Europe/Berlin"
    # Beat reads the database itself, which would close the connection of the test.
    monkeypatch.setattr(DatabaseScheduler, "setup_schedule", lambda self: None)
    SiteScheduler.setup_schedule(object.__new__(SiteScheduler))
    assert {str(row.timezone) for row in CrontabSchedule.objects.all()} == {"Europe/Berlin"}


BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("cron", "after", "expected"),
    [
        # On 29 March 2026, 02:00 to 03:00 does not exist. On 25 October 2026, 02:00 to 03:00 occurs twice.
        ("30 2 * * *", "2026-03-28T00:00Z", ["2026-03-28T01:30Z", "2026-03-29T01:30Z", "2026-03-30T00:30Z"]),
        ("30 2 * * *", "2026-10-24T00:00Z", ["2026-10-24T00:30Z", "2026-10-25T00:30Z", "2026-10-26T01:30Z"]),
        ("0 3 * * *", "2026-03-28T12:00Z", ["2026-03-29T01:00Z", "2026-03-30T01:00Z", "2026-03-31T01:00Z"]),
        ("0 6 * * 1", "2026-10-19T12:00Z", ["2026-10-26T05:00Z", "2026-11-02T05:00Z", "2026-11-09T05:00Z"]),
        ("0 0 1 1 *", "2026-10-19T12:00Z", ["2026-12-31T23:00Z", "2027-12-31T23:00Z", "2028-12-31T23:00Z"]),
    ],
)
def test_the_next_runs_are_those_of_beat_with_daylight_saving(
    cron: str, after: str, expected: list[str]
) -> None:
    def parse_time(text: str) -> datetime:
        return datetime.fromisoformat(text.replace("Z", ":00+00:00"))

    runs = next_runs(cron, "Europe/Berlin", after=parse_time(after))
    assert [run.astimezone(UTC) for run in runs] == [parse_time(text) for text in expected]
    minute, hour, day, month, weekday = cron.split()
    last = parse_time(after).astimezone(BERLIN)
    for run in runs:
        for now, due in ((run.astimezone(UTC) - timedelta(seconds=1), False), (run, True)):
            beat = TzAwareCrontab(minute, hour, weekday, day, month, tz=BERLIN)
            beat.nowfun = lambda now=now: now.astimezone(BERLIN)
            assert beat.is_due(last).is_due is due, (run, now)
        last = run


@pytest.mark.django_db
def test_the_schedule_form_shows_the_next_three_runs() -> None:
    admin = UserFactory(is_superuser=True)
    dataset = DatasetFactory(admin=admin)
    site.set_time_zone(name="Asia/Tokyo", user=admin)
    client = client_of(admin)
    address = reverse("models", args=[dataset.slug])
    assert "Next runs" not in client.get(address).content.decode()
    set_schedule(dataset=dataset, cron="0 3 * * *", user=admin)
    page = client.get(address).content.decode().split("Next runs")[1].split("</section>")[0]
    assert page.count("03:00 JST</time>") == 3
    preview = reverse("schedule-preview", args=[dataset.slug])
    html = client.get(preview, {"mode": "advanced", "cron": "15 4 * * *"}).content.decode()
    assert html.count("04:15 JST</time>") == 3
    for cron in ("61 * * * *", "x" * 3000, "a\0", "* * * * *\n* * * * *"):
        assert client.get(preview, {"mode": "advanced", "cron": cron}).status_code == 200
    assert client_of(UserFactory()).get(preview, {"mode": "off"}).status_code == 404


@pytest.mark.django_db
def test_errors_of_a_schedule_are_in_the_language_of_the_reader() -> None:
    admin = UserFactory(language="ja")
    dataset = DatasetFactory(admin=admin)
    client = client_of(admin, "ja")
    for cron in ("61 * * * *", "a b c d e", "0 0 31 2 *", "* * *"):
        answer = client.post(
            reverse("schedule", args=[dataset.slug]), {"retrain_every": 0, "mode": "advanced", "cron": cron}
        )
        assert answer.status_code == 422
        message = " ".join(answer.context["form"].errors["cron"]).replace(cron, "")
        assert "30 6 * * 1-5" in message
        assert not any(word in message for word in ("is not", "Invalid", "Unknown", "Example")), message


HOSTILE = [
    "\x00",
    "a\nb",
    "\x1b[31m",
    "-1",
    "99999999999999999999",
    "9" * 5000,
    "two words",
    "x" * 100_000,
    "é\udcff",
]
FREE = {
    "MEKIKI_SECRET_KEY",
    "MEKIKI_ADMIN_PASSWORD",
    "MEKIKI_HOME",
    "MEKIKI_MODEL_FOLDERS",
    "MEKIKI_SIGNING_KEY_FILE",
    "MEKIKI_SIGNING_PASSPHRASE",
    "MEKIKI_OIDC_CLIENT_SECRET_FILE",
    "MEKIKI_OIDC_GROUPS",
    "MEKIKI_OIDC_NAME",
    "MEKIKI_IMPORT_FOLDERS",
    "MEKIKI_S3_KEY_ID",
    "MEKIKI_S3_REGION",
    "MEKIKI_S3_SECRET_KEY",
}


@pytest.mark.parametrize("name", sorted(env.VARIABLES))
def test_every_variable_refuses_invalid_values_in_one_line(name: str) -> None:
    assert env.validation_message(name, "") is None and env.validation_message(name, "   ") is None
    assert env.validation_message(name, env.VARIABLES[name].default) is None
    for value in HOSTILE:
        line = env.validation_message(name, value)
        if line is None:
            assert name in FREE or value in {"-1", "99999999999999999999", "9" * 5000}, (name, value[:20])
            continue
        assert (
            line.startswith(f"{name} must be ")
            and "\n" not in line
            and len(line) < 300
            and line.isprintable()
        )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MEKIKI_TIME_ZONE", "JST"), ("MEKIKI_PORT", "eighty"), ("MEKIKI_PORT", "-1"),
        ("MEKIKI_LANGUAGE", "fr"),
        ("MEKIKI_LOG_LEVEL", "loud"), ("MEKIKI_LEASE_SECONDS", "0"), ("MEKIKI_MAX_PIXELS", "1e8"),
        ("MEKIKI_DEVICE", "gpu"), ("MEKIKI_HTTPS", "maybe"), ("DATABASE_URL", "mysql://x"),
        ("MEKIKI_HOST", "a b"),
        ("BROKER_URL", "amqp://x"), ("DATABASE_URL", "postgresql://h:99999999/x"),
        ("MEKIKI_ENCODER_SOURCES", "web"),
        ("MEKIKI_OIDC_ISSUER", "http://login.example.com"), ("MEKIKI_OIDC_ISSUER", "login.example.com"),
        ("MEKIKI_OIDC_ISSUER", "https://a:b@login.example.com"), ("MEKIKI_OIDC_ISSUER", "https://x/?y"),
        ("MEKIKI_OIDC_ISSUER", "https://x/.well-known/openid-configuration"), ("MEKIKI_OIDC_NAME", "x" * 41),
        ("MEKIKI_OIDC_NEW_ACCOUNTS", "perhaps"), ("MEKIKI_OIDC_GROUPS_CLAIM", "two words"),
    ],
)  # fmt: skip
def test_known_mistakes_name_the_variable(name: str, value: str) -> None:
    line = env.validation_message(name, value)
    assert line is not None and line.startswith(f"{name} must be ")


@pytest.mark.parametrize(
    ("name", "value", "is_shown"),
    [
        ("MEKIKI_PUBLIC_URL", "mekiki.example.com", True),
        ("MEKIKI_TRUSTED_ORIGINS", "mekiki.example.com", True),
        ("MEKIKI_OIDC_ISSUER", "mekiki.example.com", True),
        ("DATABASE_URL", "mysql://mekiki.example.com", False),
        ("DATABASE_OWNER_URL", "mysql://mekiki.example.com", False),
        ("BROKER_URL", "amqp://mekiki.example.com", False),
        ("MEKIKI_MAIL_URL", "imap://mekiki.example.com", False),
    ],
)
def test_a_message_repeats_a_value_unless_it_may_hold_a_password(
    name: str, value: str, is_shown: bool
) -> None:
    line = env.validation_message(name, value)
    assert line is not None and ("mekiki.example.com'" in line) == is_shown


@pytest.mark.parametrize(
    "value", ["https://login.example.com", "https://x.example/realms/a/", "http://localhost:9000"]
)
def test_issuer_with_https_or_on_localhost_is_accepted(value: str) -> None:
    assert env.validation_message("MEKIKI_OIDC_ISSUER", value) is None


def test_incomplete_settings_of_single_sign_on_are_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    env.require_valid()
    monkeypatch.setenv("MEKIKI_OIDC_ISSUER", "https://login.example.com")
    monkeypatch.setenv("MEKIKI_OIDC_CLIENT_ID", "mekiki")
    with pytest.raises(SystemExit):
        env.require_valid()
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["MEKIKI_OIDC_CLIENT_SECRET_FILE must be set, because MEKIKI_OIDC_ISSUER is."]
    monkeypatch.setenv("MEKIKI_OIDC_CLIENT_SECRET_FILE", "/run/secrets/oidc")
    env.require_valid()


@pytest.mark.parametrize(
    "command",
    [
        ["manage.py", "up", "--port", "0"],
        ["manage.py", "check"],
        ["-m", "celery", "--app", "workers.tasks", "worker", "--pool=solo"],
        ["-m", "celery", "--app", "mekiki.config.celery", "beat"],
    ],
)
def test_a_bad_value_ends_every_command_with_one_line_and_status_2(
    command: list[str], tmp_path: Path
) -> None:
    environment = {
        **os.environ,
        "PYTHONPATH": f"{ROOT / 'platform'}{os.pathsep}{ROOT}",
        "MEKIKI_TIME_ZONE": "JST",
    }
    environment["MEKIKI_HOME"] = str(tmp_path / "home")
    process = subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
    )
    assert process.returncode == 2, process.stderr
    assert process.stderr.strip().splitlines() == [
        "MEKIKI_TIME_ZONE must be a name such as Asia/Tokyo, Europe/Berlin or UTC, not 'JST'."
    ]
    assert "Traceback" not in process.stdout and not (tmp_path / "home").exists()
