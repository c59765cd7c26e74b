"""The stream keeps the order, continues after errors, limits its memory and leaves nothing behind."""

import threading
import time
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.waiting import until
from workers.encoders import Encoder, load_encoder


def jpeg(seed: int) -> bytes:
    buffer = BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 255, (40 + seed % 5, 50, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, "JPEG")
    return buffer.getvalue()


FILES = [jpeg(seed) for seed in range(23)]


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return load_encoder("pocket", device="cpu")


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_stream_keeps_order_keys_and_vectors(encoder: Encoder, workers: int) -> None:
    items = [(f"key {n}", FILES[n] if n % 2 else lambda n=n: FILES[n]) for n in range(23)]
    chunks = list(encoder.encode_stream(iter(items), batch=4, workers=workers))
    assert [key for chunk in chunks for key in chunk.keys] == [key for key, _item in items]
    assert all(len(chunk) <= 4 for chunk in chunks)
    whole = np.concatenate([chunk.vectors for chunk in chunks])
    assert np.allclose(whole, encoder.encode_images(FILES, batch=23).vectors, atol=1e-5)
    assert whole.dtype == np.float32


def test_bad_images_are_reported_by_key_and_the_others_are_embedded(encoder: Encoder) -> None:
    def raise_file_not_found() -> bytes:
        raise FileNotFoundError("deleted meanwhile")

    items: list[tuple[int, Any]] = [(n, FILES[n % 23]) for n in range(20)]
    items[3], items[4], items[19] = (3, b"text"), (4, raise_file_not_found), (19, FILES[0][:80])
    chunks = list(encoder.encode_stream(items, batch=2))
    errors = {key: error.code for chunk in chunks for key, error in chunk.errors.items()}
    assert errors == {3: "not_an_image", 4: "missing", 19: errors[19]}
    assert errors[19] in {"damaged", "not_an_image"}
    assert sum(len(chunk.keys) for chunk in chunks) == 17
    only_bad = list(encoder.encode_stream([(1, b"x"), (2, b"y")]))
    assert only_bad[0].vectors.shape == (0, encoder.dim)


def test_unreachable_storage_stops_the_stream(encoder: Encoder) -> None:
    def raise_connection_error() -> bytes:
        raise ConnectionError("no route to the storage")

    items = [(n, raise_connection_error if n == 9 else FILES[n]) for n in range(20)]
    with pytest.raises(ConnectionError):
        list(encoder.encode_stream(items, batch=2, workers=2))


def test_error_of_the_item_iterator_is_raised(encoder: Encoder) -> None:
    def items() -> Iterator[tuple[int, bytes]]:
        yield from ((n, FILES[n]) for n in range(12))
        raise RuntimeError("the database went away")

    with pytest.raises(RuntimeError, match="went away"):
        list(encoder.encode_stream(items(), batch=2))


def test_limited_number_of_items_is_read_ahead_in_the_callers_thread(encoder: Encoder) -> None:
    read: list[int] = []
    threads = set()

    def items() -> Iterator[tuple[int, bytes]]:
        for number in range(10_000):
            read.append(number)
            threads.add(threading.get_ident())
            yield number, FILES[number % 23]

    stream = encoder.encode_stream(items(), batch=4, workers=2)
    taken = 0
    for _number in range(10):
        taken += len(next(stream))
        time.sleep(0.05)  # storing the chunks is slow
        assert len(read) - taken <= 4 * 4
    stream.close()
    assert threads == {threading.get_ident()}
    assert len(read) < 100


def test_closing_a_stream_early_restores_the_threads(encoder: Encoder) -> None:
    import torch

    before, running = torch.get_num_threads(), threading.active_count()
    stream = encoder.encode_stream(((n, FILES[n % 23]) for n in range(1000)), batch=2, workers=3)
    next(stream)
    assert torch.get_num_threads() == 1
    stream.close()
    assert torch.get_num_threads() == before
    assert threading.active_count() == running


def test_next_chunk_is_read_while_a_chunk_is_stored(encoder: Encoder) -> None:
    """The stream does not drain between chunks. While the caller stores a chunk, later items are read."""
    fetched: list[int] = []

    def fetch(number: int) -> bytes:
        fetched.append(number)
        return FILES[number % 23]

    stream = encoder.encode_stream(((n, lambda n=n: fetch(n)) for n in range(200)), batch=4, workers=2)
    next(stream)
    until(lambda: len(fetched) >= 12)
    stream.close()
