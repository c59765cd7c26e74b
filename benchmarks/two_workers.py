"""Two workers on one dataset: images per second, and the cost of a `kill -9` of one of them.

    python benchmarks/two_workers.py [--quick] [--images N] [--only-kill] [--json PATH]

Uses real Celery workers (one process each, as on two machines), a fresh embedded PostgreSQL and Valkey, the
encoder `pocket`, and pictures of 200×200 drawn here. Each phase embeds a separate dataset with the same
pictures: a tenth of them to warm up, then all of them by one worker, by two, and by two of which the leading
one is killed midway.

On one machine the two workers share its cores, so `two_workers_ips` shows the cost of sharing, not the gain
of a second machine. `embedded_twice` counts images that were computed and stored a second time, from the
workers' logs. `killed_finished_s` is the time from the kill until everything is embedded and predicted; 25 s
of it pass until a silent worker is taken for dead. `killed_share` is the number of images that the killed
worker had stored. `small_rss_mb` and `rss_mb` are the worker's peak memory after a tenth and after all.
"""

import argparse
import hashlib
import io
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "platform"), str(ROOT)]

from benchmarks.harness import fresh_platform, report  # noqa: E402

CHUNK_LINE = re.compile(r"Dataset (\d+), encoder \d+, chunk \d+: (\d+) embedded, (\d+) not new")


def pictures(count: int) -> list[bytes]:
    """Return different JPEGs of a grained surface."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    grain = rng.normal(120, 20, (800, 800))
    drawn = []
    for number in range(count):
        y, x = rng.integers(0, 600, 2)
        pixels = np.clip(grain[y : y + 200, x : x + 200] + rng.normal(0, 4, (200, 200)), 0, 255)
        pixels[0, :4] = [number >> shift & 255 for shift in (24, 16, 8, 0)]
        out = io.BytesIO()
        Image.fromarray(pixels.astype(np.uint8)).convert("RGB").save(out, "JPEG", quality=85)
        drawn.append(out.getvalue())
    return drawn


class Worker:
    """A Celery worker of one process, with a log."""

    def __init__(self, name: str, home: Path) -> None:
        self.log = home / f"{name}.log"
        command = [
            sys.executable, "-m", "celery", "--app", "mekiki.config.celery", "worker", "--pool", "solo",
            "--concurrency", "1", "--include", "workers.tasks", "--hostname", f"{name}@%h",
            "--loglevel", "INFO", "--without-gossip", "--without-mingle",
        ]  # fmt: skip
        path = os.pathsep.join([str(ROOT / "platform"), str(ROOT)])
        with self.log.open("wb") as file:
            self._process = subprocess.Popen(
                command, stdout=file, stderr=file, env=os.environ | {"PYTHONPATH": path}, cwd=home
            )
        self.peak = 0.0
        until(lambda: " ready." in self.text(), 300, f"{name} is ready")

    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def chunks(self, dataset: int) -> tuple[int, int]:
        """Return (images embedded, images that had been embedded before) of a dataset."""
        chunks = [(int(m[2]), int(m[3])) for m in CHUNK_LINE.finditer(self.text()) if int(m[1]) == dataset]
        return sum(n for n, _ in chunks), sum(n for _, n in chunks)

    def leads(self, job: Any) -> bool:
        """Return whether this worker began the job."""
        return f"leads job {job.pk}" in self.text()

    def look(self) -> None:
        self.peak = max(self.peak, psutil.Process(self._process.pid).memory_info().rss / 2**20)

    def end(self, number: int = signal.SIGTERM) -> None:
        if self._process.poll() is None:
            self._process.send_signal(number)
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def until(condition: Callable[[], Any], seconds: float, what: str, every: float = 0.1) -> Any:
    """Wait until a condition is true and return its value. Raises SystemExit after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise SystemExit(f"After {seconds:.0f} s still not: {what}")
        time.sleep(every)
    return value


def new_dataset(name: str, contents: list[bytes], user: Any) -> Any:
    """Create a dataset with these pictures, and labels with prompts, so that predictions follow."""
    from mekiki.datasets import storage
    from mekiki.datasets.models import Image
    from mekiki.datasets.services import create_dataset
    from mekiki.jobs.models import Job
    from mekiki.labeling.services import set_schema

    dataset = create_dataset(name=name, user=user)
    labels = [{"name": n, "prompts": [f"a photo of a {n} surface"]} for n in ("good", "scratched")]
    rows = []
    for number, content in enumerate(contents):
        sha256 = hashlib.sha256(content).hexdigest()
        storage.write_atomically(storage.original_name(dataset.pk, sha256), content)
        rows.append(
            Image(
                dataset=dataset, sha256=sha256, name=f"{number}.jpg", format="JPEG", width=200, height=200,
                size=len(content), audit_key=number % 100 / 100,
            )
        )  # fmt: skip
    Image.objects.bulk_create(rows, batch_size=1000)
    set_schema(dataset=dataset, labels=labels, user=user)
    Job.objects.filter(dataset=dataset).delete()  # there is nothing to predict yet
    return dataset


class Phase:
    """One dataset, from the request for its embeddings until it is predicted."""

    def __init__(
        self, name: str, contents: list[bytes], user: Any, workers: list[Worker], *, begin: bool = True
    ) -> None:
        from mekiki.jobs.models import Kind
        from mekiki.jobs.services import enqueue

        self.images, self.workers = len(contents), workers
        self.dataset = new_dataset(name, contents, user)
        self.job = enqueue(kind=Kind.ENCODE, dataset=self.dataset, user=user)
        if begin:
            until(
                lambda: self._job().stage == "computing embeddings" or self._job().finished_at,
                900,
                "it begins",
            )
        self.begun = time.monotonic()

    def _job(self) -> Any:
        from mekiki.jobs.models import Job

        for worker in self.workers:
            worker.look()
        return Job.objects.get(pk=self.job.pk)

    def finish(self, seconds: float = 1800) -> float:
        """Wait until everything is embedded and return the seconds."""
        from mekiki.jobs.sweeping import Sweeper

        swept, sweeper = time.monotonic(), Sweeper()

        def ended() -> bool:
            nonlocal swept
            if time.monotonic() - swept > 2:
                sweeper.sweep()  # as `mekiki sweeper` does
                swept = time.monotonic()
            return bool(self._job().finished_at)

        until(ended, seconds, "everything is embedded")
        return time.monotonic() - self.begun

    def predicted(self) -> int:
        """Wait until no job is active and return the number of prediction jobs."""
        from mekiki.jobs.models import ACTIVE_STATES, Job, Kind

        until(lambda: not Job.objects.filter(state__in=ACTIVE_STATES).exists(), 600, "it is predicted")
        jobs = Job.objects.filter(dataset=self.dataset)
        failed = [f"{job.kind}: {job.error}" for job in jobs if job.state != "succeeded"]
        if failed:
            raise SystemExit("\n".join(failed))
        return jobs.filter(kind=Kind.PREDICT).count()

    def twice(self, logs: list[Worker]) -> int:
        """Return the number of images that were computed and stored again, by all workers."""
        from mekiki.learning.models import Embedding

        counts = [worker.chunks(self.dataset.pk) for worker in logs]
        rows = Embedding.objects.filter(image__dataset=self.dataset, encoder__kind="image_text").count()
        if rows != self.images:
            raise SystemExit(f"{rows} of {self.images} images are embedded.")
        return sum(again for _n, again in counts) + max(0, sum(n for n, _again in counts) - self.images)


def measure(count: int, home: Path, *, only_kill: bool) -> dict[str, Any]:
    """Run all phases, or only the phase with the kill, and return the figures."""

    from mekiki.accounts.models import User

    user = User.objects.create_user("benchmark", may_create_datasets=True)
    contents = pictures(count)
    figures: dict[str, Any] = {"images": count}
    first = Worker("first", home)
    workers = [first]
    try:
        if not only_kill:
            warm = Phase("Warm", contents[: count // 10], user, workers)
            warm.finish()
            warm.predicted()
            figures["small_rss_mb"] = round(first.peak)
            one = Phase("One", contents, user, workers)
            figures["one_worker_ips"] = round(count / one.finish(), 1)
            one.predicted()
            figures["rss_mb"] = round(first.peak)
        workers.append(Worker("second", home))
        # A small job for each worker, so that both have loaded the encoder.
        for phase in [
            Phase(f"Warm {n}", contents[: count // 10], user, workers, begin=False) for n in (1, 2)
        ]:
            phase.finish()
            phase.predicted()
        twice, asked = 0, []
        if not only_kill:
            two = Phase("Two", contents, user, workers)
            figures["two_workers_ips"] = round(count / two.finish(), 1)
            asked.append(two.predicted())
            twice += two.twice(workers)
            figures["first_share"], figures["second_share"] = (w.chunks(two.dataset.pk)[0] for w in workers)

        killed = Phase("Killed", contents, user, workers)
        until(
            lambda: all(worker.chunks(killed.dataset.pk)[0] for worker in workers),
            300,
            "both have stored some",
        )
        lead = next(worker for worker in workers if worker.leads(killed.job))
        killed.workers = [worker for worker in workers if worker is not lead]
        lead.end(signal.SIGKILL)
        killed_share = lead.chunks(killed.dataset.pk)[0]
        since = time.monotonic()
        killed.finish()
        asked.append(killed.predicted())
        return figures | {
            "killed_finished_s": round(time.monotonic() - since, 1),
            "predictions_asked": asked,
            "embedded_twice": twice + killed.twice(workers),
            "killed_share": killed_share,
        }
    finally:
        for worker in workers:
            worker.end()


def main() -> None:
    """Set up, measure, print, clean up."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="2,000 images instead of 20,000")
    parser.add_argument(
        "--images", type=int, default=0, help="how many (at least four chunks: fewer are not shared)"
    )
    parser.add_argument("--only-kill", action="store_true", help="only the phase in which a worker is killed")
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    count = arguments.images or (2_000 if arguments.quick else 20_000)

    from mekiki.embedded.valkey import Valkey

    with tempfile.TemporaryDirectory(prefix="mekiki-benchmark-") as folder:
        broker = Valkey(Path(folder) / "valkey")
        try:
            with fresh_platform(broker_url=broker.start()) as home:
                figures = measure(count, home, only_kill=arguments.only_kill)
        finally:
            broker.stop()
    report(figures, arguments.json)


if __name__ == "__main__":
    main()
