"""Certified labels: set in blocks by the job of an accepted certificate."""

from django.db import connection, transaction

from mekiki.quality.models import Certificate

# Each block is one transaction, so that a killed job repeats little and reviewers never wait for it.
BLOCK = 50_000

# A label of a person wins, so an image that a person has labelled is left out. An audited image without a
# label (skipped, flagged, or without a majority) stays with people. Critical labels and archived labels are
# never set by machine, also if they were marked after the freeze.
_SET = """
INSERT INTO quality_machinelabel (certificate_id, image_id, dataset_id, label_id, confidence, stream_number)
SELECT c.certificate_id, c.image_id, %(dataset)s, c.label_id, c.confidence, 0
FROM quality_certificateimage c
JOIN labeling_label l ON l.id = c.label_id AND NOT l.critical AND l.archived_at IS NULL
WHERE c.certificate_id = %(certificate)s AND c.audit_position BETWEEN %(first)s AND %(last)s
  AND c.rank BETWEEN 1 AND %(region)s
  AND NOT EXISTS (SELECT FROM review_confirmedlabel p WHERE p.image_id = c.image_id)
  AND NOT EXISTS (
    SELECT FROM quality_certificateaudit a WHERE a.certificate_id = c.certificate_id
    AND a.image_id = c.image_id AND (EXISTS (SELECT FROM review_decision d WHERE d.item_id = a.item_id)
    OR EXISTS (SELECT FROM review_lease l WHERE l.item_id = a.item_id))
  )
ON CONFLICT (certificate_id, image_id) DO NOTHING
"""


@transaction.atomic
def set_machine_labels(*, certificate: Certificate, first: int, last: int) -> int:
    """Set the labels of the region at places first … last of the audit order; return how many were added.

    Labels that are set already stay, so a repeated call adds nothing. Images with a label of a person are
    left out, and so are images whose predicted label is critical or archived now. Returns 0 if the
    certificate was stopped.
    """
    # The lock keeps the certificate from being revoked between the check and the rows.
    held = Certificate.objects.select_for_update(of=("self",)).get(pk=certificate.pk)
    if held.state != Certificate.State.ACCEPTING:
        return 0
    with connection.cursor() as cursor:
        cursor.execute(
            _SET,
            {
                "dataset": held.dataset_id,
                "certificate": held.pk,
                "first": first,
                "last": last,
                "region": held.region,
            },
        )
        return int(cursor.rowcount)


def analyze_labels() -> None:
    """Update PostgreSQL's statistics of the labels set by machine, after a job has set many of them.

    With old statistics the first pages of the gallery's filter take seconds or minutes.
    """
    _analyze("quality_analyze_labels")


def analyze_pools() -> None:
    """Update PostgreSQL's statistics of the frozen pools, after a freeze."""
    _analyze("quality_analyze_pools")


def _analyze(function: str) -> None:
    with connection.cursor() as cursor:
        cursor.callproc(function)
