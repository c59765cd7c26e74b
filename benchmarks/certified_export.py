"""Freezing and verifying a label set with 800,000 labels that a certificate set, of a million images.

    python benchmarks/certified_export.py [--quick] [--json PATH]

It sets up a temporary database, audits the certificate by the services of the review, and accepts it. Then it
writes the label set in a process of its own and verifies it in another one that has no Django, so that their
memory is their own. Targets: written in 60 s per million labels, verified in 3 min, memory flat.
"""

import argparse
import os
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "platform"), str(ROOT)]

from benchmarks.harness import connect, fresh_platform, report  # noqa: E402

SHARE = 0.8  # of the images that the certificate covers
SEED = bytes(range(32))


def certify(images: int) -> tuple[Any, Any, dict[str, float]]:
    """Return (dataset, admin, figures) of a dataset whose certificate has set SHARE of the labels."""
    from benchmarks.million import fill
    from mekiki.accounts.models import User
    from mekiki.audit.private_key import make_first_key
    from mekiki.learning.models import Champion
    from mekiki.quality.services.certificates import accept, end_audit, mark_accepted, record_freeze, start
    from mekiki.quality.services.certificates.labels import BLOCK, set_machine_labels
    from verification.certificates.order import commitment
    from verification.certificates.protocol import Protocol

    make_first_key()
    dataset, [head] = fill(images, 1)
    Champion.objects.create(dataset=dataset, head=head)
    admin = User.objects.get(username="reader")
    alpha = 0.02 if images >= 100_000 else 0.1
    protocol = Protocol(alpha=alpha, delta=0.05, limit=400, levels=(SHARE,))
    certificate = start(dataset=dataset, user=admin, protocol=protocol)
    began = time.perf_counter()
    frozen = record_freeze(
        certificate=certificate,
        head=head,
        pool=make_pool(dataset, head),
        seed=SEED,
        commitment=commitment(SEED).hex(),
    )
    assert frozen is not None
    figures = {"freeze_certificate_s": round(time.perf_counter() - began, 2)}
    answer_audits(frozen, admin)
    certificate = accept(certificate=end_audit(certificate=frozen, user=None), user=admin)
    began = time.perf_counter()
    labels = 0
    for first in range(1, certificate.region + 1, BLOCK):
        labels += set_machine_labels(certificate=certificate, first=first, last=first + BLOCK - 1)
    mark_accepted(certificate=certificate, accepted=labels)
    return dataset, admin, {**figures, "accept_s": round(time.perf_counter() - began, 2)}


def make_pool(dataset: Any, head: Any) -> Any:
    """Return a frozen pool of all images with random labels and confidences."""
    import numpy as np

    from mekiki.datasets.models import Image
    from mekiki.quality.services.certificates import FrozenPool
    from verification.certificates.order import audit_order, order_key

    rows = Image.objects.filter(dataset=dataset).order_by("sha256").values_list("pk", "sha256")
    image_ids, digests = zip(*rows.iterator(chunk_size=50_000), strict=True)
    n, dice = len(image_ids), np.random.default_rng(1)
    confidence = dice.beta(8, 1, n)
    rank, position = np.zeros(n, np.int64), np.zeros(n, np.int64)
    rank[np.argsort(-confidence, kind="stable")] = np.arange(1, n + 1)
    position[audit_order(order_key(SEED), digests)] = np.arange(1, n + 1)
    return FrozenPool(
        image_ids=np.asarray(image_ids),
        digests=np.frombuffer(bytes.fromhex("".join(digests)), np.uint8).reshape(n, 32),
        label_ids=dice.choice(head.label_ids, n),
        confidence=confidence,
        critical_probability=np.zeros(n),
        rank=rank,
        audit_position=position,
        critical_label=0,
        critical_risk=0,
        not_embedded=0,
    )


def answer_audits(certificate: Any, reviewer: Any) -> None:
    """Draw and answer audits until the audit can end. Every answer is the predicted label."""
    from mekiki.quality.audit_state import read_audit_state
    from mekiki.quality.models import CertificateImage
    from mekiki.quality.services.certificates import draw_next
    from mekiki.review import services

    while not (state := read_audit_state(certificate)).is_complete:
        draw_next(certificate=certificate, state=state)
        for leased in services.next_items(dataset=certificate.dataset, user=reviewer, count=20):
            frozen = CertificateImage.objects.select_related("label").get(
                certificate=certificate, image=leased.item.image_id
            )
            services.answer(
                dataset=certificate.dataset,
                user=reviewer,
                item_id=leased.item.pk,
                lease_id=leased.lease.pk,
                kind="correct",
                label=frozen.label,
                client_key=uuid.uuid4(),
            )


def measured(command: list[str]) -> dict[str, float]:
    """Run a command; return its seconds, CPU seconds and peak memory.

    The command must succeed and print its peak memory last. The kernel's figure for a child process contains
    the memory of the parent at the start.
    """
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    lines = process.stdout.read().split()
    _pid, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{command} failed with status {status}.")
    return {
        "s": round(time.perf_counter() - began, 1),
        "cpu_s": round(usage.ru_utime + usage.ru_stime, 1),
        "rss_mb": round(int(lines[-1]) / 1024, 1),
    }


def write(number: int) -> None:
    """Write a label set that was requested, in this process."""
    connect(Path(os.environ["MEKIKI_HOME"]), os.environ["DATABASE_URL"])
    from mekiki.exports.models import LabelSet
    from mekiki.exports.writing import write_label_set

    write_label_set(label_set=LabelSet.objects.get(pk=number), progress=lambda done, total: None)
    print(peak_kb())


def check(path: str) -> None:
    """Verify a label set in this process, which has no Django."""
    from verification.label_set.verify import verify

    result = verify(path)
    if not result.ok:
        raise SystemExit(f"The label set does not verify: {[str(p) for p in result.problems[:3]]}")
    assert "django" not in sys.modules
    print(peak_kb())


def peak_kb() -> int:
    """Return the peak memory of this process in KiB."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.split("VmHWM:")[1].split()[0])


def measure(images: int) -> dict[str, Any]:
    """Return the figures for a pool of ``images`` images."""
    from django.core.files.storage import default_storage
    from django.db import connection

    from mekiki.exports.services import freeze

    dataset, admin, figures = certify(images)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    label_set = freeze(dataset=dataset, user=admin, certified=True)
    written = measured([sys.executable, __file__, "--write", str(label_set.pk)])
    label_set.refresh_from_db()
    path = default_storage.path(label_set.file)
    verified = measured([sys.executable, __file__, "--check", path])
    labels = label_set.human_labels + label_set.machine_labels
    return {
        "images": images,
        "machine_labels": label_set.machine_labels,
        "audited": len(label_set.snapshot["certificate"]["audited"]),
        **figures,
        "file_mb": round(label_set.size / 1e6, 1),
        **{f"write_{name}": value for name, value in written.items()},
        "write_s_per_million": round(written["s"] * 1e6 / labels, 1),
        **{f"verify_{name}": value for name, value in verified.items()},
        "load_before": round(os.getloadavg()[0], 1),
    }


def main() -> None:
    """Set up, measure, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="20,000 images instead of a million")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the figures here as well")
    parser.add_argument("--write", type=int, metavar="ID", help=argparse.SUPPRESS)
    parser.add_argument("--check", metavar="FILE", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.check is not None:
        check(options.check)
        return
    if options.write is not None:
        write(options.write)
        return
    with fresh_platform():
        figures = measure(20_000 if options.quick else 1_000_000)
    report(figures, options.json)


if __name__ == "__main__":
    main()
