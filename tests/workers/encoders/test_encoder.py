"""Images and texts become unit vectors, independently of the batch.

Errors are reported, and the rest continues.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from workers.encoders import Encoder, EncoderError, load_encoder

PICTURES = [
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (40 + seed, 50, 3), dtype=np.uint8))
    for seed in range(7)
]


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return load_encoder("pocket", device="cpu")


def test_vectors_are_unit_and_float32(encoder: Encoder) -> None:
    images = encoder.encode_images(PICTURES)
    texts = encoder.encode_texts(["a crack", "割れ", "", "🙂"])
    assert images.vectors.shape == (7, encoder.dim)
    assert texts.shape == (4, encoder.dim)
    for vectors in (images.vectors, texts):
        assert vectors.dtype == np.float32
        assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-4)
    assert images.ok_indices.tolist() == list(range(7))
    assert images.errors == {}


def test_vectors_do_not_depend_on_the_batch(encoder: Encoder) -> None:
    together = encoder.encode_images(PICTURES, batch=7).vectors
    assert np.allclose(together, encoder.encode_images(PICTURES, batch=2).vectors, atol=1e-4)
    texts = ["a crack", "a very long description of a scratched and dented steel washer", "錆"]
    alone = np.concatenate([encoder.encode_texts([text]) for text in texts])
    assert np.allclose(encoder.encode_texts(texts), alone, atol=1e-4)


def test_empty_input_gives_empty_arrays(encoder: Encoder) -> None:
    assert encoder.encode_images([]).vectors.shape == (0, encoder.dim)
    assert encoder.encode_texts([]).shape == (0, encoder.dim)


def test_bad_files_are_reported_and_the_other_files_are_embedded(encoder: Encoder, tmp_path: Path) -> None:
    good = tmp_path / "良品.png"
    PICTURES[0].save(good)
    text = tmp_path / "text.jpg"
    text.write_text("hello")
    cut = tmp_path / "cut.png"
    cut.write_bytes(good.read_bytes()[:200])
    progress_calls: list[tuple[int, int]] = []
    batch = encoder.encode_images(
        [good, text, str(good), cut, tmp_path / "none.png", good.read_bytes()],
        batch=2,
        progress=lambda done, total: progress_calls.append((done, total)),
    )
    assert batch.ok_indices.tolist() == [0, 2, 5]
    assert set(batch.errors) == {1, 3, 4}
    assert "not an image" in batch.errors[1]
    assert "does not exist" in batch.errors[4]
    assert np.allclose(batch.vectors[0], batch.vectors[2], atol=1e-5)
    assert progress_calls[-1] == (6, 6)
    failed = encoder.encode_images([text])
    assert failed.vectors.shape == (0, encoder.dim)
    assert set(failed.errors) == {0}


def test_long_prompts_are_reported(encoder: Encoder) -> None:
    texts = ["scratch", "傷 " * 400, "a photo of a scratched washer"]
    assert encoder.too_long(texts) == [1]
    lengths = encoder.count_tokens(texts)
    assert lengths[1] > encoder.context_length >= lengths[2] > lengths[0]
    assert encoder.encode_texts(texts).shape == (3, encoder.dim)  # cut, because the caller insisted


def test_encoder_has_digest_precision_and_logit_scale(encoder: Encoder) -> None:
    assert encoder.digest == load_encoder("pocket", device="cpu").digest
    assert len(bytes.fromhex(encoder.digest)) == 32
    assert encoder.precision == "fp32"
    assert 1 < encoder.logit_scale <= 100


def test_damaged_bundled_weights_are_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from workers.pocket import model

    whole = model.WEIGHTS.read_bytes()
    for damage in (whole[: len(whole) // 2], b"", None):
        file = tmp_path / "pocket.safetensors"
        file.unlink(missing_ok=True)
        if damage is not None:
            file.write_bytes(damage)
        monkeypatch.setattr(model, "WEIGHTS", file)
        with pytest.raises(EncoderError) as caught:
            load_encoder("pocket", device="cpu")
        assert caught.value.code == "damaged"


def test_importing_the_package_loads_no_heavy_module() -> None:
    code = (
        "import sys, workers.encoders; "
        "sys.exit(bool({'torch', 'open_clip', 'torchvision', 'timm', 'django'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
