"""Writes to certificates: plan, start, freeze, draw audits, check, end, set labels, suspend and revoke."""

from mekiki.quality.services.certificates.auditing import draw_audits, draw_next, record_check
from mekiki.quality.services.certificates.ending import (
    accept,
    cancel,
    end_audit,
    mark_accepted,
    revoke,
    suspend_certificates,
)
from mekiki.quality.services.certificates.freezing import FrozenPool, record_freeze
from mekiki.quality.services.certificates.labels import set_machine_labels
from mekiki.quality.services.certificates.planning import (
    Forecast,
    PlannedPool,
    plan_again,
    record_forecasts,
    request_plan,
    start_planned,
)
from mekiki.quality.services.certificates.starting import request_work, start

__all__ = [
    "Forecast",
    "FrozenPool",
    "PlannedPool",
    "accept",
    "cancel",
    "draw_audits",
    "draw_next",
    "end_audit",
    "mark_accepted",
    "plan_again",
    "record_check",
    "record_forecasts",
    "record_freeze",
    "request_plan",
    "request_work",
    "revoke",
    "set_machine_labels",
    "start",
    "start_planned",
    "suspend_certificates",
]
