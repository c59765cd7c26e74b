"""The bundled weights work: small, fast to load, and right far more often than chance."""

import itertools

import pytest
import torch

from workers.encoders import Encoder, load_encoder
from workers.pocket import model
from workers.pocket.evaluate import (
    CANDIDATES,
    CHOOSING_SEED,
    choosing_figures,
    draw_part_pictures,
    draw_unseen_pictures,
    untrained,
    zero_shot,
)
from workers.pocket.pictures import HELD_OUT, TRAINING
from workers.pocket.train import learning_rate_share


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return load_encoder("pocket", device="cpu")


def test_weights_are_small() -> None:
    assert model.WEIGHTS.stat().st_size <= 16_000_000


def test_zero_shot_is_clearly_above_chance_under_unseen_conditions(encoder: Encoder) -> None:
    pictures, specs = draw_unseen_pictures(per_label=10)
    vectors = encoder.encode_images(pictures).vectors
    for language in ("en", "ja"):
        assert zero_shot(encoder, vectors, specs, language) > 2.5 / len(CANDIDATES)
    control = untrained(encoder)
    control_vectors = control.encode_images(pictures).vectors
    assert zero_shot(control, control_vectors, specs, "en") < zero_shot(encoder, vectors, specs, "en")


def test_pictures_that_choose_a_recipe_are_not_evaluated() -> None:
    figures = choosing_figures(model.WEIGHTS, per_label=2)
    assert set(figures) == {
        f"{pairs}_pairs_{conditions}_conditions_{language}"
        for pairs in ("drawn", "held_out")
        for conditions in ("training", "unseen")
        for language in ("en", "ja")
    }
    assert all(0 <= value <= 1 for value in figures.values())
    for held_out in (True, False):
        _, specs = draw_part_pictures(2, CHOOSING_SEED, held_out=held_out, conditions=TRAINING)
        assert {((spec.subject, spec.state) in HELD_OUT) for spec in specs} == {held_out}
    evaluated_seeds = {spec.seed for spec in draw_unseen_pictures(per_label=2)[1]}
    assert not evaluated_seeds & {spec.seed for spec in specs}


def test_padding_does_not_change_text_vectors() -> None:
    network = model.load()
    from workers.pocket.tokenizer import PocketTokenizer

    tokenizer = PocketTokenizer.load()
    texts = ["crack", "錆びたボルトの写真"]
    with torch.inference_mode():
        short = model.embed_trimmed_texts(network, torch.from_numpy(tokenizer(texts, full=False)))
        whole = network.encode_text(torch.from_numpy(tokenizer(texts)))
    assert torch.allclose(short, whole, atol=1e-4)


def test_saved_weights_are_loaded(tmp_path) -> None:
    network = model.build(seed=1)
    model.save(network.state_dict(), tmp_path / "w.safetensors")
    again = model.load(tmp_path / "w.safetensors")
    for name, value in network.state_dict().items():
        if value.is_floating_point():
            assert torch.allclose(value, again.state_dict()[name], atol=2e-3, rtol=1e-3), name


def test_learning_rate_warms_up_stays_and_decays() -> None:
    rates = [learning_rate_share(step, 1000) for step in range(1000)]
    assert rates[0] < 0.01
    assert rates[300] == rates[500] == 1.0
    assert rates[-1] < 0.02
    assert all(later <= earlier for earlier, later in itertools.pairwise(rates[600:]))


def test_the_card_states_every_figure_or_is_not_written(tmp_path) -> None:
    from workers.pocket.card import BEGIN, CARD, END, ROWS, write_card

    figures = {key: 0.5 for row in ROWS for key in row[1:3]}
    figures |= {"digest": "ab" * 32, "megabytes": 13.2, "load_s": 0.3, "images_per_s": 300.0, "photos": 1800}
    figures |= {"candidates": 8, "unseen_pictures": 800}
    card = tmp_path / "card.md"
    card.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n", encoding="utf-8")
    write_card(figures, card)
    text = card.read_text(encoding="utf-8")
    assert text.startswith("before\n") and text.endswith("after\n") and "old" not in text
    assert text.count("50.0 %") == 2 * len(ROWS)
    del figures["zero_shot_ja"]
    with pytest.raises(KeyError):
        write_card(figures, card)
    assert card.read_text(encoding="utf-8") == text
    assert BEGIN in CARD.read_text(encoding="utf-8")
