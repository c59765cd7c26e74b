"""The search worker's trials of prompts: what is stored, with audit figures, and failures."""

from typing import Any

import numpy as np
import pytest

from mekiki.config import clock
from mekiki.datasets.models import Image
from mekiki.learning.models import PromptTrial
from mekiki.learning.prompt_trials import Problem
from mekiki.learning.services import store_embeddings
from tests.factories import ConfirmedLabelFactory, DatasetFactory, EncoderFactory, LabelFactory
from tests.roles import set_fixed
from tests.vectors import add_images, unit
from workers.steps.prompt_trial import _known, try_requested_prompts
from workers.steps.texts import ReaderError

pytestmark = pytest.mark.django_db

DIM = 8
AXES = {f"text {i}": np.eye(DIM)[i] for i in range(DIM)}


class Reader:
    """A stand-in for the encoder's process, which knows the texts of AXES."""

    def __init__(self, encoder: Any, error: Exception | None = None) -> None:
        self.facts = {"digest": encoder.digest, "dim": encoder.dim, "probe": []}
        self.asked: list[list[str]] = []
        self.error = error

    def read(self, name: str, request: list[str], progress: Any = None) -> Any:
        self.asked.append(request)
        if self.error:
            raise self.error
        vectors = [AXES[text].tolist() for text in request]
        return {"vectors": vectors, "counts": [len(text) for text in request], "most": 64}

    def close(self) -> None:
        pass


@pytest.fixture
def pool() -> dict[str, Any]:
    """Return 40 images near the axes 0 to 3, the first 10 of them in the audit reserve."""
    _known.clear()
    dataset, encoder = DatasetFactory(audit_fraction=0.2), EncoderFactory(dim=DIM, logit_scale=20.0)
    labels = [LabelFactory(dataset=dataset, name=name) for name in ("good", "scratch")]
    ids = add_images(dataset, 40)
    for image in Image.objects.filter(pk__in=ids[:10]):
        set_fixed(image, audit_key=0.1)
    dice = np.random.default_rng(0)
    vectors = unit(np.eye(DIM)[np.arange(40) % 4] + 0.05 * dice.standard_normal((40, DIM)))
    store_embeddings(encoder=encoder, image_ids=ids, vectors=vectors.astype(np.float16))
    return {"dataset": dataset, "encoder": encoder, "labels": labels, "ids": ids}


def trial(pool: dict[str, Any], prompts: list[list[str]], before: list[list[str]]) -> PromptTrial:
    now = clock.now()
    keys = [str(label.pk) for label in pool["labels"]]
    return PromptTrial.objects.create(
        dataset=pool["dataset"], encoder=pool["encoder"], digest=f"{PromptTrial.objects.count():064}",
        prompts=dict(zip(keys, prompts, strict=True)), before=dict(zip(keys, before, strict=False)),
        began_at=now, asked_at=now, used_at=now,
    )  # fmt: skip


def test_result_counts_all_images_and_shows_none_of_the_audit_sample(pool: dict[str, Any]) -> None:
    good, scratch = (label.pk for label in pool["labels"])
    ids = pool["ids"]
    # Audited: images 0 and 2; confirmed for training: image 1.
    for at, label in ((0, 0), (2, 1)):
        ConfirmedLabelFactory(
            dataset=pool["dataset"], image=Image.objects.get(pk=ids[at]), label=pool["labels"][label],
            stream="audit", in_training=False,
        )  # fmt: skip
    for image in Image.objects.filter(pk__in=ids[20:32]):
        ConfirmedLabelFactory(dataset=pool["dataset"], image=image, label=pool["labels"][1])
    reader = Reader(pool["encoder"])
    row = trial(pool, [["text 0", "text 1"], ["text 2", "text 3"]], [["text 0"], ["text 1"]])
    assert try_requested_prompts(row.pk, reader) == "found"
    row.refresh_from_db()
    result = row.result
    assert (result["images"], result["labels"], result["counts"]) == (40, [good, scratch], [20, 20])
    assert sum(result["before"]) == 40
    to_good = next(flip for flip in result["flips"] if flip[:2] == [scratch, good])
    assert to_good[2] >= 10 and set(to_good[3]) <= set(ids[10:])
    assert result["changed"] == sum(flip[2] for flip in result["flips"])
    assert len(result["best"][str(good)]) == 15 and set(result["best"][str(good)]) <= set(ids[10:])
    assert [effect["best"] for effect in result["prompts"][str(good)]] == [10, 10]
    assert 0 < result["prompts"][str(good)][0]["brought"] < 10 and result["context"] == 64
    assert result["accuracy"]["now"]["k"] == 2 and result["accuracy"]["now"]["n"] == 2
    assert 0 < result["accuracy"]["now"]["low"] < 1 == result["accuracy"]["now"]["high"]
    assert result["reviewed"]["n"] == 12 and result["reviewed"]["now"] == 6
    assert result["prompts"][str(scratch)][0]["helped"] + result["prompts"][str(scratch)][1]["helped"] > 0
    # The next draft embeds its new sentence only; a message that arrives twice does nothing.
    assert try_requested_prompts(row.pk, reader) == ""
    again = trial(pool, [["text 0", "text 4"], ["text 2", "text 3"]], [["text 0"], ["text 1"]])
    assert try_requested_prompts(again.pk, reader) == "found"
    assert reader.asked[-1] == ["text 4"]


def test_failures_are_stored_with_their_reason(pool: dict[str, Any]) -> None:
    row = trial(pool, [["text 0"], ["text 1"]], [])
    assert (
        try_requested_prompts(row.pk, Reader(pool["encoder"], ReaderError("no memory"))) == Problem.NOT_LOADED
    )
    row.refresh_from_db()
    assert (row.problem, row.detail) == ("not_loaded", {"reason": "no memory"})
    other = Reader(pool["encoder"])
    other.facts["digest"] = "f" * 64
    row = trial(pool, [["text 0"], ["text 1"]], [])
    assert try_requested_prompts(row.pk, other) == Problem.OTHER_WEIGHTS
    AXES["text 9"] = -AXES["text 0"]
    row = trial(pool, [["text 0", "text 9"], ["text 1"]], [])
    assert try_requested_prompts(row.pk, Reader(pool["encoder"])) == Problem.FAILED
    # A trial that was dropped, because the user wrote something else.
    row = trial(pool, [["text 0"], ["text 1"]], [])
    PromptTrial.objects.filter(pk=row.pk).delete()
    assert try_requested_prompts(row.pk, Reader(pool["encoder"])) == ""
