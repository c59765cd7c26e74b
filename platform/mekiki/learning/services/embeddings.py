"""Writes to encoders, embeddings, and the images that encoders could not read."""

import hashlib

import numpy as np
from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.db.models import Q
from django.utils.translation import gettext_lazy
from numpy.typing import ArrayLike

from mekiki.accounts.models import User
from mekiki.datasets.models import Dataset, Image
from mekiki.jobs.models import Job, Kind
from mekiki.jobs.payloads import EncodePayload
from mekiki.jobs.services import enqueue
from mekiki.learning.binary import INT8, blank_rows, copy_in, halfvec
from mekiki.learning.models import (
    Embedding,
    Encoder,
    EncodingProblem,
    GroupedImage,
    Head,
    HeatMap,
)


def request_encoding(*, dataset: Dataset, encoder: str = "", user: User | None = None) -> Job:
    """Start a job that computes the missing embeddings, by the dataset's encoder or by the named encoder.

    Each encoder has its own job. So a job for another encoder neither waits for nor replaces the job of the
    encoder in use. Predictions follow only if the encoder is the dataset's encoder when the job ends.
    """
    if not encoder or encoder == dataset.encoder_name:
        return enqueue(kind=Kind.ENCODE, dataset=dataset, user=user)
    return enqueue(
        kind=Kind.ENCODE,
        dataset=dataset,
        key=encoding_key(dataset, encoder),
        payload=EncodePayload(encoder=encoder).as_json(),
        user=user,
    )


def encoding_key(dataset: Dataset, encoder: str) -> str:
    """Return the key of the job that embeds for an encoder other than the dataset's encoder."""
    # The name is hashed because it can be longer than a key.
    return f"{Kind.ENCODE}:{dataset.pk}:{hashlib.sha256(encoder.encode()).hexdigest()[:16]}"


def register_encoder(
    *,
    name: str,
    digest: str,
    precision: str,
    dim: int,
    logit_scale: float,
    kind: str = Encoder.Kind.IMAGE_TEXT,
) -> Encoder:
    """Return the row of an encoder, created if it is new.

    Raises ValidationError if the encoder is stored with another dimension.
    """
    encoder, _made = Encoder.objects.get_or_create(
        name=name,
        digest=digest,
        precision=precision,
        defaults={"dim": dim, "logit_scale": logit_scale, "kind": kind},
    )
    if encoder.dim != dim:
        raise ValidationError(
            gettext_lazy(
                "The encoder %(name)s has %(now)d dimensions now and had %(then)d with the same weights."
            ),
            params={"name": name, "now": dim, "then": encoder.dim},
        )
    return encoder


@transaction.atomic
def store_embeddings(*, encoder: Encoder, image_ids: ArrayLike, vectors: ArrayLike) -> int:
    """Store vectors in half precision, and return the number of new embeddings.

    image_ids: (n,). vectors: (n, d). Existing embeddings are not changed. Images that no longer exist are
    skipped. Raises ValueError if a shape is wrong or a value is not finite in half precision.
    """
    ids = np.asarray(image_ids, np.int64)
    values = np.asarray(vectors)
    if ids.ndim != 1 or values.shape != (len(ids), encoder.dim):
        raise ValueError(f"vectors must be ({len(ids)}, {encoder.dim}), got {values.shape}")
    if not len(ids):
        return 0
    rows = blank_rows(len(ids), {"image_id": INT8, "vector": halfvec(encoder.dim)})
    rows["image_id"] = ids
    with np.errstate(over="ignore"):
        rows["vector"]["values"] = values
    if not np.isfinite(rows["vector"]["values"]).all():
        raise ValueError("embeddings must be finite, and at most 65504 in half precision")
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TEMP TABLE incoming_embedding (image_id bigint, vector halfvec) ON COMMIT DROP"
        )
        copy_in("incoming_embedding", ["image_id", "vector"], rows)
        cursor.execute(
            "INSERT INTO learning_embedding (encoder_id, image_id, vector) "
            "SELECT %s, n.image_id, n.vector FROM incoming_embedding n "
            # With this lock, an image that is being deleted is either skipped here or deleted afterwards.
            "JOIN datasets_image i ON i.id = n.image_id FOR KEY SHARE OF i ON CONFLICT DO NOTHING",
            [encoder.pk],
        )
        stored = cursor.rowcount
        cursor.execute("DROP TABLE incoming_embedding")
    return stored


@transaction.atomic
def record_encoding_problems(*, encoder: Encoder, problems: dict[int, str]) -> None:
    """Store why images could not be read: image id → reason. Images that no longer exist are skipped."""
    if not problems:
        return
    there = set(
        Image.objects.select_for_update(no_key=True)
        .filter(pk__in=problems)
        .order_by("pk")
        .values_list("pk", flat=True)
    )
    EncodingProblem.objects.bulk_create(
        [
            EncodingProblem(encoder=encoder, image_id=i, reason=reason)
            for i, reason in problems.items()
            if i in there
        ],
        ignore_conflicts=True,
    )


@transaction.atomic
def delete_derived_data(*, dataset: Dataset, image_ids: list[int]) -> int:
    """Delete everything that was computed from the pixels of these images, because the pixels change.

    This deletes the embeddings of all encoders, the predictions of all heads, and the encoding problems.
    Decisions stay. Return the number of deleted embeddings.
    """
    ids = list(
        Image.objects.filter(dataset=dataset, pk__in=image_ids).order_by("pk").values_list("pk", flat=True)
    )
    EncodingProblem.objects.filter(image_id__in=ids).delete()
    _delete_from_groups(ids)
    heads = list(Head.objects.filter(dataset=dataset).values_list("pk", flat=True))
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM learning_prediction WHERE head_id = ANY(%s) AND image_id = ANY(%s)", [heads, ids]
        )
        cursor.execute("DELETE FROM learning_embedding WHERE image_id = ANY(%s)", [ids])
        return int(cursor.rowcount)


def delete_computed(ids: list[int]) -> None:
    """Delete what workers computed from images that an admin takes back with their import.

    A trigger deletes their predictions.
    """
    EncodingProblem.objects.filter(image__in=ids).delete()
    HeatMap.objects.filter(image__in=ids).delete()
    _delete_from_groups(ids)
    Embedding.objects.filter(image__in=ids).delete()


def _delete_from_groups(ids: list[int]) -> None:
    """Delete images from their groups of near-duplicates, with the groups of which they are the first image.

    The next grouping treats the other images of these groups as new.
    """
    GroupedImage.objects.filter(Q(image__in=ids) | Q(first__in=ids)).delete()
