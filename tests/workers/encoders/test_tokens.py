"""Every kind of tokenizer counts the tokens that it would cut, including its special tokens."""

import json
from pathlib import Path

import pytest

from tests.workers.encoders.conftest import TINY, save_model
from workers.encoders import EncoderError, load_encoder

CONTEXT = 16


def hf_tokenizer(place: Path, *, bos: bool) -> None:
    """Create a word tokenizer in the files of transformers.

    SigLIP ends with a special token. XLM-R has one at either end.
    """
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    words = ["<pad>", "<s>", "</s>", "<unk>", "a", "photo", "of", "crack", "傷"]
    inner = Tokenizer(models.WordLevel({word: n for n, word in enumerate(words)}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    inner.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>" if bos else "$A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    inner.enable_truncation(5)  # as in some files; it must not affect our count
    inner.save(str(place / "tokenizer.json"))
    marks = {
        "pad_token": "<pad>",
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "sep_token": "</s>",
    }
    (place / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 512, **marks})
    )


def siglip_like(place: Path) -> Path:
    text = {
        **TINY["text_cfg"],
        "vocab_size": 9,
        "hf_tokenizer_name": "maker/not-on-this-machine",
        "tokenizer_kwargs": {"clean": "canonicalize"},
        "no_causal_mask": True,
        "pool_type": "last",
    }
    save_model(place, TINY | {"text_cfg": text}, custom=True)
    hf_tokenizer(place, bos=False)
    return place


def test_tokenizer_of_clip_counts_tokens_and_cut_texts(folder: Path) -> None:
    encoder = load_encoder(f"local-dir:{folder}", device="cpu")
    fits, cut = " ".join(["crack"] * (CONTEXT - 2)), " ".join(["crack"] * (CONTEXT - 1))
    assert encoder.context_length == CONTEXT
    assert encoder.count_tokens([fits, cut, ""]) == [CONTEXT, CONTEXT + 1, 2]
    assert encoder.too_long([fits, cut, "傷 " * 30]) == [1, 2]
    # A text that fits is read completely: its last word changes the result.
    other = " ".join(["crack"] * (CONTEXT - 3) + ["dent"])
    assert abs(encoder.encode_texts([fits]) - encoder.encode_texts([other])).max() > 1e-4


@pytest.mark.parametrize("marks", [1, 2])
def test_hugging_face_tokenizers_count_tokens_and_cut_texts(tmp_path: Path, marks: int) -> None:
    place = siglip_like(tmp_path / "siglip")
    hf_tokenizer(place, bos=marks == 2)
    encoder = load_encoder(f"local-dir:{place}", device="cpu")
    fits, cut = " ".join(["crack"] * (CONTEXT - marks)), " ".join(["crack"] * (CONTEXT - marks + 1))
    assert encoder.count_tokens([fits, cut, ""]) == [CONTEXT, CONTEXT + 1, marks]
    assert encoder.too_long(["a photo of crack", fits, cut]) == [2]
    assert encoder.encode_texts(["a photo of crack", fits]).shape == (2, 32)
    # SigLIP reads text in lower case and without punctuation.
    assert encoder.count_tokens(["A photo, of: crack!!!"]) == encoder.count_tokens(["a photo of crack"])


def test_text_tower_of_hugging_face_is_loaded_from_files(tmp_path: Path) -> None:
    """The kind of XLM-R: text tower and tokenizer from files next to the weights, without a hub."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    place = tmp_path / "xlmr"
    place.mkdir()
    config = {
        "model_type": "xlm-roberta",
        "vocab_size": 9,
        "hidden_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "max_position_embeddings": 40,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "type_vocab_size": 1,
    }
    (place / "config.json").write_text(json.dumps(config))
    hf_tokenizer(place, bos=True)
    text = {
        "hf_model_name": "maker/not-on-this-machine",
        "hf_tokenizer_name": "maker/not-on-this-machine",
        "hf_pooler_type": "mean_pooler",
        "context_length": CONTEXT,
    }
    model = TINY | {"text_cfg": text}
    torch.manual_seed(0)
    network = open_clip.CustomTextCLIP(
        **TINY | {"text_cfg": text | {"hf_model_name": str(place), "hf_model_pretrained": False}}
    )
    save_file(
        {name: value.contiguous() for name, value in network.state_dict().items()},
        place / "open_clip_model.safetensors",
    )
    (place / "open_clip_config.json").write_text(json.dumps({"model_cfg": model}))
    encoder = load_encoder(f"local-dir:{place}", device="cpu")
    assert encoder.too_long([" ".join(["crack"] * n) for n in (CONTEXT - 2, CONTEXT - 1)]) == [1]
    ids = encoder.tokenize(["a photo of crack"])
    with torch.inference_mode():
        expected = torch.nn.functional.normalize(network.eval().encode_text(ids), dim=-1).numpy()
    assert abs(encoder.encode_texts(["a photo of crack"]) - expected).max() < 1e-5

    (place / "config.json").write_text(json.dumps(config | {"auto_map": {"AutoModel": "evil.Evil"}}))
    with pytest.raises(EncoderError) as caught:
        load_encoder(f"local-dir:{place}", device="cpu")
    assert caught.value.code == "unsafe"


def test_missing_or_damaged_tokenizer_is_reported(tmp_path: Path) -> None:
    place = siglip_like(tmp_path / "siglip")
    (place / "tokenizer.json").write_text("{")
    with pytest.raises(EncoderError) as caught:
        load_encoder(f"local-dir:{place}", device="cpu")
    assert caught.value.code == "no_tokenizer"
    (place / "tokenizer.json").unlink()
    with pytest.raises(EncoderError) as caught:
        load_encoder(f"local-dir:{place}", device="cpu", cache_dir=tmp_path, endpoint="http://127.0.0.1:1")
    assert caught.value.code == "no_network"


def test_digest_changes_with_the_tokenizer(tmp_path: Path) -> None:
    place = siglip_like(tmp_path / "siglip")
    digest_before = load_encoder(f"local-dir:{place}", device="cpu").digest
    hf_tokenizer(place, bos=True)
    assert load_encoder(f"local-dir:{place}", device="cpu").digest != digest_before
