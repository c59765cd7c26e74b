"""Check that this worker computes the recorded vectors of an encoder. Otherwise it must not embed."""

import logging

import numpy as np
from numpy.typing import NDArray

from mekiki.learning import models
from mekiki.learning.services import record_probe, report_difference, withdraw_difference
from workers.encoders import VectorMismatchError
from workers.encoders.probing import PROBE_VERSION, require_same_vectors
from workers.hardware import host, processor

logger = logging.getLogger(__name__)


def require_recorded_vectors(row: models.Encoder, computed: NDArray[np.float32]) -> None:
    """Compare the probe vectors of this worker with the record. The first worker creates the record.

    Raises OtherVectorsError after the difference was stored for the admins.
    """
    probe = record_probe(
        encoder=row,
        version=PROBE_VERSION,
        vectors=computed.astype("<f4").tobytes(),
        host=host(),
        processor=processor(),
    )
    require_vectors_of_probe(probe, computed)
    withdraw_difference(encoder=row, host=host())


def require_vectors_of_probe(probe: models.EncoderProbe, computed: NDArray[np.float32]) -> None:
    """Compare probe vectors with this record.

    Raises OtherVectorsError after the difference was stored for the admins.
    """
    row = probe.encoder
    recorded = np.frombuffer(bytes(probe.vectors), "<f4").reshape(-1, row.dim)
    try:
        require_same_vectors(computed, recorded, name=row.name, precision=row.precision, host=host())
    except VectorMismatchError as error:
        logger.error(
            "%s They were recorded on %s (%s); this is %s. This worker embeds nothing by this encoder.",
            error, probe.host, probe.processor, processor(),
        )  # fmt: skip
        report_difference(
            encoder=row,
            host=host(),
            processor=processor(),
            cosine=float(error.details["cosine"]),
            least=float(error.details["least"]),
        )
        raise
