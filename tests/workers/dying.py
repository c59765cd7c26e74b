"""Jobs in processes that die when they decode a poisoned file, or that compute deviating vectors."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.memory_limit import MemoryLimit

POISON = b"a decoder dies of this"


def do_job_and_die_of_poison(job: str, kind: str, memory: MemoryLimit | None) -> None:
    """Do an import or an encoding, and die by SIGKILL, or of the memory limit, at the poison."""
    from mekiki.datasets.importing import pictures
    from workers.encoders.encoder import Encoder
    from workers.runner import run_job

    if memory is not None:
        memory.join()

    def deadly(function: Callable[..., Any], content_of: Callable[..., bytes]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            if POISON in content_of(arguments):
                if memory is None:
                    os.kill(os.getpid(), signal.SIGKILL)
                held = []
                while True:
                    held.append(b"x" * 2**24)
            return function(*arguments, **options)

        return call

    def content_of(arguments: tuple[Any, ...]) -> bytes:
        """Return the content of a file. The pictures of the probe come as pictures, not as files."""
        return Path(arguments[1]).read_bytes() if isinstance(arguments[1], str | Path) else b""

    pictures.read_picture = deadly(pictures.read_picture, lambda arguments: arguments[0])
    if kind == "encode":
        Encoder.prepared_with_detail = deadly(Encoder.prepared_with_detail, content_of)  # type: ignore[method-assign]
    run_job(job)


def do_job_with_noise(job: str, host: str, noise: float, outcome: Path) -> None:
    """Do a job on a machine of this name, whose vectors differ by noise. Write its outcome to a file."""
    from workers import runner
    from workers.encoders.encoder import Encoder
    from workers.steps import probing

    runner.host = probing.host = lambda: host  # type: ignore[assignment]
    exact = Encoder.embed_pixels

    def disturbed(self: Encoder, pixels: Any) -> Any:
        vectors = exact(self, pixels)
        vectors = vectors + np.random.default_rng(5).normal(0, noise, vectors.shape).astype("f4")
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    if noise:
        Encoder.embed_pixels = disturbed  # type: ignore[method-assign]
    outcome.write_text(runner.run_job(job))
