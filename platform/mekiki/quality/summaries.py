"""Plans and certificates as JSON values, for the API and for commands. They hold nothing of single images."""

from dataclasses import asdict
from typing import Any

from mekiki.labeling.models import Label
from mekiki.learning.selectors import champion
from mekiki.quality.certificate_facts import audit_facts
from mekiki.quality.certificate_progress import audit_progress
from mekiki.quality.certificate_scope import scope_text
from mekiki.quality.certificate_work import stopped_plan, stopped_work
from mekiki.quality.models import Certificate, CertificatePlan
from mekiki.quality.plan_facts import PlanFacts, plan_facts

_STATEMENT = ("alpha", "delta", "test", "critical_bound", "overlap", "public_words", "note")
_POOL = ("pool", "candidates", "critical_label", "critical_risk", "not_embedded")


def _statement(row: Certificate | CertificatePlan) -> dict[str, Any]:
    names = dict(Label.objects.filter(dataset=row.dataset_id).values_list("pk", "name"))
    return {
        **{name: getattr(row, name) for name in _STATEMENT},
        "alpha_by_label": {names.get(int(pk), pk): alpha for pk, alpha in row.alpha_by_label.items()},
        "import_id": row.batch_id,
        "scope": scope_text(row),
    }


def plan_summary(plan: CertificatePlan) -> dict[str, Any]:
    """Return a plan: its statement, and its forecast if it was computed."""
    facts = plan_facts(plan, champion(plan.dataset)) if plan.computed_at is not None else None
    return {
        "number": plan.number,
        **_statement(plan),
        "computed": facts is not None,
        "error": plan.job.error if facts is None and plan.job is not None else "",
        "stopped": stopped.reason if (stopped := stopped_plan(plan)) is not None else "",
        "head": plan.head.version if plan.head is not None else None,
        "certificate": plan.certificate.version if plan.certificate is not None else None,
        **{name: getattr(plan, name) for name in _POOL},
        "audited": plan.audited,
        "audited_right": plan.audited_right,
        "expected_errors": plan.expected_errors,
        "seconds": plan.seconds,
        "timed_decisions": plan.timed_decisions,
        "forecast": facts.headline if facts is not None else "",
        "remarks": [notice.text for notice in facts.notices] if facts is not None else [],
        "proposal": _proposal(facts) if facts is not None else None,
        "forecasts": [
            {
                name: getattr(one, name)
                for name in ("alpha", "limit", "levels", "images", "audits", "answers", "granted", "minutes")
            }
            for one in plan.forecasts.all()
        ],
    }


def _proposal(facts: PlanFacts) -> dict[str, Any]:
    return {"limit": facts.limit, "first": facts.first, "from_forecast": facts.proposal is not None}


def certificate_summary(certificate: Certificate) -> dict[str, Any]:
    """Return a certificate: its statement, its state, and the figures that its page may show now."""
    facts = audit_facts(certificate)
    progress = audit_progress(certificate)
    over = certificate.ended_at is not None or certificate.stopped_at is not None
    return {
        "version": certificate.version,
        "state": certificate.state,
        **_statement(certificate),
        "limit": certificate.limit,
        "levels": certificate.levels,
        "head": certificate.head.version if certificate.head is not None else None,
        **{name: getattr(certificate, name) for name in _POOL},
        "commitment": certificate.commitment,
        "seed": bytes(certificate.seed).hex() if certificate.seed and over else "",
        "stop_reason": certificate.stop_reason,
        "stopped": stopped.reason if (stopped := stopped_work(certificate)) is not None else "",
        "progress": {**asdict(progress), "people": dict(progress.people)},
        "judged": facts.answered if facts is not None else 0,
        "by_machine": facts.by_machine if facts is not None else 0,
        "most_wrong": facts.check.promised if facts is not None else 0,
        "whole_pool": facts.check.whole_pool if facts is not None else 0,
        "labels_set": certificate.accepted,
        "regions": [
            {
                "size": row.size,
                "judged": row.audits,
                "other_label": row.errors,
                "open": row.open,
                "evidence": row.evidence,
                "certified": row.certified,
                "more": row.more,
            }
            for row in (facts.rows if facts is not None else [])
        ],
    }
