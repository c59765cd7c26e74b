"""The mirror of embeddings: equal to the database after additions, removals, crashes and damage."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from mekiki.learning.models import Embedding
from mekiki.learning.services import store_embeddings
from tests.factories import DatasetFactory, EncoderFactory, ImageFactory
from workers import embeddings

pytestmark = pytest.mark.django_db


@pytest.fixture
def encoder() -> Any:
    return EncoderFactory(dim=6)


@pytest.fixture
def dataset() -> Any:
    return DatasetFactory()


def add(encoder: Any, dataset: Any, n: int) -> dict[int, np.ndarray]:
    images = [ImageFactory(dataset=dataset) for _ in range(n)]
    vectors = np.random.default_rng(images[0].pk).standard_normal((n, 6)).astype(np.float32)
    store_embeddings(encoder=encoder, image_ids=[i.pk for i in images], vectors=vectors)
    return {image.pk: vector for image, vector in zip(images, vectors, strict=True)}


def same(mirror: embeddings.Mirror, expected: dict[int, np.ndarray]) -> bool:
    ids = sorted(expected)
    return mirror.ids.tolist() == ids and np.array_equal(
        mirror.vectors, np.array([expected[i] for i in ids]).astype(np.float16).reshape(-1, 6)
    )


def test_it_is_filled_by_what_is_new(encoder: Any, dataset: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(embeddings.load(encoder, dataset)) == 0
    expected = add(encoder, dataset, 20)
    add(encoder, DatasetFactory(), 3)
    assert same(embeddings.load(encoder, dataset), expected)
    read: list[int] = []
    real = embeddings.read_embeddings

    def watched(**where: Any) -> Any:
        read.append(where["after"])
        return real(**where)

    monkeypatch.setattr(embeddings, "read_embeddings", watched)
    last = max(expected)
    expected |= add(encoder, dataset, 5)
    assert same(embeddings.load(encoder, dataset), expected)
    assert read == [last], "only the new ones were read"


def test_rows_behind_the_last_one_and_removed_rows_are_noticed(encoder: Any, dataset: Any) -> None:
    late = ImageFactory(dataset=dataset)
    expected = add(encoder, dataset, 10)
    embeddings.load(encoder, dataset)
    store_embeddings(encoder=encoder, image_ids=[late.pk], vectors=np.ones((1, 6)))
    expected[late.pk] = np.ones(6, np.float32)
    assert same(embeddings.load(encoder, dataset), expected)
    gone = sorted(expected)[4]
    Embedding.objects.filter(image_id=gone).delete()
    del expected[gone]
    assert same(embeddings.load(encoder, dataset), expected)


def test_damage_and_half_written_rows_are_mended(encoder: Any, dataset: Any) -> None:
    expected = add(encoder, dataset, 10)
    embeddings.load(encoder, dataset)
    folder = embeddings.folder_of(encoder, dataset)
    with (folder / "vectors").open("ab") as file:  # a crash while appending
        file.write(b"half a row")
    expected |= add(encoder, dataset, 2)
    assert same(embeddings.load(encoder, dataset), expected)
    (folder / "vectors").write_bytes(b"cut off")
    assert same(embeddings.load(encoder, dataset), expected)
    (folder / "mirror.json").write_text("{ not json")
    assert same(embeddings.load(encoder, dataset), expected)


def test_rows_of_images(encoder: Any, dataset: Any) -> None:
    ids = sorted(add(encoder, dataset, 4))
    mirror = embeddings.load(encoder, dataset)
    rows, found = mirror.rows_of([ids[2], 10**12, ids[0]])
    assert rows[found].tolist() == [2, 0] and found.tolist() == [True, False, True]
    assert mirror.mask_of([ids[3], -1]).tolist() == [False, False, False, True]


def test_the_parent_of_the_workers_has_no_torch() -> None:
    code = (
        "import django; django.setup(); import sys, workers.tasks, workers.runner; "
        "assert not {'torch', 'open_clip', 'sklearn'} & set(sys.modules), 'too much imported'"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
