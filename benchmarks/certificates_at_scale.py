"""A certificate over a million images: freeze the pool, audit it, and set 800,000 labels.

    python benchmarks/certificates_at_scale.py [--quick] [--images N] [--json PATH]

Budgets for a million images: the freeze (scores and audit order stored) below 20 s, the next image of a
reviewer below 50 ms (p99) while the audit runs, 800,000 labels set below 60 s without blocking reviewers.

The stages of the worker run in this process, on a fresh embedded PostgreSQL with its ordinary, durable
settings. The vectors (512 dimensions) are in memory, because reading them from the database is measured
elsewhere (mirror.py). `*_cpu_s` is the processor time of this process; the database works beside it.

One reviewer process leases the next image and answers it, again and again, through the services that the API
calls: `idle_*` while nothing else runs, `audit_*` while the job of the audit runs without a pause, `accept_*`
while the labels are set. `*_next_*` is the time until the next image is leased, `*_answer_*` until an answer
is stored. `audit_check_p50_s` is one run of the job after an answer.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "platform"), str(ROOT)]

from benchmarks.harness import connect, fresh_platform, report  # noqa: E402
from benchmarks.million import LABELS, SLUG, fill, percentile  # noqa: E402

DIM = 512
SHARE = 0.8  # of the images, whose labels are set


class Reviewer:
    """A process that leases and answers images until the block ends; `figures` holds its times."""

    def __init__(self, name: str) -> None:
        self.name, self.figures = name, dict[str, Any]()

    def __enter__(self) -> "Reviewer":
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--review"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self.process.stdout is not None
        self.process.stdout.readline()  # it has begun
        return self

    def __exit__(self, *_error: object) -> None:
        times = json.loads(self.process.communicate(b"stop")[0])
        self.figures[f"{self.name}_answers"] = len(times["answer"])
        for what, seconds in times.items():
            self.figures |= {
                f"{self.name}_{what}_p50_ms": percentile(seconds, 0.5),
                f"{self.name}_{what}_p99_ms": percentile(seconds, 0.99),
                f"{self.name}_{what}_max_ms": percentile(seconds, 1.0),
            }


def review() -> None:
    """Lease and answer images until the input ends; print the seconds of both as JSON."""
    connect(Path(os.environ["MEKIKI_HOME"]), os.environ["DATABASE_URL"])
    from mekiki.accounts.models import User
    from mekiki.datasets.models import Dataset
    from mekiki.review.services import answer, next_items

    dataset = Dataset.objects.get(slug=SLUG)
    user = User.objects.get(username="reviewer")
    label = dataset.labels.order_by("pk").first()
    assert label is not None
    stop = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(1), stop.set()), daemon=True).start()
    times: dict[str, list[float]] = {"next": [], "answer": []}
    next_items(dataset=dataset, user=user, count=1)
    print("begun", flush=True)
    while not stop.is_set():
        begun = time.perf_counter()
        leased = next_items(dataset=dataset, user=user, count=1)
        times["next"].append(time.perf_counter() - begun)
        if leased:
            predicted = leased[0].lease.shown.get("label")
            begun = time.perf_counter()
            answer(
                dataset=dataset, user=user, item_id=leased[0].item.pk, lease_id=leased[0].lease.pk,
                kind="correct", label=predicted or right_label(leased[0].item.image_id) or label.pk,
                client_key=uuid.uuid4(),
            )  # fmt: skip
            times["answer"].append(time.perf_counter() - begun)
        time.sleep(0.05)
    json.dump(times, sys.stdout)


def right_label(image_id: int) -> int | None:
    """Return the frozen label of an image, as a reviewer who agrees with the machine would answer."""
    from mekiki.quality.models import CertificateImage

    return CertificateImage.objects.filter(image=image_id).values_list("label", flat=True).first()


def timed(name: str, figures: dict[str, Any], act: Callable[[], Any]) -> Any:
    """Run a function, store its wall and processor seconds, and return its result."""
    cpu = resource.getrusage(resource.RUSAGE_SELF)
    begun = time.perf_counter()
    result = act()
    spent = resource.getrusage(resource.RUSAGE_SELF)
    figures[f"{name}_s"] = round(time.perf_counter() - begun, 2)
    figures[f"{name}_cpu_s"] = round(spent.ru_utime + spent.ru_stime - cpu.ru_utime - cpu.ru_stime, 2)
    return result


def make_mirror(dataset: Any) -> Any:
    """Return random unit vectors of all images, as the embeddings of an encoder."""
    import numpy as np

    from mekiki.datasets.models import Image
    from workers.embeddings import Mirror

    ids = np.fromiter(
        Image.objects.filter(dataset=dataset).order_by("pk").values_list("pk", flat=True).iterator(), np.int64
    )
    dice = np.random.default_rng(0)
    vectors = np.empty((len(ids), DIM), np.float16)
    for start in range(0, len(ids), 50_000):
        part = dice.standard_normal((min(50_000, len(ids) - start), DIM), np.float32)
        vectors[start : start + 50_000] = part / np.linalg.norm(part, axis=1, keepdims=True)
    return Mirror(ids, np.full(len(ids), 0.5), vectors)


def make_head(dataset: Any, head: Any) -> None:
    """Store a head with random weights that is sure about most images, and put it in use."""
    import numpy as np

    from mekiki.learning.models import Champion, Head
    from workers.heads.head import LogisticHead
    from workers.heads.serial import dump_head

    weights = np.random.default_rng(1).standard_normal((LABELS, DIM)).astype(np.float32)
    weights /= np.linalg.norm(weights, axis=1, keepdims=True)
    made = LogisticHead(weights=weights, bias=np.zeros(LABELS, np.float32), logit_scale=100.0)
    chosen = Head.objects.create(
        dataset=dataset, version=99, kind=Head.Kind.LOGISTIC, encoder_id=head.encoder_id,
        prompt_set_id=head.prompt_set_id, label_ids=head.label_ids, weights=dump_head(made),
        digest="1" * 64, code_version="benchmark", calibrated=True,
    )  # fmt: skip
    Champion.objects.create(dataset=dataset, head=chosen, reason={}, since=dataset.created_at)


def queue(dataset: Any, images: Any) -> None:
    """Put images that people labelled before into the queue, so that reviewers have other work too."""
    from mekiki.review.models import QueueItem, Stream

    QueueItem.objects.bulk_create(
        QueueItem(
            dataset=dataset, image_id=int(image), stream=Stream.RECHECK, propensity=1.0, position=float(place)
        )
        for place, image in enumerate(images)
    )


def measure(images: int) -> dict[str, Any]:
    from django.db import connection

    from mekiki.accounts.models import Role, User
    from mekiki.accounts.services import set_role
    from mekiki.quality.models import Certificate, MachineLabel
    from mekiki.quality.services.certificates import start
    from verification.certificates.protocol import Protocol
    from workers import embeddings
    from workers.stages import certify

    say = lambda text: print(  # noqa: E731
        f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True
    )
    quiet: Any = lambda **_facts: None  # noqa: E731
    dataset, (head,) = fill(images, heads=1)
    dataset.retrain_every = dataset.queue_target = 0
    dataset.save()
    admin = User.objects.get(username="reader")
    set_role(dataset=dataset, user=User.objects.create(username="reviewer"), role=Role.REVIEWER, actor=None)
    make_head(dataset, head)
    mirror = make_mirror(dataset)
    embeddings.load_mirror = lambda *_given, **_named: mirror  # type: ignore[assignment]
    queue(dataset, mirror.ids[-3000:])
    say("the dataset is there")
    figures: dict[str, Any] = {"images": images}
    seconds = 2 if images < 100_000 else 15
    with Reviewer("idle") as idle:
        time.sleep(seconds)
    figures |= idle.figures

    certificate = start(
        dataset=dataset, user=admin, protocol=Protocol(alpha=0.02, delta=0.05, limit=400, levels=(0.8, 0.9))
    )
    timed("freeze", figures, lambda: certify._freeze(certificate, quiet))
    certificate.refresh_from_db()
    assert certificate.state == Certificate.State.AUDITING and certificate.pool >= images - 3000
    say("frozen")
    checks: list[float] = []
    timed("first_check", figures, lambda: certify._audit(certificate, quiet))
    with Reviewer("audit") as audit:
        ends = time.perf_counter() + 2 * seconds
        while time.perf_counter() < ends and certificate.state == Certificate.State.AUDITING:
            begun = time.perf_counter()
            certificate = certify._audit(certificate, quiet)
            checks.append(time.perf_counter() - begun)
    figures |= audit.figures
    figures["audit_check_p50_s"] = round(sorted(checks)[len(checks) // 2], 3)
    figures["audited"] = certificate.drawn.count()
    say("audited")

    region = int(images * SHARE)
    # The benchmark does not wait for enough right answers. The labels are set in the same way.
    Certificate.objects.filter(pk=certificate.pk).update(
        state=Certificate.State.ACCEPTING, region=region, audits=len(checks)
    )
    certificate.refresh_from_db()
    with Reviewer("accept") as accepting:
        done = timed("accept", figures, lambda: certify._set_labels(certificate, quiet))
    figures |= accepting.figures
    assert done.state == Certificate.State.ACCEPTED
    figures["labels"] = MachineLabel.objects.count()
    with connection.cursor() as cursor:
        for name in ("quality_certificateimage", "quality_machinelabel"):
            cursor.execute("SELECT pg_total_relation_size(%s)", [name])
            figures[f"{name.removeprefix('quality_')}_mb"] = round(cursor.fetchone()[0] / 1e6)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="20,000 images")
    parser.add_argument("--images", type=int, default=None)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--review", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.review:
        review()
        return
    with fresh_platform():
        figures = measure(options.images or (20_000 if options.quick else 1_000_000))
    report(figures, options.json)


if __name__ == "__main__":
    main()
