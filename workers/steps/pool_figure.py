"""The share of right labels of all images: people's labels, and labels by machine elsewhere."""

import numpy as np
from numpy.typing import NDArray
from psycopg import sql

from mekiki.datasets.models import Dataset
from mekiki.learning import models
from mekiki.learning.binary import INT8, copy_out
from mekiki.learning.pool_figure import PoolFigure
from mekiki.quality.certificates import valid_machine_labels
from mekiki.review.models import ConfirmedLabel
from mekiki.review.selectors import AuditStratum
from workers.embeddings import Mirror
from workers.evaluation.certificates.pool import pool_accuracy
from workers.heads.scoring import Scores


def measure_pool(
    *,
    dataset: Dataset,
    head: models.Head,
    scores: Scores,
    mirror: Mirror,
    rows: NDArray[np.int64],
    right: NDArray[np.bool_],
    stratum: NDArray[np.int64],
    strata: list[AuditStratum],
) -> PoolFigure:
    """Return the share of right labels of all images if this head labels the images without another label.

    rows: (n,) rows of the audited images in the mirror. right: (n,) whether the head is right. stratum: (n,)
    indices into strata.

    An image whose label was archived has no label of a person here: nobody has judged it by the current
    labels.
    """
    labelled = np.fromiter(
        ConfirmedLabel.objects.filter(dataset=dataset, label__archived_at__isnull=True)
        .values_list("image_id", flat=True)
        .iterator(50_000),
        np.int64,
    )
    by_person = mirror.mask_of(labelled)
    differing = _differing(dataset, head, scores, mirror)
    waiting = np.flatnonzero(~by_person & ~differing)
    groups = _strata_of(dataset, strata, mirror)[waiting] if len(strata) > 1 else None
    result = pool_accuracy(
        scores.confidence[rows],
        right,
        scores.confidence[waiting],
        by_people=len(labelled),
        audited_import=stratum,
        open_import=groups,
        import_sizes=[layer.images for layer in strata],
        differing=int(differing.sum()),
    )
    if result.value is None:
        return PoolFigure()
    images = sum(layer.images for layer in strata)
    return PoolFigure(
        share=result.value,
        low=result.low,
        high=result.high,
        people=result.by_people,
        machine=result.by_machine,
        differing=int(differing.sum()),
        left_out=max(0, images - result.by_people - result.by_machine),
    )


def _differing(dataset: Dataset, head: models.Head, scores: Scores, mirror: Mirror) -> NDArray[np.bool_]:
    """Return the mask (n,) of the images with a certified label that the head does not predict."""
    mask = np.zeros(len(mirror), bool)
    # A certificate of this head has set the labels that the head predicts.
    labels = valid_machine_labels(dataset).exclude(certificate__head=head)
    pairs = list(labels.values_list("image_id", "label_id").iterator(50_000))
    if not pairs:
        return mask
    image_ids, label_ids = np.array(pairs, np.int64).T
    rows, embedded = mirror.rows_of(image_ids)
    predicted = np.asarray(head.label_ids, np.int64)[scores.label[rows]]
    mask[rows[embedded & (predicted != label_ids)]] = True
    return mask


def _strata_of(dataset: Dataset, strata: list[AuditStratum], mirror: Mirror) -> NDArray[np.int64]:
    """Return (n,) the index into strata of each image of the mirror, −1 for an image of a later import."""
    of_batch = {batch or 0: place for place, layer in enumerate(strata) for batch in layer.batches}
    query = sql.SQL("SELECT id, COALESCE(batch_id, 0) FROM datasets_image WHERE dataset_id = {}").format(
        sql.Literal(dataset.pk)
    )
    stratum = np.full(len(mirror), -1, np.int64)
    for part in copy_out(query, {"id": INT8, "batch": INT8}):
        rows, embedded = mirror.rows_of(part["id"].astype(np.int64))
        batches, place = np.unique(part["batch"].astype(np.int64), return_inverse=True)
        known = np.array([of_batch.get(int(batch), -1) for batch in batches], np.int64)
        stratum[rows[embedded]] = known[place][embedded]
    return stratum
