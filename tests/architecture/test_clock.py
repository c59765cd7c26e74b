"""Stored times come from the database: mekiki.config.clock, or Now() in a query."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]

# Texts such as "3 minutes ago", the date in security.txt, and the current time in a selected zone.
OTHERS = ("web/templatetags/times.py", "web/views/service.py", "accounts/views.py")


def test_no_stored_time_is_compared_with_the_clock_of_a_process() -> None:
    wrong = []
    for folder in ("platform/mekiki", "workers"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            name = str(path.relative_to(ROOT / folder))
            if not name.startswith(OTHERS) and re.search(r"timezone\.now\(\)", path.read_text()):
                wrong.append(f"{folder}/{name}")
    assert wrong == [], "use mekiki.config.clock.now(), or django.db.models.functions.Now() in a query"


def test_no_column_is_filled_by_the_clock_of_a_process() -> None:
    folder = ROOT / "platform/mekiki"
    models = [*folder.glob("*/models.py"), *folder.glob("*/models/*.py")]
    wrong = [str(path) for path in models if re.search(r"auto_now|default=timezone", path.read_text())]
    assert len(models) > 5 and wrong == [], "use db_default=Now(), and clock.now() for a change"


def test_no_job_is_picked_by_its_time() -> None:
    """Job.number counts up in the order of the requests, whatever the clock is set to."""
    wrong = []
    for path in sorted((ROOT / "platform/mekiki").rglob("*.py")):
        for statement in re.findall(r"\bJob\.objects(?:.|\n){0,300}?order_by\(([^)]*)\)", path.read_text()):
            if "_at" in statement:
                wrong.append(f"{path.name}: {statement}")
    assert wrong == [], "order jobs by number"
