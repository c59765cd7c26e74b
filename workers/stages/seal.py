"""Sealing of the events and decisions since the last seal."""

from typing import Any

from mekiki.audit.sealing import seal_new_rows
from mekiki.jobs.models import Job
from workers.runner import Report


def run(job: Job, report: Report) -> dict[str, Any]:
    """Seal the new rows."""
    report(stage="sealing", unit="rows")
    done = seal_new_rows(progress=lambda done, total: report(done=done, total=total, unit="rows"))
    return {"seals": done.seals, "rows": done.rows, "waiting": done.waiting}
