"""The recommended encoders, their order, and the names that a user may type."""

import pytest
from django.core.exceptions import ValidationError
from django.utils import translation
from hypothesis import given
from hypothesis import strategies as st

from mekiki.learning.encoder_catalogue import CATALOGUE, VARIANTS, parse_encoder_name, recommended


@pytest.mark.parametrize(
    ("device", "language", "first"),
    [
        ("cpu", "en", "ViT-B-32-256/datacomp_s34b_b86k"),
        ("cuda", "en", "ViT-B-16-SigLIP2/webli"),
        ("cuda:1", "en-gb", "ViT-B-16-SigLIP2/webli"),
        ("cpu", "ja", "xlm-roberta-base-ViT-B-32/laion5b_s13b_b90k"),
        ("gpu", "ja_JP", "xlm-roberta-base-ViT-B-32/laion5b_s13b_b90k"),
        ("", "", "ViT-B-32-256/datacomp_s34b_b86k"),
        ("cpu", "th", "ViT-B-32-256/datacomp_s34b_b86k"),
    ],
)
def test_the_first_recommendation_fits_device_and_language(device: str, language: str, first: str) -> None:
    entries = recommended(device, language)
    assert entries[0].name == first
    assert {item.name for item in entries} == {item.name for item in CATALOGUE}


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("language", ["en", "ja", "fr"])
def test_encoders_without_a_free_licence_come_last(device: str, language: str) -> None:
    free = [item.licence_free for item in recommended(device, language)]
    assert free == sorted(free, reverse=True)
    assert not free[-1]


def test_every_recommended_name_and_variant_is_well_formed() -> None:
    for item in CATALOGUE:
        assert parse_encoder_name(item.name).base == item.name
        for variant, name in zip(item.variants, item.variant_names, strict=True):
            parsed = parse_encoder_name(name)
            assert (parsed.base, parsed.variant, parsed.kind) == (
                item.name,
                variant,
                parse_encoder_name(item.name).kind,
            )


def test_every_encoder_has_a_sentence_in_both_languages() -> None:
    for item in CATALOGUE:
        with translation.override("en"):
            english = str(item.when)
        with translation.override("ja"):
            japanese = str(item.when)
        assert english.endswith(".")
        assert japanese.endswith("。")


@pytest.mark.parametrize(
    ("text", "kind", "base", "variant"),
    [
        (" pocket ", "pocket", "pocket", ""),
        ("pocket+int8", "pocket", "pocket", "int8"),
        ("ViT-B-32/openai", "registry", "ViT-B-32/openai", ""),
        ("ViT-B-32/openai+onnx", "registry", "ViT-B-32/openai", "onnx"),
        ("hf-hub:timm/ViT-B-16-SigLIP2", "hub", "hf-hub:timm/ViT-B-16-SigLIP2", ""),
        ("hf-hub:timm/ViT@v1.0+int8", "hub", "hf-hub:timm/ViT@v1.0", "int8"),
        ("local-dir:/srv/模型/a b", "folder", "local-dir:/srv/模型/a b", ""),
        ("local-dir:/srv/c++/model", "folder", "local-dir:/srv/c++/model", ""),
        ("local-dir:/srv/model+v2", "folder", "local-dir:/srv/model+v2", ""),
        ("local-dir:/srv/model+v2+int8", "folder", "local-dir:/srv/model+v2", "int8"),
    ],
)
def test_encoder_names_are_parsed(text: str, kind: str, base: str, variant: str) -> None:
    name = parse_encoder_name(text)
    assert (name.kind, name.base, name.variant, str(name)) == (kind, base, variant, text.strip())


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "empty"),
        ("  \t ", "empty"),
        ("x" * 201, "too_long"),
        ("x" * 1_000_000, "too_long"),
        ("poc\0ket", "invisible"),
        ("pocket\u200b", "invisible"),
        ("a/b\n+int8", "invisible"),
        ("pocket+fp8", "unknown_variant"),
        ("ViT-B-32/openai+int8+int8", "malformed"),
        ("pocket+", "unknown_variant"),
        ("nonsense", "malformed"),
        ("../../etc/passwd", "malformed"),
        ("ViT-B-32/", "malformed"),
        ("/openai", "malformed"),
        ("<script>/x", "malformed"),
        ("hf-hub:", "hub_name"),
        ("hf-hub:only-owner", "hub_name"),
        ("hf-hub:../../x", "hub_name"),
        ("hf-hub:a/b@../../x", "hub_name"),
        ("hf-hub:http://host/x", "hub_name"),
        ("local-dir:", "folder_path"),
        ("local-dir:models/mine", "folder_path"),
        ("local-dir:/srv/../etc", "folder_path"),
        ("local-dir:+int8", "folder_path"),
    ],
)
def test_invalid_encoder_names_are_refused_with_a_message(text: str, code: str) -> None:
    with pytest.raises(ValidationError) as caught:
        parse_encoder_name(text)
    assert caught.value.code == code
    assert caught.value.messages[0].endswith((".", "”."))


@given(st.text(max_size=300))
def test_any_encoder_name_is_accepted_or_refused(text: str) -> None:
    try:
        name = parse_encoder_name(text)
    except ValidationError as error:
        assert error.messages
    else:
        assert name.variant in ("", *VARIANTS)
        assert name.base and len(name.name) <= 200
