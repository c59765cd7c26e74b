"""+onnx and +int8: separate encoders, close to the original, stored in a checked file."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.workers.encoders.conftest import PREPROCESS
from workers.encoders import Encoder, EncoderError, load_encoder, onnx_tower
from workers.encoders.probes import probe_images


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def original(folder: Path) -> Encoder:
    return load_encoder(f"local-dir:{folder}", device="cpu")


@pytest.mark.parametrize("variant", ["onnx", "int8"])
def test_a_variant_is_another_encoder_with_nearly_the_same_vectors(
    original: Encoder, cache: Path, variant: str
) -> None:
    encoder = load_encoder(f"{original.name}+{variant}", device="cpu", cache_dir=cache)
    assert encoder.name == f"{original.name}+{variant}"
    assert encoder.precision == variant
    assert encoder.digest not in {original.digest, ""}
    assert len(encoder.digest) == 64
    assert encoder.tower is not None
    assert 0.9 <= encoder.tower.cosine_min <= encoder.tower.cosine_mean <= 1.0001
    pictures = list(probe_images(21, 40, seed=9))
    from PIL import Image

    images = [Image.fromarray(pixels) for pixels in pictures]
    cosines = (encoder.encode_images(images, batch=4).vectors * original.encode_images(images).vectors).sum(1)
    assert cosines.min() > (0.99999 if variant == "onnx" else 0.95)
    assert np.allclose(np.linalg.norm(encoder.encode_images(images).vectors, axis=1), 1, atol=1e-5)
    # The text tower is the original's.
    assert np.array_equal(encoder.encode_texts(["a crack"]), original.encode_texts(["a crack"]))
    assert encoder.too_long(["crack " * 99]) == [0]


@pytest.mark.parametrize("variant", ["onnx", "int8"])
def test_variant_of_a_convolutional_tower_is_close_to_the_original(cache: Path, variant: str) -> None:
    pocket = load_encoder("pocket", device="cpu")
    encoder = load_encoder(f"pocket+{variant}", cache_dir=cache)
    assert encoder.device == "cpu"
    pictures = probe_images(16, pocket.image_side, seed=5)
    cosines = (encoder.embed_pixels(pictures) * pocket.embed_pixels(pictures)).sum(1)
    assert cosines.min() > (0.99999 if variant == "onnx" else 0.9)


def test_the_vector_of_an_image_does_not_depend_on_the_batch(original: Encoder, cache: Path) -> None:
    encoder = load_encoder(f"{original.name}+int8", cache_dir=cache)
    pictures = probe_images(9, 32, seed=4)
    alone = np.concatenate([encoder.embed_pixels(pictures[at : at + 1]) for at in range(9)])
    assert np.array_equal(encoder.embed_pixels(pictures), alone)
    assert np.array_equal(encoder.embed_pixels(pictures[::-1])[::-1], alone)


def test_file_is_reused_and_created_again_when_damaged(
    original: Encoder, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = load_encoder(f"{original.name}+onnx", cache_dir=cache)
    assert encoder.tower is not None
    file = encoder.tower.file
    assert cache in file.parents
    created: list[str] = []
    real = onnx_tower._make
    monkeypatch.setattr(
        onnx_tower, "_make", lambda *arguments: (created.append(arguments[1]), real(*arguments))[1]
    )
    again = load_encoder(f"{original.name}+onnx", cache_dir=cache)
    assert (again.digest, again.tower.cosine_min, created) == (encoder.digest, encoder.tower.cosine_min, [])

    whole = file.read_bytes()
    for damage in (whole[: len(whole) // 2], b"", whole[:-1] + bytes([whole[-1] ^ 1])):
        file.write_bytes(damage)
        load_encoder(f"{original.name}+onnx", cache_dir=cache)
    assert created == ["onnx"] * 3
    file.with_suffix(".json").write_text("{")
    load_encoder(f"{original.name}+onnx", cache_dir=cache)
    file.with_suffix(".json").write_text(json.dumps({"sha256": 3}))
    load_encoder(f"{original.name}+onnx", cache_dir=cache)
    assert created == ["onnx"] * 5
    assert not [path for path in file.parent.iterdir() if path.name.startswith(".making")]


def test_variant_that_differs_too_much_is_refused_and_not_stored(
    original: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(onnx_tower._MIN_COSINE, "int8", (1.5, 1.5))
    with pytest.raises(EncoderError) as caught:
        load_encoder(f"{original.name}+int8", cache_dir=tmp_path)
    assert caught.value.code == "variant_differs"
    assert not list(tmp_path.rglob("*.onnx"))


def test_other_weights_or_preprocessing_never_share_a_file(
    original: Encoder, folder: Path, tmp_path: Path, cache: Path
) -> None:
    import shutil

    other = tmp_path / "other mean"
    shutil.copytree(folder, other)
    config = json.loads((other / "open_clip_config.json").read_text())
    config["preprocess_cfg"] = PREPROCESS | {"mean": [0.9, 0.9, 0.9]}
    (other / "open_clip_config.json").write_text(json.dumps(config))
    one = load_encoder(f"{original.name}+onnx", cache_dir=cache)
    two = load_encoder(f"local-dir:{other}+onnx", cache_dir=cache)
    assert one.tower is not None
    assert two.tower is not None
    assert one.tower.file != two.tower.file
    pictures = probe_images(2, 32)
    assert abs(one.embed_pixels(pictures) - two.embed_pixels(pictures)).max() > 1e-3


def test_onnx_runtime_stores_no_telemetry(tmp_path: Path) -> None:
    """Its telemetry, once on, stores a database in the user's cache folder."""
    code = (
        "from workers.encoders import onnx_tower; onnxruntime = onnx_tower._onnxruntime(); "
        "onnxruntime.SessionOptions(); print(onnxruntime.get_available_providers())"
    )
    quiet = {"CI", "ORT_RUNNING_UNIT_TESTS", "GITHUB_ACTIONS", "ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME"}
    environment = {k: v for k, v in os.environ.items() if k not in quiet} | {"HOME": str(tmp_path)}
    process = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert "CPUExecutionProvider" in process.stdout
    assert list(tmp_path.rglob("*onnxruntime*")) == []


def test_probe_images_are_the_same_on_every_machine() -> None:
    import hashlib

    assert hashlib.sha256(probe_images(4, 64).tobytes()).hexdigest() == PROBES_64
    assert probe_images(3, 50).shape == (3, 50, 50, 3)
    assert np.array_equal(probe_images(3, 50)[2], probe_images(5, 50)[2])
    assert probe_images(16, 64).std() > 30


PROBES_64 = "64a04511858f39fcccd498e291acd85d80da5f0ce83a9aa2ad56df7bcc917d6b"
