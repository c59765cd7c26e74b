"""The mirror of embeddings: store, first load, repeated load, update.

    python benchmarks/mirror.py [--quick] [--embeddings N] [--json PATH]

Budget: a million 512-d rows load in < 15 s the first time and < 0.2 s afterwards. The vectors are random unit
vectors and the database is a fresh embedded PostgreSQL with its ordinary, durable settings.

- `store_s`: through the service that the encode stage calls, 256 rows per call;
- `floor_s`: the bytes of the same COPY read and thrown away, a lower bound for every way of loading;
- `warm_load_s`: nothing has changed (median of 5);
- `fresh_process_s`: the same in a new process, the time of its imports not counted;
- `check_s`: the files' times have changed, so that every byte is checked against its checksum;
- `increment_s`: 1,000 more rows at the end;
- `behind_s`: one row removed and one added between the others, so that the files are written again.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "platform"), str(ROOT)]

from benchmarks.harness import fresh_platform, report  # noqa: E402

DIM = 512
CALL = 256  # rows per call, as in the encode stage
AGAIN = """
import sys, time, django; django.setup()
from mekiki.datasets.models import Dataset
from mekiki.learning.models import Encoder
from workers import embeddings
encoder, dataset = Encoder.objects.get(), Dataset.objects.get()
begun = time.perf_counter()
mirror = embeddings.load_mirror(encoder, dataset)
seconds = time.perf_counter() - begun
print(seconds, len(mirror))
"""


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """Return the seconds of a call and its result."""
    begun = time.perf_counter()
    value = call()
    return time.perf_counter() - begun, value


def images(dataset: Any, count: int) -> Any:
    """Insert ``count`` new images with SQL and return their ids."""
    import numpy as np
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO datasets_image (dataset_id, sha256, name, format, width, height, size, metadata, "
            "audit_key, created_at, window_version, rendition)"
            " SELECT %s, md5(n::text || clock_timestamp()::text) || md5(n::text), n || '.jpg', 'JPEG',"
            " 200, 200, 1000, '{}', random(), now(), 0, 0 FROM generate_series(1, %s) n RETURNING id",
            [dataset.pk, count],
        )
        return np.array([row[0] for row in cursor.fetchall()], np.int64)


def store(encoder: Any, ids: Any, seed: int) -> float:
    """Return the seconds to store random unit vectors of these images.

    The time to create the vectors is not counted.
    """
    import numpy as np

    from mekiki.learning.services import store_embeddings

    rng, seconds = np.random.default_rng(seed), 0.0
    for start in range(0, len(ids), CALL):
        part = ids[start : start + CALL]
        vectors = rng.standard_normal((len(part), DIM), np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        seconds += timed(lambda p=part, v=vectors: store_embeddings(encoder=encoder, image_ids=p, vectors=v))[
            0
        ]
    return seconds


def floor(encoder: Any, dataset: Any) -> float:
    """Return the seconds to read the bytes of the mirror's COPY and throw them away."""
    from django.db import connection

    query = (
        "COPY (SELECT e.image_id, i.audit_key, e.vector FROM learning_embedding e JOIN datasets_image i ON "
        "i.id ="
        f" e.image_id WHERE e.encoder_id = {encoder.pk} AND i.dataset_id = {dataset.pk} ORDER BY e.image_id)"
        " TO STDOUT (FORMAT BINARY)"
    )

    def read() -> None:
        with connection.cursor() as cursor, cursor.copy(query) as copy:
            for _block in copy:
                pass

    return timed(read)[0]


def measure(count: int) -> dict[str, float]:
    """Run all steps in order and return the figures."""
    from django.db import connection

    from mekiki.accounts.models import User
    from mekiki.datasets.services import create_dataset
    from mekiki.learning.models import Embedding
    from mekiki.learning.services import register_encoder
    from workers import embeddings

    user = User.objects.create_user("benchmark", may_create_datasets=True)
    dataset = create_dataset(name="Benchmark", user=user)
    encoder = register_encoder(name="random", digest="0" * 64, precision="fp32", dim=DIM, logit_scale=100.0)
    ids = images(dataset, count)
    late = int(ids[count // 3])  # this image's vector is stored last
    figures: dict[str, float] = {"embeddings": count}
    figures["store_s"] = store(encoder, ids[ids != late], 0)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    figures["floor_s"] = floor(encoder, dataset)
    figures["first_load_s"], mirror = timed(lambda: embeddings.load_mirror(encoder, dataset))
    figures["warm_load_s"] = statistics.median(
        timed(lambda: embeddings.load_mirror(encoder, dataset))[0] for _ in range(5)
    )
    done = subprocess.run([sys.executable, "-c", AGAIN], capture_output=True, text=True, check=True)
    figures["fresh_process_s"] = float(done.stdout.split()[0])
    os.utime(embeddings.mirror_folder(encoder, dataset) / "vectors")
    figures["check_s"], _ = timed(lambda: embeddings.load_mirror(encoder, dataset))
    store(encoder, images(dataset, 1000), 1)
    figures["increment_s"], mirror = timed(lambda: embeddings.load_mirror(encoder, dataset))
    Embedding.objects.filter(encoder=encoder, image_id=int(ids[count // 2])).delete()
    import numpy as np

    store(encoder, np.array([late]), 2)
    figures["behind_s"], mirror = timed(lambda: embeddings.load_mirror(encoder, dataset))
    if len(mirror) != count + 999 or late not in mirror.ids or int(ids[count // 2]) in mirror.ids:
        raise SystemExit(f"The mirror holds {len(mirror)} rows, not {count + 999}.")
    return {name: round(value, 3) for name, value in figures.items()}


def main() -> None:
    """Set up, measure, print, clean up."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="50,000 rows instead of 1,000,000")
    parser.add_argument("--embeddings", type=int, default=0, help="how many")
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    count = arguments.embeddings or (50_000 if arguments.quick else 1_000_000)

    with fresh_platform():
        figures = measure(count)
    report(figures, arguments.json)


if __name__ == "__main__":
    main()
