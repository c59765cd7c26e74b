"""Writes to certificates: start, freeze, draw audits, check, end, set labels, suspend and revoke."""

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
from mekiki.quality.services.certificates.labels import set_machine_labels
from mekiki.quality.services.certificates.starting import continue_work, request_work, start

__all__ = [
    "FrozenPool",
    "accept",
    "cancel",
    "continue_work",
    "draw_audits",
    "draw_next",
    "end_audit",
    "mark_accepted",
    "record_check",
    "record_freeze",
    "request_work",
    "revoke",
    "set_machine_labels",
    "start",
    "stop_for_other_labels",
    "suspend_certificates",
    "suspend_for_other_head",
]
