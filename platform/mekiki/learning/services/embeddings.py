"""Encoders, their embeddings, and the images they could not read."""

import numpy as np
from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.utils.translation import gettext as _
from numpy.typing import ArrayLike

from mekiki.learning.binary import INT8, blank_rows, copy_in, halfvec
from mekiki.learning.models import (
    Encoder,
    EncodingProblem,
)


def register_encoder(*, name: str, digest: str, precision: str, dim: int, logit_scale: float) -> Encoder:
    """The row of an encoder, made when it is new. ValidationError if known with another dimension."""
    encoder, _made = Encoder.objects.get_or_create(
        name=name, digest=digest, precision=precision, defaults={"dim": dim, "logit_scale": logit_scale}
    )
    if encoder.dim != dim:
        raise ValidationError(
            _("The encoder %(name)s has %(now)d dimensions now and had %(then)d with the same weights.")
            % {"name": name, "now": dim, "then": encoder.dim}
        )
    return encoder


@transaction.atomic
def store_embeddings(*, encoder: Encoder, image_ids: ArrayLike, vectors: ArrayLike) -> int:
    """Keep unit vectors in half precision; those that exist stay as they are. Returns how many are new.

    Args:
        image_ids: (n,). vectors: (n, d). Images that are gone by now are left out.

    Raises:
        ValueError: shapes, or values that are not finite.
    """
    ids = np.asarray(image_ids, np.int64)
    values = np.asarray(vectors)
    if ids.ndim != 1 or values.shape != (len(ids), encoder.dim):
        raise ValueError(f"vectors must be ({len(ids)}, {encoder.dim}), got {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError("embeddings must be finite")
    if not len(ids):
        return 0
    rows = blank_rows(len(ids), {"image_id": INT8, "vector": halfvec(encoder.dim)})
    rows["image_id"] = ids
    rows["vector"]["values"] = values
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TEMP TABLE incoming_embedding (image_id bigint, vector halfvec) ON COMMIT DROP"
        )
        copy_in("incoming_embedding", ["image_id", "vector"], rows)
        cursor.execute(
            "INSERT INTO learning_embedding (encoder_id, image_id, vector) "
            "SELECT %s, n.image_id, n.vector FROM incoming_embedding n "
            "JOIN datasets_image i ON i.id = n.image_id ON CONFLICT DO NOTHING",
            [encoder.pk],
        )
        stored = cursor.rowcount
        cursor.execute("DROP TABLE incoming_embedding")
    return stored


def record_encoding_problems(*, encoder: Encoder, problems: dict[int, str]) -> None:
    """Keep why an image could not be read: image id → reason."""
    EncodingProblem.objects.bulk_create(
        [EncodingProblem(encoder=encoder, image_id=i, reason=reason) for i, reason in problems.items()],
        ignore_conflicts=True,
    )
