"""The training recipe of `pocket`: `python -m workers.pocket.train` (or `make pocket`).

Contrastive learning of pictures and captions (arXiv 2103.00020) with two changes. Our captions come with what they
claim, so every caption of a batch is a positive for every picture it is true of, not only for the one it was
written for (soft targets, uniform over what is true). And some captions are shown beside the same caption of
another state, so that the words for what is wrong weigh more than the words for what it is wrong with
(hard negatives, after arXiv 2210.01936). Two helpers are dropped afterwards: linear classifiers of the drawn
facts, and instance discrimination between two crops of a picture (arXiv 2002.05709), which keeps in the embedding
what the captions do not say. Warm-up, constant rate, decay at the end (arXiv 2405.18392); what is stored is the
moving average of the weights.

Everything is drawn from the seed and the step, so an interrupted run goes on where it stopped. Convolutions and
matrices are multiplied in bfloat16, weights kept in float32; on a GPU the same code runs there.
"""

import argparse
import os
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
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
from workers.pocket.augment import crops
from workers.pocket.cache import training_pictures
from workers.pocket.pictures import FINISH_NAMES, STATES, SUBJECTS, TONE_NAMES, Spec, choose, states_of
from workers.pocket.pictures.captions import Caption, caption, is_true
from workers.pocket.tokenizer import FILE as TOKENIZER_FILE
from workers.pocket.tokenizer import PocketTokenizer

PICTURES, STEPS, SEED = 64_000, 7_000, 20261125
BATCH, TWINS, CAPTIONS, OPPOSED = 128, 16, 64, 16
PEAK_RATE, WEIGHT_DECAY, WARM_UP, DECAY_SHARE = 1.5e-3, 0.04, 200, 0.4
SMALL, FULL, SMALL_SHARE = 96, 112, 0.65  # the first part of training sees smaller pictures: it is cheaper
# Parts fill less of the frame than surfaces do, so what is wrong with them is smaller and takes longer to learn:
# from this step on, they make up this share of each batch.
PARTS_FROM, PARTS_SHARE = 2_400, 0.77
AVERAGE = 0.998
HIGHEST_SCALE = 60.0
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


@dataclass(frozen=True)
class Batch:
    """What one step sees: (p + t, 3, s, s) views, the last t of them second views of the first t pictures; (c, w)
    token ids; (p, c) which caption is true of which picture; (p, 4) facts of the pictures."""

    views: Tensor
    ids: Tensor
    true: Tensor
    facts: Tensor

    def to(self, device: torch.device) -> "Batch":
        return Batch(*(part.to(device, non_blocking=True) for part in vars(self).values()))


def _captions(rng: np.random.Generator, rows: np.ndarray) -> list[Caption]:
    """True captions of the first pictures, and for some of them the same of another state the subject can be in."""
    found = []
    for number, row in enumerate(rows[:CAPTIONS]):
        spec, seed = _spec(row), int(rng.integers(2**62))
        found.append(caption(np.random.default_rng(seed), spec))
        if number < OPPOSED:
            # Never a pair that is held out: training is not to learn anything of it, not even that it is absent.
            others = [s for s in states_of(spec.subject, held_out=False) if s != spec.state]
            other = replace(spec, state=others[int(rng.integers(len(others)))])
            found.append(caption(np.random.default_rng(seed), other))
    return found


def _picked(rng: np.random.Generator, shown: np.ndarray, step: int) -> np.ndarray:
    """(BATCH,) different pictures in random order."""
    is_part = shown[:, 0] != SUBJECTS.index("surface")
    parts = round(PARTS_SHARE * BATCH)
    if step < PARTS_FROM or is_part.sum() < parts or (~is_part).sum() < BATCH - parts:
        return rng.choice(len(shown), BATCH, replace=False)
    chosen = [
        rng.choice(np.flatnonzero(is_part), parts, replace=False),
        rng.choice(np.flatnonzero(~is_part), BATCH - parts, replace=False),
    ]
    return rng.permutation(np.concatenate(chosen))


def batch_of(
    step: int, *, steps: int, seed: int, tokenizer: PocketTokenizer, pictures: np.ndarray, shown: np.ndarray
) -> Batch:
    """The batch of one step, the same for the same seed and step."""
    rng = np.random.default_rng([seed, 2, step])
    side = SMALL if step < SMALL_SHARE * steps else FULL
    picks = _picked(rng, shown, step)
    rows = shown[picks]
    captions = _captions(rng, rows)
    views = torch.cat([crops(rng, pictures, picks, side), crops(rng, pictures, picks[:TWINS], side)])
    return Batch(
        views=views.contiguous(memory_format=torch.channels_last),
        ids=torch.from_numpy(tokenizer([c.text for c in captions], full=False)),
        true=torch.from_numpy(is_true(np.asarray([c.claim for c in captions]), rows).astype(np.float32)),
        facts=torch.from_numpy(rows),
    )


def _prefetched(first: int, steps: int, **of: Any) -> Iterator[Batch]:
    """Batches of the steps in order, each prepared while the one before it is learned from."""
    with ThreadPoolExecutor(1) as pool:
        waiting: list[Future[Batch]] = []
        for step in range(first, steps):
            while len(waiting) < 3 and step + len(waiting) < steps:
                waiting.append(pool.submit(batch_of, step + len(waiting), steps=steps, **of))
            yield waiting.pop(0).result()


def contrastive(images: Tensor, texts: Tensor, scale: Tensor, true: Tensor) -> Tensor:
    """Soft-target cross-entropy both ways; (p, d), (c, d) unit vectors and the (p, c) matrix of what is true."""
    logits = scale * images @ texts.T
    of_image = true / true.sum(1, keepdim=True).clamp(min=1)
    of_text = true / true.sum(0, keepdim=True).clamp(min=1)
    with_caption = (true.sum(1) > 0).float()
    to_text = -(of_image * logits.log_softmax(1)).sum(1)
    to_image = -(of_text * logits.log_softmax(0)).sum(0)
    return (to_text * with_caption).sum() / with_caption.sum().clamp(min=1) + to_image.mean()


def loss_of(
    network: Any, helpers: Helpers, batch: Batch, visual: Any = None
) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of one batch, and its parts to be told. ``visual``: the image tower, if compiled."""
    device = batch.views.device
    with torch.autocast(device.type, dtype=torch.bfloat16):
        features = (network.visual if visual is None else visual)(batch.views)
        words = pocket.embed_short(network, batch.ids)
    features, words = features.float(), words.float()
    count = len(batch.facts)
    images, texts = F.normalize(features[:count], dim=-1), F.normalize(words, dim=-1)
    match = contrastive(images, texts, network.logit_scale.exp(), batch.true)
    known = torch.zeros((), device=device)
    for column, (head, weight) in enumerate(zip(helpers.facts, FACT_WEIGHTS, strict=True)):
        known = known + weight * F.cross_entropy(
            head(features[:count]), batch.facts[:, column], label_smoothing=0.05
        )
    views = F.normalize(helpers.instance(features), dim=-1)
    likeness = views[count:] @ views[:count].T / 0.15
    twins = F.cross_entropy(likeness, torch.arange(len(likeness), device=device))
    right = (helpers.facts[3](features[:count]).argmax(1) == batch.facts[:, 3]).float().mean()
    told = {"match": match, "facts": known, "twins": twins, "state": right}
    return match + known + 0.3 * twins, {name: value.detach() for name, value in told.items()}


def rate(step: int, steps: int) -> float:
    """Share of the peak learning rate."""
    start = (1 - DECAY_SHARE) * steps
    if step < WARM_UP:
        return (step + 1) / WARM_UP
    return 1.0 if step < start else max(0.0, 1 - ((step - start) / (steps - start)) ** 0.5)


def _compiled(network: Any) -> Any:
    """The image tower fused by torch's compiler, or as it is where no compiler works: the same numbers, slower."""
    try:
        visual = torch.compile(network.visual, dynamic=False)
        device = network.logit_scale.device
        with torch.no_grad(), torch.autocast(device.type, dtype=torch.bfloat16):
            visual(torch.zeros(2, 3, SMALL, SMALL, device=device))
        return visual
    except Exception as error:  # the compiler raises whatever its backend does
        print(f"not compiled ({type(error).__name__}): training goes on, about half as fast", flush=True)
        return network.visual


class _Kept:
    """The state of a run on disk: what an interrupted one goes on from."""

    def __init__(self, folder: Path, plan: dict[str, int]) -> None:
        self._file, self._plan = folder / "checkpoint.pt", plan

    def load(self, parts: dict[str, Any]) -> tuple[int, dict[str, Tensor] | None]:
        """Fill the parts; (the next step, the averaged weights), (0, None) without a run of the same plan."""
        if not self._file.exists():
            return 0, None
        kept = torch.load(self._file, weights_only=True)
        if kept["plan"] != self._plan:
            return 0, None
        for name, part in parts.items():
            part.load_state_dict(kept[name])
        print(f"going on at step {kept['step']}", flush=True)
        return kept["step"], kept["average"]

    def save(self, step: int, parts: dict[str, Any], average: dict[str, Tensor]) -> None:
        state = {name: part.state_dict() for name, part in parts.items()}
        draft = self._file.with_suffix(".tmp")
        torch.save({"plan": self._plan, "step": step, "average": average, **state}, draft)
        draft.replace(self._file)


def _optimiser(everything: list[tuple[str, nn.Parameter]]) -> torch.optim.AdamW:
    plain = [p for name, p in everything if p.ndim < 2 or "embedding" in name]
    decayed = [p for name, p in everything if not (p.ndim < 2 or "embedding" in name)]
    groups = [{"params": decayed, "weight_decay": WEIGHT_DECAY}, {"params": plain, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=PEAK_RATE, betas=(0.9, 0.98), fused=True)


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
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network: Any = pocket.build(seed)
    network.to(device, memory_format=torch.channels_last)
    helpers = Helpers(512).to(device)
    average = {n: v.detach().clone() for n, v in network.state_dict().items() if v.is_floating_point()}
    everything = [*network.named_parameters(), *helpers.named_parameters()]
    optimiser = _optimiser(everything)
    parts: dict[str, Any] = {"network": network, "helpers": helpers, "optimiser": optimiser}
    kept = _Kept(folder, {"seed": seed, "steps": steps, "pictures": pictures})
    first, before = kept.load(parts)
    average = before or average
    visual = _compiled(network)
    live = {name: value for name, value in network.state_dict().items() if name in average}
    network.train()
    started = time.monotonic()
    of = {"seed": seed, "tokenizer": tokenizer, "pictures": drawn, "shown": shown}
    for step, batch in enumerate(_prefetched(first, steps, **of), start=first):
        for group in optimiser.param_groups:
            group["lr"] = PEAK_RATE * rate(step, steps)
        loss, told = loss_of(network, helpers, batch.to(device), visual)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_([p for _, p in everything], 2.0)
        optimiser.step()
        with torch.no_grad():
            network.logit_scale.clamp_(0, float(np.log(HIGHEST_SCALE)))
            share = 1 - min(AVERAGE, (step + 1) / (step + 10))
            torch._foreach_lerp_(list(average.values()), list(live.values()), share)
        if step % 25 == 0:
            pace = (time.monotonic() - started) / (step - first + 1)
            line = " ".join(f"{name} {float(value):.3f}" for name, value in told.items())
            scale = float(network.logit_scale.exp())
            print(f"step {step}/{steps} {line} scale {scale:.1f} {pace:.2f} s/step", flush=True)
        if (step + 1) % 200 == 0 or step + 1 == steps:
            kept.save(step + 1, parts, average)
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
