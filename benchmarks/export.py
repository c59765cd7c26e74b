"""Freezing and verifying a label set of a million labels: seconds and memory.

    python benchmarks/export.py [--quick] [--json PATH]

It sets up a temporary database. Budget (design, section 8): under 60 s, streamed, memory flat.
"""

import argparse
import resource
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "platform"), str(ROOT)]

from benchmarks.harness import fresh_platform, report  # noqa: E402

_FILL = """
INSERT INTO datasets_image (dataset_id, sha256, name, format, width, height, size, metadata, audit_key, \
created_at,
                            window_version, rendition)
SELECT {dataset}, encode(sha256(n::text::bytea), 'hex'), 'line-3/2026-11/part-' || n || '.png', 'PNG', \
200, 200,
       40000, '{{"line": "3", "camera": "left", "lot": "2611-07", "shift": "night"}}', random(), now(), 0, 0
FROM generate_series(1, {labels}) n;
INSERT INTO review_queueitem
    (dataset_id, image_id, stream, propensity, head_id, position, overlap, state, created_at)
SELECT {dataset}, id, 'uncertain', 0.25, {head}, id, 1, 'done', now() FROM datasets_image;
INSERT INTO review_decision
    (dataset_id, image_id, item_id, user_id, kind, label_id, note, shown, client_key, late, created_at)
SELECT {dataset}, q.image_id, q.id, {user}, 'confirm', {first} + q.id % 8, '',
       jsonb_build_object('stream', 'uncertain', 'propensity', 0.25, 'blind', false, 'head', 1,
           'head_digest', '{digest}', 'prompt_set', 1, 'label', {first} + q.id % 8, 'label_name',
           'label ' || (q.id % 8), 'confidence', 0.5 + random() / 2, 'calibrated', true, 'runner_up', null),
       gen_random_uuid(), false, now()
FROM review_queueitem q;
INSERT INTO review_confirmedlabel
    (dataset_id, image_id, label_id, decision_id, stream, in_training, updated_at)
SELECT dataset_id, image_id, label_id, id, 'uncertain', true, now() FROM review_decision;
ANALYZE;
"""


def make(labels: int) -> tuple:
    """Create a dataset with ``labels`` confirmed labels; return it and its admin."""
    from django.db import connection

    from mekiki.accounts.models import User
    from mekiki.datasets.models import Dataset
    from mekiki.labeling.models import Label, PromptSet
    from mekiki.learning.models import Champion, Encoder, Head

    user = User.objects.create(username="admin", is_superuser=True)
    dataset = Dataset.objects.create(slug="parts", name="Parts")
    made = [Label.objects.create(dataset=dataset, name=f"label {n}", position=n + 1) for n in range(8)]
    digest = "0" * 64
    head = Head.objects.create(
        dataset=dataset,
        version=1,
        kind=Head.Kind.LOGISTIC,
        encoder=Encoder.objects.create(name="pocket", digest=digest, dim=4, logit_scale=100),
        prompt_set=PromptSet.objects.create(dataset=dataset, version=1, digest=digest),
        label_ids=[label.pk for label in made],
        weights=b"",
        digest=digest,
        calibrated=True,
        code_version="benchmark",
    )
    Champion.objects.create(dataset=dataset, head=head)
    # Label names follow the remainder of the item's number, so every decision confirms the label that was
    # shown.
    first = made[0].pk
    with connection.cursor() as cursor:
        cursor.execute(
            _FILL.format(
                dataset=dataset.pk, labels=labels, head=head.pk, user=user.pk, first=first, digest=digest
            )
        )
    return dataset, user


def measure(labels: int) -> dict[str, float]:
    """Return the figures for ``labels`` confirmed labels."""
    from django.core.files.storage import default_storage

    from mekiki.audit.private_key import make_first_key
    from mekiki.exports.services import freeze
    from mekiki.exports.writing import write_label_set
    from verification.label_set.verify import verify

    make_first_key()
    dataset, user = make(labels)
    label_set = freeze(dataset=dataset, user=user)
    began = time.perf_counter()
    label_set = write_label_set(label_set=label_set, progress=lambda done, total: None)
    seconds = time.perf_counter() - began
    began = time.perf_counter()
    report = verify(default_storage.path(label_set.file))
    verify_s = time.perf_counter() - began
    if not report.ok or label_set.human_labels != labels:
        raise SystemExit(f"The label set does not verify: {[str(p) for p in report.problems[:3]]}")
    print(f"file: {label_set.size / 1e6:.1f} MB")
    return {
        "labels": labels,
        "seconds": round(seconds, 2),
        "verify_s": round(verify_s, 2),
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    }


def main() -> None:
    """Set up, measure, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="20,000 labels instead of a million")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the figures here as well")
    options = parser.parse_args()

    with fresh_platform():
        figures = measure(20_000 if options.quick else 1_000_000)
    report(figures, options.json)


if __name__ == "__main__":
    main()
