"""What became of the work: answers, jobs and images counted in the database after the last fault."""

from typing import Any

from benchmarks.faults.injection import Fault
from benchmarks.faults.work import Client
from tests.e2e.killing import Site


def answer_figures(site: Site, clients: list[Client], slug: str) -> dict[str, Any]:
    """Answers acknowledged, and stored exactly as acknowledged, once."""
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
    return {
        "answers_acknowledged": len(given),
        "answers_stored_as_acknowledged": as_given,
        "answers_stored": len(stored),
        "answers_sent_more_than_once": sum(client.sent_again for client in clients),
        "reviewers_who_gave_up": sum(client.broken is not None for client in clients),
        "logins": sum(client.logins for client in clients),
    }


def job_figures(site: Site) -> dict[str, Any]:
    """Jobs by how they ended. Doubled: the end of the same job was recorded more than once."""
    by_state = dict(site.query("SELECT state, count(*) FROM jobs_job GROUP BY 1"))
    doubled = site.query(
        "SELECT object_id FROM audit_event WHERE kind IN ('job.succeeded', 'job.failed', 'job.cancelled')"
        " GROUP BY object_id HAVING count(*) > 1"
    )
    return {
        "jobs": sum(by_state.values()),
        "jobs_succeeded": by_state.get("succeeded", 0),
        "jobs_failed": by_state.get("failed", 0),
        "jobs_stuck": sum(
            n for state, n in by_state.items() if state not in ("succeeded", "failed", "cancelled")
        ),
        "jobs_doubled": len(doubled),
    }


def failed_jobs(site: Site) -> list[str]:
    """Kind and reason of every job that failed."""
    rows = site.query("SELECT kind, attempt, error FROM jobs_job WHERE state = 'failed' ORDER BY created_at")
    return [f"{kind} (attempt {attempt}): {error[-300:]}" for kind, attempt, error in rows]


def image_figures(site: Site, sent: dict[str, int]) -> dict[str, Any]:
    """Images sent by acknowledged imports; stored; embedded and predicted by the head in use."""
    stored, embedded, predicted = site.query(
        "SELECT count(*), count(e.image_id), count(p.image_id) FROM datasets_image i"
        " JOIN datasets_dataset d ON d.id = i.dataset_id"
        " LEFT JOIN learning_champion c ON c.dataset_id = d.id LEFT JOIN learning_head h ON h.id = c.head_id"
        " LEFT JOIN learning_embedding e ON e.image_id = i.id AND e.encoder_id = h.encoder_id"
        " LEFT JOIN learning_prediction p ON p.image_id = i.id AND p.head_id = c.head_id WHERE d.slug = ANY(%s)",
        list(sent),
    )[0]
    return {
        "images_sent": sum(sent.values()),
        "images_stored": stored,
        "images_embedded": embedded,
        "images_predicted": predicted,
    }


def recovery_figures(faults: list[Fault], clients: list[Client]) -> dict[str, Any]:
    """Seconds from a fault's end to the first answer that was sent after it and acknowledged, by kind of fault."""
    times = sorted(pair for client in clients for pair in client.times)
    figures: dict[str, Any] = {}
    by_kind: dict[str, list[float]] = {}
    for fault in faults:
        after = [acknowledged for sent, acknowledged in times if sent >= fault.ended]
        if after:
            by_kind.setdefault(fault.kind, []).append(min(after) - fault.ended)
    for kind, seconds in sorted(by_kind.items()):
        seconds.sort()
        name = kind.replace(" ", "_")
        figures[f"{name}_n"] = len(seconds)
        figures[f"{name}_answers_again_p50_s"] = round(seconds[len(seconds) // 2], 1)
        figures[f"{name}_answers_again_max_s"] = round(seconds[-1], 1)
    full = [fault for fault in faults if fault.kind == "full disk"]
    figures["answers_while_disk_full"] = sum(
        any(fault.began < sent and acknowledged < fault.ended for fault in full)
        for sent, acknowledged in times
    )
    return figures
