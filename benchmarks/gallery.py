"""Pages of the gallery in a dataset of a million images: how long each kind takes.

    python benchmarks/gallery.py [--quick] [--images N] [--pages N] [--plans] [--json PATH]

Measures whole pages through Django's stack, from the middleware to the HTML: the newest images, by predicted
label, by a band of confidence and sorted by confidence. Each is also measured deep inside, with the key of a
page halfway through the million. `page_*` are over all kinds together, `<kind>_p95_ms` of one kind.
`most_rows_read` is the largest number of rows that the database read for one page's images, by EXPLAIN.
`--plans` prints the plans, and the slowest queries of each kind.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "platform"), str(ROOT)]

from benchmarks.harness import fresh_platform, report  # noqa: E402
from benchmarks.million import SLUG, fill, percentile, what_it_says  # noqa: E402

ADDRESS = f"/d/{SLUG}/images/"


def kinds(dataset: Any, head: Any) -> dict[str, dict[str, str]]:
    """Return the query of each kind of page."""
    from mekiki.datasets.models import Image
    from mekiki.learning.models import Prediction

    rows = Prediction.objects.filter(head=head)
    label = str(head.label_ids[0])

    def halfway(predictions: Any) -> str:
        confidence, image = predictions.order_by("confidence", "image_id").values_list(
            "confidence", "image_id"
        )[predictions.count() // 2]
        return f"{confidence!r}:{image}"

    middle = (
        Image.objects.filter(dataset=dataset)
        .order_by("pk")
        .values_list("pk", flat=True)[len_of(dataset) // 2]
    )
    return {
        "newest": {},
        "newest_deep": {"after": str(middle)},
        "label": {"label": label},
        "label_deep": {"label": label, "after": str(middle)},
        "label_sure": {"label": label, "sort": "sure"},
        "label_unsure": {"label": label, "sort": "unsure"},
        "label_unsure_deep": {"label": label, "sort": "unsure", "after": halfway(rows.filter(label=label))},
        "unsure": {"sort": "unsure"},
        "sure": {"sort": "sure"},
        "sure_deep": {"sort": "sure", "after": halfway(rows)},
        "sure_deep_back": {"sort": "sure", "before": halfway(rows)},
        "band": {"low": "50", "high": "52"},
        "band_unsure": {"low": "50", "high": "52", "sort": "unsure"},
        "rare": {"high": "40"},
        "label_old": {"label": str(head.label_ids[-1])},
        "label_band_sure": {"label": label, "low": "50", "high": "90", "sort": "sure"},
    }


def len_of(dataset: Any) -> int:
    from mekiki.datasets.selectors import image_count

    return image_count(dataset)


def read_for(client: Any, query: dict[str, str], plans: bool) -> int:
    """Return the number of rows that the database read to find the page's images."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as caught:
        client.get(ADDRESS, query)
    statement = next(
        entry["sql"]
        for entry in caught.captured_queries
        if '"datasets_image"."sha256"' in entry["sql"] and "LIMIT 61" in entry["sql"]
    )
    for entry in (
        sorted(caught.captured_queries, key=lambda entry: -float(entry["time"]))[:2] if plans else []
    ):
        print(entry["time"], entry["sql"][:300], file=sys.stderr)
    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN (ANALYZE, FORMAT JSON, TIMING OFF, BUFFERS OFF) " + statement)
        plan = cursor.fetchone()[0][0]["Plan"]
        if plans:
            cursor.execute("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, BUFFERS OFF) " + statement)
            print("\n".join(row[0] for row in cursor.fetchall()), file=sys.stderr)
    return round(rows_read(plan))


def rows_read(node: dict[str, Any]) -> float:
    """Return the number of rows that the scans of a plan read, kept or not."""
    below = sum(map(rows_read, node.get("Plans", [])))
    if "Relation Name" not in node:
        return below
    return below + (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]


def measure(images: int, pages: int, plans: bool) -> dict[str, Any]:
    from django.db import connection
    from django.test import Client

    from mekiki.accounts.models import User
    from mekiki.learning.services import promote
    from workers.steps.predictions import store_missing_predictions

    dataset, (head,) = fill(images, heads=1)
    scores, mirror = what_it_says(dataset, head)
    store_missing_predictions(head, scores, mirror, lambda **_facts: None)
    promote(head=head, reason={"code": "first_head"})
    with connection.cursor() as cursor:
        cursor.execute("VACUUM")  # autovacuum would do this within minutes
    client = Client(SERVER_NAME="localhost")
    client.force_login(User.objects.get(username="reader"))
    figures: dict[str, Any] = {"images": images}
    everything: list[float] = []
    most = 0
    for kind, query in kinds(dataset, head).items():
        times = []
        for turn in range(pages + 1):
            begun = time.perf_counter()
            reply = client.get(ADDRESS, query)
            spent = time.perf_counter() - begun
            assert reply.status_code == 200 and b"gallery__item" in reply.content, kind
            times += [spent] if turn else []  # the first page loads the database into memory
        rows = read_for(client, query, plans)
        most = max(most, rows)
        print(
            f"{kind:20} p50 {percentile(times, 0.5):8} ms {rows:10,} rows read", file=sys.stderr, flush=True
        )
        figures[f"{kind}_p95_ms"] = percentile(times, 0.95)
        everything += times
    return figures | {
        "page_p50_ms": percentile(everything, 0.5),
        "page_p95_ms": percentile(everything, 0.95),
        "most_rows_read": most,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="4,000 images, 5 pages of each kind")
    parser.add_argument("--images", type=int, default=None)
    parser.add_argument("--pages", type=int, default=None, help="of each kind")
    parser.add_argument("--plans", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with fresh_platform():
        figures = measure(
            options.images or (4_000 if options.quick else 1_000_000),
            options.pages or (5 if options.quick else 20),
            options.plans,
        )
    report(figures, options.json)


if __name__ == "__main__":
    main()
