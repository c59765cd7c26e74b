"""A dataset of many images with heads, for benchmarks, on a fresh embedded PostgreSQL.

The database has its ordinary settings. Images are written directly into their table. Predictions are drawn at
random: labels of unequal share and mostly high confidence, like those of a trained head.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "platform"), str(ROOT)]
SLUG = "benchmark"
LABELS = 8


def fill(images: int, heads: int) -> tuple[Any, list[Any]]:
    """Create the dataset, its heads without predictions, and a superuser "reader".

    Returns (dataset, heads).
    """
    from django.db import connection

    from mekiki.accounts.models import User
    from mekiki.datasets.models import Dataset
    from mekiki.labeling.models import Label, PromptSet
    from mekiki.learning.models import Encoder, Head

    User.objects.create(username="reader", is_superuser=True)
    dataset = Dataset.objects.create(slug=SLUG, name="Benchmark")
    labels = [Label.objects.create(dataset=dataset, name=f"label {n}", position=n) for n in range(LABELS)]
    encoder = Encoder.objects.create(name="none", digest="0" * 64, dim=4, logit_scale=100)
    prompts = PromptSet.objects.create(dataset=dataset, version=1, digest="0" * 64)
    made = [
        Head.objects.create(
            dataset=dataset, version=version, kind=Head.Kind.LOGISTIC, encoder=encoder, prompt_set=prompts,
            label_ids=[label.pk for label in labels], weights=b"", digest="0" * 64, code_version="benchmark",
            calibrated=True,
        )
        for version in range(1, heads + 1)
    ]  # fmt: skip
    insert_images(dataset, images)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE datasets_image")
    return dataset, made


def insert_images(dataset: Any, count: int) -> None:
    """Insert rows of images without files, as an import would."""
    from django.db import connection
    from django.utils import timezone

    with connection.cursor() as cursor:
        cursor.execute(
            """INSERT INTO datasets_image (dataset_id, sha256, name, format, width, height, size, metadata,
               audit_key, created_at, window_version, rendition)
               SELECT %s, encode(sha256(n::text::bytea), 'hex'), 'part-' || n, 'PNG', 200, 200, 10000,
               jsonb_build_object('line', (n %% 10)::text), 0.5, %s, 0, 0 FROM generate_series(1, %s) AS n""",
            [dataset.pk, timezone.now(), count],
        )


def what_it_says(dataset: Any, head: Any) -> tuple[Any, Any]:
    """Return (scores, mirror) of a head over every image, as scoring returns them.

    The mirror has no vectors.
    """
    from mekiki.datasets.models import Image
    from workers.embeddings import Mirror
    from workers.heads.scoring import Scores

    ids = np.fromiter(
        Image.objects.filter(dataset=dataset).order_by("pk").values_list("pk", flat=True).iterator(), np.int64
    )
    n, dice = len(ids), np.random.default_rng(head.version)
    label = dice.choice(LABELS, n, p=dice.dirichlet(np.full(LABELS, 2.0))).astype(np.int32)
    # Only the oldest images have the last label, so a page of it, newest first, is far down in the table.
    label[n // 20 :][label[n // 20 :] == LABELS - 1] = 0
    confidence = (0.3 + 0.7 * dice.beta(4, 1, n)).astype(np.float32)
    second = ((1 - confidence) * dice.uniform(0.5, 1, n)).astype(np.float32)
    entropy = (-confidence * np.log(confidence)).astype(np.float32)
    scores = Scores(
        label=label,
        runner_up=((label + 1) % LABELS).astype(np.int32),
        confidence=confidence,
        runner_up_confidence=second,
        margin=confidence - second,
        entropy=entropy,
    )
    return scores, Mirror(ids, np.full(n, 0.5), np.empty((n, 0), np.float16))


def percentile(times: list[float], share: float) -> float:
    """Return a percentile of times in seconds, in milliseconds."""
    return round(1000 * sorted(times)[min(len(times) - 1, int(len(times) * share))], 1) if times else 0.0
