"""Training uses true captions, keeps the defect in view, and does not train on held-out pairs."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from workers.pocket import cache, model
from workers.pocket.augment import MIN_DAMAGE_KEPT, crops
from workers.pocket.batches import (
    BATCH,
    CAPTIONED,
    HELD_OUT_MASK,
    OPPOSED,
    SECOND_VIEWS,
    Batch,
    batch_of,
    captions_of,
    known_pairs,
)
from workers.pocket.cache import CELL, SIDE, Drawn, training_pictures
from workers.pocket.objective import STATES_WITHOUT_PLACE, AuxiliaryLosses, contrastive, loss_of
from workers.pocket.pictures import HELD_OUT, STATES, SUBJECTS, choose
from workers.pocket.pictures.captions import ANY_DEFECT, UNSTATED, facts
from workers.pocket.tokenizer import PocketTokenizer


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    return training_pictures(tmp_path_factory.mktemp("cache"), count=40, seed=4)


def step_of(drawn: Drawn, seed: int = 5, step: int = 1, size: int = SECOND_VIEWS) -> Batch:
    """Return a batch, a small one by default because the network takes long for a batch of training."""
    return batch_of(step, steps=100, seed=seed, tokenizer=PocketTokenizer.load(), drawn=drawn, size=size)


def test_drawn_pictures_are_cached_for_one_seed(tmp_path) -> None:
    first = training_pictures(tmp_path, count=6, seed=1)
    again = training_pictures(tmp_path, count=6, seed=1)
    for name in ("pictures", "things", "damage", "shown"):
        assert np.array_equal(getattr(first, name), getattr(again, name)), name
    before = np.asarray(first.pictures).copy()
    other = training_pictures(tmp_path, count=6, seed=2)
    assert not np.array_equal(before, other.pictures)


def test_a_kill_while_the_record_is_written_leaves_a_usable_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = np.array(training_pictures(tmp_path, count=6, seed=1).pictures)
    write = Path.write_text

    def write_half(path: Path, text: str) -> None:
        write(path, text[: len(text) // 2])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", write_half)
        with pytest.raises(KeyboardInterrupt):
            training_pictures(tmp_path, count=6, seed=2)
    # The files now hold pictures of the other seed, so the record of the first seed must be gone.
    assert np.array_equal(training_pictures(tmp_path, count=6, seed=1).pictures, before)


def test_cached_pictures_of_another_generator_are_drawn_again(
    tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training_pictures(tmp_path, count=3, seed=1)
    np.memmap(tmp_path / "pictures.u8", np.uint8, "r+")[:] = 7  # as another generator would have drawn them
    assert (training_pictures(tmp_path, count=3, seed=1).pictures == 7).all()
    monkeypatch.setattr(cache, "generator_digest", lambda: "another")
    assert not (training_pictures(tmp_path, count=3, seed=1).pictures == 7).any(axis=(1, 2, 3)).all()


def test_a_step_is_the_same_for_the_same_seed(drawn: Drawn) -> None:
    def run(seed: int) -> float:
        network = model.build(seed=3)
        torch.manual_seed(3)
        return float(loss_of(network, AuxiliaryLosses(512), step_of(drawn, seed))[0].detach())

    assert run(5) == pytest.approx(run(5), rel=1e-3)
    assert run(5) != pytest.approx(run(6), rel=1e-3)


def test_a_batch_is_whole_and_finite(drawn: Drawn) -> None:
    repeats = -(-BATCH // len(drawn.shown))
    enough = Drawn(*(np.concatenate([part] * repeats) for part in vars(drawn).values()))
    batch = batch_of(1, steps=100, seed=5, tokenizer=PocketTokenizer.load(), drawn=enough)
    assert batch.views.shape == (BATCH + SECOND_VIEWS, 3, 96, 96)
    assert batch.damage.shape[:2] == (BATCH + SECOND_VIEWS, 1)
    assert batch.true.shape == batch.known.shape == (BATCH, CAPTIONED + OPPOSED)
    assert torch.isfinite(batch.views).all()
    assert not (batch.true.bool() & ~batch.known).any()  # the true captions are known
    assert step_of(drawn, step=90).views.shape[-1] == 112


def one_picture(damage_at: tuple[int, int], shade: int = 60) -> Drawn:
    """Return a grey part with one white damaged cell, which its damage map marks."""
    cells = SIDE // CELL
    pictures, damage = np.full((1, SIDE, SIDE, 3), shade, np.uint8), np.zeros((1, cells, cells), np.uint8)
    row, column = damage_at
    pictures[0, row * CELL : (row + 2) * CELL, column * CELL : (column + 2) * CELL] = 255
    damage[0, row : row + 2, column : column + 2] = 255
    things = np.full((1, SIDE // 2, SIDE // 2), 255, np.uint8)
    return Drawn(pictures, things, damage, np.asarray([(1, 0, 0, STATES.index("hole"))]))


def test_view_keeps_the_damage_and_its_mask() -> None:
    """The test turns, flips and crops a view. Its bright cell is the cell marked as damaged."""
    picture, rng = one_picture((2, 30)), np.random.default_rng(0)
    kept = matches = 0
    for _ in range(60):
        view = crops(rng, picture, np.asarray([0]), 112)
        if view.damage.sum() < MIN_DAMAGE_KEPT * 4:
            continue
        kept += 1
        marked_cell = np.unravel_index(int(view.damage[0, 0].argmax()), view.damage[0, 0].shape)
        bright = torch.nn.functional.adaptive_avg_pool2d(
            view.pixels.mean(1, keepdim=True), view.damage.shape[-2:]
        )
        bright_cell = np.unravel_index(int(bright[0, 0].argmax()), bright[0, 0].shape)
        matches += max(abs(marked_cell[0] - bright_cell[0]), abs(marked_cell[1] - bright_cell[1])) <= 2
    assert matches >= kept - 2  # light that falls off to a corner may outshine it
    assert kept >= 54  # without searching for such a crop about 44 of 60 keep it


def test_change_of_background_keeps_the_part() -> None:
    """What changes between views of a part on a surface lies outside the part."""
    cells = SIDE // CELL
    pictures = np.full((2, SIDE, SIDE, 3), 128, np.uint8)
    pictures[1] = 250  # a good surface, brighter than anything near the part
    things = np.full((2, SIDE // 2, SIDE // 2), 255, np.uint8)
    things[0] = 0
    things[0, 20:60, 20:60] = 255
    shown = np.asarray([(1, 0, 0, 0), (0, 0, 0, STATES.index("good"))])
    drawn = Drawn(pictures, things, np.zeros((2, cells, cells), np.uint8), shown)
    rng, moved = np.random.default_rng(1), 0
    for _ in range(40):
        view = crops(rng, drawn, np.asarray([0]), 112).pixels[0].mean(0)
        middle, corner = view[50:62, 50:62].mean(), view[:6, :6].mean()
        moved += bool((corner - middle).abs() > 0.8)
    assert 4 <= moved <= 22  # about three in ten


def test_the_loss_rewards_every_true_caption() -> None:
    axes = torch.eye(3)
    true = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 1.0]])
    everything = torch.ones(3, 3, dtype=torch.bool)
    alike = torch.stack([axes[0], axes[1], axes[0]])
    scale = torch.tensor(20.0)
    assert contrastive(alike, alike, scale, true, everything) < contrastive(
        axes, axes, scale, true, everything
    )


def test_held_out_pair_gives_no_gradient() -> None:
    """Neither the caption nor the picture is trained on a pair that may be true."""
    images = torch.nn.functional.normalize(torch.randn(3, 8), dim=1).requires_grad_()
    texts = torch.nn.functional.normalize(torch.randn(3, 8), dim=1)
    true = torch.eye(3)
    some = torch.ones(3, 3, dtype=torch.bool)
    some[0, 1] = False
    texts_far = texts.clone()
    texts_far[1] = -texts_far[1]

    def gradient_of_first(words: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        loss = contrastive(images, words, torch.tensor(20.0), true, seen)
        return torch.autograd.grad(loss, images)[0][0]

    assert torch.allclose(gradient_of_first(texts, some), gradient_of_first(texts_far, some), atol=1e-6)
    everything = torch.ones_like(some)
    assert not torch.allclose(
        gradient_of_first(texts, everything), gradient_of_first(texts_far, everything), atol=1e-3
    )


def claim(subject: str | None, state: str | int | None) -> tuple[int, int, int, int]:
    state_number = UNSTATED if state is None else state if isinstance(state, int) else STATES.index(state)
    return (UNSTATED if subject is None else SUBJECTS.index(subject), UNSTATED, UNSTATED, state_number)


def test_known_pairs_exclude_held_out_pairs() -> None:
    shown = np.asarray(
        [
            (SUBJECTS.index("gear"), 0, 0, STATES.index("dent")),
            (SUBJECTS.index("bolt"), 0, 0, STATES.index("scratch")),
        ]
    )
    claims = [
        claim(None, "scratch"),  # held out with the gear
        claim("gear", "dent"),
        claim("gear", None),  # next to a scratched bolt: the pair would be gear and scratch
        claim(None, ANY_DEFECT),
        claim("nut", "crack"),
    ]
    expected = [[False, True, True, True, True], [True, True, False, True, False]]
    # The last picture: a nut next to a scratched bolt gives nut and scratch, which is held out.
    assert ("nut", "scratch") in HELD_OUT
    expected[1][1] = False  # gear and dent next to a scratch: again gear and scratch
    assert known_pairs(np.asarray(claims), shown).tolist() == expected


def test_held_out_state_gets_no_gradient_as_absent(drawn: Drawn) -> None:
    """The prototype and the map of a state get no gradient from pictures of subjects it is held out for."""
    batch = step_of(drawn)
    gear = SUBJECTS.index("gear")
    rows = batch.facts.clone()
    rows[:, 0], rows[:, 3] = gear, STATES.index("dent")
    claims = torch.full_like(batch.claims, UNSTATED)
    only = SimpleNamespace(**{**vars(batch), "facts": rows, "claims": claims})
    network, helpers = model.build(seed=3), AuxiliaryLosses(512)
    loss: Any = loss_of(network, helpers, only)[0]  # type: ignore[arg-type]
    loss.backward()
    states, held_out = helpers.prototypes[3].grad, STATES.index("scratch")
    assert HELD_OUT_MASK[gear, held_out]
    assert states is not None
    assert states[held_out].abs().max() == 0
    assert states[STATES.index("rust")].abs().max() > 0
    for place in helpers.damage_heads:
        grad: Any = place.get_parameter("weight").grad
        assert grad[held_out].abs().max() == 0
        assert grad[STATES.index("rust")].abs().max() > 0


def test_opposed_captions_never_name_a_held_out_pair() -> None:
    """Training must not use such a pair, not even as an absent one."""
    rng = np.random.default_rng(8)
    rows = np.asarray([facts(choose(rng)) for _ in range(CAPTIONED)])
    captions = captions_of(rng, rows)
    assert len(captions) == CAPTIONED + OPPOSED
    named = {(SUBJECTS[c.claim[0]], STATES[c.claim[3]]) for c in captions if min(c.claim[0], c.claim[3]) >= 0}
    assert named
    assert not named & HELD_OUT


def test_states_without_a_place_are_missing_wrong_and_misprint() -> None:
    assert {STATES[number] for number in STATES_WITHOUT_PLACE} == {"missing", "wrong", "misprint"}
