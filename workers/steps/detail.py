"""The detail descriptor of a dataset's images: its row, and whether it is computed."""

import hashlib

from mekiki.datasets.models import Dataset
from mekiki.learning import models
from mekiki.learning.selectors import champion
from mekiki.learning.services import register_encoder
from workers.encoders import detail


def detail_row() -> models.Encoder:
    """Return the row of the detail descriptor of this version, created if it is new."""
    described = "\n".join([f"detail {detail.VERSION}", *detail.NAMES])
    return register_encoder(
        name="detail",
        digest=hashlib.sha256(described.encode()).hexdigest(),
        precision="fp32",
        dim=detail.DIM,
        logit_scale=1.0,
        kind=models.Encoder.Kind.DETAIL,
    )


def is_detail_computed(dataset: Dataset) -> bool:
    """Return whether new images get a detail descriptor.

    They do if the dataset uses it, and as long as the head in use reads it.
    """
    dataset.refresh_from_db(fields=["use_detail"])
    in_use = champion(dataset)
    return dataset.use_detail or (in_use is not None and in_use.detail_id is not None)
