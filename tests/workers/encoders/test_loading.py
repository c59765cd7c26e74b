"""Every way to name an encoder, and every way in which loading it fails."""

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from workers.encoders import ENCODER_CODES, EncoderError, load_encoder

PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8))


def test_local_folder_gives_the_vectors_of_open_clip(folder: Path) -> None:
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


def test_digest_changes_with_the_weights(folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    encoder = load_encoder(f"local-dir:{folder}", device="cpu")
    assert load_encoder(f"local-dir:{folder}", device="cpu").digest == encoder.digest
    (tmp_path / "open_clip_config.json").write_text((folder / "open_clip_config.json").read_text())
    weights = load_file(folder / "open_clip_model.safetensors")
    weights["visual.proj"][0, 0] += 1
    save_file(weights, tmp_path / "open_clip_model.safetensors")
    assert load_encoder(f"local-dir:{tmp_path}", device="cpu").digest != encoder.digest


def error_code_of(name: str, **options: Any) -> str:
    """Return the code with which loading fails. The error message must be a sentence."""
    with pytest.raises(EncoderError) as caught:
        load_encoder(name, device="cpu", **options)
    assert caught.value.code in ENCODER_CODES
    assert len(str(caught.value)) > 20
    assert caught.value.details.keys() <= {
        word.strip("(),:") for word in ENCODER_CODES[caught.value.code].split()
    }
    return caught.value.code


def copy_model(folder: Path, place: Path, **changes: Any) -> Path:
    """Copy the model with changed values in its configuration. A callable changes it in place."""
    shutil.copytree(folder, place, dirs_exist_ok=True)
    config = json.loads((place / "open_clip_config.json").read_text())
    for part, values in changes.items():
        config["model_cfg"][part] = (
            config["model_cfg"].get(part, {}) | values if isinstance(values, dict) else values
        )
    (place / "open_clip_config.json").write_text(json.dumps(config))
    return place


def test_digest_changes_with_everything_that_changes_vectors(folder: Path, tmp_path: Path) -> None:
    digest = load_encoder(f"local-dir:{folder}", device="cpu").digest
    other = copy_model(folder, tmp_path / "gelu", quick_gelu=True)
    assert load_encoder(f"local-dir:{other}", device="cpu").digest != digest
    config = json.loads((folder / "open_clip_config.json").read_text())
    config["preprocess_cfg"]["mean"] = [0.5, 0.5, 0.5]
    other = copy_model(folder, tmp_path / "mean")
    (other / "open_clip_config.json").write_text(json.dumps(config))
    assert load_encoder(f"local-dir:{other}", device="cpu").digest != digest
    elsewhere = copy_model(folder, tmp_path / "copy of the same")
    assert load_encoder(f"local-dir:{elsewhere}", device="cpu").digest == digest


def test_the_format_of_the_file_does_not_change_the_digest(folder: Path, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file

    other = copy_model(folder, tmp_path / "pickled tensors")
    torch.save(load_file(other / "open_clip_model.safetensors"), other / "open_clip_pytorch_model.bin")
    (other / "open_clip_model.safetensors").unlink()
    encoder = load_encoder(f"local-dir:{other}", device="cpu")
    assert encoder.digest == load_encoder(f"local-dir:{folder}", device="cpu").digest


def test_a_folder_without_weights_is_an_error_not_a_random_model(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "open_clip_config.json").write_text((folder / "open_clip_config.json").read_text())
    assert error_code_of(f"local-dir:{tmp_path}") == "no_weights"


@pytest.mark.parametrize("keep", [0, 5, 100, 0.5, 0.999])
def test_truncated_weights_are_reported(folder: Path, tmp_path: Path, keep: float) -> None:
    other = copy_model(folder, tmp_path / "cut")
    file = other / "open_clip_model.safetensors"
    data = file.read_bytes()
    file.write_bytes(data[: int(keep if keep > 1 or not keep else keep * len(data))])
    # A file that is far too small for the model is reported before anything is read.
    assert error_code_of(f"local-dir:{other}") in {"damaged", "wrong_architecture"}
    if keep == 0.999:
        assert error_code_of(f"local-dir:{other}") == "damaged"


def test_invalid_weights_are_reported(folder: Path, tmp_path: Path) -> None:
    other = copy_model(folder, tmp_path / "nonsense")
    size = (other / "open_clip_model.safetensors").stat().st_size
    (other / "open_clip_model.safetensors").write_bytes(b"nonsense" * (size // 8))
    assert error_code_of(f"local-dir:{other}") == "damaged"
    (other / "open_clip_model.safetensors").rename(other / "open_clip_pytorch_model.bin")
    assert error_code_of(f"local-dir:{other}") in {"damaged", "unsafe"}


def test_a_pickle_with_code_is_refused_and_does_not_run(folder: Path, tmp_path: Path) -> None:
    import torch

    other = copy_model(folder, tmp_path / "evil")
    (other / "open_clip_model.safetensors").unlink()
    trace = tmp_path / "it ran"

    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (trace,))

    weights = {"visual.proj": torch.zeros(2_000_000), "evil": Evil()}
    torch.save(weights, other / "open_clip_pytorch_model.bin")
    assert error_code_of(f"local-dir:{other}") == "unsafe"
    (other / "open_clip_pytorch_model.bin").write_bytes(pickle.dumps(Evil()) + bytes(8_000_000))
    assert error_code_of(f"local-dir:{other}") in {"unsafe", "damaged"}
    assert not trace.exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"embed_dim": 48},
        {"vision_cfg": {"layers": 3}},
        {"text_cfg": {"width": 64}},
        {
            "vision_cfg": {"width": 4096, "layers": 24}
        },  # would not fit into memory; the size of the file shows that it cannot be the model
    ],
)
def test_weights_of_another_architecture_are_reported(
    folder: Path, tmp_path: Path, changes: dict[str, Any]
) -> None:
    assert (
        error_code_of(f"local-dir:{copy_model(folder, tmp_path / 'other', **changes)}")
        == "wrong_architecture"
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"embed_dim": 10**12},
        {"embed_dim": -1},
        {"embed_dim": "32"},
        {"vision_cfg": {"layers": 10**9}},
        {"vision_cfg": {"layers": [[[[[[[[1]]]]]]]]}},
        {"vision_cfg": {"width": "wide"}},
        {"vision_cfg": {"no_such_option": 1}},
        {"vision_cfg": {"timm_model_name": "hf-hub:evil/model"}},
        {"vision_cfg": {"timm_model_name": "x" * 5000}},
        {"text_cfg": {"vocab_size": 10**11}},
        {"text_cfg": {"context_length": -5}},
        {"text_cfg": {"tokenizer_kwargs": {"trust_remote_code": True}}},
        {"text_cfg": {"hf_tokenizer_name": "/etc/passwd"}},
        {"text_cfg": {"hf_model_name": "../../elsewhere"}},
        {"text_cfg": []},
        {"vision_cfg": None},
    ],
)
def test_hostile_configurations_are_refused(folder: Path, tmp_path: Path, changes: dict[str, Any]) -> None:
    assert error_code_of(f"local-dir:{copy_model(folder, tmp_path / 'hostile', **changes)}") == "bad_config"


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "null", "{", "\x00", '{"model_cfg": 3}', "[" * 100_000, " " * 2_000_000]
)
def test_invalid_configuration_is_reported(folder: Path, tmp_path: Path, text: str) -> None:
    other = copy_model(folder, tmp_path / "none")
    (other / "open_clip_config.json").write_text(text)
    assert error_code_of(f"local-dir:{other}") == "bad_config"


def test_missing_memory_is_reported_before_loading(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from workers.encoders import building

    monkeypatch.setattr(building, "free_memory", lambda: 50 << 20)
    with pytest.raises(EncoderError) as caught:
        load_encoder(f"local-dir:{folder}", device="cpu")
    assert caught.value.code == "no_memory"
    assert int(caught.value.details["needed"]) > int(caught.value.details["free"]) == 50


def test_missing_gpu_is_reported() -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(EncoderError) as caught:
        load_encoder("pocket", device="cuda")
    assert caught.value.code == "no_gpu"


@pytest.mark.parametrize(
    ("name", "code", "reason"),
    [
        ("nonsense", "unknown_name", "no encoder"),
        ("", "unknown_name", "no encoder"),
        ("ViT-B-32-257/datacomp_s34b_b86k", "unknown_name", "Did you mean"),
        ("ViT-B-32-256/none", "unknown_weights", "datacomp_s34b_b86k"),
        ("pocket+fp4", "unknown_variant", "no variant"),
        ("local-dir:/no/such/folder", "no_folder", "does not exist"),
    ],
)
def test_unknown_names_are_refused_with_the_reason(name: str, code: str, reason: str) -> None:
    with pytest.raises(EncoderError, match=reason):
        load_encoder(name, device="cpu")
    assert error_code_of(name) == code


def test_folder_without_a_model_is_reported(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match="open_clip_config"):
        load_encoder(f"local-dir:{tmp_path}", device="cpu")
    assert error_code_of(f"local-dir:{tmp_path}") == "not_a_model"


def test_the_activation_is_that_of_the_weights() -> None:
    """open_clip only warns that `ViT-B-32/openai` was trained with another activation than `ViT-B-32`."""
    from workers.encoders import sources

    class AnyHub:
        def first_available(self, *_arguments: Any) -> Path:
            return Path("weights.safetensors")

    source = sources.find_source("ViT-B-32/openai", AnyHub())  # type: ignore[arg-type]
    assert source.model["quick_gelu"] is True
    assert "quick_gelu" not in sources.find_source("ViT-B-32/laion2b_s34b_b79k", AnyHub()).model


def test_every_recommended_architecture_passes_our_checks(tmp_path: Path) -> None:
    import open_clip

    from workers.encoders.building import validated_config
    from workers.encoders.sources import Source

    for architecture in open_clip.list_models():
        config = open_clip.get_model_config(architecture)
        validated_config(Source(config, {}, tmp_path, None, None))
