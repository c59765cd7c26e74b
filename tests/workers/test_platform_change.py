"""A change that the platform begins by itself, because weights behind a name were replaced, ends well or rests."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError

from mekiki.datasets.models import Dataset
from mekiki.jobs.models import Job, Kind, State
from mekiki.jobs.services import claim
from mekiki.learning.models import Champion, EncoderChange
from tests.workers.conftest import make_model
from workers.errors import StageError
from workers.runner import Report
from workers.stages import change_encoder
from workers.steps import encoders

pytestmark = pytest.mark.django_db
Work = Callable[..., dict[str, Any]]
S = EncoderChange.State


@pytest.fixture
def replaced(coloured: Dataset, work: Work, tmp_path: Path, settings: Any) -> EncoderChange:
    """The change that follows weights replaced behind the name of the encoder in use."""
    settings.MODEL_FOLDERS = [tmp_path]
    folder = tmp_path / "mine"
    Dataset.objects.update(encoder_name=make_model(folder, seed=5))
    coloured.refresh_from_db()
    work(coloured, "encode")
    work(coloured, "predict")
    shutil.rmtree(folder)
    make_model(folder, seed=6)
    encoders._loaded.cache_clear()
    assert work(coloured, "predict")["code"] == "encoding_first"
    Job.objects.filter(kind=Kind.PREDICT).delete()
    return EncoderChange.objects.get()


def go_on(change: EncoderChange) -> None:
    """As a worker does its job, and again after it was killed."""
    Job.objects.filter(pk=change.job_id).update(state=State.QUEUED)
    job = claim(str(change.job_id))
    assert job is not None
    change_encoder.run(job, Report(job))


def test_one_that_fails_is_not_begun_again_at_once(
    replaced: EncoderChange, coloured: Dataset, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_arguments: Any) -> Any:
        raise StageError("the disk is full")

    monkeypatch.setattr(change_encoder, "_compared", fails)
    with pytest.raises(StageError):
        go_on(replaced)
    replaced.refresh_from_db()
    assert replaced.state == S.FAILED
    assert not Job.objects.filter(kind=Kind.PREDICT, state=State.QUEUED).exists(), (
        "it would begin the change again"
    )
    assert work(coloured, "predict")["code"] == "encoding_first"
    assert EncoderChange.objects.count() == 1


def test_one_killed_between_ready_and_the_switch_goes_on(
    replaced: EncoderChange, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = change_encoder.switch_of_the_platform

    def lost(**_arguments: Any) -> None:
        raise OperationalError("the connection is lost")

    monkeypatch.setattr(change_encoder, "switch_of_the_platform", lost)
    with pytest.raises(OperationalError):
        go_on(replaced)
    replaced.refresh_from_db()
    assert replaced.state == S.READY
    monkeypatch.setattr(change_encoder, "switch_of_the_platform", real)
    go_on(replaced)
    replaced.refresh_from_db()
    assert replaced.state == S.SWITCHED
    assert Champion.objects.get().head.encoder == replaced.to_encoder
