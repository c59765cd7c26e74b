"""Writes to certificates: plan, start, freeze, draw audits, check, end, set labels, suspend and revoke."""

from mekiki.quality.services.certificates.auditing import draw_audits, draw_next, record_check
from mekiki.quality.services.certificates.ending import (
    accept,
    cancel,
    end_audit,
    mark_accepted,
    revoke,
    stop_for_other_labels,
    suspend_certificates,
    suspend_for_other_head,
)
from mekiki.quality.services.certificates.freezing import FrozenPool, record_freeze
from mekiki.quality.services.certificates.labels import analyze_labels, analyze_pools, set_machine_labels
from mekiki.quality.services.certificates.planning import (
    Forecast,
    PlannedPool,
    plan_again,
    record_forecasts,
    request_plan,
    start_planned,
)
from mekiki.quality.services.certificates.starting import continue_work, request_work, start
from mekiki.quality.services.certificates.streaming import (
    StreamCandidate,
    check_stream,
    end_stream,
    extend_to_stream,
    label_stream,
    recheck_doubtful,
)

__all__ = [
    "Forecast",
    "FrozenPool",
    "PlannedPool",
    "StreamCandidate",
    "accept",
    "analyze_labels",
    "analyze_pools",
    "cancel",
    "check_stream",
    "continue_work",
    "draw_audits",
    "draw_next",
    "end_audit",
    "end_stream",
    "extend_to_stream",
    "label_stream",
    "mark_accepted",
    "plan_again",
    "recheck_doubtful",
    "record_check",
    "record_forecasts",
    "record_freeze",
    "request_plan",
    "request_work",
    "revoke",
    "set_machine_labels",
    "start",
    "start_planned",
    "stop_for_other_labels",
    "suspend_certificates",
    "suspend_for_other_head",
]
