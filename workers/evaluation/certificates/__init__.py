"""Certified machine labels: tests, simulation and plan. docs/explanation/certificates.md explains them.

Order, regions and tests are defined in `verification.certificates`, which the offline verifier shares.
"""

from verification.certificates.decision import (
    OPEN,
    RIGHT,
    WRONG,
    Audits,
    RegionResult,
    Result,
    TestResult,
    decide,
    decide_whole_pool,
)
from verification.certificates.order import (
    SQL_AUDIT_KEY,
    audit_keys,
    audit_order,
    commitment,
    order_key,
    padded_keys,
)
from verification.certificates.protocol import PLANNED, WATCHED, Protocol
from verification.certificates.regions import allowed_errors, candidate_order, is_candidate, region_sizes
from verification.certificates.spending import Numbers, next_audits, target_size
from verification.certificates.stream import StreamMonitor, stream_audits
from workers.evaluation.certificates.plan import Plan, PlannedCertificate, make_plan
from workers.evaluation.certificates.pool import PoolAccuracy, pool_accuracy
from workers.evaluation.certificates.simulation import Run, run_planned, run_watched

__all__ = [
    "OPEN",
    "PLANNED",
    "RIGHT",
    "SQL_AUDIT_KEY",
    "WATCHED",
    "WRONG",
    "Audits",
    "Numbers",
    "Plan",
    "PlannedCertificate",
    "PoolAccuracy",
    "Protocol",
    "RegionResult",
    "Result",
    "Run",
    "StreamMonitor",
    "TestResult",
    "allowed_errors",
    "audit_keys",
    "audit_order",
    "candidate_order",
    "commitment",
    "decide",
    "decide_whole_pool",
    "is_candidate",
    "make_plan",
    "next_audits",
    "order_key",
    "padded_keys",
    "pool_accuracy",
    "region_sizes",
    "run_planned",
    "run_watched",
    "stream_audits",
    "target_size",
]
