"""A study that is ready to answer, and the acts of its reviewers."""

import uuid
from collections.abc import Callable
from typing import Any

from mekiki.quality import services
from mekiki.quality.models import Study, StudyAnswer, StudyImage, StudyReviewer
from mekiki.quality.progress import next_images
from mekiki.quality.services import studies
from tests.factories import ConfirmedLabelFactory, ImageFactory, MembershipFactory, UserFactory
from tests.review_setup import Station

Choice = Callable[[StudyReviewer, StudyImage, int], Any]


def allow_few_images(monkeypatch: Any, least: int = 2) -> None:
    """Let a study have fewer images than in use, so that a test is short."""
    monkeypatch.setattr(studies, "MIN_IMAGES", least)


def study_draft(dataset: Any, admin: Any, people: list[Any], number: int = 1) -> Study:
    """Create the rows of a draft with reviewers and without images."""
    study = Study.objects.create(
        dataset=dataset,
        number=number,
        name="Line 3",
        method="random",
        images_wanted=20,
        runs=2,
        reference="none",
        seed=1,
        created_by=admin,
    )
    for user in people:
        StudyReviewer.objects.create(study=study, user=user)
    return study


class StudyScene:
    """A dataset with an admin, reviewers and images, and functions for the acts of a study."""

    def __init__(self, images: int = 6, reviewers: int = 2, labels: int = 3, **settings: Any) -> None:
        self.station = Station(items=0, labels=labels, **settings)
        self.dataset, self.labels = self.station.dataset, self.station.labels
        self.admin = UserFactory(username="aiko")
        MembershipFactory(dataset=self.dataset, user=self.admin, role="admin")
        self.people = [self.station.reviewer() for _ in range(reviewers)]
        self.images = [ImageFactory(dataset=self.dataset) for _ in range(images)]

    def confirm_all(self) -> None:
        """Give every image a confirmed label: the labels in turn."""
        for place, image in enumerate(self.images):
            ConfirmedLabelFactory(image=image, dataset=self.dataset, label=self.label_of(place))

    def label_of(self, place: int) -> Any:
        return self.labels[place % len(self.labels)]

    def draft(self, **more: Any) -> Study:
        values: dict[str, Any] = {
            "dataset": self.dataset,
            "user": self.admin,
            "name": "Line 3, spring",
            "method": "random",
            "images": len(self.images),
            "boundary_percent": 0,
            "runs": 2,
            "pause_hours": 0,
            "reference": "none",
            "reviewer_ids": [user.pk for user in self.people],
        }
        return services.create_study(**values | more)

    def running(self, **more: Any) -> Study:
        study = self.draft(**more)
        return services.start(study=study, user=self.admin, reference_confirmed=True)

    def invitation(self, study: Study, place: int = 0) -> StudyReviewer:
        return StudyReviewer.objects.select_related("study__dataset").get(
            study=study, user=self.people[place]
        )

    def answer(self, reviewer: StudyReviewer, image: StudyImage, run: int = 1, **more: Any) -> StudyAnswer:
        values: dict[str, Any] = {
            "reviewer": reviewer,
            "user": reviewer.user,
            "image_id": image.pk,
            "run": run,
            "label_id": self.labels[0].pk,
            "client_key": uuid.uuid4(),
            "milliseconds": 900,
        }
        return services.record_answer(**values | more)

    def answer_all(self, reviewer: StudyReviewer, choose: Choice | None = None, runs: int = 2) -> None:
        """Answer everything that is left of the runs, in the order in which the images are shown."""
        while True:
            images, progress = next_images(reviewer, 1)
            if not images or progress.run > runs:
                return
            label = choose(reviewer, images[0], progress.run) if choose else self.labels[0]
            self.answer(reviewer, images[0], progress.run, label_id=label and label.pk)
