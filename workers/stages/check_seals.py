"""Check of every sealed row against its seal."""

from typing import Any

from mekiki.audit.verification import check_database, store_check
from mekiki.jobs.models import Job
from workers.runner import Report


def run(job: Job, report: Report) -> dict[str, Any]:
    """Check the seals and store the result for the pages."""
    report(stage="checking the seals", unit="rows")
    check = store_check(check_database(progress=lambda rows: report(done=rows, unit="rows")))
    return {"ok": check.ok, "seals": check.seals, "rows": check.rows, "differences": len(check.findings)}
