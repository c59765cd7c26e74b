"""Pages of the gallery with two facets, and the counts of all facets, in a dataset of a million images.

    python benchmarks/gallery_facets.py [--quick] [--images N] [--pages N] [--plans] [--json PATH]

Measures whole pages through Django's stack for every pair of two kinds of facets, with a frequent, a rare and
an old value of each kind, if it has one. `page_*` are over all pairs together. `slowest_*` is the pair with
the highest p95. `plain_*` are pages without a filter. `counts_*` are the responses with the numbers of images
of all facets, which the page loads afterwards: without a filter, with one facet, and with two.
"""

import argparse
import itertools
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "platform"), str(ROOT)]

from benchmarks.harness import fresh_platform, report  # noqa: E402
from benchmarks.million import SLUG, fill, percentile, what_it_says  # noqa: E402

ADDRESS = f"/d/{SLUG}/images/"
IMPORTS = 60
REVIEWERS = 5
# One of this many images has a confirmed label.
LABELLED = 20


def insert_images(dataset: Any, images: int) -> None:
    """Insert images of imports on sixty days, with metadata of six keys, audit keys and confirmed labels."""
    from django.db import connection

    from mekiki.accounts.models import User
    from mekiki.datasets.importing.filling import scan_fields
    from mekiki.datasets.models import ImportBatch
    from mekiki.labeling.models import Label

    batches = [ImportBatch.objects.create(dataset=dataset, source="upload").pk for _ in range(IMPORTS)]
    people = [User.objects.create(username=f"reviewer {n}").pk for n in range(REVIEWERS)]
    labels = list(Label.objects.filter(dataset=dataset).order_by("pk").values_list("pk", flat=True))
    with connection.cursor() as cursor:
        # A line has only some cameras, and a lot is a part of one import.
        cursor.execute(
            """INSERT INTO datasets_image (dataset_id, sha256, name, format, width, height, size, metadata,
               audit_key, batch_id, created_at, window_version, rendition)
               SELECT %s, encode(sha256(n::text::bytea), 'hex'), 'part-' || n, 'PNG', 200, 200, 10000,
               jsonb_build_object('line', (n %% 10)::text, 'camera', (n %% 10 / 4)::text,
                   'lot', 'lot ' || (n / 500), 'shift', CASE n %% 200 WHEN 0 THEN 'night' ELSE 'day' END,
                   'temperature', (n %% 4001 / 100.0)::text,
                   'taken', to_char(date '2026-01-01' + (n * 300 / %s)::int, 'YYYY-MM-DD')),
               (hashtext(n::text) & 65535) / 65536.0, %s + (n * %s) / %s,
               now() - make_interval(days => (60 - (n * %s) / %s)::int), 0, 0
               FROM generate_series(0::bigint, %s - 1) AS n""",
            [dataset.pk, images, batches[0], IMPORTS, images, IMPORTS, images, images],
        )
        cursor.execute(
            """INSERT INTO review_decision (dataset_id, image_id, user_id, kind, label_id, shown, client_key,
               note, late, reason)
               SELECT dataset_id, id, %s + id %% %s, 'correct', %s + id %% %s, '{}', gen_random_uuid(), '',
               false, ''
               FROM datasets_image WHERE id %% %s = 0""",
            [people[0], REVIEWERS, labels[0], len(labels), LABELLED],
        )
        cursor.execute(
            """INSERT INTO review_confirmedlabel (dataset_id, image_id, label_id, decision_id, stream,
               in_training)
               SELECT dataset_id, image_id, label_id, id, 'uncertain', true FROM review_decision"""
        )
    begun = time.perf_counter()
    scan_fields(dataset)
    print(f"fields of {images} images read in {time.perf_counter() - begun:.1f} s", file=sys.stderr)


def values(dataset: Any, head: Any, images: int) -> dict[str, list[dict[str, str]]]:
    """Return the filters of each kind of facet: a frequent value first, then rare or old ones."""
    from datetime import timedelta

    from django.utils import timezone

    from mekiki.accounts.models import User
    from mekiki.datasets.models import ImportBatch

    batch = ImportBatch.objects.order_by("pk").values_list("pk", flat=True)
    today = timezone.localdate()
    person = User.objects.get(username="reviewer 0").pk
    first, last = head.label_ids[0], head.label_ids[-1]

    def days(begin: int, end: int) -> dict[str, str]:
        return {"since": str(today - timedelta(days=begin)), "until": str(today - timedelta(days=end))}

    return {
        "state": [{"confirmed": "none"}, {"confirmed": "some"}],
        "confirmed": [{"confirmed": str(first)}],
        "label": [{"label": str(first)}, {"label": str(last)}],
        "confidence": [{"low": "50", "high": "90"}, {"high": "40"}],
        "set_by": [{"set_by": "nobody"}, {"set_by": "person"}],
        "reviewer": [{"reviewer": str(person)}],
        "date": [days(60, 30), days(50, 49), days(7, 0)],
        "import": [{"batch": str(batch[0])}, {"batch": str(batch[IMPORTS - 1])}],
        "line": [{"metadata": "line=3"}],
        "camera": [{"metadata": "camera=1"}],
        "lot": [{"metadata": "lot=lot 3"}],
        "shift": [{"metadata": "shift=day"}, {"metadata": "shift=night"}],
        "temperature": [
            {"from.temperature": "10", "to.temperature": "30"},
            {"from.temperature": "39.9"},
            {"to.temperature": "0.01"},
        ],
        "taken": [
            {"from.taken": "2026-02-01"},
            {"to.taken": "2026-01-01"},
        ],
    }


def together(one: dict[str, str], other: dict[str, str]) -> dict[str, Any]:
    """Return both filters. Two filters of the metadata are two pairs."""
    query: dict[str, Any] = {**one, **other}
    if "metadata" in one and "metadata" in other:
        query["metadata"] = [one["metadata"], other["metadata"]]
    return query


def explain(client: Any, query: dict[str, Any]) -> None:
    """Print the slowest queries of a page with their plans."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as caught:
        client.get(ADDRESS, query)
    for entry in sorted(caught.captured_queries, key=lambda entry: -float(entry["time"]))[:2]:
        print(entry["time"], entry["sql"], file=sys.stderr)
        if not entry["sql"].startswith("SELECT"):
            continue
        with connection.cursor() as cursor:
            cursor.execute("EXPLAIN (ANALYZE, BUFFERS OFF) " + entry["sql"])
            print("\n".join(row[0] for row in cursor.fetchall()), file=sys.stderr)


def measure(images: int, pages: int, plans: bool, every: int = 1) -> dict[str, Any]:
    from django.db import connection
    from django.test import Client

    from mekiki.accounts.models import User
    from mekiki.learning.services import promote
    from workers.steps.predictions import store_missing_predictions

    dataset, (head,) = fill(0, heads=1)
    insert_images(dataset, images)
    scores, mirror = what_it_says(dataset, head)
    store_missing_predictions(head, scores, mirror, lambda **_facts: None)
    promote(head=head, reason={"code": "first_head"})
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    client = Client(SERVER_NAME="localhost")
    client.force_login(User.objects.get(username="reader"))

    def timed(address: str, query: dict[str, Any], turns: int) -> list[float]:
        times = []
        for turn in range(turns + 1):
            begun = time.perf_counter()
            reply = client.get(address, query)
            spent = time.perf_counter() - begun
            assert reply.status_code == 200, (address, query)
            times += [spent] if turn else []  # the first page loads the database into memory
        return times

    plain = timed(ADDRESS, {}, pages)
    figures: dict[str, Any] = {
        "images": images,
        "plain_p50_ms": percentile(plain, 0.5),
        "plain_p95_ms": percentile(plain, 0.95),
    }
    kinds = values(dataset, head, images)
    everything: list[float] = []
    slow: list[tuple[float, str, dict[str, Any]]] = []
    pairs = [
        (f"{one}+{other}", together(a, b))
        for one, other in itertools.combinations(kinds, 2)
        if not {one, other} <= {"state", "confirmed"}  # values of the same filter
        for a, b in itertools.product(kinds[one], kinds[other])
    ]
    for name, query in pairs[::every]:
        times = timed(ADDRESS, query, pages)
        everything += times
        slow.append((percentile(times, 0.95), name, query))
    slow.sort(key=lambda entry: -entry[0])
    for spent, name, query in slow[:25]:
        print(f"{name:24} p95 {spent:8} ms {query}", file=sys.stderr, flush=True)
    if plans:
        for _spent, _name, query in slow[:4]:
            explain(client, query)
    line, label = kinds["line"][0], kinds["label"][0]
    for name, query in (("plain", {}), ("one", line), ("two", together(line, label))):
        figures[f"counts_{name}_p50_ms"] = percentile(
            timed(f"{ADDRESS}facets/", query, max(2, pages // 4)), 0.5
        )
    return figures | {
        "pairs": len(slow),
        "page_p50_ms": percentile(everything, 0.5),
        "page_p95_ms": percentile(everything, 0.95),
        "page_p99_ms": percentile(everything, 0.99),
        "slowest": slow[0][1],
        "slowest_p95_ms": slow[0][0],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="2,000 images, one page of every 20th pair")
    parser.add_argument("--images", type=int, default=None)
    parser.add_argument("--pages", type=int, default=None, help="of each pair")
    parser.add_argument("--plans", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with fresh_platform():
        figures = measure(
            options.images or (2_000 if options.quick else 1_000_000),
            options.pages or (1 if options.quick else 5),
            options.plans,
            every=20 if options.quick else 1,
        )
    report(figures, options.json)


if __name__ == "__main__":
    main()
