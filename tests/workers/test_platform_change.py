"""A change that the platform starts, because weights behind a name were replaced, succeeds or pauses."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError

from mekiki.datasets.models import Dataset
from mekiki.jobs.models import Job, Kind, State
from mekiki.jobs.services import claim
from mekiki.learning.models import Champion, Embedding, EncoderChange, Prediction
from tests.workers.conftest import add_image, make_model, picture
from workers.encoders import onnx_tower
from workers.errors import StageError
from workers.runner import Report
from workers.stages import change_encoder
from workers.steps import encoders

pytestmark = pytest.mark.django_db
Work = Callable[..., dict[str, Any]]
S = EncoderChange.State


@pytest.fixture
def platform_change(coloured: Dataset, work: Work, tmp_path: Path, settings: Any) -> EncoderChange:
    """Create the change that follows replaced weights behind the name of the encoder in use."""
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


def run_change(change: EncoderChange) -> None:
    """Run the job as a worker does, and again after a kill."""
    Job.objects.filter(pk=change.job_id).update(state=State.QUEUED)
    job = claim(str(change.job_id))
    assert job is not None
    change_encoder.run(job, Report(job))


def test_failed_change_is_not_started_again_at_once(
    platform_change: EncoderChange, coloured: Dataset, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: Any) -> Any:
        raise StageError("the disk is full")

    monkeypatch.setattr(change_encoder, "_compared", fail)
    with pytest.raises(StageError):
        run_change(platform_change)
    platform_change.refresh_from_db()
    assert platform_change.state == S.FAILED
    assert not Job.objects.filter(kind=Kind.PREDICT, state=State.QUEUED).exists(), (
        "it would begin the change again"
    )
    assert work(coloured, "predict")["code"] == "encoding_first"
    assert EncoderChange.objects.count() == 1


def test_change_killed_before_the_switch_is_continued(
    platform_change: EncoderChange, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = change_encoder.begin_platform_switch

    def lose_connection(**_arguments: Any) -> None:
        raise OperationalError("the connection is lost")

    monkeypatch.setattr(change_encoder, "begin_platform_switch", lose_connection)
    with pytest.raises(OperationalError):
        run_change(platform_change)
    platform_change.refresh_from_db()
    assert platform_change.state == S.READY
    monkeypatch.setattr(change_encoder, "begin_platform_switch", real)
    run_change(platform_change)
    platform_change.refresh_from_db()
    assert platform_change.state == S.SWITCHED
    assert Champion.objects.get().head.encoder == platform_change.to_encoder


def test_dataset_with_the_old_8_bit_recipe_is_embedded_again(
    coloured: Dataset, work: Work, tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The vectors of `+int8` changed with its recipe.

    The digest shows it, and the platform starts the change.
    """
    settings.MODEL_FOLDERS = [tmp_path]
    name = make_model(tmp_path / "mine", seed=5) + "+int8"
    Dataset.objects.update(encoder_name=name)
    coloured.refresh_from_db()
    with monkeypatch.context() as patch:
        patch.setitem(onnx_tower.RECIPES, "int8", "int8 1")
        encoders._loaded.cache_clear()
        work(coloured, "encode")
        work(coloured, "predict")
    old = Champion.objects.get().head.encoder
    assert Embedding.objects.filter(encoder=old).count() == 30

    encoders._loaded.cache_clear()  # the new release starts
    add_image(coloured, picture((9, 200, 9), 99), "late.png", 0.5)
    work(coloured, "encode")
    assert work(coloured, "predict")["code"] == "encoding_first"
    change = EncoderChange.objects.get()
    assert (change.from_encoder, change.created_by) == (old, None)
    assert Champion.objects.get().head.encoder == old, "the old head is in use meanwhile"
    run_change(change)
    change.refresh_from_db()
    new = Champion.objects.get().head.encoder
    assert change.state == S.SWITCHED and new != old and new.name == old.name and new.digest != old.digest
    assert Embedding.objects.filter(encoder=old).count() == 30, "no vector of the old encoder was added"
    assert Embedding.objects.filter(encoder=new).count() == 31
    assert Prediction.objects.filter(head=Champion.objects.get().head).count() == 31
