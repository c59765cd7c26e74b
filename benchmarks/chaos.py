"""A hundred faults under a running platform: lost, stuck and doubled work, and recovery times.

    python benchmarks/chaos.py [--faults 110] [--minutes 21] [--reviewers 8] [--seed 1]
                               [--quick] [--json PATH]

`mekiki up` runs on a small separate file system with a clock that can be shifted. Reviewers answer over HTTP,
images are imported by the command line, and heads are trained and label sets frozen through the site.
Meanwhile these faults happen:

- `kill -9` of any process, also of the supervisor, which is started again at once;
- SIGSTOP for some seconds;
- a disk without a free byte;
- a folder of files that cannot be written;
- the clock of all processes set back or ahead by up to a day.

Afterwards no more faults happen, and the database shows what became of each answer, job, image and label set.

Promise (invariant 7): every acknowledged answer is stored once; no job is lost, stuck or doubled. The exit
status is 1 if a promise was not kept. The file system needs root. Without root no disk is filled, the clock
of the database is not shifted, and the figures show this. The clock needs libfaketime
(requirements/bench.txt).
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks.faults.injection import Fault
    from benchmarks.faults.work import Client

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "platform"), str(ROOT)]

REVIEWED, IMPORTED = "reviewed", ["line-1", "line-2", "line-3"]
VOLUME_MB = 2000
DRAIN_SECONDS = 300.0
PAUSE_SECONDS = 1.0  # minimum pause between two faults
RECOVERY_SECONDS = 10.0  # the next fault waits this long for an answer, then happens anyway
# Figures that must be 0 to keep the platform's promise.
BROKEN = (
    "answers_acknowledged_but_not_stored",
    "answers_stored_but_never_sent",
    "reviewers_who_gave_up",
    "jobs_lost",
    "jobs_stuck",
    "jobs_doubled",
    "jobs_failed",
)


def rest(fault: "Fault", clients: "list[Client]", until: float) -> None:
    """Wait for an answer that was sent after a fault, then until ``until`` on the monotonic clock."""
    time.sleep(PAUSE_SECONDS)
    while time.monotonic() < fault.ended + RECOVERY_SECONDS:
        if any(sent >= fault.ended for client in clients for sent, _acknowledged in client.times[-3:]):
            break
        time.sleep(0.1)
    time.sleep(max(0.0, until - time.monotonic()))


def run(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Set up, inject the faults, wait for the end of all work, and return the figures."""
    from benchmarks.faults.clock import Clock
    from benchmarks.faults.injection import Injector
    from benchmarks.faults.volume import Volume
    from benchmarks.faults.witness import (
        answer_figures,
        clock_figures,
        failed_jobs,
        image_figures,
        job_figures,
        load_figures,
        recovery_figures,
    )
    from benchmarks.faults.work import Acts, Client, draw_pictures, verify_label_sets
    from mekiki.embedded.supervisor import Platform
    from tests.e2e.killing import Site
    from tests.waiting import until

    began = time.monotonic()
    volume, clock = Volume(folder / "volume", VOLUME_MB), Clock(folder)
    names = [f"reviewer-{number}" for number in range(1, options.reviewers + 1)]
    settings = {"DATABASE_URL": "", "BROKER_URL": "", **clock.environment}
    platform = Platform(volume.place / "home", quiet=True, env=settings)
    if volume.mounted:
        clock.load_into_database(volume)
    try:
        platform.start()
        platform.port = int(platform.url.rstrip("/").rsplit(":", 1)[1])  # keep the address after a restart
        site = Site(platform, [REVIEWED, *IMPORTED], reviewers=names, queue_target=1500)
        draw_pictures(folder / "pictures", options.images, seed=options.seed)
        site.bring_in(REVIEWED, folder / "pictures")
        until(lambda: site.finished(REVIEWED), "the images are predicted")
        clients = [Client(site, REVIEWED, name, pace=options.pace) for name in names]
        injector = Injector(site, options.seed, volume if volume.mounted else None, clock)
        acts = Acts(site, folder, IMPORTED, REVIEWED, options.seed)
        faults, loads = [], []
        print(f"set up in {time.monotonic() - began:.0f} s", flush=True)
        for client in clients:
            client.__enter__()
        with acts:
            first = time.monotonic()
            every = options.minutes * 60 / options.faults
            while len(faults) < options.faults and time.monotonic() - first < options.minutes * 60:
                fault = injector.next()
                faults.append(fault)
                loads.append(os.getloadavg()[0])
                print(f"{fault.began - first:7.1f} s  {fault.kind}: {fault.what}", flush=True)
                rest(fault, clients, until=first + len(faults) * every)
        clock.shift(0)
        volume.free()
        for client in clients:
            client.end()
        left_alone = time.monotonic()
        while site.active() and time.monotonic() - left_alone < DRAIN_SECONDS:
            time.sleep(1)
        drained = time.monotonic() - left_alone
        frozen, verified = verify_label_sets(site, REVIEWED, folder)
        kinds = Counter(fault.kind for fault in faults)
        figures = {
            "seed": options.seed,
            "faults": len(faults),
            **{f"faults_{kind.replace(' ', '_').replace('-', '_')}": n for kind, n in sorted(kinds.items())},
            "disk_could_be_filled": volume.mounted,
            **clock_figures(injector.clock_seen),
            **load_figures(loads),
            "reviewers": options.reviewers,
            **answer_figures(site, clients, REVIEWED),
            **job_figures(site, acts),
            **image_figures(site, acts.pictures),
            "imports_acknowledged": len(acts.jobs),
            "trainings_acknowledged": acts.trainings,
            "label_sets_acknowledged": len(acts.notes),
            "label_sets_frozen": frozen,
            "label_sets_verified": verified,
            "acts_refused_and_tried_again": acts.refused,
            **recovery_figures(faults, clients),
            "work_drained_s": round(drained, 1),
            "seconds": round(time.monotonic() - began),
        }
        for line in failed_jobs(site):
            print("failed:", line)
        for client in clients:
            if client.broken is not None:
                print(f"{client.name} gave up: {client.broken!r}")
        site.close()
        return figures
    finally:
        if options.keep:
            shutil.copytree(platform.home / "logs", options.keep, dirs_exist_ok=True)
        platform.discard()
        volume.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--faults", type=int, default=None)
    parser.add_argument(
        "--minutes", type=float, default=None, help="of faults; setting up and the end come on top"
    )
    parser.add_argument("--reviewers", type=int, default=8)
    parser.add_argument("--images", type=int, default=None, help="for the reviewers")
    parser.add_argument("--pace", type=float, default=2.0, help="seconds between two answers of a reviewer")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="12 faults in 2 minutes")
    parser.add_argument("--keep", type=Path, help="folder for the logs")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    from benchmarks.faults.volume import enter_own_mounts

    enter_own_mounts()
    options.faults = options.faults or (12 if options.quick else 110)
    options.minutes = options.minutes or (2 if options.quick else 21)
    options.images = options.images or (600 if options.quick else 4500)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mekiki.config.settings")
    folder = Path(tempfile.mkdtemp(prefix="mekiki-chaos-"))
    folder.chmod(0o755)  # under root the database runs as another user
    os.environ["MEKIKI_HOME"] = str(folder / "volume" / "home")
    import django

    django.setup()
    try:
        figures = run(options, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    for name, value in figures.items():
        print(f"{name:36} {value!s:>12}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    if broken := [name for name in BROKEN if figures[name]]:
        sys.exit(f"Promises were not kept: {', '.join(broken)}")


if __name__ == "__main__":
    main()
