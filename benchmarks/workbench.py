"""Refresh of the prompt workbench: from a changed prompt to the page that shows what changes.

    python benchmarks/workbench.py [--quick] [--embeddings N] [--labels L] [--json PATH]

Budget (issue 16): 2 s at 20,000 images. `refresh_*` is a whole request: the draft is stored, the search
worker embeds the new sentence with `pocket`, computes and stores the trial, and the page is rendered. The
worker runs in a thread of this process, without a broker. `saved_page_*` is the page of a result that is
known. `first_s` is the first request after the import: the encoder is loaded, and the embeddings are copied
from the database into the worker's files. Sizes that are not given are 20,000 and 200,000 images.
"""

import argparse
import statistics
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "platform"), str(ROOT)]

from benchmarks.harness import fresh_platform, report  # noqa: E402
from benchmarks.million import insert_images  # noqa: E402
from benchmarks.search import CHUNK, Mixture, percentile  # noqa: E402

REFRESHES = 20
WAYS = ("from above", "in detail", "in grey light", "on a belt")  # four prompts of each label


def fill(slug: str, n: int, labels: int, user: Any, encoder: Any) -> Any:
    """Create a dataset of n images with embeddings, labels and a prompt set; return it."""
    from mekiki.accounts.services import make_first_admin
    from mekiki.datasets.models import Dataset, Image
    from mekiki.labeling.services import set_schema
    from mekiki.labeling.words import concepts
    from mekiki.learning.services import store_embeddings

    dataset = Dataset.objects.create(slug=slug, name=slug)
    make_first_admin(dataset=dataset, user=user)
    insert_images(dataset, n)
    ids = np.array(Image.objects.filter(dataset=dataset).order_by("pk").values_list("pk", flat=True))
    source, dice = Mixture(encoder.dim), np.random.default_rng(1)
    for start in range(0, n, CHUNK):
        part = ids[start : start + CHUNK]
        store_embeddings(encoder=encoder, image_ids=part, vectors=source.draw(len(part), dice))
    specs = [
        {"name": concept.key, "prompts": [f"{concept.sentences('en')[0][1]}, {way}" for way in WAYS]}
        for concept in concepts()[:labels]
    ]
    set_schema(dataset=dataset, labels=specs, user=user)  # type: ignore[arg-type]
    return dataset


def measure(dataset: Any, user: Any, reader: Any) -> dict[str, float]:
    """Return the times of the first request, of refreshes, and of the page of a known result."""
    from django.test import Client

    client = Client(SERVER_NAME="localhost")
    client.force_login(user)
    label = dataset.labels.first()
    address = f"/d/{dataset.slug}/labels/workbench/"

    def change(number: int) -> float:
        data = {"label": label.pk, "prompts": f"a photo of a steel plate\na photo of sample number {number}"}
        begun = time.perf_counter()
        reply = client.post(f"{address}draft/", data, headers={"HX-Request": "true"})
        while "HX-Reswap" in reply.headers:
            reply = client.get(f"{address}results/?label={label.pk}", headers={"HX-Request": "true"})
        assert b"workbench-thumb" in reply.content, reply.content[:2000]
        return time.perf_counter() - begun

    first = change(0)
    times = [change(number) for number in range(1, REFRESHES + 1)]
    known = []
    for _ in range(REFRESHES):
        begun = time.perf_counter()
        assert client.get(f"{address}?label={label.pk}").status_code == 200
        known.append(time.perf_counter() - begun)
    return {
        "first_s": round(first, 1),
        "refresh_p50_ms": percentile(times, 0.5),
        "refresh_p95_ms": percentile(times, 0.95),
        "saved_page_p50_ms": round(1000 * statistics.median(known), 1),
    }


def run(sizes: list[int], labels: int) -> dict[str, Any]:
    """Return the figures of all sizes."""
    from django.db import connection

    from mekiki.accounts.models import User
    from mekiki.jobs import broker
    from mekiki.learning.services import register_encoder
    from workers.encoders import load_encoder
    from workers.steps.prompt_trial import try_requested_prompts
    from workers.steps.texts import TextEncoderProcess

    loaded = load_encoder("pocket", device="cpu")
    encoder = register_encoder(
        name=loaded.name, digest=loaded.digest, precision=loaded.precision, dim=loaded.dim,
        logit_scale=loaded.logit_scale,
    )  # fmt: skip
    user = User.objects.create(username="admin", may_create_datasets=True)
    reader = TextEncoderProcess()

    def work(pk: int) -> None:
        try:
            try_requested_prompts(pk, reader)
        finally:
            connection.close()

    def send(task: str, args: list[int], **_options: Any) -> bool:
        if task == "workers.tasks.try_prompts":
            threading.Thread(target=work, args=args).start()
        return True

    broker.send = send
    figures: dict[str, Any] = {"labels": labels, "prompts": labels * len(WAYS), "dims": loaded.dim}
    for n in sizes:
        dataset = fill(f"images-{n}", n, labels, user, encoder)
        figures |= {f"{name}_{n // 1000}k": value for name, value in measure(dataset, user, reader).items()}
        print(f"[{time.strftime('%H:%M:%S')}] {n} images measured", file=sys.stderr, flush=True)
    reader.close()
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="2,000 images")
    parser.add_argument("--embeddings", type=int, default=None)
    parser.add_argument("--labels", type=int, default=10)
    parser.add_argument("--json", type=Path, default=None)
    given = parser.parse_args()
    sizes = [2_000] if given.quick else [given.embeddings] if given.embeddings else [20_000, 200_000]
    with fresh_platform():
        figures = run(sizes, given.labels)
    report(figures, given.json)


if __name__ == "__main__":
    main()
