"""Every way to name an encoder, and every way in which that goes wrong."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from workers.encoders import EncoderError, load_encoder
from workers.encoders.torchvision_shim import ensure_torchvision

TINY = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 8},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}
PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model in the form in which open_clip stores one."""
    ensure_torchvision()
    import open_clip
    import torch
    from safetensors.torch import save_file

    place = tmp_path_factory.mktemp("tiny model")
    torch.manual_seed(0)
    network = open_clip.CLIP(**TINY)
    save_file(
        {name: value.contiguous() for name, value in network.state_dict().items()},
        place / "open_clip_model.safetensors",
    )
    preprocess = {"mean": [0.1, 0.2, 0.3], "std": [0.5, 0.6, 0.7], "resize_mode": "shortest"}
    (place / "open_clip_config.json").write_text(
        json.dumps({"model_cfg": TINY, "preprocess_cfg": preprocess})
    )
    return place


def test_a_local_folder_gives_what_open_clip_itself_gives(folder: Path) -> None:
    encoder = load_encoder(f"local-dir:{folder}", device="cpu")
    assert encoder.dim == 32
    assert encoder.context_length == 16
    assert len(encoder.digest) == 64

    import open_clip
    import torch

    network, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    network.eval()
    with torch.no_grad():
        image = network.encode_image(preprocess(PICTURE)[None], normalize=True).numpy()
        text = network.encode_text(
            open_clip.get_tokenizer(f"local-dir:{folder}")(["a crack"]), normalize=True
        ).numpy()
    assert np.allclose(encoder.encode_images([PICTURE]).vectors, image, atol=1e-5)
    assert np.allclose(encoder.encode_texts(["a crack"]), text, atol=1e-5)
    assert encoder.too_long(["a crack", "crack " * 30]) == [1]
    assert encoder.count_tokens(["crack"])[0] == 3


def test_the_digest_follows_the_weights(folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    encoder = load_encoder(f"local-dir:{folder}", device="cpu")
    assert load_encoder(f"local-dir:{folder}", device="cpu").digest == encoder.digest
    (tmp_path / "open_clip_config.json").write_text((folder / "open_clip_config.json").read_text())
    weights = load_file(folder / "open_clip_model.safetensors")
    weights["visual.proj"][0, 0] += 1
    save_file(weights, tmp_path / "open_clip_model.safetensors")
    assert load_encoder(f"local-dir:{tmp_path}", device="cpu").digest != encoder.digest


def test_a_folder_without_weights_is_an_error_not_a_random_model(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "open_clip_config.json").write_text((folder / "open_clip_config.json").read_text())
    with pytest.raises(EncoderError, match="could not be loaded"):
        load_encoder(f"local-dir:{tmp_path}", device="cpu")


def test_damaged_weights_are_told(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "open_clip_config.json").write_text((folder / "open_clip_config.json").read_text())
    data = (folder / "open_clip_model.safetensors").read_bytes()
    (tmp_path / "open_clip_model.safetensors").write_bytes(data[: len(data) // 2])
    with pytest.raises(EncoderError, match="could not be loaded"):
        load_encoder(f"local-dir:{tmp_path}", device="cpu")


def test_weights_of_another_architecture_are_told(folder: Path, tmp_path: Path) -> None:
    config = json.loads((folder / "open_clip_config.json").read_text())
    config["model_cfg"]["embed_dim"] = 48
    (tmp_path / "open_clip_config.json").write_text(json.dumps(config))
    (tmp_path / "open_clip_model.safetensors").write_bytes(
        (folder / "open_clip_model.safetensors").read_bytes()
    )
    with pytest.raises(EncoderError, match="could not be loaded"):
        load_encoder(f"local-dir:{tmp_path}", device="cpu")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("nonsense", "no encoder"),
        ("", "no encoder"),
        ("ViT-B-32-257/datacomp_s34b_b86k", "Did you mean"),
        ("ViT-B-32-256/none", "datacomp_s34b_b86k"),
        ("local-dir:/no/such/folder", "does not exist"),
    ],
)
def test_wrong_names_say_what_is_wrong(name: str, reason: str) -> None:
    with pytest.raises(EncoderError, match=reason):
        load_encoder(name, device="cpu")


def test_a_folder_that_is_no_model_is_told(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match="open_clip_config"):
        load_encoder(f"local-dir:{tmp_path}", device="cpu")
