"""The reason of a failed job is shown in the reader's language, whoever requested the job."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.test import Client
from django.utils import translation
from django.utils.translation import gettext_lazy

from mekiki.audit.models import Event
from mekiki.jobs.models import Job, Kind
from mekiki.jobs.services import enqueue
from mekiki.learning.models import EncoderChange
from mekiki.learning.services import request_change
from mekiki.web import events
from tests.factories import DatasetFactory, MembershipFactory, UserFactory
from workers.encoders.errors import EncoderError
from workers.errors import StageError
from workers.runner import run_job

pytestmark = pytest.mark.django_db(transaction=True)

ROOT = Path(__file__).resolve().parents[2]
JAPANESE = re.compile("[ぁ-ん]")


def fails_with(error: Exception) -> Callable[..., Any]:
    def stage(job: Job, report: Any) -> None:
        raise error

    return stage


ERRORS = [
    StageError(gettext_lazy("The head that was chosen does not exist. The head in use stays.")),
    StageError(
        gettext_lazy("%(name)s could read none of the images. Choose another encoder."), {"name": "a"}
    ),
    ValidationError(gettext_lazy("The change was stopped in the meantime. The encoder in use stays.")),
    EncoderError("There is no folder.", "no_folder", folder="/nowhere"),
    MemoryError(),
    KeyError("surprise"),
]


@pytest.mark.parametrize("requester_language", ["en", "ja"])
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_error_is_shown_in_the_language_of_the_reader(error: Exception, requester_language: str) -> None:
    dataset = DatasetFactory()
    job = enqueue(kind=Kind.REFILL, dataset=dataset, user=UserFactory(language=requester_language))
    assert run_job(str(job.pk), fails_with(error)) == "failed"
    job.refresh_from_db()
    event = Event.objects.get(kind="job.failed")
    for language, japanese in (("en", False), ("ja", True)):
        with translation.override(language):
            for text in (job.error_for_reader, events.detail(event)):
                assert text and bool(JAPANESE.search(text)) is japanese, (language, text)


def test_pages_and_api_show_the_error_in_the_readers_language() -> None:
    dataset = DatasetFactory()
    job = enqueue(kind=Kind.PREDICT, dataset=dataset, user=UserFactory(language="en"))
    run_job(str(job.pk), fails_with(MemoryError()))
    for language, text in (("en", "ran out of memory"), ("ja", "メモリ")):
        user = UserFactory(language=language)
        MembershipFactory(dataset=dataset, user=user, role="admin")
        client = Client(headers={"accept-language": language})
        client.force_login(user)
        for address in ("", "activity/", "labels/"):
            assert text in client.get(f"/d/{dataset.slug}/{address}").content.decode(), (address, language)
        assert text in client.get(f"/api/v1/jobs/{job.pk}").json()["error"]


def test_failed_change_of_encoder_is_shown_in_the_readers_language(settings: Any, tmp_path: Path) -> None:
    settings.MODEL_FOLDERS = [tmp_path]
    user = UserFactory(language="ja")
    dataset = DatasetFactory(admin=user)
    request_change(dataset=dataset, name=f"local-dir:{tmp_path}/nowhere", user=user)
    assert run_job(str(Job.objects.get(kind=Kind.CHANGE_ENCODER).pk)) == "failed"
    change = EncoderChange.objects.get()
    with translation.override("en"):
        assert "does not exist" in change.error_for_reader
    with translation.override("ja"):
        assert JAPANESE.search(change.error_for_reader)


def test_no_stage_raises_a_sentence_of_one_language() -> None:
    """StageError keeps a text that is translated when it is read. gettext would fix the language at once."""
    untranslated = [
        f"{path.relative_to(ROOT)}: {match.group(0)!r}"
        for path in (ROOT / "workers").rglob("*.py")
        for match in re.finditer(r'StageError\(\s*(?:_\(|f?"|\()', path.read_text("utf-8"))
    ]
    assert untranslated == []
