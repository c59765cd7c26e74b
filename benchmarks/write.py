"""Write docs/benchmarks.md from the figures in benchmarks/results/.

    python benchmarks/write.py

Each result is the `--json` file of one benchmark and has its name. Its date is the `measured` field of the
file. This command adds the date and the machine when it first reads the file. The sections on
certificates, label efficiency and re-ranking come from the page.py of their folders, because their figures
are lists.
"""

import json
import os
import platform
import sys
import textwrap
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from workers.hardware import processor  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results"
INTRO = """# Benchmarks

Written by `python benchmarks/write.py` from the figures in `benchmarks/results/`. Each section names its
command. Budgets are those of the design, on two cores. Accuracies on this page are measured on a hidden
truth that only a simulation has. The product measures accuracy on its audit stream alone, with an interval.

Speeds depend on the processor. Since 2026-11-29 the line under each section names the processor. Earlier
results name only the number of cores.
"""
# result → (title, command, explanation)
SECTIONS: dict[str, tuple[str, str, str]] = {
    "demo": (
        "The demo",
        "MEKIKI_HOME=$(mktemp -d) mekiki demo --no-serve --json benchmarks/results/demo.json",
        "2,400 drawn pictures of eight labels, under capture conditions that were not in the encoder's "
        "training. The simulated reviewer answers over HTTP. We chose the difficulty of the pictures "
        "(severity of the defects, a dirty window on one camera), so this shows that the loop works, and "
        "not the accuracy on other images. Targets: at least 15 points above zero-shot and at least 93 % "
        "after at most 300 answers.",
    ),
    "replay": (
        "Real photographs: the NEU surface defects",
        "python benchmarks/replay.py FOLDER --json benchmarks/results/replay.json",
        "1,799 different photographs of hot-rolled steel, six labels, prompts made from the folder names. "
        "The photographs were not in the encoder's training. Medians over the seeds. Target: at least 92 % "
        "after 300 answers. Measured without the local detail, which new datasets use since 2026-12-01 (see "
        "“The NEU surface defects with the local detail”). The controls are a plain logistic regression on "
        "300 labels drawn at random. "
        "Two shares of the acquisition function were chosen on features of an untrained network over these "
        "photographs (decision 7), so the curve is slightly optimistic in that respect.",
    ),
    "replay_pocket_0": (
        "The same photographs with `pocket` version 0",
        "python benchmarks/replay.py FOLDER --json benchmarks/results/replay_pocket_0.json",
        "Measured by the same command with the weights of version 0, before they were replaced. It shows "
        "how the better encoder changes the number of labels needed (`answers_to_85`, `_90`, `_95`).",
    ),
    "replay_certify": (
        "The same photographs to a finished pool",
        "mekiki replay FOLDER --certify 0.02,0.05 --json OUT",
        "One run (seed 0) of 300 answers, a certificate with at most 2 % wrong labels and 5 % risk, its "
        "audits, and an answer for each image that the machine leaves to people. `certificate_answers` is "
        "the number of all answers to a label for each of the 1,799 images. `certificate_wrong` counts "
        "labels that the machine set wrong, by the folders, which the certificate does not know.",
    ),
    "pocket": (
        "The bundled encoder",
        "make pocket-eval PHOTOS=FOLDER",
        "Zero-shot among eight candidate labels on drawn pictures: pairs of part and defect never drawn in "
        "training, unseen capture conditions (chance 12.5 %). Zero-shot in both languages (chance 16.7 %) "
        "and linear probes on the NEU photographs, each compared with an untrained network of the same "
        "shape. Targets: 80 % on the drawings, Japanese within 3 points of English; on the photographs 40 "
        "% zero-shot, 97 % from 80 % of the labels and 5 points above the untrained network from 10 %; 150 "
        "pictures a second; loaded in a second.",
    ),
    "adaptation": (
        "Local detail beside the embedding",
        "python benchmarks/adaptation.py --textile FOLDER --photos FOLDER --json "
        "benchmarks/results/adaptation.json",
        "Accuracy on all other images of a head trained on some labels per class, drawn at random (mean of "
        "the draws). `pocket` and `untrained` (a network of the same shape with random weights) are the "
        "embedding alone, `+ detail` is the embedding with the detail descriptor as in the product, and "
        "`detail alone` a logistic regression on the descriptor. Textile: a public inspection set (arXiv "
        "2501.12596, which reports 90, 96 and 97.5 % for a frozen ViT-L/14 at 10, 30 and 50). Photos: the "
        "NEU surface defects. Digits: 8 × 8 pixels enlarged to 64. Pictures: drawn as for the demo. The "
        "filters of the descriptor and the usual strength were chosen on draws of textile, photos and digits "
        "(decision 57), so their figures are slightly optimistic in that respect.",
    ),
    "replay_textile": (
        "The whole loop on the textile set",
        "python benchmarks/replay.py FOLDER --budget 150 --detail on --json "
        "benchmarks/results/replay_textile.json",
        "`mekiki replay` on the textile set (2,000 images, prompts made from the folder names nominal, local "
        "and global), with the local detail. Target: 97 % after 150 answers, 15 % of them audits.",
    ),
    "replay_neu": (
        "The NEU surface defects with the local detail",
        "python benchmarks/replay.py FOLDER --budget 90 --detail on --json "
        "benchmarks/results/replay_neu.json",
        "As in “Real photographs”, with the local detail. Target: 95 % after 60 answers.",
    ),
    "embedding_detail": (
        "Embedding with the local detail",
        "python benchmarks/embedding.py --detail --json benchmarks/results/embedding_detail.json",
        "`pocket` on JPEG files of two sizes, best of the rounds: the pipeline without and with the local "
        "detail, and the descriptor alone on decoded images, one thread per core. Target: 300 descriptors a "
        "second of 512 × 512 pixels.",
    ),
    "embedding": (
        "Embedding",
        "python benchmarks/embedding.py --photos FOLDER --json benchmarks/results/embedding.json",
        "Images a second: open_clip's loop over one image at a time (`loop`), through a DataLoader in "
        "batches of 32 (`batched_loop`), the bare network on tensors in memory (`forward`), our pipeline "
        "with decoding (`pipeline`) and the same through ONNX Runtime in fp32 (`onnx`) and with 8-bit "
        "weights (`int8`), with the cosine of their vectors to those of fp32. First `pocket`, then "
        "ViT-B-32 with random weights (ViT-B-16 on a GPU), whose cosines say little about trained weights. "
        "The memory is that of the process (all the variants above are loaded in it) after a tenth of a "
        "long stream, and at its end. Budget: on a CPU the pipeline at least 1.5 times the loop, and "
        "`pocket` 150 images a second; on a GPU 90 % of the bare network. `int8` was measured here with "
        "the recipe before `int8 2`, on a processor with VNNI. The next section has the present recipe.",
    ),
    "int8": (
        "8-bit vectors",
        "python benchmarks/int8.py FOLDER --emulated 8 --json benchmarks/results/int8.json",
        "`pocket` on the NEU photographs in fp32 (torch), through ONNX Runtime (`onnx`) and in 8 bits "
        "(`int8`): images a second of the network alone on one thread, accuracy of zero-shot by prompts "
        "made from the folder names, accuracy of a logistic regression on 60 labels drawn at random, "
        "cosines of the vectors to those of fp32. `haswell` and `nehalem` compare the vectors of the same "
        "file on emulated processors (AVX2 without VNNI; no AVX2) with those on this machine. "
        "`before_haswell` is the earlier recipe (`int8 1`) on the emulated Haswell, compared with fp32 "
        "(decision 20). The machine was shared with other work: read the speeds as ratios.",
    ),
    "slow_clients": (
        "Reviewers beside slow clients",
        "python benchmarks/slow_clients.py --json benchmarks/results/slow_clients.json",
        "Eight reviewers over HTTP and a probe of /healthz, alone and beside 32 and 200 clients that send "
        "half a request line, a header or a body at a byte a second, or do not read. `unanswered` counts "
        "requests without an answer within five seconds. A slow reader requests a thousand pages, so 200 "
        "of them are also load. Budget: none.",
    ),
    "two_workers": (
        "Two workers on one dataset",
        "python benchmarks/two_workers.py --json benchmarks/results/two_workers.json",
        "Real Celery workers on the same two cores. So the second worker shows the cost of sharing on one "
        "machine, not the gain of a second machine. `embedded_twice` counts images computed and stored a "
        "second time. `killed_finished_s` is the time from `kill -9` of the leading worker until all "
        "images are embedded and predicted, including 25 s until a silent worker is considered dead. "
        "`rss_mb` includes memory that earlier jobs left in the worker.",
    ),
    "mirror": (
        "The mirror of embeddings",
        "python benchmarks/mirror.py --json benchmarks/results/mirror.json",
        "Embeddings of 512 dimensions. Budget at a million: 15 s the first time, 0.2 s afterwards. "
        "`floor_s` reads the same bytes by binary COPY and discards them.",
    ),
    "solvers": (
        "Our L-BFGS and k-means beside the libraries",
        "python benchmarks/solvers.py --json benchmarks/results/solvers.json",
        "The calls of one training and of one choice of images, by our code and by scipy and "
        "scikit-learn, from the same starts, on the same subset, dtype and scaling of variables, on one "
        "thread. Medians over pairs in one process. `*_ratio` is library / ours, `*_ratio_cpu` that of "
        "processor seconds (decisions 13 and 14). `fit` and `kmeans` are those calls alone, `refit` and "
        "`choose` the whole steps.",
    ),
    "workbench": (
        "The prompt workbench",
        "python benchmarks/workbench.py --json benchmarks/results/workbench.json",
        "Budget: 2 s at 20,000 images. `refresh_*` is a whole request after a change of one sentence: the "
        "draft "
        "is stored, the search worker embeds the sentence and computes the trial, and the page is rendered. "
        "`first_s` includes loading the encoder and copying the embeddings from the database.",
    ),
    "prompts": (
        "Wordings and weightings of prompts",
        "python benchmarks/prompts.py --neu FOLDER --textile WHEEL --json benchmarks/results/prompts.json",
        "Zero-shot accuracy of `pocket`, and the mean recall of the classes (`_balanced`). NEU: 1,800 "
        "photographs, six classes. Textile: 900 pictures of `conformal-clip-data`, three classes. Drawn: "
        "1,800 "
        "generated pictures of eight classes, half of them good. `pool_*` combine twelve shared templates, "
        "some "
        "of them unsuitable on purpose: the mean, ZPE (arXiv 2302.06235), CARPRT, and parts of Frolic (arXiv "
        "2410.19294). No weighting helps on all sets, so the product takes the mean. All wordings were "
        "written "
        "once and not tuned. A label of the textile set looks like chance: `pocket` does not see its "
        "defects.",
    ),
    "near_duplicates": (
        "Groups of near-duplicates",
        "python benchmarks/near_duplicates.py --photos FOLDER --json benchmarks/results/near_duplicates.json",
        "Random float16 vectors of 512 dimensions, a tenth of them at a cosine of 0.96 to 1 with an earlier "
        "one, grouped at 0.95 on one thread. `exact` compares with all first images (the product, up to "
        "100,000 images), `cells` with those of the nearest cells (above). `found_share` is the share of the "
        "near-duplicates in the group of their source. `later_1000` are 1,000 images of a later import. "
        "`photos_*`: the NEU photographs with `pocket`, for which a cosine of 0.95 says little. Other work "
        "filled the cores, so the figures are processor seconds.",
    ),
    "search": (
        "Search in the gallery",
        "python benchmarks/search.py --table --json benchmarks/results/search.json",
        "Budget at a million embeddings: p95 under 150 ms. `p50_ms` and `p95_ms` are whole pages, "
        "`selector_*` the search alone, `page_p50_ms` a page without search. Recall against exact search.",
    ),
    "predictions": (
        "Predictions of a new head",
        "python benchmarks/predictions.py --json benchmarks/results/predictions.json",
        "Budget at a million: stored and visible in the gallery within 30 s, the old ones dropped without "
        "a slow DELETE. `store_s` is the time until all are stored and indexed, `visible_s` the time until "
        "the gallery shows those of the new head. `floor_s` copies the same rows into a table without an "
        "index. `read_*` are the waits of a process that reads predictions of the head in use, `import_*` "
        "those of a process that imports images: without load (`idle`), while predictions are stored, "
        "while the old ones are dropped, and while the drop has to wait for a process that reads them for "
        "two seconds (`long_read`). These two processes share the two cores with the database and the "
        "process that stores.",
    ),
    "certificates_at_scale": (
        "Certificates at scale",
        "python benchmarks/certificates_at_scale.py --json benchmarks/results/certificates_at_scale.json",
        "Budgets at a million: the freeze (scores and audit order stored) below 20 s, the next image of a "
        "reviewer below 50 ms while the audit runs, 800,000 labels set below 60 s without blocking them. "
        "`*_cpu_s` is the processor time of the worker. One reviewer process leases (`*_next_*`) and answers "
        "(`*_answer_*`) images through the services: without load (`idle`), while the job of the audit runs "
        "without a pause (`audit`), and while the labels are set (`accept`). `audit_check_p50_s` is one run "
        "of that job. The vectors are in memory.",
    ),
    "gallery": (
        "Pages of the gallery",
        "python benchmarks/gallery.py --json benchmarks/results/gallery.json",
        "Whole pages, each kind twenty times; `page_*` over all kinds. `deep` begins halfway through the "
        "million. `label_old` is a label that only the oldest twentieth of the images has, sorted newest "
        "first. `rare` is a range of confidence with few images. `most_rows_read` is the largest number of "
        "rows the database read for one page.",
    ),
    "gallery_facets": (
        "Pages of the gallery with two facets",
        "python benchmarks/gallery_facets.py --json benchmarks/results/gallery_facets.json",
        "Budget at a million images: p95 of a page with any two facets under 100 ms. Whole pages for every "
        "pair of two kinds of facets, with frequent, rare and old values; `page_*` over all pairs. `slowest` "
        "is the pair with the highest p95. `plain_*` are pages without a filter. `counts_*` are the numbers "
        "of images of all facets, which the page loads afterwards: without a filter, with one facet and with "
        "two.",
    ),
    "import_images": (
        "Import",
        "python benchmarks/import_images.py --json …",
        "Budget: 200 images a second, memory flat.",
    ),
    "review_load": (
        "Many reviewers at once",
        "python benchmarks/review_load.py --json benchmarks/results/review_load.json",
        "Budget: p99 of the next image under 50 ms, no item given to two people, no answer lost; under 15 "
        "ms of processor time of web server and database for a cycle of answer and next image. An answer "
        "leases the next image in the same request. The time is that until the next image has arrived, "
        "over HTTP. The reviewers (one process), the web server and the database share two cores, without "
        "other work. p99 is missed, and the processor time narrowly. Beside other work that saturated the "
        "cores, the same code had p50 384 ms, p99 1,428 ms, 33.9 answers a second and 19.6 ms for a cycle. "
        "Tried: decision 40. These figures are older than decision 56, which has measurements in pairs.",
    ),
    "review_load_10k": (
        "Many reviewers at once on 10,000 images",
        "python benchmarks/review_load.py --images 10000 --seconds 60 --json …/review_load_10k.json",
        "The same with a hundredth of the images, beside as much other work as that second run: the "
        "processor time (19.1 ms, 19.6 ms with a million) of a cycle does not grow with the images.",
    ),
    "review_load_separate": (
        "Many reviewers at once, answer and next image in two requests",
        "python benchmarks/review_load.py --separate --seconds 30 --json …/review_load_separate.json",
        "The same code with two requests, which a program may still send, on the million images. The next "
        "image is the second request.",
    ),
    "review_load_before": (
        "Many reviewers at once, before decision 40",
        "python benchmarks/review_load.py --separate --seconds 30 --json …/review_load_before.json",
        "The code before decision 40, on the same million images, just before the run with two requests "
        "and beside as much other work.",
    ),
    "review_load_label_studio": (
        "Many reviewers at once, beside Label Studio",
        "python benchmarks/review_load.py --label-studio URL --label-studio-project 1 --label-studio-token "
        "@TOKENS …",
        "Label Studio 1.23.2 (from PyPI, open-source edition) and this platform with the same clients, each "
        "with 10,000 images and 1 s think time, one after the other on the same two cores. Other work "
        "saturated the cores in every run (`load_before`), so only the processor time of the servers can be "
        "compared well, and the times only roughly. Neither time is that of an idle machine. A cycle is an "
        "annotation and the request for the next task, which are two requests in Label Studio and one here. "
        "Label Studio ran twice: as `label-studio start` starts it (its development server with SQLite), "
        "and with gunicorn (two processes with eight threads) and PostgreSQL 15 of Debian with its standard "
        "settings, without Redis. Sampling was sequential, one annotation for each task, one user with a "
        "token for each reviewer. DEBUG was on with SQLite, which is the default, and off with gunicorn. No "
        "uWSGI and no nginx, which its Docker image has; people who know Label Studio well may run it "
        "better. `shared_items` are tasks that two reviewers got. With "
        "SQLite the number of annotations that Label Studio counts changes later, so lost answers are not "
        "stated there.",
    ),
    "sealing": (
        "Sealing events and checking the seals",
        "python benchmarks/sealing.py --json benchmarks/results/sealing.json",
        "Budget: a million events sealed in 60 s and checked in 60 s. A process that writes meanwhile "
        "(`writer_*`: one event after another) does not wait for the seal.",
    ),
    "decoding_memory": (
        "Memory of decoding",
        "python benchmarks/decoding_memory.py",
        "The memory in MB that examining one image (decoding, thumbnail, display file) adds to a process. "
        "The images have 100 million pixels of one gradient, so the files are small, like those of an "
        "attacker. `*_before_mb` is the decoder before it worked in strips. Measured on a busy machine.",
    ),
    "chaos": (
        "Faults under a working platform",
        'make chaos ARGS="--seed 3 --faults 100 --minutes 17 --images 2500"',
        "Faults while eight reviewers answer, images are imported, heads trained and label sets frozen: "
        "`kill -9` of each part, of the processes it works with and of the supervisor; SIGSTOP for some "
        "seconds; a disk without a free byte; a folder of the files that cannot be written; the clock of "
        "all processes, including the database's, set ahead and back by up to a day while they run. Only "
        "the time of day is shifted: the monotonic clock and the times of files stay those of the machine. "
        "Promise: every acknowledged answer is stored once, as acknowledged; no job is lost, stuck or "
        "doubled. A job counts as lost if an import or a label set was acknowledged and does not exist, as "
        "stuck if it has not ended within five minutes after the last fault, and as doubled if its end was "
        "recorded twice. `answers_again_after_*` are the seconds from the end of a fault to the first "
        "answer that was sent after it and acknowledged. Cases without an answer within ten seconds before "
        "the next fault began are left out; these include all of `kill web`. The machine was shared with "
        "other work, in addition to the platform's own load (`load_average`, over one minute, at each "
        "fault): these are not the recovery times of an idle machine.",
    ),
    "heat_map": (
        "Heat maps of the panel Why",
        "python benchmarks/heat_map.py --photos FOLDER --json benchmarks/results/heat_map.json",
        "Time from the request of the browser to the map, with `pocket` on a CPU, on a running platform: the "
        "first map (`cold`), an idle machine, a worker that trains (`training`) or imports (`import`) all "
        "the time, and a process of the worker's priority on each core (`computing`). "
        "Budget: below 2 s. The other figures compare the methods on NEU photographs that the head was not "
        "trained on: medians of the areas under the curves of deletion (lower is better) and insertion "
        "(higher is better), and of their gap, with the blurred image (`blur`) and the mean colour (`grey`) "
        "as the base. `random` is a map of random numbers. The correlations are those of a map with the map "
        "of a random head or a random network: a method that fails the check of sanity is near 1.",
    ),
    "review_latency": (
        "Time from a key to the next image",
        "python benchmarks/review_latency.py --json benchmarks/results/review_latency.json",
        "Budget: median under 50 ms, p95 under 100 ms, in Chromium on the same two cores as the whole "
        "platform, which retrains and refills the queue meanwhile. `load_before` is the load average of "
        "the machine before the first answer: other processes used the cores too. Pages of 24 tiles of the "
        "grid review (budget: painted in 200 ms): `grid_first` from the start of the navigation with a cold "
        "cache, `grid_key_to_paint` from the key that confirms a page until the next one is painted, "
        "`grid_data_to_paint` from the reply.",
    ),
    "labels_per_hour": (
        "Labels an hour",
        "python benchmarks/labels_per_hour.py --images FOLDER --per-label 80 --json …",
        "A scripted reviewer with fixed reaction times, who is always right, on NEU photographs (80 of "
        "each label) in Chromium, on the same cores as the whole platform: 700 ms to look at an image of "
        "the review station, 250 ms for each of 24 tiles of the grid, 200 ms for each key. In the grid, "
        "images with a wrong prediction are reached by arrow keys. The head is trained on 60 labels "
        "first, and again after each 50. `labels_per_hour_at_most` is the station without any wait of the "
        "site. The figures compare the two ways of working with the same reactions; people are slower and "
        "make mistakes.",
    ),
    "export": (
        "Freezing a label set",
        "python benchmarks/export.py --json …",
        "Budget: a million labels in 60 s, memory flat.",
    ),
    "certified_export": (
        "Freezing and verifying certified labels",
        "python benchmarks/certified_export.py --json …",
        "A million images, 800,000 labels set by machine under a certificate, its pool and audit in the "
        "file. Writing and verifying run in processes of their own. Targets: 60 s per million labels, "
        "verified in 3 min, memory flat (154.6 MB and 45.6 MB for 20,000 images). The seconds of this run "
        "show the load of the machine (`load_before`: 24.6 on two cores), so whether the time is kept on "
        "a free machine was not measured; the CPU seconds were.",
    ),
    "coverage": (
        "Coverage of the audit intervals",
        "python benchmarks/coverage.py --photos FOLDER --json benchmarks/results/coverage.json",
        "Replays of the loop (300 answers in batches of 60, 15 % audits) on digits, on digits with ten noisy "
        "versions of each (`digits_x10`: people label 2 % of the pool) and on the NEU photographs "
        "(`pocket`), with a plain logistic regression as the head. After each round the 95 % "
        "interval of the "
        "audit estimate is compared with four truths. `holds_reserve`: the accuracy of the head on all "
        "images of the audit reserve, which the estimate is about (images that no training used). "
        "`holds_without_decision` and `holds_all_images`: its accuracy on the images without a decision, and "
        "on all images, those it was trained on included. `holds_pool`: the share of right labels, by people "
        "where there are some and by machine elsewhere. `pool_interval_holds_pool` is the interval of "
        "`pool_accuracy` for that share, and `begins_below_pool` how often its lower end is below the truth. "
        "Target: both intervals hold the truth they are about in 95 % of the rounds. Rounds of a "
        "replay share audits, so they are not independent.",
    ),
    "cold_start": (
        "Cold start",
        "python benchmarks/cold_start.py --json …",
        "Budget: first page in 8 s, web process under 150 MB.",
    ),
}


def stamped(file: Path) -> dict[str, Any]:
    """Return the figures with their date and machine; add both to the file if they are missing."""
    figures: dict[str, Any] = json.loads(file.read_text())
    if "measured" not in figures:
        when = datetime.fromtimestamp(file.stat().st_mtime, UTC)
        figures["measured"] = when.strftime("%Y-%m-%d")
        figures["machine"] = (
            f"{os.cpu_count()} cores of {processor()}, {platform.machine()}, "
            f"Python {platform.python_version()}"
        )
        file.write_text(json.dumps(figures, indent=2, ensure_ascii=False) + "\n")
    return figures


def table(rows: list[tuple[str, ...]]) -> str:
    """Return a Markdown table; the first row is the head."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "not reached" if value is None else str(value)


def scalars(figures: dict[str, Any]) -> str:
    rows = [(f"`{k}`", shown(v)) for k, v in figures.items() if not isinstance(v, list | dict)]
    return table([("figure", "value"), *[r for r in rows if r[0] not in {"`measured`", "`machine`"}]])


def compared(figures: dict[str, Any]) -> str:
    """Return a table with a line for each figure and a column for each run."""
    rows = [
        (f"`{name}`", *(shown(run[name]) if name in run else "–" for run in figures["compared"]))
        for name in dict.fromkeys(name for run in figures["compared"] for name in run)
    ]
    return table([("figure", *(f"run {n}" for n in range(1, len(figures["compared"]) + 1))), *rows])


def curve(figures: dict[str, Any]) -> str:
    """Return the learning curve of a replay, or the rounds of a demo."""
    if "curve" in figures:
        rows = [
            (str(p["answers"]), f"{p['accuracy']:.1%}", f"{p['macro_recall']:.1%}") for p in figures["curve"]
        ]
        return table([("answers", "accuracy on truth", "macro recall"), *rows])
    rows = []
    for r in figures["rounds"]:
        a = r["audit"]
        estimate = f"{a['estimate']:.1%} [{a['low']:.1%} – {a['high']:.1%}], n = {a['n']}" if a["n"] else "–"
        rows.append((str(r["answers"]), f"{r['accuracy']:.1%}", f"{r['macro_recall']:.1%}", estimate))
    return table([("answers", "accuracy on truth", "macro recall", "audit estimate"), *rows])


def adaptation(results: list[dict[str, Any]]) -> str:
    """Return the accuracies of benchmarks/adaptation.py, and the recall of the worst label."""
    sizes = sorted({result["per_class"] for result in results})
    rows = [("set", "row", *(f"{size} per class" for size in sizes), "macro recall", "worst recall", "fit s")]
    for name, row in dict.fromkeys((result["set"], result["row"]) for result in results):
        own = {r["per_class"]: r for r in results if (r["set"], r["row"]) == (name, row)}
        last = own[max(own)]
        label, least = min(last["recall"].items(), key=lambda item: item[1])
        accuracies = [f"{own[size]['accuracy']:.1%}" if size in own else "–" for size in sizes]
        worst, fit = f"{label} {least:.1%}", f"{last['fit_cpu_seconds']:.1f}"
        rows.append((name, row, *accuracies, f"{last['macro_recall']:.1%}", worst, fit))
    return table(rows) + "\n\nThe last three columns are those of the largest number of labels.\n"


def main() -> None:
    parts = [INTRO]
    for name, (title, command, text) in SECTIONS.items():
        file = RESULTS / f"{name}.json"
        if not file.exists():
            continue
        figures = stamped(file)
        explanation = textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False)
        parts.append(
            f"## {title}\n\n{explanation}\n\n    {command}\n\n{figures['measured']}, {figures['machine']}.\n"
        )
        parts.append((compared if "compared" in figures else scalars)(figures) + "\n")
        if "results" in figures:
            parts.append(adaptation(figures["results"]) + "\n")
        if "curve" in figures or "rounds" in figures:
            parts.append(curve(figures) + "\n")
    from benchmarks.certification.page import section as certify
    from benchmarks.efficiency.page import detail_section as detail
    from benchmarks.efficiency.page import section as learning
    from benchmarks.reranking.page import section as rerank

    sections = {"certify": certify, "rerank": rerank, "learning": learning, "learning_detail": detail}
    for name, section in sections.items():
        if (RESULTS / f"{name}.json").exists():
            parts.append(section(json.loads((RESULTS / f"{name}.json").read_text())))
    (ROOT / "docs" / "benchmarks.md").write_text("\n".join(parts), encoding="utf-8")


if __name__ == "__main__":
    main()
