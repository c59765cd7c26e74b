"""Embedding for an encoder that is not in use, while the encoder in use continues to serve."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from mekiki.jobs.models import Job, Kind, State
from mekiki.learning.models import Embedding, Head
from mekiki.learning.services import encoding_key, request_encoding

pytestmark = pytest.mark.django_db
Work = Callable[..., dict[str, Any]]


@pytest.fixture
def other(tiny_encoder: str, tmp_path: Path) -> str:
    """Return the name of an encoder with other weights."""
    folder = tmp_path / ("other-weights-" + "n" * 60)
    shutil.copytree(tiny_encoder.removeprefix("local-dir:"), folder)
    file = folder / "open_clip_model.safetensors"
    save_file(
        {name: np.asarray(tensor * 1.01, tensor.dtype) for name, tensor in load_file(file).items()}, file
    )
    return f"local-dir:{folder}"


def test_encoding_for_another_encoder_keeps_the_encoder_in_use(
    coloured: Any, work: Work, champion: Callable[[Any], Head], other: str
) -> None:
    work(coloured, "encode")
    work(coloured, "predict")
    before = champion(coloured)
    job = request_encoding(dataset=coloured, encoder=other)
    assert job.key == encoding_key(coloured, other) and len(job.key) <= 120
    assert request_encoding(dataset=coloured, encoder=other) == job, "requested twice, queued once"
    own = request_encoding(dataset=coloured)
    assert own.pk != job.pk, "the encoding for the dataset's own encoder is a separate job"
    assert request_encoding(dataset=coloured, encoder=coloured.encoder_name) == own
    Job.objects.filter(pk=own.pk).delete()
    assert work(coloured, "encode")["embedded"] == 30
    assert Embedding.objects.filter(encoder=before.encoder).count() == 30
    assert Embedding.objects.exclude(encoder=before.encoder).filter(encoder__kind="image_text").count() == 30
    assert not Job.objects.filter(kind=Kind.PREDICT, state=State.QUEUED).exists()
    assert champion(coloured) == before


def test_predictions_are_queued_if_the_dataset_switched_during_encoding(
    coloured: Any, work: Work, other: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mekiki.datasets.models import Dataset
    from workers.steps import sharing

    work(coloured, "encode")
    Job.objects.filter(kind=Kind.PREDICT).delete()
    request_encoding(dataset=coloured, encoder=other)
    real = sharing.store_embeddings

    def switched_while_storing(**arguments: Any) -> int:
        Dataset.objects.filter(pk=coloured.pk).update(encoder_name=other)
        return real(**arguments)

    monkeypatch.setattr(sharing, "store_embeddings", switched_while_storing)
    assert work(coloured, "encode")["embedded"] == 30
    assert Job.objects.filter(kind=Kind.PREDICT, state=State.QUEUED).count() == 1
