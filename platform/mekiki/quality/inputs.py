"""The inputs of a study's report, as a worker reads them, and their digest."""

from dataclasses import asdict, dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from mekiki.quality.models import Study, StudyAnswer
from mekiki.quality.selectors import possible_reviewers
from verification.canonical import canonical

# Codes of an answer in `StudyInputs.answers`. Other numbers are positions in `labels`.
MISSING, UNABLE = -1, -2


@dataclass(frozen=True)
class StudyLabelInput:
    """A label of the study: id, name, and whether it is critical. `archived`: it was archived since."""

    id: int
    name: str
    critical: bool
    archived: bool


@dataclass(frozen=True)
class StudyReviewerInput:
    """A reviewer of the study. `member`: whether the user may still review the dataset."""

    user: int
    name: str
    member: bool


@dataclass(frozen=True)
class StudyInputs:
    """Everything that the figures of a study follow from.

    answers (R, N, T): for each reviewer, image and run a position in `labels`, MISSING or UNABLE. reference
    (N,): positions in `labels`, or MISSING. images: SHA-256, in the order of the answers.
    """

    design: dict[str, Any]
    labels: list[StudyLabelInput]
    reviewers: list[StudyReviewerInput]
    reference_person: StudyReviewerInput | None
    images: list[str]
    answers: list[list[list[int]]]
    reference: list[int]

    def digest(self) -> str:
        """Return the SHA-256 of the inputs as canonical JSON (RFC 8785).

        What may change later without a change of the figures is left out: names, roles, archived labels.
        """
        content = asdict(self)
        content["labels"] = [[label.id, label.critical] for label in self.labels]
        content["reviewers"] = [reviewer.user for reviewer in self.reviewers]
        content["reference_person"] = self.reference_person and self.reference_person.user
        del content["design"]["name"], content["design"]["dataset_name"]
        return sha256(canonical(content)).hexdigest()


def read_inputs(study: Study) -> StudyInputs:
    """Return the inputs of a study's report."""
    labels = list(study.labels.select_related("label"))
    position = {row.label_id: place for place, row in enumerate(labels)}
    images = list(study.images.select_related("image"))
    row_of = {row.pk: n for n, row in enumerate(images)}
    people = list(study.reviewers.select_related("user"))
    allowed = set(possible_reviewers(study.dataset))
    given: dict[int, list[list[int]]] = {
        person.pk: [[MISSING] * (1 if person.is_reference else study.runs) for _image in images]
        for person in people
    }
    answers = StudyAnswer.objects.filter(reviewer__study=study).order_by("pk")
    for reviewer, image, run, label in answers.values_list("reviewer_id", "image_id", "run", "label_id"):
        given[reviewer][row_of[image]][run - 1] = UNABLE if label is None else position[label]
    inputs_of = {
        person.pk: StudyReviewerInput(person.user_id, person.user.get_username(), person.user_id in allowed)
        for person in people
    }
    reviewers = [person for person in people if not person.is_reference]
    expert = next((person for person in people if person.is_reference), None)
    if expert is not None:
        reference = [max(MISSING, runs[0]) for runs in given[expert.pk]]
    else:
        reference = [
            MISSING if row.reference_label_id is None else position.get(row.reference_label_id, MISSING)
            for row in images
        ]
    return StudyInputs(
        design={
            "dataset": study.dataset.slug,
            "dataset_name": study.dataset.name,
            "number": study.number,
            "name": study.name,
            "method": study.method,
            "boundary_percent": study.boundary_percent,
            "runs": study.runs,
            "pause_hours": study.pause_hours,
            "reference": study.reference,
            "seed": study.seed,
            "started_at": _moment(study.started_at),
            "ended_at": _moment(study.ended_at),
        },
        labels=[
            StudyLabelInput(row.label_id, row.label.name, row.critical, row.label.archived_at is not None)
            for row in labels
        ],
        reviewers=[inputs_of[person.pk] for person in reviewers],
        reference_person=inputs_of[expert.pk] if expert is not None else None,
        images=[row.image.sha256 for row in images],
        answers=[given[person.pk] for person in reviewers],
        reference=reference,
    )


def _moment(at: datetime | None) -> str:
    return at.isoformat() if at is not None else ""
