"""Images with random unit vectors as embeddings, stored as a worker would."""

from typing import Any

import numpy as np

from mekiki.datasets.models import Dataset, Image
from mekiki.learning.services import store_embeddings
from tests.factories import DatasetFactory, EncoderFactory

DIM = 8


def unit(values: np.ndarray) -> np.ndarray:
    return values / np.linalg.norm(values, axis=-1, keepdims=True)


def add_images(dataset: Dataset, n: int, start: int = 0) -> list[int]:
    images = Image.objects.bulk_create(
        Image(
            dataset=dataset,
            sha256=f"{start + i:064x}",
            name=f"part {start + i}",
            format="PNG",
            width=1,
            height=1,
            size=1,
            audit_key=0.5,
        )
        for i in range(n)
    )
    return [image.pk for image in images]


def embedded(n: int, *, seed: int = 0, dim: int = DIM, dataset: Any = None, encoder: Any = None) -> Any:
    dataset = dataset or DatasetFactory()
    encoder = encoder or EncoderFactory(dim=dim)
    ids = add_images(dataset, n)
    vectors = unit(np.random.default_rng(seed).standard_normal((n, dim))).astype(np.float16)
    store_embeddings(encoder=encoder, image_ids=ids, vectors=vectors)
    return dataset, encoder, np.array(ids), vectors.astype(np.float64)
