"""Many reviewers at once on a dataset of a million images: time of an answer with its next image.

    python benchmarks/review_load.py [--quick] [--images N] [--reviewers N] [--think SECONDS] [--seconds N]
                                     [--separate] [--home FOLDER] [--json PATH]
    python benchmarks/review_load.py --label-studio URL --label-studio-project ID --label-studio-token TOKEN …
                                     [--label-studio-pid PID …] [--label-studio-setup TEXT]

Budget (design, section 9): 1,000,000 images, 50 reviewers with 1 s think time: p99 of the next image below
50 ms, no item handed to two people, no answer lost. Each reviewer holds three images (as the station does),
waits for `think` seconds on average, and answers. The answer leases the next image in the same request
(`--separate`: in two requests, as before). The time is that of the request until the next image has arrived,
measured by the clients. The tables are vacuumed first, as on a platform that has run for a day: right after a
million rows were written, PostgreSQL would do it beside the reviewers.

The web server is that of `mekiki up` (gunicorn with its two processes, the role of the application), on a
fresh embedded PostgreSQL with its ordinary, durable settings. The clients (reviewers.py) are one process on
the same cores. The report states the processor time of the web server, the database and the clients for each
cycle of answer and next image, and how busy the cores were with all of them and with other processes.

`--home` keeps the database and uses it again. `--label-studio` drives a running Label Studio (1.23) with the
same clients. It needs a project with tasks; its labelling interface has one Choices tag
(`--label-studio-names`). Give one legacy token for each reviewer: Label Studio locks a task for a user
(`--label-studio-token @FILE` reads them from a file, one a line). `--label-studio-pid` names the processes of
the server and of its database, whose processor time is measured with that of their children.
`--label-studio-setup` states how the server runs; the text is stored with the figures.
"""

import argparse
import json
import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import psutil
import psycopg

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "platform"), str(ROOT)]

from benchmarks.harness import fresh_server, report  # noqa: E402

SLUG = "benchmark"
CSRF = "a" * 32


def fill(images: int, reviewers: int) -> None:
    """Write a dataset of `images` predicted images and its reviewers directly into the tables."""
    from django.db import connection
    from django.utils import timezone

    from mekiki.accounts.models import Role, User
    from mekiki.accounts.services import set_role
    from mekiki.datasets.models import Dataset
    from mekiki.labeling.models import Label, PromptSet
    from mekiki.learning.models import Champion, Encoder, Head
    from mekiki.learning.services import index_predictions, open_predictions

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
    index_predictions(head=head)
    for n in range(reviewers):
        user = User.objects.create(username=f"reviewer-{n}")
        set_role(dataset=dataset, user=user, role=Role.REVIEWER, actor=None)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")


def fill_queue(items: int) -> None:
    """Replace the waiting items by `items` images that were never in the queue. One of seven is an audit."""
    from django.db import connection

    from mekiki.datasets.models import Dataset, Image
    from mekiki.learning.models import Head
    from mekiki.review.models import QueueItem
    from mekiki.review.services import fill_queue as fill_queue_of

    dataset, used = Dataset.objects.get(slug=SLUG), QueueItem.objects.values("image_id")
    images = Image.objects.filter(dataset=dataset).exclude(pk__in=used).order_by("-id")
    chosen = list(images.values_list("pk", flat=True)[:items])
    if len(chosen) < items:
        raise SystemExit(f"Only {len(chosen)} images are left. Use another --home.")
    streams = ["audit" if n % 7 == 0 else "uncertain" for n in range(items)]
    fill_queue_of(
        dataset=dataset,
        head=Head.objects.get(dataset=dataset),
        image_ids=chosen,
        streams=streams,
        propensities=[0.5] * items,
    )
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE review_queueitem, review_lease, review_decision")


def login_headers(reviewers: int) -> list[dict[str, str]]:
    """Return the headers of a logged-in browser for each reviewer."""
    from django.conf import settings
    from django.test import Client

    from mekiki.accounts.models import User

    headers = []
    for number in range(reviewers):
        client = Client(SERVER_NAME="localhost")
        client.force_login(User.objects.get(username=f"reviewer-{number}"))
        session = client.cookies[settings.SESSION_COOKIE_NAME].value
        cookies = f"{settings.SESSION_COOKIE_NAME}={session}; {settings.CSRF_COOKIE_NAME}={CSRF}"
        headers.append({"Cookie": cookies, "X-CSRFToken": CSRF})
    return headers


def processor_seconds(root: psutil.Process) -> float:
    """Return the processor time of a process and its descendants, also of those that have ended."""
    total = 0.0
    for process in [root, *root.children(recursive=True)]:
        try:
            total += sum(process.cpu_times()[:4])
        except psutil.NoSuchProcess:
            continue
    return total


def busy_seconds() -> float:
    """Return the processor time that all processes of this machine have used."""
    times = psutil.cpu_times()
    return sum(times) - times.idle - times.iowait - times.guest - times.guest_nice


def play(settings: dict[str, Any]) -> dict[str, Any]:
    """Run the clients in a process of their own and return their figures."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "reviewers.py")],
        input=json.dumps(settings).encode(),
        stdout=subprocess.PIPE,
        check=True,
    )
    figures: dict[str, Any] = json.loads(done.stdout)
    if figures["failed"]:
        raise SystemExit(f"{len(figures['failed'])} reviewers failed, the first with {figures['failed'][0]}")
    return figures


def percentile(times: list[float], share: float) -> float:
    """Return a percentile of seconds, in milliseconds."""
    ordered = sorted(times)
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000, 1)


def summary(options: argparse.Namespace, figures: dict[str, Any]) -> dict[str, Any]:
    """Return the figures that are measured on every tool."""
    holders: dict[int, set[int]] = {}
    for item, reviewer in figures["seen"]:
        holders.setdefault(item, set()).add(reviewer)
    times = figures["times"]
    return {
        "reviewers": options.reviewers,
        "think_s": options.think,
        "seconds": round(figures["seconds"], 1),
        "next_p50_ms": percentile(times, 0.5),
        "next_p95_ms": percentile(times, 0.95),
        "next_p99_ms": percentile(times, 0.99),
        "next_max_ms": percentile(times, 1.0),
        "answers_per_s": round(figures["kept"] / figures["seconds"], 1),
        "shared_items": sum(len(people) > 1 for people in holders.values()),
    }


def measure(options: argparse.Namespace, home: Path, server: Any) -> dict[str, Any]:
    """Start the web server, let the reviewers work, and return the figures."""
    from mekiki.embedded.roles import APPLICATION, REPORT, rights
    from mekiki.embedded.supervisor import children
    from mekiki.embedded.supervisor.listener import http_status, listen
    from mekiki.labeling.models import Label
    from mekiki.review.models import ConfirmedLabel, Decision

    rights.grant(server.owner_url, application=APPLICATION, report=REPORT)
    # The dataset was written in a minute, not in weeks. Its pages are on the disk before the reviewers begin.
    with psycopg.connect(server.superuser_url, autocommit=True) as superuser:
        superuser.execute("CHECKPOINT")
    before = Decision.objects.count(), ConfirmedLabel.objects.count()
    listener = listen("127.0.0.1", 0)
    web = children.web(home, children.child_environment(home, server.url, "memory://"), listener)
    web.start()
    try:
        port = listener.getsockname()[1]
        settings = {
            "tool": "mekiki",
            "url": f"http://127.0.0.1:{port}",
            "headers": login_headers(options.reviewers),
            "base": f"/api/v1/datasets/{SLUG}/review/",
            "label": Label.objects.filter(dataset__slug=SLUG).earliest("position").pk,
            "think": options.think,
            "separate": options.separate,
        }
        while not http_status("127.0.0.1", port):
            time.sleep(0.2)
        play(settings | {"seconds": 5})  # the processes have loaded their code and opened their connections
        warm = Decision.objects.count() - before[0]
        roots = [psutil.Process(web.pid), psutil.Process(server.pid)]
        load, busy, used = os.getloadavg()[0], busy_seconds(), [processor_seconds(root) for root in roots]
        begun = time.monotonic()
        figures = play(settings | {"seconds": options.seconds})
        spent, busy = time.monotonic() - begun, busy_seconds() - busy
        used = [processor_seconds(root) - old for root, old in zip(roots, used, strict=True)]
    finally:
        web.stop()
        listener.close()
    kept = min(Decision.objects.count() - before[0], ConfirmedLabel.objects.count() - before[1]) - warm
    per_cycle = [round(seconds / figures["kept"] * 1000, 1) for seconds in [*used, figures["cpu_seconds"]]]
    cores = spent * (os.cpu_count() or 1)
    others = busy - sum(used) - figures["cpu_seconds"]
    return {
        "images": options.images,
        **summary(options, figures),
        "lost_answers": figures["kept"] - kept,
        "web_cpu_ms_per_cycle": per_cycle[0],
        "database_cpu_ms_per_cycle": per_cycle[1],
        "clients_cpu_ms_per_cycle": per_cycle[2],
        "cores_busy_percent": round(busy / cores * 100, 1),
        "cores_busy_with_clients_percent": round(figures["cpu_seconds"] / cores * 100, 1),
        "cores_busy_with_others_percent": round(max(0.0, others) / cores * 100, 1),
        "load_before": round(load, 1),
    }


def ask_label_studio(options: argparse.Namespace, path: str) -> dict[str, Any]:
    """Return the JSON of a GET request."""
    request = urllib.request.Request(options.label_studio.rstrip("/") + path)
    request.add_header("Authorization", f"Token {options.label_studio_token[0]}")
    with urllib.request.urlopen(request, timeout=60) as reply:
        answer: dict[str, Any] = json.load(reply)
    return answer


def measure_label_studio(options: argparse.Namespace) -> dict[str, Any]:
    """Let the same clients work on a running Label Studio, and return the figures."""
    from_name, to_name, choice = options.label_studio_names.split(",")
    tokens = options.label_studio_token
    headers = [{"Authorization": f"Token {tokens[n % len(tokens)]}"} for n in range(options.reviewers)]
    settings = {
        "tool": "label_studio",
        "url": options.label_studio,
        "headers": headers,
        "project": options.label_studio_project,
        "from_name": from_name,
        "to_name": to_name,
        "choice": choice,
        "think": options.think,
        "seconds": options.seconds,
    }
    version = ask_label_studio(options, "/api/version")["label-studio-os-package"]["version"]
    project = f"/api/projects/{options.label_studio_project}/"
    before = ask_label_studio(options, project)
    roots = [psutil.Process(pid) for pid in options.label_studio_pid]
    load, busy, used = os.getloadavg()[0], busy_seconds(), sum(map(processor_seconds, roots))
    begun = time.monotonic()
    figures = play(settings)
    cores = (time.monotonic() - begun) * (os.cpu_count() or 1)
    busy, used = busy_seconds() - busy, sum(map(processor_seconds, roots)) - used
    kept = ask_label_studio(options, project)["total_annotations_number"] - before["total_annotations_number"]
    server = {}
    if roots:
        others = max(0.0, busy - used - figures["cpu_seconds"])
        server = {
            "server_cpu_ms_per_cycle": round(used / max(1, figures["kept"]) * 1000, 1),
            "cores_busy_with_others_percent": round(others / cores * 100, 1),
        }
    return {
        "tool": f"Label Studio {version}",
        "setup": options.label_studio_setup,
        "images": before["task_number"],
        **summary(options, figures),
        "answer_p50_ms": percentile(figures["answers"], 0.5),
        "answer_p99_ms": percentile(figures["answers"], 0.99),
        "lost_answers": figures["kept"] - kept,
        **server,
        "cores_busy_percent": round(busy / cores * 100, 1),
        "load_before": round(load, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0], fromfile_prefix_chars="@")
    parser.add_argument("--quick", action="store_true", help="10,000 images, 10 reviewers, 10 seconds")
    parser.add_argument("--images", type=int, default=None)
    parser.add_argument("--reviewers", type=int, default=None)
    parser.add_argument("--think", type=float, default=1.0, help="mean seconds to look at an image")
    parser.add_argument("--seconds", type=float, default=None, help="how long the reviewers work")
    parser.add_argument("--separate", action="store_true", help="answer and next image in two requests")
    parser.add_argument("--home", type=Path, help="folder of a database that is kept and used again")
    parser.add_argument("--label-studio", metavar="URL", help="measure a running Label Studio instead")
    parser.add_argument("--label-studio-token", metavar="TOKEN", nargs="+", default=[""])
    parser.add_argument("--label-studio-pid", metavar="PID", nargs="+", type=int, default=[])
    parser.add_argument("--label-studio-setup", metavar="TEXT", default="", help="how the server runs")
    parser.add_argument("--label-studio-project", metavar="ID", type=int, default=1)
    parser.add_argument("--label-studio-names", default="choice,image,ok", help="from_name,to_name,choice")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    options.images = options.images or (10_000 if options.quick else 1_000_000)
    options.reviewers = options.reviewers or (10 if options.quick else 50)
    options.seconds = options.seconds or (10 if options.quick else 120)
    if options.label_studio:
        report(measure_label_studio(options), options.json)
        return
    with fresh_server(options.home) as (home, server):
        from mekiki.datasets.models import Dataset

        if not Dataset.objects.filter(slug=SLUG).exists():
            fill(options.images, options.reviewers)
        # A reviewer answers at most once in half the think time; three more are held at the end.
        most = (options.seconds + 5) / max(options.think, 0.02)
        fill_queue(min(int(options.reviewers * (most * 1.1 + 10)), options.images // 2))
        figures = measure(options, home, server)
    report(figures, options.json)


if __name__ == "__main__":
    main()
