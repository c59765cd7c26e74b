"""Stored times are the database's: written and compared by mekiki.config.clock (or Now() in a query)."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]

# Words such as "3 minutes ago", the page of a person's own account, what is written into a frozen file.
OTHERS = ("web/templatetags/times.py", "web/views/service.py", "accounts/", "exports/")


def test_no_stored_time_is_compared_with_the_clock_of_a_process() -> None:
    found = []
    for folder in ("platform/mekiki", "workers"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            name = str(path.relative_to(ROOT / folder))
            if not name.startswith(OTHERS) and re.search(r"timezone\.now\(\)", path.read_text()):
                found.append(f"{folder}/{name}")
    assert found == [], "use mekiki.config.clock.now(), or django.db.models.functions.Now() in a query"
