"""The services of certificates with the users that they refuse (test_services_refuse.CASES)."""

from typing import Any

from mekiki.quality.services import certificates
from tests.factories import CertificateFactory, CertificatePlanFactory
from tests.quality_setup import make_protocol

FOLDER = "quality/services/certificates"


def certificate_arguments(w: Any) -> dict[str, Any]:
    """Return the arguments of an act on a certificate of the world's dataset."""
    if not hasattr(w, "certificate"):
        w.certificate = CertificateFactory(dataset=w.dataset)
    return {"certificate": w.certificate}


def plan_arguments(w: Any) -> dict[str, Any]:
    """Return the arguments of an act on a plan of the world's dataset."""
    if not hasattr(w, "certificate_plan"):
        w.certificate_plan = CertificatePlanFactory(dataset=w.dataset)
    return {"plan": w.certificate_plan}


CERTIFICATES = {
    f"{FOLDER}/planning.py:request_plan": (
        certificates.request_plan,
        "reviewer",
        lambda w: {"dataset": w.dataset, "protocol": make_protocol()},
    ),
    f"{FOLDER}/planning.py:plan_again": (certificates.plan_again, "reviewer", plan_arguments),
    f"{FOLDER}/planning.py:start_planned": (
        certificates.start_planned,
        "reviewer",
        lambda w: {**plan_arguments(w), "limit": 10, "levels": (1.0,)},
    ),
    f"{FOLDER}/starting.py:start": (
        certificates.start,
        "reviewer",
        lambda w: {"dataset": w.dataset, "protocol": make_protocol()},
    ),
    f"{FOLDER}/starting.py:continue_work": (
        certificates.continue_work,
        "reviewer",
        certificate_arguments,
    ),
    f"{FOLDER}/streaming.py:extend_to_stream": (
        certificates.extend_to_stream,
        "reviewer",
        lambda w: {**certificate_arguments(w), "share": 0.1},
    ),
    f"{FOLDER}/streaming.py:end_stream": (certificates.end_stream, "reviewer", certificate_arguments),
    f"{FOLDER}/streaming.py:recheck_doubtful": (
        certificates.recheck_doubtful,
        "reviewer",
        certificate_arguments,
    ),
    **{
        f"{FOLDER}/ending.py:{act.__name__}": (act, "reviewer", certificate_arguments)
        for act in (certificates.end_audit, certificates.cancel, certificates.accept, certificates.revoke)
    },
}
