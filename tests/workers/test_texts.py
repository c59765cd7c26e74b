"""The search worker: a child process computes the vector of a text, and is stopped after a while."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from django.utils import timezone

from mekiki.learning.models import Encoder, TextEmbedding
from mekiki.learning.search.texts import text_digest
from tests.factories import EncoderFactory
from workers.encoders import load_encoder
from workers.steps.texts import ReaderError, TextEncoderProcess, embed_search_text

pytestmark = pytest.mark.django_db


@pytest.fixture
def reader() -> Any:
    found = TextEncoderProcess()
    yield found
    found.close()


def row(encoder: Encoder, text: str) -> TextEmbedding:
    return TextEmbedding.objects.create(
        encoder=encoder, digest=text_digest(text), text=text, used_at=timezone.now()
    )


def test_texts_are_read_as_the_encoder_reads_them(tiny_encoder: str, reader: TextEncoderProcess) -> None:
    loaded = load_encoder(tiny_encoder, device="cpu")
    encoder = EncoderFactory(name=tiny_encoder, digest=loaded.digest, dim=loaded.dim)
    for text in ("a photo of red", "赤の写真", "🔩 '; DROP TABLE --", "two\\nlines \\u0000"):
        asked = row(encoder, text)
        assert embed_search_text(asked.pk, reader) == "found"
        asked.refresh_from_db()
        assert np.allclose(asked.vector, loaded.encode_texts([text])[0], atol=2e-3)
        assert embed_search_text(asked.pk, reader) == ""  # a message that arrives twice
    long = row(encoder, "word " * 39)
    assert embed_search_text(long.pk, reader) == "too_long"
    long.refresh_from_db()
    assert (long.problem, long.detail, long.vector) == ("too_long", {"count": 41, "most": 32}, None)
    assert embed_search_text(999_999_999, reader) == ""

    # Its process was killed. The next text starts another one.
    killed = reader.pid
    os.kill(killed, signal.SIGKILL)
    psutil.wait_procs([psutil.Process(killed)] if psutil.pid_exists(killed) else [], timeout=5)
    again = row(encoder, "a photo of blue")
    assert embed_search_text(again.pk, reader) == "found" and reader.pid != killed

    # Without requests its memory is released.
    last = reader.pid
    reader.idle = 0.2
    assert embed_search_text(row(encoder, "green").pk, reader) == "found"
    deadline = time.monotonic() + 10
    while (reader.pid or psutil.pid_exists(last)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert reader.pid == 0 and not psutil.pid_exists(last)

    # Other weights than those of the images' embeddings.
    other = EncoderFactory(name=tiny_encoder, digest="f" * 64, dim=loaded.dim)
    strange = row(other, "red")
    assert embed_search_text(strange.pk, reader) == "other_weights"


def test_an_encoder_that_cannot_be_loaded_is_said(tmp_path: Path, reader: TextEncoderProcess) -> None:
    missing = EncoderFactory(name=f"local-dir:{tmp_path / 'nothing'}", dim=4)
    asked = row(missing, "a scratch")
    assert embed_search_text(asked.pk, reader) == "not_loaded"
    asked.refresh_from_db()
    assert asked.problem == "not_loaded" and asked.detail["reason"]
    assert reader.pid == 0
    with pytest.raises(ReaderError):
        reader.read(missing.name, "a scratch")
