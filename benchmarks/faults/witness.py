"""Figures about the work: answers, jobs and images counted in the database after the last fault."""

import math
import os
import statistics
from typing import Any

from benchmarks.faults.injection import Fault
from benchmarks.faults.work import Acts, Client
from tests.e2e.killing import Site


def answer_figures(site: Site, clients: list[Client], slug: str) -> dict[str, Any]:
    """Return figures on answers: sent, acknowledged, and stored once and exactly as acknowledged."""
    given = [answer for client in clients for answer in client.answers]
    stored = {
        key: (decision, item, label)
        for key, decision, item, label in site.query(
            "SELECT x.client_key, x.id, x.item_id, x.label_id FROM review_decision x"
            " JOIN datasets_dataset d ON d.id = x.dataset_id WHERE d.slug = %s",
            slug,
        )
    }
    as_given = sum(stored.get(a.key) == (a.reply["decision"], a.item, a.label) for a in given)
    sent = {key for client in clients for key in client.sent}
    return {
        "answers_sent": len(sent),
        "answers_acknowledged": len(given),
        "answers_stored_as_acknowledged": as_given,
        "answers_acknowledged_but_not_stored": len(given) - as_given,
        "answers_stored": len(stored),
        "answers_stored_but_never_sent": sum(str(key) not in sent for key in stored),
        "answers_sent_more_than_once": sum(client.sent_again for client in clients),
        "reviewers_who_gave_up": sum(client.broken is not None for client in clients),
        "logins": sum(client.logins for client in clients),
    }


def job_figures(site: Site, acts: Acts) -> dict[str, Any]:
    """Return figures on jobs by their final state.

    Doubled: the end of the same job was recorded more than once. Lost: an import or a label set was
    acknowledged, and there is no job or no label set. A training that is requested while another one waits or
    runs becomes the same job, so trainings are not counted here.
    """
    by_state = dict(site.query("SELECT state, count(*) FROM jobs_job GROUP BY 1"))
    doubled = site.query(
        "SELECT object_id FROM audit_event WHERE kind IN ('job.succeeded', 'job.failed', 'job.cancelled')"
        " GROUP BY object_id HAVING count(*) > 1"
    )
    known = {str(job) for (job,) in site.query("SELECT id FROM jobs_job")}
    notes = {note for (note,) in site.query("SELECT note FROM exports_labelset")}
    lost = [job for job in acts.jobs if job not in known] + [n for n in acts.notes if n not in notes]
    return {
        "jobs": sum(by_state.values()),
        "jobs_succeeded": by_state.get("succeeded", 0),
        "jobs_failed": by_state.get("failed", 0),
        "jobs_stuck": sum(
            n for state, n in by_state.items() if state not in ("succeeded", "failed", "cancelled")
        ),
        "jobs_lost": len(lost),
        "jobs_doubled": len(doubled),
    }


def failed_jobs(site: Site) -> list[str]:
    """Return the kind and reason of every failed job."""
    rows = site.query("SELECT kind, attempt, error FROM jobs_job WHERE state = 'failed' ORDER BY created_at")
    return [f"{kind} (attempt {attempt}): {error[-300:]}" for kind, attempt, error in rows]


def image_figures(site: Site, sent: dict[str, int]) -> dict[str, Any]:
    """Return figures on images: sent by acknowledged imports, stored, embedded, predicted by the champion."""
    stored, embedded, predicted = site.query(
        "SELECT count(*), count(e.image_id), count(p.image_id) FROM datasets_image i JOIN datasets_dataset "
        "d ON d.id = i.dataset_id LEFT JOIN learning_champion c ON c.dataset_id = d.id LEFT JOIN "
        "learning_head h ON h.id = c.head_id LEFT JOIN learning_embedding e ON e.image_id = i.id AND "
        "e.encoder_id = h.encoder_id LEFT JOIN learning_prediction p ON p.image_id = i.id AND p.head_id = "
        "c.head_id WHERE d.slug = ANY(%s)",
        list(sent),
    )[0]
    return {
        "images_sent": sum(sent.values()),
        "images_stored": stored,
        "images_embedded": embedded,
        "images_predicted": predicted,
    }


def recovery_figures(faults: list[Fault], clients: list[Client]) -> dict[str, Any]:
    """Return the recovery times by kind of fault, in seconds.

    A recovery time is from the end of a fault to the first answer that was sent after it and acknowledged.
    The answers come from all reviewers together: eight reviewers who answer every two seconds need a quarter
    of a second on average without any fault. If the next fault began before that answer came, the answer
    shows the recovery from two faults. These times are counted separately.
    """
    times = sorted(pair for client in clients for pair in client.times)
    by_kind: dict[str, list[float]] = {}
    overlapped: list[float] = []
    silent = 0
    ends = [*(fault.began for fault in faults[1:]), math.inf]
    for fault, next_began in zip(faults, ends, strict=True):
        name = f"{fault.kind} {fault.what}" if fault.kind in ("kill", "stop") else fault.kind
        after = min((acknowledged for sent, acknowledged in times if sent >= fault.ended), default=None)
        if after is None:
            silent += 1
        elif after > next_began:
            overlapped.append(after - fault.ended)
        else:
            by_kind.setdefault(name, []).append(after - fault.ended)
    figures: dict[str, Any] = {
        f"answers_again_after_{kind.replace(' ', '_').replace('-', '_')}_s": spread(seconds)
        for kind, seconds in sorted(by_kind.items())
    }
    if overlapped:
        figures["answers_again_with_the_next_fault_between_s"] = spread(overlapped)
    figures["faults_without_an_answer_after"] = silent
    for kind, name in (("full disk", "disk_full"), ("read-only folder", "folder_read_only")):
        spans = [(fault.began, fault.ended) for fault in faults if fault.kind == kind]
        figures[f"answers_while_{name}"] = sum(
            any(began < sent and acknowledged < ended for began, ended in spans)
            for sent, acknowledged in times
        )
    return figures


def spread(values: list[float]) -> str:
    """Return the number of values, their median and the largest one as text."""
    return f"n {len(values)}, median {statistics.median(values):.1f}, largest {max(values):.1f}"


def load_figures(loads: list[float]) -> dict[str, Any]:
    """Return the load average over one minute at each fault; the platform's own work is part of it."""
    return {"cores": os.cpu_count(), "load_average": spread(loads)}


def clock_figures(seen: dict[str, bool]) -> dict[str, Any]:
    """Return the parts that saw a shifted clock, and the parts that did not."""
    return {
        "clock_shifted_for": ", ".join(sorted(name for name, shifted in seen.items() if shifted)),
        "clock_not_shifted_for": ", ".join(sorted(name for name, shifted in seen.items() if not shifted)),
    }
