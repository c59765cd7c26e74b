"""Gallery search among a million embeddings: time of a page, and recall.

    python benchmarks/search.py [--quick] [--embeddings N] [--dims D] [--kind mixture|pocket]
                                [--table] [--json PATH]

Budget (design, issue 3): p95 below 150 ms at a million embeddings; recall@50 against exact search is
measured.

`p50_ms` and `p95_ms` are the HTTP path: Django's whole stack from the middleware to the page, for a text with
a known vector and for "more like this". `selector_*` is the search alone. `page_p50_ms` is a page without
search, as a lower bound. `page_cpu_ms` is the processor time of a search page in the web process, which
depends less on other load.

There are two distributions. `mixture` has clusters in a space of 32 intrinsic dimensions, embedded in D, like
the embeddings of encoders. `pocket` has embeddings of 2,000 drawn pictures by the bundled encoder, mixed and
jittered. Queries are new draws of the same distribution. Text queries (`text`) are also shifted in one common
direction, as text embeddings are. The database is a fresh embedded one with its ordinary settings.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "platform"), str(ROOT)]

from benchmarks.harness import fresh_platform, report  # noqa: E402
from benchmarks.million import insert_images  # noqa: E402

SLUG = "benchmark"
CHUNK = 50_000
AT = 50


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


class Mixture:
    """Unit vectors (n, dim): clusters of unequal size, thin in most directions, around a common mean."""

    def __init__(self, dim: int, seed: int = 0, clusters: int = 500, intrinsic: int = 32) -> None:
        dice = np.random.default_rng(seed)
        self.dim = dim
        self.base = dice.standard_normal((intrinsic, dim)).astype(np.float32) / np.sqrt(dim)
        self.centres = dice.standard_normal((clusters, intrinsic)).astype(np.float32)
        self.share = dice.dirichlet(np.full(clusters, 0.5))
        self.mean = unit(dice.standard_normal(dim)).astype(np.float32) * 4

    def draw(self, n: int, dice: np.random.Generator) -> np.ndarray:
        cluster = dice.choice(len(self.share), n, p=self.share)
        inner = self.centres[cluster] + 0.5 * dice.standard_normal((n, self.base.shape[0]), np.float32)
        noise = dice.standard_normal((n, self.dim), np.float32) * (0.6 / np.sqrt(self.dim))
        return unit(inner @ self.base + noise + self.mean)


class Pocket:
    """Unit vectors (n, d) from 2,000 drawn pictures: a mixture of two neighbours, jittered."""

    def __init__(self, seed: int = 0, pictures: int = 2000) -> None:
        from workers.encoders import load_encoder
        from workers.pocket.sample import make_sample

        encoder = load_encoder("pocket", device="cpu")
        with tempfile.TemporaryDirectory() as folder:
            make_sample(Path(folder), count=pictures, seed=seed)
            files = sorted(Path(folder).rglob("*.jpg"))
            self.known = encoder.encode_images(files).vectors
        self.dim = encoder.dim
        near = np.argsort(-(self.known @ self.known.T), axis=1)[:, 1:9]
        self.near = near

    def draw(self, n: int, dice: np.random.Generator) -> np.ndarray:
        first = dice.integers(len(self.known), size=n)
        other = self.near[first, dice.integers(self.near.shape[1], size=n)]
        weight = dice.random((n, 1), np.float32)
        mixed = self.known[first] * weight + self.known[other] * (1 - weight)
        noise = dice.standard_normal((n, self.dim), np.float32) * (0.15 / np.sqrt(self.dim))
        return unit(mixed + noise)


def fill(source: Any, n: int) -> tuple[Any, float]:
    """Create a dataset of n images with embeddings, and a second one of 2,000.

    Returns (encoder, embeddings stored per second).
    """
    from django.db import connection

    from mekiki.accounts.models import User
    from mekiki.datasets.models import Dataset, Image
    from mekiki.learning.models import Encoder
    from mekiki.learning.services import store_embeddings

    User.objects.create(username="reader", is_superuser=True)
    encoder = Encoder.objects.create(name="pocket", digest="0" * 64, dim=source.dim, logit_scale=100)
    dice = np.random.default_rng(1)
    spent = 0.0
    for slug, count in ((SLUG, n), ("small", 2000)):
        dataset = Dataset.objects.create(slug=slug, name=slug)
        insert_images(dataset, count)
        ids = np.array(Image.objects.filter(dataset=dataset).order_by("pk").values_list("pk", flat=True))
        for start in range(0, count, CHUNK):
            part = ids[start : start + CHUNK]
            vectors = source.draw(len(part), dice)
            begun = time.perf_counter()
            store_embeddings(encoder=encoder, image_ids=part, vectors=vectors)
            spent += time.perf_counter() - begun
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE learning_embedding")
        cursor.execute("VACUUM ANALYZE datasets_image")
    return encoder, (n + 2000) / spent


def exact_neighbours(encoder: Any, queries: np.ndarray, at: int) -> list[set[int]]:
    """Return the ids of the true nearest images of each query in the big dataset.

    They come from a brute-force search over the stored vectors.
    """
    from mekiki.datasets.models import Dataset
    from mekiki.learning.selectors import read_embeddings

    dataset = Dataset.objects.get(slug=SLUG)
    wanted = queries.astype(np.float16).astype(np.float32)
    best = [(np.empty(0, np.float32), np.empty(0, np.int64))] * len(wanted)
    for chunk in read_embeddings(encoder=encoder, dataset=dataset):
        ids, vectors = chunk[0], chunk[-1]
        scores = wanted @ vectors.astype(np.float32).T
        for q, row in enumerate(scores):
            all_scores = np.concatenate([best[q][0], row])
            all_ids = np.concatenate([best[q][1], ids])
            keep = np.argpartition(-all_scores, min(at, len(all_scores) - 1))[:at]
            best[q] = (all_scores[keep], all_ids[keep])
    return [set(ids.tolist()) for _scores, ids in best]


def percentile(times: list[float], share: float) -> float:
    return round(1000 * sorted(times)[min(len(times) - 1, int(len(times) * share))], 1)


def timed(act: Any, arguments: list[Any]) -> tuple[list[float], list[Any]]:
    times, results = [], []
    for argument in arguments:
        begun = time.perf_counter()
        results.append(act(argument))
        times.append(time.perf_counter() - begun)
    return times, results


def measure(source: Any, kind: str, n: int, queries: int, table: bool, home: Path) -> dict[str, Any]:
    from django.db import connection
    from django.test import Client

    from mekiki.accounts.models import User
    from mekiki.datasets.models import Dataset, Image
    from mekiki.learning.models import Encoder
    from mekiki.learning.search import building, index, neighbours
    from mekiki.learning.services import store_embeddings

    say = lambda text: print(  # noqa: E731
        f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True
    )
    kept = home / "built.json"
    if (encoder := Encoder.objects.filter(name="pocket").first()) and index.is_searchable(encoder):
        built = json.loads(kept.read_text())  # --home keeps the database, so its build times are stored too
        if built["embeddings"] != n or built["distribution"] != kind:
            raise SystemExit(f"{home} holds {built['embeddings']:,} of kind {built['distribution']}.")
        stored_per_s, build_s = built["stored_per_s"], built["build_s"]
    else:
        encoder, stored_per_s = fill(source, n)
        say(f"{n} embeddings stored, {stored_per_s:.0f} a second")
        begun = time.perf_counter()
        index.build(encoder, report=lambda done, total: None)
        build_s = time.perf_counter() - begun
        kept.write_text(
            json.dumps(
                {"embeddings": n, "distribution": kind, "stored_per_s": stored_per_s, "build_s": build_s}
            )
        )
    size = index.index_states()[encoder.pk].size
    say(
        f"index built in {build_s:.0f} s, {size / 1e6:.0f} MB, "
        f"maintenance {building.build_memory_mb(n, encoder.dim, local=True)} MB"
    )

    dice = np.random.default_rng(2)
    asked = source.draw(queries, dice)
    away = unit(dice.standard_normal((1, source.dim))).astype(np.float32)
    texts = unit(asked + 1.5 * away)  # modality gap: all texts are shifted in one direction
    dataset = Dataset.objects.get(slug=SLUG)
    images = Image.objects.filter(dataset=dataset)
    figures: dict[str, Any] = {
        "embeddings": n, "dims": source.dim, "distribution": kind, "build_s": round(build_s, 1),
        "index_mb": round(size / 1e6), "stored_per_s": round(stored_per_s, 1),
    }  # fmt: skip

    def search(vector: np.ndarray, of: Any = images) -> Any:
        return neighbours.nearest_images(encoder=encoder, vector=vector, images=of)

    for vector in asked[:10]:
        search(vector)  # load the index into memory
    truths = {"image": exact_neighbours(encoder, asked, AT), "text": exact_neighbours(encoder, texts, AT)}
    say("truth known")

    def recall(results: list[Any], truth: list[set[int]]) -> float:
        shares = [
            len({i for i, _s in one.hits[:AT]} & true) / AT for one, true in zip(results, truth, strict=True)
        ]
        return round(statistics.mean(shares), 4)

    if table:
        print(f"{'ef_search':>9} {'recall@50':>9} {'of texts':>9} {'p50 ms':>7} {'p95 ms':>7}")
        usual = neighbours.EF_SEARCH
        for width in (50, 100, 200, 400, 600, 800, 1000):
            neighbours.EF_SEARCH = width
            times, results = timed(search, list(asked))
            more, by_text = timed(search, list(texts))
            line = (recall(results, truths["image"]), recall(by_text, truths["text"]))
            both = times + more
            print(
                f"{width:9} {line[0]:9.4f} {line[1]:9.4f} {percentile(both, 0.5):7} "
                f"{percentile(both, 0.95):7}"
            )
        neighbours.EF_SEARCH = usual
    times, results = timed(search, list(asked))
    more, by_text = timed(search, list(texts))
    figures |= {
        "selector_p50_ms": percentile(times + more, 0.5),
        "selector_p95_ms": percentile(times + more, 0.95),
        "recall_at_50": recall(results, truths["image"]),
        "text_recall_at_50": recall(by_text, truths["text"]),
        "by_index": round(statistics.mean(not one.exact for one in results + by_text), 3),
    }
    # Filters: a tenth of the dataset, a hundredth, and a small dataset among the others. Then exact search
    # over all.
    for name, of in {
        "tenth": images.filter(metadata__contains={"line": "3"}),
        "hundredth": images.filter(name__endswith="07"),
        "small_dataset": Image.objects.filter(dataset__slug="small"),
    }.items():
        times, _results = timed(lambda v, of=of: search(v, of), list(asked[:20]))
        figures[f"{name}_p95_ms"] = percentile(times, 0.95)
    say("filters measured")
    times, _results = timed(
        lambda v: neighbours._exact(
            encoder,
            "[" + ",".join(map(str, v)) + "]",
            *images.order_by().values("pk").query.sql_with_params(),
            300,
        ),
        list(asked[:5]),
    )
    figures["exact_p50_ms"] = percentile(times, 0.5)

    client = Client(SERVER_NAME="localhost")
    client.force_login(User.objects.get(username="reader"))
    figures |= over_http(client, encoder, texts, list(images.order_by("?")[:queries]))
    say("pages measured")

    # Speed of storing new vectors with and without an index.
    spare = Encoder.objects.create(
        name=f"spare {time.time()}", digest="1" * 64, dim=source.dim, logit_scale=100
    )
    some = np.array(Image.objects.filter(dataset=dataset).order_by("pk").values_list("pk", flat=True)[:2000])
    vectors = source.draw(len(some), dice)
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM learning_embedding WHERE encoder_id = %s AND image_id = ANY(%s)",
            [encoder.pk, some.tolist()],
        )
    begun = time.perf_counter()
    store_embeddings(encoder=encoder, image_ids=some, vectors=vectors)
    figures["insert_per_s"] = round(len(some) / (time.perf_counter() - begun))
    begun = time.perf_counter()
    store_embeddings(encoder=spare, image_ids=some, vectors=vectors)
    figures["insert_without_index_per_s"] = round(len(some) / (time.perf_counter() - begun))
    return figures


def over_http(client: Any, encoder: Any, texts: np.ndarray, anchors: list[Any]) -> dict[str, Any]:
    """Return the times of whole pages: gallery without search, search by text, "more like this"."""
    from django.utils import timezone

    from mekiki.learning.models import TextEmbedding
    from mekiki.learning.search.texts import text_digest

    for number, vector in enumerate(texts):
        text = f"text {number}"
        facts = {
            "text": text,
            "vector": vector.tolist(),
            "used_at": timezone.now(),
            "answered_at": timezone.now(),
        }
        TextEmbedding.objects.update_or_create(encoder=encoder, digest=text_digest(text), defaults=facts)
    address = f"/d/{SLUG}/images/"

    def page(query: dict[str, str]) -> Any:
        reply = client.get(address, query)
        assert reply.status_code == 200
        return reply

    page({})
    plain, _pages = timed(page, [{}] * 20)
    begun = time.process_time()
    by_text, pages = timed(page, [{"text": f"text {n}"} for n in range(len(texts))])
    assert all(b"gallery__item" in reply.content for reply in pages)
    web_cpu = (time.process_time() - begun) / len(texts)
    alike, _pages = timed(page, [{"like": image.sha256} for image in anchors])
    return {
        "page_p50_ms": percentile(plain, 0.5),
        "page_cpu_ms": round(1000 * web_cpu, 1),
        "p50_ms": percentile(by_text + alike, 0.5),
        "p95_ms": percentile(by_text + alike, 0.95),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="20,000 embeddings, 50 queries")
    parser.add_argument("--embeddings", type=int, default=None)
    parser.add_argument("--dims", type=int, default=512, help="of the mixture")
    parser.add_argument("--kind", choices=["mixture", "pocket"], default="mixture")
    parser.add_argument("--queries", type=int, default=None)
    parser.add_argument("--table", action="store_true", help="also recall and time by ef_search")
    parser.add_argument("--home", type=Path, help="keep the database here, and use it again next time")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    n = options.embeddings or (20_000 if options.quick else 1_000_000)
    queries = options.queries or (50 if options.quick else 200)

    with fresh_platform(options.home) as home:
        source = Pocket() if options.kind == "pocket" else Mixture(options.dims)
        figures = measure(source, options.kind, n, queries, options.table, home)
    report(figures, options.json)


if __name__ == "__main__":
    main()
