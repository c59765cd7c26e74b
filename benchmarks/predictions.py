"""Predictions of a new head for a million images: store, promote, show, drop the old ones.

    python benchmarks/predictions.py [--quick] [--images N] [--json PATH]

Budget (design, section 8): stored and visible in the gallery within 30 s.

- `store_s`: what the worker does when the scores are ready (store_missing_predictions of
  workers.steps.predictions: chunks of 50,000, each committed, then the indexes);
- `visible_s`: the same, plus the promotion, until a gallery page has answered with the new head's rows
  through Django's whole stack; the page is filtered by predicted label and sorted by confidence;
- `drop_s`: the drop of the old head's predictions;
- `floor_s`: the same bytes copied at once into a table without an index, a lower bound for storing.

Meanwhile a second process reads three predictions of the champion every 5 ms, as a reviewer's next item does.
A third process imports an image every 10 ms. Their waits are `read_*` and `import_*`; in `idle` nothing else
runs. `long_read_*` are the waits while a transaction of two seconds reads the old head's predictions, so that
the drop has to wait.
"""

import argparse
import json
import os
import re
import select
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "platform"), str(ROOT)]

from benchmarks.harness import connect, fresh_platform, report  # noqa: E402
from benchmarks.million import SLUG, fill, percentile, what_it_says  # noqa: E402


class Watch:
    """Two processes that read and import while a block `during` runs; `figures` holds their waits.

    The processes start before the first block. Between the blocks they wait.
    """

    def __init__(self) -> None:
        self.figures: dict[str, Any] = {}
        self.processes: dict[str, subprocess.Popen[str]] = {}

    def __enter__(self) -> "Watch":
        return self

    def _start(self) -> None:
        self.processes = {
            what: subprocess.Popen(
                [sys.executable, __file__, "--watch", what],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for what in ("read", "import")
        }
        for what in self.processes:
            self._line(what)  # it is ready

    def __exit__(self, *_error: object) -> None:
        for process in self.processes.values():
            process.communicate()  # the end of its input ends it

    @contextmanager
    def during(self, name: str) -> Iterator[None]:
        """Let both processes work while the block runs."""
        if not self.processes:
            self._start()
        for what in self.processes:
            self._write(what, "begin")
            self._line(what)  # it has begun
        yield
        for what in self.processes:
            self._write(what, "stop")
        for what in self.processes:
            times = json.loads(self._line(what))
            self.figures |= {
                f"{what}_{name}_p99_ms": percentile(times, 0.99),
                f"{what}_{name}_max_ms": percentile(times, 1.0),
            }

    def _write(self, what: str, line: str) -> None:
        pipe = self.processes[what].stdin
        assert pipe is not None
        print(line, file=pipe, flush=True)

    def _line(self, what: str) -> str:
        pipe = self.processes[what].stdout
        assert pipe is not None
        return pipe.readline()


def watch(what: str) -> None:
    """Read predictions of the champion, or import images, between the lines "begin" and "stop" of the input.

    Prints the seconds of each act as JSON. The end of the input ends the process.
    """
    connect(Path(os.environ["MEKIKI_HOME"]), os.environ["DATABASE_URL"])
    import numpy as np

    from mekiki.datasets.models import Dataset, Image
    from mekiki.review.services.leases import _predicted

    dataset = Dataset.objects.get(slug=SLUG)
    other, _made = Dataset.objects.get_or_create(slug="another", defaults={"name": "Another"})
    first, last = (
        Image.objects.filter(dataset=dataset).order_by(order).values_list("pk", flat=True)[0]
        for order in ("pk", "-pk")
    )
    dice = np.random.default_rng(0)

    def read() -> None:
        predicted = _predicted(dataset, dice.integers(first, last + 1, 3).tolist())
        assert predicted, "there is a moment without predictions"

    def bring_in() -> None:
        Image.objects.create(
            dataset=other, sha256=os.urandom(32).hex(), name="new", format="PNG", width=1, height=1, size=1,
            audit_key=0.5,
        )  # fmt: skip

    act, pause = (read, 0.005) if what == "read" else (bring_in, 0.01)
    act()
    print("ready", flush=True)
    while sys.stdin.readline().strip() == "begin":
        times: list[float] = []
        print("begun", flush=True)
        while not select.select([sys.stdin], [], [], pause)[0]:
            begun = time.perf_counter()
            act()
            times.append(time.perf_counter() - begun)
        sys.stdin.readline()  # "stop"
        print(json.dumps(times), flush=True)


def floor(head: Any) -> float:
    """Return the seconds to copy the head's rows, ready as bytes, into a table without an index."""
    import numpy as np
    from django.db import connection
    from psycopg import sql

    from mekiki.learning.binary import FLOAT8, INT8, blank_rows, copy_in, copy_out
    from mekiki.learning.services.predictions import partition_name

    kinds = {"head_id": INT8, "image_id": INT8, "label_id": INT8, "runner_up_id": INT8} | dict.fromkeys(
        ("confidence", "margin", "entropy"), FLOAT8
    )
    columns = sql.SQL(", ").join(map(sql.Identifier, kinds))
    query = sql.SQL("SELECT {} FROM {}").format(columns, sql.Identifier(partition_name(head.pk)))
    parts = list(copy_out(query, kinds))
    rows = blank_rows(sum(map(len, parts)), kinds)
    np.concatenate(parts, out=rows)
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE floor (LIKE {partition_name(head.pk)})")
        begun = time.perf_counter()
        copy_in("floor", list(kinds), rows)
        spent = time.perf_counter() - begun
        cursor.execute("DROP TABLE floor")
    return spent


def long_read(head: Any, seconds: float, begun: threading.Event) -> None:
    from django.db import connection, transaction

    from mekiki.learning.models import Prediction

    with transaction.atomic():
        Prediction.objects.filter(head=head).first()
        begun.set()
        time.sleep(seconds)
    connection.close()


def measure(images: int, watching: Watch) -> dict[str, Any]:
    from django.db import connection
    from django.test import Client

    from mekiki.accounts.models import User
    from mekiki.datasets.models import Image
    from mekiki.learning.models import Prediction
    from mekiki.learning.services import drop_replaced_predictions, promote
    from mekiki.learning.services.predictions import partition_name
    from workers.steps.predictions import store_missing_predictions

    say = lambda text: print(  # noqa: E731
        f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True
    )
    quiet = lambda **_facts: None  # noqa: E731

    def ask(query: str, *values: Any) -> Any:
        with connection.cursor() as cursor:
            cursor.execute(query, values)
            return cursor.fetchone()[0]

    dataset, (old, new, next_one) = fill(images, heads=3)
    client = Client(SERVER_NAME="localhost")
    client.force_login(User.objects.get(username="reader"))
    scores, mirror = what_it_says(dataset, old)
    store_missing_predictions(old, scores, mirror, quiet)
    promote(head=old, reason={"code": "first_head"})
    say("the old head's are there")
    label = old.label_ids[0]
    address, query = f"/d/{SLUG}/images/", {"label": label, "sort": "sure"}
    client.get(address, query)
    figures: dict[str, Any] = {"images": images}
    with watching.during("idle"):
        time.sleep(1 if images < 100_000 else 5)

    scores, mirror = what_it_says(dataset, new)
    rows = [n for n in range(len(scores)) if scores.label[n] == 0]
    best = max(rows, key=lambda n: (scores.confidence[n], n))
    wal = ask("SELECT pg_current_wal_insert_lsn()")
    with watching.during("storing"):
        begun = time.perf_counter()
        stored = store_missing_predictions(new, scores, mirror, quiet)
        figures["store_s"] = round(time.perf_counter() - begun, 2)
        promote(head=new, reason={"code": "better_than_prompts"})
        page = client.get(address, query)
        figures["visible_s"] = round(time.perf_counter() - begun, 2)
    assert stored == images and page.status_code == 200
    surest = Image.objects.get(pk=int(mirror.ids[best])).sha256
    first = re.search(r'gallery__item"[^>]*? href="([^"]+)"', page.content.decode())
    assert first and surest in first[1], "the first on the page is the one the new head is surest of"
    figures["wal_mb"] = round(
        float(ask("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), %s)", wal)) / 1e6
    )
    name = partition_name(new.pk)
    figures["table_mb"] = round(ask("SELECT pg_relation_size(%s)", name) / 1e6)
    figures["indexes_mb"] = round(ask("SELECT pg_indexes_size(%s)", name) / 1e6)
    figures["floor_s"] = round(floor(new), 2)
    say("stored and seen")
    with watching.during("dropping"):
        time.sleep(0.5)
        begun = time.perf_counter()
        assert drop_replaced_predictions(dataset) == 1
        figures["drop_s"] = round(time.perf_counter() - begun, 3)
        time.sleep(0.5)
    assert not Prediction.objects.exclude(head=new).exists()

    scores, mirror = what_it_says(dataset, next_one)
    store_missing_predictions(next_one, scores, mirror, quiet)
    promote(head=next_one, reason={"code": "better_than_prompts"})
    reading = threading.Event()
    reader = threading.Thread(target=long_read, args=(new, 2.0, reading))
    with watching.during("long_read"):
        reader.start()
        reading.wait()
        begun = time.perf_counter()
        assert drop_replaced_predictions(dataset) == 1
        figures["long_read_drop_s"] = round(time.perf_counter() - begun, 2)
    reader.join()
    return figures | watching.figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="4,000 images")
    parser.add_argument("--images", type=int, default=None)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--watch", choices=["read", "import"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.watch:
        watch(options.watch)
        return
    with fresh_platform(), Watch() as watching:
        figures = measure(options.images or (4_000 if options.quick else 1_000_000), watching)
    report(figures, options.json)


if __name__ == "__main__":
    main()
