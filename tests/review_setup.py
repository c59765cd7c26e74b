"""A dataset ready for review: labels, a champion with predictions, a queue."""

import uuid
from typing import Any

from mekiki.review import services
from mekiki.review.models import Decision, QueueItem, Stream
from tests.factories import (
    ChampionFactory,
    DatasetFactory,
    HeadFactory,
    ImageFactory,
    LabelFactory,
    MembershipFactory,
    PredictionFactory,
    UserFactory,
)


class Station:
    """A dataset with `items` queued images, all predicted as the first label with confidence 0.8."""

    def __init__(self, items: int = 0, labels: int = 3, overlap: int = 1, **settings: Any) -> None:
        self.dataset = DatasetFactory(overlap=overlap, **{"retrain_every": 0, **settings})
        self.labels = [LabelFactory(dataset=self.dataset) for _ in range(labels)]
        self.head = HeadFactory(dataset=self.dataset)
        ChampionFactory(head=self.head)
        self.items = [self.item() for _ in range(items)]

    def item(self, stream: str = Stream.UNCERTAIN, image: Any = None, predicted: bool = True) -> QueueItem:
        image = image or ImageFactory(dataset=self.dataset)
        if predicted and not image.predictions.exists():
            PredictionFactory(head=self.head, image=image, label=self.labels[0], runner_up=self.labels[1])
        last = QueueItem.objects.order_by("-position").first()
        return QueueItem.objects.create(
            dataset=self.dataset,
            image=image,
            stream=stream,
            propensity=0.5,
            head=self.head,
            position=(last.position if last else 0) + 1,
            overlap=self.dataset.overlap,
        )

    def reviewer(self, role: str = "reviewer") -> Any:
        user = UserFactory()
        MembershipFactory(dataset=self.dataset, user=user, role=role)
        return user

    def next(self, user: Any, count: int = 1) -> list[services.LeasedItem]:
        return services.next_items(dataset=self.dataset, user=user, count=count)

    def answer(self, user: Any, leased: services.LeasedItem, kind: str = "confirm", **more: Any) -> Decision:
        return services.answer(
            **{
                "dataset": self.dataset,
                "user": user,
                "item_id": leased.item.pk,
                "lease_id": leased.lease.pk,
                "kind": kind,
                "client_key": uuid.uuid4(),
                **more,
            }
        )

    def undo(self, user: Any, key: uuid.UUID | None = None) -> Decision:
        return services.undo(dataset=self.dataset, user=user, client_key=key or uuid.uuid4())
