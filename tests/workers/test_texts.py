"""The search worker: a child process computes the vector of a text, and is stopped after a while."""

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from django.utils import timezone
from PIL import Image

from mekiki.learning.models import Encoder, TextEmbedding
from mekiki.learning.search.texts import text_digest
from tests.factories import EncoderFactory, png
from tests.waiting import until
from workers.encoders import load_encoder
from workers.encoders.energy_map import energy_map
from workers.encoders.heat_map import draw
from workers.steps.texts import ReaderError, TextEncoderProcess, embed_search_text

pytestmark = pytest.mark.django_db


@pytest.fixture
def reader() -> Any:
    process = TextEncoderProcess()
    yield process
    process.close()


def store_text(encoder: Encoder, text: str) -> TextEmbedding:
    return TextEmbedding.objects.create(
        encoder=encoder, digest=text_digest(text), text=text, used_at=timezone.now()
    )


def test_texts_are_embedded_as_by_the_encoder(
    tiny_encoder: str, reader: TextEncoderProcess, tmp_path: Path
) -> None:
    loaded = load_encoder(tiny_encoder, device="cpu")
    encoder = EncoderFactory(name=tiny_encoder, digest=loaded.digest, dim=loaded.dim)
    for text in ("a photo of red", "赤の写真", "🔩 '; DROP TABLE --", "two\\nlines \\u0000"):
        row = store_text(encoder, text)
        assert embed_search_text(row.pk, reader) == "found"
        row.refresh_from_db()
        assert np.allclose(row.vector, loaded.encode_texts([text])[0], atol=2e-3)
        assert embed_search_text(row.pk, reader) == ""  # a message that arrives twice
    long = store_text(encoder, "word " * 39)
    assert embed_search_text(long.pk, reader) == "too_long"
    long.refresh_from_db()
    assert (long.problem, long.detail, long.vector) == ("too_long", {"count": 41, "most": 32}, None)
    assert embed_search_text(999_999_999, reader) == ""

    # Prompts and heat maps by the same process.
    texts = ["a photo of red", "a photo of blue"]
    assert np.allclose(reader.read(tiny_encoder, texts)["vectors"], loaded.encode_texts(texts), atol=1e-5)
    direction = loaded.encode_texts(texts)[0]
    file = tmp_path / "red.png"
    file.write_bytes(png(1))
    asked = {"file": str(file), "direction": direction.tolist(), "seconds": 600}
    drawn = reader.read(tiny_encoder, {"heat_map": asked})
    own = draw(loaded, str(file), direction, seconds=600)
    assert drawn["method"] == "gradient" and np.allclose(drawn["values"], own.values, atol=1e-4)
    with Image.open(file) as picture:
        assert np.allclose(drawn["energy"], energy_map(picture))

    # A search is answered between two parts of a map. A map whose process is killed is drawn by another one.
    parts: list[int] = []

    def search(done: int, total: int) -> None:
        parts.append(done)
        assert embed_search_text(store_text(encoder, f"part {len(parts)}").pk, reader) == "found"
        if len(parts) == 1:
            os.kill(reader.pid, signal.SIGKILL)
            assert embed_search_text(store_text(encoder, "after the kill").pk, reader) == "found"

    again = reader.read(tiny_encoder, {"heat_map": asked}, search)
    assert np.allclose(again["values"], drawn["values"]) and len(parts) >= 2
    last_text = TextEmbedding.objects.get(text="part 1")
    assert np.allclose(last_text.vector, loaded.encode_texts(["part 1"])[0], atol=2e-3)
    file.write_bytes(b"GIF89a nothing")
    assert "damaged" in reader.read(tiny_encoder, {"heat_map": asked})["unreadable"]
    file.unlink()
    assert "unreadable" in reader.read(tiny_encoder, {"heat_map": asked})

    # Its process was killed. The next text starts another one.
    killed = reader.pid
    os.kill(killed, signal.SIGKILL)
    psutil.wait_procs([psutil.Process(killed)] if psutil.pid_exists(killed) else [], timeout=60)
    again = store_text(encoder, "a photo of blue")
    assert embed_search_text(again.pk, reader) == "found" and reader.pid != killed

    # Without requests its memory is released.
    last = reader.pid
    reader.idle = 0.2
    assert embed_search_text(store_text(encoder, "green").pk, reader) == "found"
    until(lambda: reader.pid == 0 and not psutil.pid_exists(last))

    # A process that was only loaded in advance ends, too.
    reader.load(tiny_encoder)
    loaded_only = reader.pid
    until(lambda: reader.pid == 0 and not psutil.pid_exists(loaded_only))

    # Other weights than those of the images' embeddings.
    other = EncoderFactory(name=tiny_encoder, digest="f" * 64, dim=loaded.dim)
    strange = store_text(other, "red")
    assert embed_search_text(strange.pk, reader) == "other_weights"


def test_encoder_that_cannot_be_loaded_is_reported(tmp_path: Path, reader: TextEncoderProcess) -> None:
    missing = EncoderFactory(name=f"local-dir:{tmp_path / 'nothing'}", dim=4)
    row = store_text(missing, "a scratch")
    assert embed_search_text(row.pk, reader) == "not_loaded"
    row.refresh_from_db()
    assert row.problem == "not_loaded" and row.detail["reason"]
    assert reader.pid == 0
    with pytest.raises(ReaderError):
        reader.read(missing.name, "a scratch")
