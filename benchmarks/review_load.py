"""Fifty reviewers at once on a dataset of a million images: server time of the next image.

    python benchmarks/review_load.py [--quick] [--images N] [--reviewers N] [--think SECONDS] [--json PATH]

Budget (design, section 8): p99 below 50 ms, no item assigned to two people, no answer lost. Each reviewer
requests the next three images (as the station does), waits for `think` seconds on average, and answers.
Requests go through the whole Django stack (session, access, API) of two processes, with a fresh embedded
PostgreSQL and its ordinary, durable settings. The time is that of the request for the next images, from the
middleware to the JSON. The reviewers, the server and the database share two cores, so the figures include the
wait for them.
"""

import argparse
import json
import random
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "platform"), str(ROOT)]

from benchmarks.harness import fresh_platform, report  # noqa: E402

PROCESSES = 2
SLUG = "benchmark"


def fill(images: int, reviewers: int, items: int) -> None:
    """Write a dataset of `images` predicted images and a queue of `items` directly into the tables."""
    from django.db import connection
    from django.utils import timezone

    from mekiki.accounts.models import Role, User
    from mekiki.accounts.services import set_role
    from mekiki.datasets.models import Dataset, Image
    from mekiki.labeling.models import Label, PromptSet
    from mekiki.learning.models import Champion, Encoder, Head
    from mekiki.learning.services import index_predictions, open_predictions
    from mekiki.review.services import fill_queue

    dataset = Dataset.objects.create(slug=SLUG, name="Benchmark", retrain_every=0, queue_target=0)
    labels = [Label.objects.create(dataset=dataset, name=f"label {n}", position=n) for n in range(1, 7)]
    head = Head.objects.create(
        dataset=dataset,
        version=1,
        kind=Head.Kind.LOGISTIC,
        encoder=Encoder.objects.create(name="none", digest="0" * 64, dim=4, logit_scale=100),
        prompt_set=PromptSet.objects.create(dataset=dataset, version=1, digest="0" * 64),
        label_ids=[label.pk for label in labels],
        weights=b"",
        digest="0" * 64,
        code_version="benchmark",
    )
    Champion.objects.create(dataset=dataset, head=head)
    open_predictions(head=head)
    with connection.cursor() as cursor:
        cursor.execute(
            """INSERT INTO datasets_image (dataset_id, sha256, name, format, width, height, size, metadata,
               audit_key, created_at, window_version, rendition)
               SELECT %s, encode(sha256(n::text::bytea), 'hex'), 'part-' || n, 'PNG', 200, 200, 10000,
               '{"line": "A"}', 0.5, %s, 0, 0 FROM generate_series(1, %s) AS n""",
            [dataset.pk, timezone.now(), images],
        )
        cursor.execute(
            """INSERT INTO learning_prediction (head_id, image_id, label_id, runner_up_id, confidence, margin,
               entropy) SELECT %s, id, %s, %s, 0.8, 0.6, 0.5 FROM datasets_image WHERE dataset_id = %s""",
            [head.pk, labels[0].pk, labels[1].pk, dataset.pk],
        )
        cursor.execute("ANALYZE")
    index_predictions(head=head)
    chosen = list(Image.objects.filter(dataset=dataset).order_by("-id").values_list("pk", flat=True)[:items])
    streams = ["audit" if n % 7 == 0 else "uncertain" for n in range(items)]
    fill_queue(dataset=dataset, head=head, image_ids=chosen, streams=streams, propensities=[0.5] * items)
    for n in range(reviewers):
        user = User.objects.create(username=f"reviewer-{n}")
        set_role(dataset=dataset, user=user, role=Role.REVIEWER, actor=None)


def review(number: int, answers: int, think: float, seen: list[Any], times: list[float]) -> None:
    """Review as one reviewer: request items and answer them.

    Appends (item, reviewer) to ``seen`` for every item received, and the seconds of each request to
    ``times``.
    """
    from django.db import connection
    from django.test import Client

    from mekiki.accounts.models import User
    from mekiki.labeling.models import Label

    client = Client(SERVER_NAME="localhost")
    client.force_login(User.objects.get(username=f"reviewer-{number}"))
    label = Label.objects.filter(dataset__slug=SLUG).earliest("position").pk
    base = f"/api/v1/datasets/{SLUG}/review/"
    dice = random.Random(number)

    def post(act: str, body: dict[str, Any]) -> Any:
        reply = client.post(base + act, json.dumps(body), content_type="application/json")
        if reply.status_code != 200:
            raise RuntimeError(f"{act}: {reply.status_code} {reply.content[:200]!r}")
        return reply.json()

    time.sleep(dice.uniform(0, think))
    for _ in range(answers):
        begun = time.perf_counter()
        items = post("next", {"count": 3})["items"]
        times.append(time.perf_counter() - begun)
        seen.extend((item["item"], number) for item in items)
        time.sleep(dice.uniform(0.5, 1.5) * think)
        first = items[0]
        body = {"item": first["item"], "lease": first["lease"], "client_key": str(uuid.uuid4())}
        post("answer", body | {"kind": "correct", "label": label, "milliseconds": 900})
    connection.close()


def work(first: int, count: int, answers: int, think: float) -> None:
    """Run one process of reviewers and write the items they received as JSON."""
    import django

    django.setup()
    seen: list[Any] = []
    times: list[float] = []
    failed: list[str] = []

    def run(number: int) -> None:
        try:
            review(number, answers, think, seen, times)
        except Exception as error:
            failed.append(repr(error))

    threads = [threading.Thread(target=run, args=(n,)) for n in range(first, first + count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    json.dump({"seen": seen, "times": times, "failed": failed}, sys.stdout)


def measure(images: int, reviewers: int, answers: int, think: float) -> dict[str, Any]:
    """Set up, let the reviewers work, and return the figures."""

    from mekiki.review.models import ConfirmedLabel, Decision

    fill(images, reviewers, items=reviewers * (answers + 5))
    share = -(-reviewers // PROCESSES)
    begun = time.perf_counter()
    workers = [
        subprocess.Popen(
            [
                *[sys.executable, __file__, "--work", str(first), str(min(share, reviewers - first))],
                *[str(answers), str(think)],
            ],
            stdout=subprocess.PIPE,
        )
        for first in range(0, reviewers, share)
    ]
    results = [json.loads(worker.communicate()[0]) for worker in workers]
    seconds = time.perf_counter() - begun
    failed = [error for result in results for error in result["failed"]]
    if failed:
        raise SystemExit(f"{len(failed)} reviewers failed, the first with {failed[0]}")
    holders: dict[int, set[int]] = {}
    for result in results:
        for item, reviewer in result["seen"]:
            holders.setdefault(item, set()).add(reviewer)
    times = sorted(x for result in results for x in result["times"])

    def percentile(share: float) -> float:
        return round(times[min(len(times) - 1, int(share * len(times)))] * 1000, 1)

    given = reviewers * answers
    kept = min(Decision.objects.count(), ConfirmedLabel.objects.count())
    return {
        "images": images,
        "reviewers": reviewers,
        "next_p50_ms": percentile(0.5),
        "next_p95_ms": percentile(0.95),
        "next_p99_ms": percentile(0.99),
        "answers_per_s": round(given / seconds, 1),
        "shared_items": sum(len(people) > 1 for people in holders.values()),
        "lost_answers": given - kept,
    }


def main() -> None:
    if sys.argv[1:2] == ["--work"]:
        first, count, answers = map(int, sys.argv[2:5])
        work(first, count, answers, float(sys.argv[5]))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="10,000 images, 10 reviewers, 10 answers each")
    parser.add_argument("--images", type=int, default=None)
    parser.add_argument("--reviewers", type=int, default=None)
    parser.add_argument("--answers", type=int, default=None, help="by each reviewer")
    parser.add_argument("--think", type=float, default=2.0, help="mean seconds to look at an image")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    images = options.images or (10_000 if options.quick else 1_000_000)
    reviewers = options.reviewers or (10 if options.quick else 50)
    answers = options.answers or (10 if options.quick else 30)

    with fresh_platform():
        figures = measure(images, reviewers, answers, options.think)
    report(figures, options.json)


if __name__ == "__main__":
    main()
