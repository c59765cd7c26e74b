"""Explanations that need the encoder: vectors of single prompts, and heat maps.

The search worker computes them, by the encoder in its child process.
"""

import contextlib
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mekiki.datasets import storage
from mekiki.datasets.models import Image
from mekiki.learning.explaining.heat_maps import (
    record_heat_map,
    record_heat_map_problem,
    record_heat_map_progress,
    waiting_heat_map,
)
from mekiki.learning.explaining.prompts import record_prompt_problem, record_prompt_vectors, waiting_prompts
from mekiki.learning.explaining.requests import Problem
from mekiki.learning.models import Encoder, HeatMap
from mekiki.learning.search.texts import waiting_text_ids
from workers.heads.serial import MalformedHead, load_head
from workers.steps.texts import (
    OtherEncoderError,
    ReaderError,
    TextEncoderProcess,
    ask_encoder,
    embed_search_text,
    search_reader,
)

# Seconds that a heat map may take on an idle machine. A map is coarser with an encoder that is slow.
BUDGET = 8.0
PROGRESS_EVERY = 0.25  # seconds between two writes of the progress


def embed_single_prompts(
    encoder_id: int, prompt_ids: Sequence[int], reader: TextEncoderProcess | None = None
) -> str:
    """Store the vectors of prompts, or the reason why there are none; return "" if nothing is to do."""
    rows = waiting_prompts(encoder_id, prompt_ids)
    if not rows:
        return ""
    try:
        texts = [row.prompt.text for row in rows]
        reply = ask_encoder(reader or search_reader(), rows[0].encoder, texts)
    except ReaderError as error:
        record_prompt_problem(rows=rows, problem=Problem.NOT_LOADED, reason=str(error)[:500])
        return Problem.NOT_LOADED
    except OtherEncoderError as error:
        record_prompt_problem(rows=rows, problem=Problem(error.problem.value))
        return error.problem
    record_prompt_vectors(rows=rows, vectors=reply["vectors"])
    return "found"


def draw_requested_heat_map(heat_map_id: int, reader: TextEncoderProcess | None = None) -> str:
    """Store a heat map, or the reason why there is none; return "" if nothing is to do."""
    row = waiting_heat_map(heat_map_id)
    if row is None:
        return ""
    written = time.monotonic()
    reader = reader or search_reader()

    def report(done: int, total: int) -> None:
        nonlocal written
        # A search of another user waits for one part of the map at most.
        for text_id in waiting_text_ids(row.head.encoder_id):
            embed_search_text(text_id, reader)
        if time.monotonic() - written >= PROGRESS_EVERY:
            written = time.monotonic()
            record_heat_map_progress(row=row, done=done, total=total)

    try:
        direction, bias = lead_of(row)
        with _file_of(row.image) as file:
            request = {"file": str(file), "direction": direction.tolist(), "seconds": BUDGET}
            reply = ask_encoder(reader, row.head.encoder, {"heat_map": request}, progress=report)
    except OSError:
        record_heat_map_problem(row=row, problem=Problem.NO_FILE)
        return Problem.NO_FILE
    except OtherEncoderError as error:
        record_heat_map_problem(row=row, problem=Problem(error.problem.value))
        return error.problem
    except MalformedHead as error:
        record_heat_map_problem(row=row, problem=Problem.FAILED, reason=str(error)[:500])
        return Problem.FAILED
    except ReaderError as error:
        record_heat_map_problem(row=row, problem=Problem.FAILED, reason=str(error)[:500])
        return Problem.FAILED
    if "too_slow" in reply:
        record_heat_map_problem(row=row, problem=Problem.TOO_SLOW, seconds=f"{reply['too_slow']:.1f}")
        return Problem.TOO_SLOW
    if "unreadable" in reply:
        record_heat_map_problem(row=row, problem=Problem.NO_FILE)
        return Problem.NO_FILE
    record_heat_map(
        row=row,
        values=np.asarray(reply["values"], np.float32),
        method=reply["method"],
        view=tuple(reply["view"]),
        lead=reply["lead"] + bias,
        blurred_lead=reply["blurred_lead"] + bias,
        energy=None if reply.get("energy") is None else np.asarray(reply["energy"], np.float32),
    )
    return "found"


def load_in_advance(encoder_id: int, reader: TextEncoderProcess | None = None) -> str:
    """Load an encoder in the child process. Nothing is recorded; a later request reports a failure."""
    encoder = Encoder.objects.filter(pk=encoder_id).first()
    if encoder is None:
        return ""
    try:
        (reader or search_reader()).load(encoder.name)
    except ReaderError:
        return Problem.NOT_LOADED
    return "loaded"


def lead_of(row: HeatMap) -> tuple[NDArray[np.float32], float]:
    """Return the direction (d,) and the constant of the lead of the map's label, in logits.

    The map explains the embedding. The part of a head that reads the local detail is left out: its lead does
    not depend on which part of the image the encoder sees.

    It leads over the runner-up, or over the mean of all other labels. Raises MalformedHead if the head does
    not have the labels.
    """
    head = load_head(bytes(row.head.weights))
    ids = list(row.head.label_ids)
    if row.label_id not in ids or (row.runner_up_id is not None and row.runner_up_id not in ids):
        raise MalformedHead("the head does not have these labels")
    place = ids.index(row.label_id)
    if row.runner_up_id is not None:
        others = [ids.index(row.runner_up_id)]
    else:
        others = [other for other in range(len(ids)) if other != place]
    direction, bias = head.weights[place], float(head.bias[place])
    if others:
        direction, bias = direction - head.weights[others].mean(0), bias - float(head.bias[others].mean())
    direction, detail = direction[: row.head.encoder.dim], direction[row.head.encoder.dim :]
    if len(detail):  # the constant is that of an image with the detail of the mean training image
        bias += head.logit_scale * float(detail @ np.asarray(head.details["detail"]["centre"], np.float32))
    return (direction * np.float32(head.logit_scale)).astype(np.float32), bias


@contextlib.contextmanager
def _file_of(image: Image) -> Iterator[Path]:
    """Yield the path of the file that users see. A file of an object storage is copied for the time.

    Raises OSError if it cannot be read.
    """
    path = storage.picture_path(image)
    if path is not None:
        with path.open("rb"):  # a missing file is reported here
            yield path
        return
    with tempfile.NamedTemporaryFile(prefix="mekiki-image-") as copy, storage.open_picture(image) as source:
        while block := source.read(1 << 20):
            copy.write(block)
        copy.flush()
        yield Path(copy.name)
