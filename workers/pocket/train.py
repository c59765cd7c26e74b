"""The training recipe of `pocket`: `python -m workers.pocket.train` (or `make pocket`).

Contrastive learning of pictures and captions (arXiv 2103.00020) with one change: our captions come with what they
claim, so every caption of a batch is a positive for every picture it is true of, not only for the one it was
written for (soft targets, uniform over what is true). Two helpers are dropped afterwards: linear classifiers of
the drawn facts, and instance discrimination between two crops of a picture (arXiv 2002.05709), which keeps in the
embedding what the captions do not say. Warm-up, constant rate, decay at the end (arXiv 2405.18392); what is
stored is the moving average of the weights. Everything is drawn from the seed and the step, so an interrupted run
goes on where it stopped.
"""

import argparse
import os
import time
from pathlib import Path
from typing import Any

# Threads that wait must sleep, not spin: on a shared machine spinning takes the time the other thread needs. Read
# when torch loads its thread library, so it stands before the import.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from workers.pocket import model as pocket
from workers.pocket.cache import SIDE, training_pictures
from workers.pocket.pictures import FINISH_NAMES, STATES, SUBJECTS, TONE_NAMES, Spec, choose
from workers.pocket.pictures.captions import Caption, caption, is_true
from workers.pocket.tokenizer import FILE as TOKENIZER_FILE
from workers.pocket.tokenizer import PocketTokenizer

PICTURES, STEPS, SEED = 46_080, 2_700, 20261123
BATCH, TWINS, CAPTIONS = 96, 16, 72
PEAK_RATE, WEIGHT_DECAY, WARM_UP, DECAY_SHARE = 1.5e-3, 0.03, 150, 0.4
SMALL, FULL, SMALL_SHARE = 80, 96, 0.75  # the first part of training sees smaller pictures: it is cheaper
AVERAGE = 0.996
FACTS = (len(SUBJECTS), len(FINISH_NAMES), len(TONE_NAMES), len(STATES))
FACT_WEIGHTS = (0.15, 0.2, 0.1, 1.0)


class Helpers(nn.Module):
    """What training needs and the product does not."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.facts = nn.ModuleList(nn.Linear(dim, count) for count in FACTS)
        self.instance = nn.Linear(dim, 128)


def corpus(seed: int, count: int = 40_000) -> list[str]:
    """The captions from which the tokenizer learns."""
    rng = np.random.default_rng([seed, 1])
    return [caption(rng, choose(rng)).text for _ in range(count)]


def _spec(row: np.ndarray) -> Spec:
    return Spec(SUBJECTS[row[0]], FINISH_NAMES[row[1]], TONE_NAMES[row[2]], STATES[row[3]], 0.5, 0)


def crops(rng: np.random.Generator, pictures: np.ndarray, picks: np.ndarray, side: int) -> Tensor:
    """(b, 3, side, side) float: random crop, turn, flip, light and colour. One crop size a batch keeps it cheap."""
    window = int(rng.integers(116, SIDE + 1))
    taken = np.empty((len(picks), window, window, 3), np.uint8)
    for number, pick in enumerate(picks):
        top, left = rng.integers(0, SIDE - window + 1, 2)
        view = np.rot90(pictures[pick, top : top + window, left : left + window], int(rng.integers(4)))
        taken[number] = view[:, ::-1] if rng.random() < 0.5 else view
    batch = torch.from_numpy(taken).permute(0, 3, 1, 2).float().div_(255)
    batch = F.interpolate(batch, size=(side, side), mode="bilinear", antialias=True, align_corners=False)
    count = len(picks)

    def draws(low: float, high: float, channels: int = 1) -> Tensor:
        return torch.from_numpy(rng.uniform(low, high, (count, channels, 1, 1)).astype(np.float32))

    batch = (batch * draws(0.94, 1.06, 3)).clamp_(1e-3, 1) ** draws(0.75, 1.35)
    grey = torch.from_numpy((rng.random((count, 1, 1, 1)) < 0.15).astype(np.float32))
    batch = batch + grey * (batch.mean(1, keepdim=True) - batch)
    batch = (batch - 0.5) * draws(0.7, 1.3) + 0.5 + draws(-0.12, 0.12)
    return ((batch.clamp_(0, 1) - 0.5) / 0.25).contiguous(memory_format=torch.channels_last)


def contrastive(images: Tensor, texts: Tensor, scale: Tensor, true: Tensor) -> Tensor:
    """Soft-target cross-entropy both ways; (p, d), (c, d) unit vectors and the (p, c) matrix of what is true."""
    logits = scale * images @ texts.T
    of_image = true / true.sum(1, keepdim=True).clamp(min=1)
    of_text = true / true.sum(0, keepdim=True).clamp(min=1)
    with_caption = (true.sum(1) > 0).float()
    to_text = -(of_image * logits.log_softmax(1)).sum(1)
    to_image = -(of_text * logits.log_softmax(0)).sum(0)
    return (to_text * with_caption).sum() / with_caption.sum().clamp(min=1) + to_image.mean()


def step_loss(
    network: Any,
    helpers: Helpers,
    tokenizer: PocketTokenizer,
    pictures: np.ndarray,
    shown: np.ndarray,
    seed: int,
    step: int,
    steps: int,
) -> tuple[Tensor, dict[str, float]]:
    rng = np.random.default_rng([seed, 2, step])
    side = SMALL if step < SMALL_SHARE * steps else FULL
    picks = rng.choice(len(pictures), BATCH, replace=False)
    rows = shown[picks]
    captions: list[Caption] = [caption(rng, _spec(row)) for row in rows[:CAPTIONS]]
    batch = torch.cat([crops(rng, pictures, picks, side), crops(rng, pictures, picks[:TWINS], side)])
    features = network.visual(batch)
    ids = torch.from_numpy(tokenizer([c.text for c in captions], full=False))
    texts = F.normalize(pocket.embed_short(network, ids), dim=-1)
    images = F.normalize(features[:BATCH], dim=-1)
    true = torch.from_numpy(is_true(np.asarray([c.claim for c in captions]), rows).astype(np.float32))
    match = contrastive(images, texts, network.logit_scale.exp(), true)
    drawn = torch.from_numpy(rows)
    known = torch.zeros(())
    for column, (head, weight) in enumerate(zip(helpers.facts, FACT_WEIGHTS, strict=True)):
        known = known + weight * F.cross_entropy(
            head(features[:BATCH]), drawn[:, column], label_smoothing=0.05
        )
    views = F.normalize(helpers.instance(features), dim=-1)
    likeness = views[BATCH:] @ views[:BATCH].T / 0.15
    twins = F.cross_entropy(likeness, torch.arange(TWINS))
    right = (helpers.facts[3](features[:BATCH]).argmax(1) == drawn[:, 3]).float().mean()
    told = {"match": match, "facts": known, "twins": twins, "state": right}
    parts = {name: float(value.detach()) for name, value in told.items()}
    return match + known + 0.3 * twins, parts


def rate(step: int, steps: int) -> float:
    """Share of the peak learning rate."""
    start = (1 - DECAY_SHARE) * steps
    if step < WARM_UP:
        return (step + 1) / WARM_UP
    return 1.0 if step < start else max(0.0, 1 - ((step - start) / (steps - start)) ** 0.5)


def train(*, folder: Path, steps: int, pictures: int, seed: int, threads: int, output: Path) -> None:
    """Draw, train, store. Checkpoints go to ``folder``; the finished weights to ``output``."""
    torch.set_num_threads(threads)
    folder.mkdir(parents=True, exist_ok=True)

    def drawn_so_far(done: int, total: int) -> None:
        if done % 10 == 0 or done == total:
            print(f"drawing pictures: {done}/{total}", flush=True)

    drawn, shown = training_pictures(folder / "cache", count=pictures, seed=seed, progress=drawn_so_far)
    if not TOKENIZER_FILE.exists():
        PocketTokenizer.train(corpus(seed)).save()
    tokenizer = PocketTokenizer.load()
    tokenizer.drop_merges(0.08)
    network: Any = pocket.build(seed)
    network.to(memory_format=torch.channels_last)
    helpers = Helpers(512)
    average = {name: value.detach().clone() for name, value in network.state_dict().items()}
    everything = [*network.named_parameters(), *helpers.named_parameters()]
    plain = [p for name, p in everything if p.ndim < 2 or "embedding" in name]
    decayed = [p for name, p in everything if not (p.ndim < 2 or "embedding" in name)]
    groups = [{"params": decayed, "weight_decay": WEIGHT_DECAY}, {"params": plain, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=PEAK_RATE, betas=(0.9, 0.98))
    first, checkpoint = 0, folder / "checkpoint.pt"
    if checkpoint.exists():
        kept = torch.load(checkpoint, weights_only=True)
        if kept["seed"] == seed and kept["step"] < steps:
            network.load_state_dict(kept["network"])
            helpers.load_state_dict(kept["helpers"])
            optimiser.load_state_dict(kept["optimiser"])
            average, first = kept["average"], kept["step"]
            print(f"going on at step {first}", flush=True)
    started = time.monotonic()
    for step in range(first, steps):
        network.train()
        for group in optimiser.param_groups:
            group["lr"] = PEAK_RATE * rate(step, steps)
        loss, parts = step_loss(network, helpers, tokenizer, drawn, shown, seed, step, steps)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_([p for _, p in everything], 2.0)
        optimiser.step()
        with torch.no_grad():
            network.logit_scale.clamp_(0, float(np.log(60)))
            keep = min(AVERAGE, (step + 1) / (step + 10))
            for name, value in network.state_dict().items():
                if value.is_floating_point():
                    average[name].lerp_(value, 1 - keep)
        if step % 25 == 0:
            told = " ".join(f"{name} {value:.3f}" for name, value in parts.items())
            pace = (time.monotonic() - started) / (step - first + 1)
            print(
                f"step {step}/{steps} {told} scale {float(network.logit_scale.exp()):.1f} {pace:.2f} s/step",
                flush=True,
            )
        if (step + 1) % 100 == 0 or step + 1 == steps:
            state = {
                "seed": seed,
                "step": step + 1,
                "network": network.state_dict(),
                "helpers": helpers.state_dict(),
                "optimiser": optimiser.state_dict(),
                "average": average,
            }
            torch.save(state, checkpoint.with_suffix(".tmp"))
            checkpoint.with_suffix(".tmp").replace(checkpoint)
            pocket.save(average, folder / "latest.safetensors")
    pocket.save(average, output)
    print(f"stored {output} ({output.stat().st_size / 1e6:.1f} MB)", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("var/pocket"), help="pictures and checkpoints")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--pictures", type=int, default=PICTURES)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", type=Path, default=pocket.WEIGHTS)
    chosen = parser.parse_args()
    train(
        folder=chosen.folder,
        steps=chosen.steps,
        pictures=chosen.pictures,
        seed=chosen.seed,
        threads=chosen.threads,
        output=chosen.output,
    )


if __name__ == "__main__":
    main()
