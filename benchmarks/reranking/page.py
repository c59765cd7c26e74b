"""The section of docs/benchmarks.md about re-ranking."""

from typing import Any

from benchmarks.reranking.plots import NAME

COMMAND = "python benchmarks/rerank.py --json benchmarks/results/rerank.json --docs"
EXPLANATION = """\
New confirmed labels arrive. The head is fitted again, every image is scored again, and the next 2,000
images to review are chosen. Budget: a million cached embeddings of 512 dimensions, 10 labels, 1,000
confirmed, in 5 s, of which re-scoring 1 s. The pool is generated: a common direction, labels, twelve
appearances for each label, noise whose energy falls as 1/i, a tenth near-copies, in a mapped float16 file
like the mirror's (`benchmarks/reranking/data.py`). Medians; a step above half a minute was run once.
*processor* is the time in seconds of all threads, which other programs on the machine disturb less than the
elapsed time (waiting for cache and for each other still counts). *load* is the machine's load average when
the row was written; the benchmark itself causes at most two of it. The *floor* of re-scoring: all bytes of
the pool read once, and all products with the labels on blocks in the cache, each at the speed of the
fastest block of one thread. The floor of choosing: every uncertainty read once, the sample gathered, one
assignment to the clusters. *memory* is the largest additional memory of one of the steps, without mapped
files. The whole pool in float32 would be 2,048 MB."""


def section(rows: list[dict[str, Any]]) -> str:
    """Return the section in Markdown, without a final newline."""
    first = rows[0]
    parts = [
        f"## Re-ranking a million\n\n{EXPLANATION}\n\n    {COMMAND}\n\n"
        f"{first['measured']}, {first['machine']}.\n",
        f"![Seconds against images](images/{NAME})\n",
    ]
    lines = [
        "| images | labels | confirmed | refit s | re-score s | choose s | in all s | processor s | "
        "floor: re-score s | floor: choose s | memory MB | repeats | load |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for r in sorted(
        (row for row in rows if row["kind"] == "rerank"),
        key=lambda r: (r["labels"], r["confirmed"], r["images"]),
    ):
        steps = ("refit", "rescore", "choose")
        cpu = " + ".join(f"{r[f'{step}_cpu_s']:.2f}" for step in steps)
        lines.append(
            f"| {r['images']:,} | {r['labels']} | {r['confirmed']:,} | {r['refit_s']:.2f} | "
            f"{r['rescore_s']:.2f} | {r['choose_s']:.2f} | {r['total_s']:.2f} | {cpu} | "
            f"{r['floor_read_s']:.2f} ({r['floor_gb']:.2f} GB) + "
            f"{r['floor_product_s']:.2f} ({r['floor_gflop']:.1f} GFLOP) | "
            f"{r['choose_floor_s']:.2f} ({r['choose_floor_mb']:.0f} MB) | "
            f"{max(r[f'{step}_grown_mb'] for step in steps)} | {r['repeats']} | {r['load']} |"
        )
    parts.append("\n".join(lines) + "\n")
    kinds = [row for row in rows if row["kind"] == "acquisition"]
    if kinds:
        lines = [
            (
                f"Choosing the next images by each acquisition function, at {kinds[0]['images']:,} images "
                f"and {kinds[0]['labels']} labels:\n"
            ),
            "| acquisition | choose s | processor s | memory MB |",
            "|---|---|---|---|",
        ]
        lines += [
            f"| {r['strategy']} | {r['choose_s']:.2f} | {r['choose_cpu_s']:.2f} | {r['choose_grown_mb']} |"
            for r in kinds
        ]
        parts.append("\n".join(lines) + "\n")
    peers = [row for row in rows if row["kind"] == "peer"]
    if peers:
        lines = [
            "The same steps by common libraries, in the same run, each in a separate process: "
            "scikit-learn's LogisticRegression (fit, then all probabilities at once) and scikit-activeml's "
            "queries for the same batch, on growing pools until one takes over a minute:\n",
            "| library | images | refit s | re-score s | choose s | |",
            "|---|---|---|---|---|---|",
        ]
        for r in peers:
            seconds = [
                f"{r[name]:.2f}" if name in r else "–" for name in ("refit_s", "rescore_s", "choose_s")
            ]
            lines.append(
                f"| {r['peer']} | {r['images']:,} | {' | '.join(seconds)} | {r.get('stopped', '')} |"
            )
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)
