"""The bundled weights do their work: small, fast to load, and right far more often than chance."""

import itertools

import numpy as np
import pytest
import torch

from workers.encoders import Encoder, load_encoder
from workers.pocket import model
from workers.pocket.evaluate import CANDIDATES, unseen_pictures, untrained, zero_shot
from workers.pocket.train import contrastive, rate, step_loss


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return load_encoder("pocket", device="cpu")


def test_weights_are_small() -> None:
    assert model.WEIGHTS.stat().st_size <= 12_000_000


def test_zero_shot_is_clearly_above_chance_under_unseen_conditions(encoder: Encoder) -> None:
    pictures, specs = unseen_pictures(each=10)
    vectors = encoder.encode_images(pictures).vectors
    for language in ("en", "ja"):
        assert zero_shot(encoder, vectors, specs, language) > 2.5 / len(CANDIDATES)
    control = untrained(encoder)
    lost = control.encode_images(pictures).vectors
    assert zero_shot(control, lost, specs, "en") < zero_shot(encoder, vectors, specs, "en")


def test_padding_changes_nothing() -> None:
    network = model.load()
    from workers.pocket.tokenizer import PocketTokenizer

    tokenizer = PocketTokenizer.load()
    texts = ["crack", "錆びたボルトの写真"]
    with torch.inference_mode():
        short = model.embed_short(network, torch.from_numpy(tokenizer(texts, full=False)))
        whole = network.encode_text(torch.from_numpy(tokenizer(texts)))
    assert torch.allclose(short, whole, atol=1e-4)


def test_saved_weights_come_back(tmp_path) -> None:
    network = model.build(seed=1)
    model.save(network.state_dict(), tmp_path / "w.safetensors")
    again = model.load(tmp_path / "w.safetensors")
    for name, value in network.state_dict().items():
        if value.is_floating_point():
            assert torch.allclose(value, again.state_dict()[name], atol=2e-3, rtol=1e-3), name


def test_the_loss_rewards_every_true_caption() -> None:
    axes = torch.eye(3)
    true = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 1.0]])
    alike = torch.stack([axes[0], axes[1], axes[0]])
    scale = torch.tensor(20.0)
    assert contrastive(alike, alike, scale, true) < contrastive(axes, axes, scale, true)


def test_rate_warms_up_stays_and_decays() -> None:
    rates = [rate(step, 1000) for step in range(1000)]
    assert rates[0] < 0.01
    assert rates[300] == rates[500] == 1.0
    assert rates[-1] < 0.02
    assert all(later <= earlier for earlier, later in itertools.pairwise(rates[600:]))


def test_a_step_is_the_same_for_the_same_seed() -> None:
    from workers.pocket.tokenizer import PocketTokenizer
    from workers.pocket.train import SIDE, Helpers

    pictures = np.random.default_rng(0).integers(0, 255, (160, SIDE, SIDE, 3), dtype=np.uint8)
    shown = np.zeros((160, 4), np.int64)

    def run(seed: int) -> float:
        network = model.build(seed=3)
        torch.manual_seed(3)
        loss, _ = step_loss(network, Helpers(512), PocketTokenizer.load(), pictures, shown, seed, 1, 100)
        return float(loss.detach())

    assert run(5) == pytest.approx(run(5), abs=1e-4)
    assert run(5) != pytest.approx(run(6), abs=1e-4)
