"""Summary of the curves of all seeds, one row per method.

A row holds means, intervals and paired differences from our method.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t

from benchmarks.efficiency.curves import area, labels_to

# Log-loss and calibration are reported after this number of labels, or at the nearest point.
CALIBRATED_AFTER = 100


def rows(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return one row per (data, condition, head, acquisition)."""
    results = []
    for key in sorted({(run["data"], run["condition"]) for run in runs}):
        mine = sorted(
            (run for run in runs if (run["data"], run["condition"]) == key), key=lambda run: run["seed"]
        )
        ours = _areas(mine, "ours/ours", "accuracy") if "ours/ours" in mine[0]["curves"] else None
        results += [_row(mine, method, ours) for method in mine[0]["curves"]]
        if mine[0]["zero_shot"]:
            results.append(_zero_shot_row(mine))
    return results


def _areas(runs: list[dict[str, Any]], method: str, measure: str) -> NDArray[np.float64]:
    """Return the (seeds,) areas under the curves of one method."""
    curves = [run["curves"][method] for run in runs]
    return np.array([area([p["labels"] for p in c], np.array([p[measure] for p in c])) for c in curves])


def _row(runs: list[dict[str, Any]], method: str, ours: NDArray[np.float64] | None) -> dict[str, Any]:
    head, question = method.split("/")
    labels = [point["labels"] for point in runs[0]["curves"][method]]

    def table(measure: str) -> NDArray[np.float64]:  # (seeds, points)
        return np.array([[point[measure] for point in run["curves"][method]] for run in runs])

    accuracy = table("accuracy")
    areas = _areas(runs, method, "accuracy")
    low, high = interval(areas)
    near = int(np.abs(np.array(labels) - CALIBRATED_AFTER).argmin())
    reached = [
        labels_to(0.95 * run["full_accuracy"], labels, curve)
        for run, curve in zip(runs, accuracy, strict=True)
    ]
    row: dict[str, Any] = {
        "data": runs[0]["data"],
        "condition": runs[0]["condition"],
        "head": head,
        "acquisition": question,
        "seeds": len(runs),
        "area": areas.mean(),
        "area_low": low,
        "area_high": high,
        "macro_area": _areas(runs, method, "macro_recall").mean(),
        "labels_to_95": _median(reached),
        "accuracy": accuracy[:, -1].mean(),
        "macro_recall": table("macro_recall")[:, -1].mean(),
        "full_accuracy": np.mean([run["full_accuracy"] for run in runs]),
        "measured_after": labels[near],
        "nll": table("nll")[:, near].mean(),
        "ece": table("ece")[:, near].mean(),
        "seconds_per_round": np.median(table("seconds")),
        "labels": labels,
        "curve": accuracy.mean(axis=0).tolist(),
        "curve_low": [interval(column)[0] for column in accuracy.T],
        "curve_high": [interval(column)[1] for column in accuracy.T],
        "macro_curve": table("macro_recall").mean(axis=0).tolist(),
    }
    if ours is not None:
        gap = ours - areas
        row["behind_ours"] = gap.mean()
        row["behind_ours_low"], row["behind_ours_high"] = interval(gap)
    if runs[0]["zero_shot"]:
        prompts = np.array([run["zero_shot"]["accuracy"] for run in runs])
        below = prompts[:, None] - accuracy  # (seeds, points), paired
        worst = int(below.mean(axis=0).argmax())
        row["below_zero_shot"] = below[:, worst].mean()
        row["below_zero_shot_low"], row["below_zero_shot_high"] = interval(below[:, worst])
        row["below_zero_shot_at"] = labels[worst]
    return _rounded(row)


def _zero_shot_row(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the row of the prompts alone, as a flat curve."""
    values = {name: np.array([run["zero_shot"][name] for run in runs]) for name in runs[0]["zero_shot"]}
    full = np.array([run["full_accuracy"] for run in runs])
    low, high = interval(values["accuracy"])
    return _rounded(
        {
            "data": runs[0]["data"],
            "condition": runs[0]["condition"],
            "head": "zero_shot",
            "acquisition": "none",
            "seeds": len(runs),
            "area": values["accuracy"].mean(),
            "area_low": low,
            "area_high": high,
            "macro_area": values["macro_recall"].mean(),
            "labels_to_95": _median(np.where(values["accuracy"] >= 0.95 * full, 0.0, np.inf)),
            "accuracy": values["accuracy"].mean(),
            "macro_recall": values["macro_recall"].mean(),
            "full_accuracy": full.mean(),
            "nll": values["nll"].mean(),
            "ece": values["ece"].mean(),
        }
    )


def interval(values: Any, confidence: float = 0.95) -> tuple[float, float]:
    """Return Student's confidence interval of the mean; a single value is its own interval."""
    values = np.asarray(values, np.float64)
    n = len(values)
    if n < 2:
        return float(values.mean()), float(values.mean())
    half = float(t.ppf(0.5 + confidence / 2, n - 1)) * float(values.std(ddof=1)) / np.sqrt(n)
    return float(values.mean() - half), float(values.mean() + half)


def _median(values: Any) -> float | None:
    """Return the median, or None if half of the seeds or more never reached the target."""
    middle = float(np.median(values))
    return middle if np.isfinite(middle) else None


def _rounded(row: dict[str, Any]) -> dict[str, Any]:
    def short(value: Any) -> Any:
        if isinstance(value, list):
            return [short(item) for item in value]
        return round(float(value), 5) if isinstance(value, float | np.floating) else value

    return {name: short(value) for name, value in row.items()}


def detail_table(rows: list[dict[str, Any]]) -> str:
    """Return a Markdown table of our head with and without the local detail, the same acquisition in both."""
    lines = [
        "| data | area without | area with | with − without | accuracy at the last point | nll | ece | s |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for key in dict.fromkeys((row["data"], row["condition"]) for row in rows):
        mine = {(r["head"], r["acquisition"]): r for r in rows if (r["data"], r["condition"]) == key}
        without, having = mine["ours", "ours"], mine["ours with detail", "ours"]
        gain = [-having[name] for name in ("behind_ours", "behind_ours_high", "behind_ours_low")]
        pairs = {name: f"{without[name]:.3f} → {having[name]:.3f}" for name in ("accuracy", "nll", "ece")} | {
            "s": f"{without['seconds_per_round']:.2f} → {having['seconds_per_round']:.2f}"
        }
        lines.append(
            f"| {key[0]}, {key[1]} | {without['area']:.4f} | {having['area']:.4f} "
            f"| {gain[0]:+.4f} [{gain[1]:+.4f}, {gain[2]:+.4f}] | {' | '.join(pairs.values())} |"
        )
    return "\n".join(lines)


def verdicts(rows: list[dict[str, Any]]) -> list[tuple[str, bool, str]]:
    """Return each target, whether it is met, and the figures behind it."""
    answer = []
    for key in sorted({(row["data"], row["condition"]) for row in rows}):
        mine = [row for row in rows if (row["data"], row["condition"]) == key and row["head"] != "zero_shot"]
        ours = next((row for row in mine if row["acquisition"] == "ours"), None)
        if ours is None:
            continue
        where = f"{key[0]}, {key[1]}"
        best = max(mine, key=lambda row: row["area"])
        # One method clearly above ours is enough to miss the target, even if another method is better still.
        above = [
            f"{row['head']} + {row['acquisition']}"
            for row in mine
            if row is not ours and row["behind_ours_high"] < 0
        ]
        answer.append(
            (
                f"{where}: area best, or within noise of the best",
                not above,
                f"ours {ours['area']:.4f}, best {best['head']} + {best['acquisition']} {best['area']:.4f} "
                f"(ours minus best {best['behind_ours']:+.4f}, 95 % "
                f"{best['behind_ours_low']:+.4f} to {best['behind_ours_high']:+.4f})"
                + (f"; clearly above ours: {', '.join(above)}" if above else ""),
            )
        )
        answer.append(
            (
                f"{where}: calibration error ≤ 0.05",
                ours["ece"] <= 0.05,
                f"{ours['ece']:.3f} after {ours['measured_after']}",
            )
        )
        if "below_zero_shot" in ours:
            answer.append(
                (
                    f"{where}: never more than 1 point below zero-shot",
                    ours["below_zero_shot"] <= 0.01,
                    f"worst {-100 * ours['below_zero_shot']:+.1f} points, after {ours['below_zero_shot_at']}",
                )
            )
    ratios = _ratios(rows)
    if ratios:
        middle = float(np.median(ratios))
        answer.append(
            (
                "labels to 95 % of full accuracy ≤ 0.6 × (random + plain), median",
                middle <= 0.6,
                f"{middle:.2f}; each {', '.join(f'{ratio:.2f}' for ratio in sorted(ratios))}",
            )
        )
    return answer


def _ratios(rows: list[dict[str, Any]]) -> list[float]:
    """Return the ratios of our labels to 95 % to those of random + plain; infinite if ours never does.

    If a plain regression never reaches 95 %, it needs more than the labels of the last point. The ratio is
    then an upper bound of the true ratio.
    """
    need = {
        (row["data"], row["condition"], row["head"], row["acquisition"]): row["labels_to_95"] for row in rows
    }
    ratios = []
    for row in rows:
        if (row["head"], row["acquisition"]) != ("ours", "ours"):
            continue
        plain = need.get((row["data"], row["condition"], "plain", "random"))
        against = row["labels"][-1] if plain is None else plain
        ratios.append(float("inf") if row["labels_to_95"] is None else row["labels_to_95"] / against)
    return ratios
