"""A station whose head has real weights, and whose images and prompts have embeddings."""

import hashlib
from typing import Any

import numpy as np

from mekiki.config import clock
from mekiki.datasets.models import Dataset
from mekiki.labeling.models import Prompt
from mekiki.learning.models import Encoder, Head, PromptEmbedding
from mekiki.learning.services import store_embeddings
from tests.factories import (
    ChampionFactory,
    ConfirmedLabelFactory,
    DatasetFactory,
    EncoderFactory,
    HeadFactory,
    ImageFactory,
    LabelFactory,
)
from tests.review_setup import Station
from tests.vectors import unit
from workers.heads.head import LinearHead, LogisticHead
from workers.heads.serial import dump_head

DIM = 8


class WhyStation(Station):
    """A station with `near` confirmed images of each label. All vectors are random, but reproducible."""

    def __init__(
        self,
        items: int = 1,
        near: int = 3,
        labels: int = 3,
        *,
        prompts_known: bool = True,
        encoder: Encoder | None = None,
        **settings: Any,
    ) -> None:
        self.dice = np.random.default_rng(7)
        self.dataset = DatasetFactory(**{"retrain_every": 0, "queue_target": 0, **settings})
        self.labels = [LabelFactory(dataset=self.dataset) for _ in range(labels)]
        self.encoder = encoder or EncoderFactory(dim=DIM)
        self.head = trained_head(self.dataset, self.encoder)
        ChampionFactory(head=self.head)
        self.items = [self.item(image=self.image()) for _ in range(items)]
        self.confirmed = [self.confirm(label) for label in self.labels for _ in range(near)]
        if prompts_known:
            self.embed_prompts()

    def image(self, **more: Any) -> Any:
        """Create an image with an embedding."""
        return self.embed(ImageFactory(dataset=self.dataset, **more))

    def image_with_prediction(self) -> Any:
        """Create an image with an embedding and a prediction, which waits for a reviewer."""
        return self.item(image=self.image()).image

    def embed(self, image: Any) -> Any:
        """Store an embedding of an image."""
        vector = unit(self.dice.standard_normal((1, self.encoder.dim))).astype(np.float16)
        store_embeddings(encoder=self.encoder, image_ids=[image.pk], vectors=vector)
        return image

    def confirm(self, label: Any, **more: Any) -> Any:
        """Create an image with an embedding and this confirmed label."""
        return ConfirmedLabelFactory(image=self.image(), label=label, dataset=self.dataset, **more)

    def embed_prompts(self) -> None:
        """Store a vector for each prompt, as the search worker does."""
        now = clock.now()
        for prompt in Prompt.objects.filter(prompt_set=self.head.prompt_set):
            PromptEmbedding.objects.create(
                encoder=self.encoder,
                prompt=prompt,
                vector=unit(self.dice.standard_normal(self.encoder.dim)).tolist(),
                began_at=now,
                answered_at=now,
            )


def trained_head(dataset: Dataset, encoder: Encoder, *, seed: int = 0, text_scale: float = 0.5) -> Head:
    """Create a head of the dataset's labels with random weights."""
    ids = list(dataset.labels.order_by("pk").values_list("pk", flat=True))
    dice = np.random.default_rng(seed)
    weights, bias = dice.standard_normal((len(ids), encoder.dim)) / 10, dice.standard_normal(len(ids))
    made: LinearHead = LogisticHead(weights, bias, logit_scale=20.0, details={"text_scale": text_scale})
    data = dump_head(made)
    digest = hashlib.sha256(data).hexdigest()
    return HeadFactory(dataset=dataset, encoder=encoder, label_ids=ids, weights=data, digest=digest)
