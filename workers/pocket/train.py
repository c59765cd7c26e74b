"""Train `pocket`: `python -m workers.pocket.train` (or `make pocket`).

`objective.py` holds the losses; `batches.py` and `augment.py` make the input. The learning rate warms up,
stays constant and decays at the end (arXiv 2405.18392). The stored weights are the moving average.

Pictures, crops and captions are drawn from the seed and the step, so an interrupted run resumes where it
stopped. The dropped merges of the tokenizer are an exception: its library has a generator that cannot be
seeded. Convolutions and matrices are multiplied in bfloat16, and weights are kept in float32. The same code
runs on a GPU.
"""

import argparse
import os
import time
from pathlib import Path
from typing import Any

# Waiting threads must sleep, not spin: on a shared machine spinning takes time from the other thread. Torch
# reads this when it loads its thread library, so it is set before the import.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch
from torch import Tensor, nn

from workers.pocket import model as pocket
from workers.pocket.batches import SMALL_SIDE, prefetch_batches
from workers.pocket.cache import training_pictures
from workers.pocket.objective import AuxiliaryLosses, ImageTowerWithMaps, loss_of
from workers.pocket.pictures import choose
from workers.pocket.pictures.captions import caption
from workers.pocket.tokenizer import FILE as TOKENIZER_FILE
from workers.pocket.tokenizer import PocketTokenizer

PICTURES, STEPS, SEED = 80_000, 10_000, 20261125
PEAK_RATE, WEIGHT_DECAY, WARM_UP, DECAY_SHARE = 1.5e-3, 0.04, 200, 0.4
AVERAGE_DECAY = 0.998
MAX_LOGIT_SCALE = 60.0


def corpus(seed: int, count: int = 40_000) -> list[str]:
    """Return the captions on which the tokenizer is trained."""
    rng = np.random.default_rng([seed, 1])
    return [caption(rng, choose(rng)).text for _ in range(count)]


def learning_rate_share(step: int, steps: int) -> float:
    """Return the learning rate of a step as a share of the peak."""
    start = (1 - DECAY_SHARE) * steps
    if step < WARM_UP:
        return (step + 1) / WARM_UP
    return 1.0 if step < start else max(0.0, 1 - ((step - start) / (steps - start)) ** 0.5)


def _compiled(network: Any) -> Any:
    """Return the image tower compiled by torch, or as it is where no compiler works.

    Without a compiler the numbers are the same, but training is slower.
    """
    sight = ImageTowerWithMaps(network.visual)
    try:
        fused = torch.compile(sight, dynamic=False)
        device = network.logit_scale.device
        with torch.no_grad(), torch.autocast(device.type, dtype=torch.bfloat16):
            fused(torch.zeros(2, 3, SMALL_SIDE, SMALL_SIDE, device=device))
        return fused
    except Exception as error:  # the compiler raises whatever its backend does
        print(f"not compiled ({type(error).__name__}): training goes on, about half as fast", flush=True)
        return sight


class _Checkpoint:
    """The stored state of a run, from which an interrupted run resumes."""

    def __init__(self, folder: Path, plan: dict[str, int]) -> None:
        self._file, self._plan = folder / "checkpoint.pt", plan

    def load(self, parts: dict[str, Any]) -> tuple[int, dict[str, Tensor] | None]:
        """Load the stored state into the parts; return (next step, averaged weights).

        Returns (0, None) if there is no run with the same plan.
        """
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
    """Draw the pictures, train, and store the weights in ``output``. Checkpoints go to ``folder``."""
    torch.set_num_threads(threads)
    folder.mkdir(parents=True, exist_ok=True)

    def drawn_so_far(done: int, total: int) -> None:
        if done % 10 == 0 or done == total:
            print(f"drawing pictures: {done}/{total}", flush=True)

    drawn = training_pictures(folder / "cache", count=pictures, seed=seed, progress=drawn_so_far)
    if not TOKENIZER_FILE.exists():
        PocketTokenizer.train(corpus(seed)).save()
    tokenizer = PocketTokenizer.load()
    tokenizer.drop_merges(0.08)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network: Any = pocket.build(seed)
    network.to(device, memory_format=torch.channels_last)
    helpers = AuxiliaryLosses(512).to(device)
    average = {n: v.detach().clone() for n, v in network.state_dict().items() if v.is_floating_point()}
    named_parameters = [*network.named_parameters(), *helpers.named_parameters()]
    optimiser = _optimiser(named_parameters)
    parts: dict[str, Any] = {"network": network, "helpers": helpers, "optimiser": optimiser}
    kept = _Checkpoint(folder, {"seed": seed, "steps": steps, "pictures": pictures})
    first, before = kept.load(parts)
    average = before or average
    sight = _compiled(network)
    live = {name: value for name, value in network.state_dict().items() if name in average}
    network.train()
    started = time.monotonic()
    of = {"seed": seed, "tokenizer": tokenizer, "drawn": drawn}
    for step, batch in enumerate(prefetch_batches(first, steps, **of), start=first):
        for group in optimiser.param_groups:
            group["lr"] = PEAK_RATE * learning_rate_share(step, steps)
        loss, loss_parts = loss_of(network, helpers, batch.to(device), sight)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_([p for _, p in named_parameters], 2.0)
        optimiser.step()
        with torch.no_grad():
            network.logit_scale.clamp_(0, float(np.log(MAX_LOGIT_SCALE)))
            share = 1 - min(AVERAGE_DECAY, (step + 1) / (step + 10))
            torch._foreach_lerp_(list(average.values()), list(live.values()), share)
        if step % 25 == 0:
            pace = (time.monotonic() - started) / (step - first + 1)
            line = " ".join(f"{name} {float(value):.3f}" for name, value in loss_parts.items())
            scale = float(network.logit_scale.detach().exp())
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
