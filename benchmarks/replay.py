"""Accuracy by number of answers on a folder of labelled images, beside simple controls.

    python benchmarks/replay.py FOLDER [--budget N] [--batch N] [--seeds N] [--detail on|off]
                                [--quick] [--json PATH]

Runs `mekiki replay` on a folder of folders once per seed, on a separate platform with the services of the
product. The controls use neither prompts nor active acquisition. They fit a plain logistic regression
(regularization by cross-validation) on as many labels drawn at random, on the embeddings of `pocket` and of
an untrained network of the same shape. Every accuracy is over all images of the folder, including the
labelled ones, and uses the machine's prediction.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "platform"), str(ROOT)]


def replay(folder: Path, budget: int, batch: int, seed: int, detail: str | None) -> dict[str, Any]:
    """Return the figures of one `mekiki replay`. detail: "on", "off" or None for that of a new dataset."""
    with tempfile.TemporaryDirectory() as temporary:
        out = Path(temporary) / "replay.json"
        subprocess.run(
            [
                *(sys.executable, str(ROOT / "manage.py"), "replay", str(folder), "--budget", str(budget)),
                *("--batch", str(batch), "--seed", str(seed), "--json", str(out)),
                *(("--detail", detail) if detail else ()),
            ],
            check=True,
        )
        return json.loads(out.read_text())


def control(vectors: Any, labels: Any, count: int, seed: int) -> float:
    """Return the accuracy over all images of a logistic regression on `count` labels drawn at random."""
    import numpy as np
    from sklearn.linear_model import LogisticRegressionCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    chosen = np.random.default_rng(seed).permutation(len(labels))[:count]
    model = make_pipeline(
        StandardScaler(),
        LogisticRegressionCV(
            Cs=[1e-4, 1e-3, 1e-2, 0.1, 1.0], cv=3, max_iter=400, use_legacy_attributes=False
        ),
    )
    model.fit(vectors[chosen], labels[chosen])
    return float(model.score(vectors, labels))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--budget", type=int, default=300)
    parser.add_argument("--batch", type=int, default=30)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--detail", choices=("on", "off"), help="default: that of a new dataset")
    parser.add_argument("--quick", action="store_true", help="one seed, 60 answers")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    seeds, budget = (1, 60) if given.quick else (given.seeds, given.budget)

    runs = [replay(given.folder, budget, given.batch, seed, given.detail) for seed in range(seeds)]

    from workers.encoders import load_encoder
    from workers.pocket.evaluate import photographs, untrained

    files, labels = photographs(given.folder)
    pocket = load_encoder("pocket")
    controls = {}
    for name, network in (("pocket", pocket), ("untrained", untrained(pocket))):
        batch = network.encode_images(files)
        accuracies = [control(batch.vectors, labels[batch.ok_indices], budget, seed) for seed in range(seeds)]
        controls[name] = round(median(accuracies), 4)
    result = {
        "folder": given.folder.name,
        "images": runs[0]["images"],
        "labels": runs[0]["labels"],
        "budget": budget,
        "seeds": seeds,
        "detail": runs[0]["detail"],
        "zero_shot_accuracy": median(r["zero_shot_accuracy"] for r in runs),
        "final_accuracy": median(r["final_accuracy"] for r in runs),
        "final_accuracies": [r["final_accuracy"] for r in runs],
        "control_random_labels_pocket": controls["pocket"],
        "control_random_labels_untrained": controls["untrained"],
        **{f"answers_to_{p}": answers_to(runs, p / 100) for p in (85, 90, 95)},
        "seconds": median(r["seconds"] for r in runs),
        "verified": all(r["verified"] for r in runs),
        "curve": [
            {
                "answers": rounds[0]["answers"],
                "accuracy": median(r["accuracy"] for r in rounds),
                "macro_recall": median(r["macro_recall"] for r in rounds),
                "audit_covers_truth": sum(
                    r["audit"]["n"] > 0 and r["audit"]["low"] <= r["accuracy"] <= r["audit"]["high"]
                    for r in rounds
                ),
            }
            for rounds in zip(*(r["rounds"] for r in runs), strict=False)
        ],
    }
    for point in result["curve"]:
        print(
            f"{point['answers']:>5} answers  {point['accuracy']:.1%}  macro recall "
            f"{point['macro_recall']:.1%}"
        )
    for name in ("control_random_labels_pocket", "control_random_labels_untrained"):
        print(f"{name}: {result[name]:.1%} with {budget} labels")
    if given.json:
        given.json.write_text(json.dumps(result, indent=2) + "\n")


def answers_to(runs: list[dict[str, Any]], accuracy: float) -> float | None:
    """Return the median number of answers after the first round that reached the accuracy.

    Returns None if half of the runs never reached it.
    """
    first = [
        next((r["answers"] for r in run["rounds"] if r["accuracy"] >= accuracy), float("inf")) for run in runs
    ]
    middle = median(first)
    return None if middle == float("inf") else middle


if __name__ == "__main__":
    main()
