"""Sealing and checking a million events while a reviewer continues: seconds, memory, waits.

    python benchmarks/sealing.py [--quick] [--json PATH]

It sets up a temporary database. Budget: a million events sealed in under 60 s and checked in under 60 s. A
process that writes an event meanwhile never waits for the seal.
"""

import argparse
import resource
import shutil
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "platform"), str(ROOT)]

from benchmarks.harness import fresh_platform, report  # noqa: E402

# Like the event of an answer: half a dozen fields, an image's hash, a number with a fraction.
_FILL = """
INSERT INTO audit_event (kind, actor_id, actor_name, dataset_id, object_type, object_id, data)
SELECT 'decision.recorded', 1, 'reviewer', 1, 'decision', n::text,
       jsonb_build_object('kind', 'confirm', 'label', n %% 8, 'image', encode(sha256(n::text::bytea), 'hex'),
                          'late', false, 'seconds', round((n %% 977) / 100.0, 2))
FROM generate_series(1, %s) n
"""


class Writer(threading.Thread):
    """A thread that writes an event every 20 ms, as reviewers do, and notes how long each write took."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.stopped = threading.Event()
        self.waits: list[float] = []

    def run(self) -> None:
        """Write events until stopped."""
        from django.db import connection

        from mekiki.audit.services import record

        while not self.stopped.wait(0.02):
            began = time.perf_counter()
            record(kind="decision.recorded", data={"kind": "confirm"})
            self.waits.append((time.perf_counter() - began) * 1000)
        connection.close()


def measure(events: int) -> dict[str, float]:
    """Return the figures for ``events`` events."""
    from django.db import connection

    from mekiki.audit.models import Seal
    from mekiki.audit.private_key import make_first_key
    from mekiki.audit.sealing import seal_new_rows
    from mekiki.audit.verification import check_database, export_file
    from verification.audit_file import check_file

    make_first_key()
    with connection.cursor() as cursor:
        cursor.execute(_FILL, [events])
        cursor.execute("VACUUM ANALYZE audit_event")
    writer = Writer()
    writer.start()
    began = time.perf_counter()
    done = seal_new_rows()
    sealed_s = time.perf_counter() - began
    writer.stopped.set()
    writer.join()
    began = time.perf_counter()
    report = check_database()
    checked_s = time.perf_counter() - began
    if not report.ok or done.rows < events:
        raise SystemExit(f"The seals do not fit: {[f.sentence() for f in report.findings[:3]]}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    file = Path(tempfile.mkdtemp(prefix="mekiki-benchmark-")) / "audit.zip"
    try:
        began = time.perf_counter()
        export_file(file)
        exported_s = time.perf_counter() - began
        began = time.perf_counter()
        if not check_file(file).ok:
            raise SystemExit("The exported file does not fit.")
        file_checked_s = time.perf_counter() - began
        size = file.stat().st_size
    finally:
        shutil.rmtree(file.parent)
    waits = sorted(writer.waits) or [0.0]
    return {
        "events": events,
        "seals": Seal.objects.count(),
        "sealed_s": round(sealed_s, 2),
        "checked_s": round(checked_s, 2),
        "peak_rss_mb": round(peak, 1),
        "exported_s": round(exported_s, 2),
        "file_checked_s": round(file_checked_s, 2),
        "file_mb": round(size / 1e6, 1),
        "writer_p50_ms": round(statistics.median(waits), 2),
        "writer_p99_ms": round(waits[int(len(waits) * 0.99) - 1], 2),
        "writer_max_ms": round(waits[-1], 2),
    }


def main() -> None:
    """Set up, measure, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="50,000 events instead of a million")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the figures here as well")
    options = parser.parse_args()

    with fresh_platform():
        figures = measure(50_000 if options.quick else 1_000_000)
    report(figures, options.json)


if __name__ == "__main__":
    main()
