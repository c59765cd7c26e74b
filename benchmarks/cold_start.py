"""Cold start: the one-machine installation on a new home, and again on an existing one.

    python benchmarks/cold_start.py [--quick] [--json PATH]

Budget (design, section 8): first page in less than 8 s, web process under 150 MB, without torch.

- `first_page_s`: `mekiki up` on an empty home until its login page answers. This includes creating and
  migrating the database and the first admin.
- `again_s`: the same home started a second time.
- `web_rss_mb`: resident memory of the largest web process after ten pages.
"""

import argparse
import json
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from statistics import median

import psutil

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "platform"), str(ROOT)]

from mekiki.embedded.supervisor import Platform  # noqa: E402

OWN = {"DATABASE_URL": "", "BROKER_URL": ""}


def start(home: Path) -> tuple[Platform, float]:
    """Return a started platform, and the seconds until its first page was read."""
    began = time.monotonic()
    platform = Platform(home, env=OWN, quiet=True).start()
    page(platform)
    return platform, time.monotonic() - began


def page(platform: Platform) -> None:
    with urllib.request.urlopen(f"{platform.url.rstrip('/')}/accounts/login/", timeout=30) as reply:
        assert b"csrfmiddlewaretoken" in reply.read()


def web_rss_mb(platform: Platform) -> float:
    """Return the resident memory of the largest web process after ten pages, in MB."""
    for _ in range(10):
        page(platform)
    master = psutil.Process(platform.pids()["web"])
    return max(p.memory_info().rss for p in [master, *master.children()]) / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="once instead of three times")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    first, again, memory = [], [], []
    for _ in range(1 if given.quick else 3):
        with tempfile.TemporaryDirectory(prefix="mekiki-cold-") as folder:
            platform, seconds = start(Path(folder) / "home")
            first.append(seconds)
            memory.append(web_rss_mb(platform))
            platform.stop()
            platform, seconds = start(Path(folder) / "home")
            again.append(seconds)
            platform.discard()
    result = {
        "first_page_s": round(median(first), 2),
        "again_s": round(median(again), 2),
        "web_rss_mb": round(median(memory), 1),
        "runs": len(first),
    }
    for name, value in result.items():
        print(f"{name:14} {value}")
    if given.json:
        given.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
