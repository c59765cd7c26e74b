"""A tiny open_clip model created here and loaded by its folder, and pictures that it can distinguish."""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.shared_rows import rows_of_module

if TYPE_CHECKING:
    from mekiki.datasets.models import Dataset, Image
    from mekiki.jobs.models import Job
    from mekiki.learning.models import Head

COLOURS = {"red": (200, 40, 40), "green": (40, 180, 60), "blue": (50, 60, 200)}
# Change it to see whether a test of a certificate depends on which audits are drawn.
SEED = os.environ.get("MEKIKI_TEST_SEED", "1").encode()
PROMPTS = {name: [f"a photo of {name}", f"{name}の写真"] for name in COLOURS}


def make_model(folder: Path, *, seed: int, dim: int = 32, context: int = 32) -> str:
    """Write an untrained open_clip model of a few thousand weights and return its name (local-dir:…).

    The files are as open_clip stores them.
    """
    from workers.encoders.importing import import_open_clip

    open_clip = import_open_clip()
    import torch
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    config: dict[str, Any] = {
        "embed_dim": dim,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16},
        "text_cfg": {"context_length": context, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
    }
    torch.manual_seed(seed)
    model = open_clip.CLIP(
        **{
            k: open_clip.model.__dict__["CLIPVisionCfg"](**v) if k == "vision_cfg" else v
            for k, v in config.items()
        }
    )
    preprocess = {"size": (32, 32), "mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25)}
    (folder / "open_clip_config.json").write_text(
        json.dumps({"model_cfg": config, "preprocess_cfg": preprocess})
    )
    save_file(
        {k: v.contiguous() for k, v in model.state_dict().items()},
        folder / "open_clip_model.safetensors",
    )
    return f"local-dir:{folder}"


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the name (local-dir:…) of a tiny model."""
    return make_model(tmp_path_factory.mktemp("tiny-clip"), seed=7)


@pytest.fixture(scope="session")
def other_encoder() -> str:
    """Return another model under HOME/models, where an operator would place it.

    It has fewer dimensions and a short context.
    """
    from django.conf import settings

    return make_model(settings.HOME / "models" / "other", seed=11, dim=24, context=6)


def picture(colour: tuple[int, int, int], number: int) -> bytes:
    """Return a PNG of about this colour that differs by number."""
    from PIL import Image as PillowImage

    rng = np.random.default_rng(number)
    noise = rng.integers(-25, 26, (32, 32, 3))
    pixels = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    PillowImage.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def add_image(dataset: Dataset, content: bytes, name: str, audit_key: float) -> Image:
    """Create an image row with its file in the storage."""
    from mekiki.datasets import storage
    from mekiki.datasets.models import Image

    sha256 = hashlib.sha256(content).hexdigest()
    storage.write_atomically(storage.original_name(dataset.pk, sha256), content)
    return Image.objects.create(
        dataset=dataset,
        sha256=sha256,
        name=name,
        format="PNG",
        width=32,
        height=32,
        size=len(content),
        audit_key=audit_key,
    )


@pytest.fixture
def coloured(db: None, tiny_encoder: str) -> Dataset:
    """Create thirty pictures of three colours, with labels and prompts. A fifth is in the audit reserve."""
    return create_coloured(tiny_encoder, "admin")


@pytest.fixture(scope="module")
def coloured_of_module(django_db_setup: None, django_db_blocker: Any, tiny_encoder: str) -> Iterator[Dataset]:
    """Create what `coloured` is, once for all tests of a module (tests/shared_rows.py)."""
    with rows_of_module(django_db_blocker):
        yield create_coloured(tiny_encoder, "admin of the module")


def create_coloured(tiny_encoder: str, admin_name: str) -> Dataset:
    from mekiki.labeling.services import set_schema
    from tests.factories import DatasetFactory, UserFactory

    admin = UserFactory(username=admin_name)
    dataset = DatasetFactory(
        admin=admin,
        encoder_name=tiny_encoder,
        queue_target=10,
        audit_fraction=0.25,
        retrain_every=0,
        seed="0123456789abcdef",  # which audits are drawn must not be random here
    )
    for number in range(30):
        name = list(COLOURS)[number % 3]
        add_image(dataset, picture(COLOURS[name], number), f"{name}-{number}.png", (number % 5) / 5 + 0.1)
    set_schema(
        dataset=dataset,
        labels=[{"name": name, "prompts": prompts} for name, prompts in PROMPTS.items()],
        user=admin,
    )
    return dataset


@pytest.fixture
def fixed_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw the same audits in each run: the seed of a certificate must not be random here."""
    from mekiki.quality.services.certificates import streaming
    from workers.stages import certify

    source = SimpleNamespace(token_bytes=lambda count: hashlib.sha256(SEED).digest()[:count])
    monkeypatch.setattr(certify, "secrets", source)
    monkeypatch.setattr(streaming, "secrets", source)


@pytest.fixture
def work(db: None) -> Callable[..., dict[str, Any]]:
    """Return the function that runs a job (run_job)."""
    return run_job


def run_job(dataset: Dataset, kind: str, **payload: Any) -> dict[str, Any]:
    """Request a job of a kind, or take the queued one, run its stage here and return its result.

    The stage runs without the heartbeat thread, which would not see rows of an open test transaction.
    """
    from mekiki.jobs.models import Job, State
    from mekiki.jobs.services import claim, enqueue, succeed
    from workers.runner import Report, stage_of

    waiting: Job | None = Job.objects.filter(dataset=dataset, kind=kind, state=State.QUEUED).first()
    job = claim(str((waiting or enqueue(kind=kind, dataset=dataset, payload=payload)).pk))
    assert job is not None
    result = stage_of(kind)(job, Report(job)) or {}
    succeed(job, result)
    return result


@pytest.fixture
def answer_queue(db: None) -> Callable[..., int]:
    """Return the function that answers the queue (answer_waiting)."""
    return answer_waiting


def answer_waiting(dataset: Dataset, limit: int = 1000) -> int:
    """Answer the queue correctly as one new reviewer. The file's name contains the label."""
    import uuid

    from mekiki.labeling.models import Label
    from mekiki.review.services import answer, next_items
    from tests.factories import MembershipFactory

    user = MembershipFactory(dataset=dataset).user
    labels = {label.name: label for label in Label.objects.filter(dataset=dataset)}
    done = 0
    while done < limit and (leased := next_items(dataset=dataset, user=user, count=1)):
        item = leased[0]
        answer(
            dataset=dataset,
            user=user,
            item_id=item.item.pk,
            lease_id=item.lease.pk,
            kind="correct",
            label=labels[item.item.image.name.split("-")[0]].pk,
            client_key=uuid.uuid4(),
        )
        done += 1
    return done


@pytest.fixture
def champion() -> Callable[[Dataset], Head]:
    """Return the champion with its weights."""
    from mekiki.learning.models import Head

    return lambda dataset: Head.objects.get(champion__dataset=dataset)


@pytest.fixture
def kill_training_while_storing(monkeypatch: pytest.MonkeyPatch) -> Callable[[Job], None]:
    """Start a training that dies before its predictions are stored. The job can then be run again."""
    from mekiki.jobs.models import Job, State
    from mekiki.jobs.services import claim
    from workers.runner import Report
    from workers.stages import train
    from workers.steps import after_scoring

    def run(job: Job) -> None:
        def die(*_arguments: Any) -> None:
            raise train.LostClaimError("killed")

        with monkeypatch.context() as patch:
            patch.setattr(after_scoring, "store_missing_predictions", die)
            claimed = claim(str(job.pk))
            assert claimed is not None
            with pytest.raises(train.LostClaimError):
                train.run(claimed, Report(claimed))
        Job.objects.filter(pk=job.pk).update(state=State.QUEUED)

    return run
