"""For tests/accounts/test_services_refuse.py: the services of studies, with a user of too low a role."""

import uuid
from collections.abc import Callable
from typing import Any

from mekiki.quality import services as quality
from mekiki.quality.services.studies import store_finish


def study_arguments(**more: Any) -> Callable[[Any], dict[str, Any]]:
    return lambda w: {"study": w.study, **more}


# For each service: the user of too low a role, and the other arguments.
STUDY_CASES: dict[str, tuple[Callable[..., Any], str, Callable[[Any], dict[str, Any]]]] = {
    "quality/services/studies.py:create_study": (
        quality.create_study,
        "reviewer",
        lambda w: {
            "dataset": w.dataset,
            "name": "x",
            "method": "random",
            "images": 20,
            "boundary_percent": 0,
            "runs": 2,
            "pause_hours": 0,
            "reference": "none",
            "reviewer_ids": [w.reviewer.pk, w.other.pk],
        },
    ),
    "quality/services/studies.py:redraw": (quality.redraw, "reviewer", study_arguments()),
    "quality/services/studies.py:start": (quality.start, "reviewer", study_arguments()),
    "quality/services/studies.py:cancel": (quality.cancel, "reviewer", study_arguments()),
    "quality/services/studies.py:finish": (quality.finish, "reviewer", study_arguments()),
    "quality/services/studies.py:request_report": (quality.request_report, "reviewer", study_arguments()),
    "quality/services/studies.py:store_finish": (store_finish, "viewer", study_arguments(early=True)),
    "quality/services/answers.py:record_answer": (
        quality.record_answer,
        "viewer",
        lambda w: {
            "reviewer": w.invitation,
            "image_id": 1,
            "run": 1,
            "label_id": w.label.pk,
            "client_key": uuid.uuid4(),
        },
    ),
}
