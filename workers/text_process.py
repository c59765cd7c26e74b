"""An encoder in a child process: `python -m workers.text_process NAME FOLDER`.

The parent is the search worker. NAME is the encoder, FOLDER the folder of downloaded encoders. Each process
has one encoder; ending the process frees all its memory. It does not use Django. Input and output are lines
of JSON. The first output line is {"digest", "dim", "probe"} or {"error"}. An input line is one of these:

- a text. The answer is {"vector"}, or {"count", "most"} if the text does not fit the context.
- a list of texts. The answer is {"vectors", "counts", "most"}: the vectors, the numbers of tokens, and the
  number that fits. A text that does not fit is read to the end of the context, as for a class embedding.
- {"heat_map": {"file", "direction", "seconds"}}: the path of an image, the direction of the lead (d numbers)
  and the budget. While it is computed, lines {"done", "total"} may come. After each line the process waits:
  the parent can send texts, which are answered at once, and then sends null, so that the map goes on. The
  answer is {"values", "method", "view", "lead", "blurred_lead", "energy"}, or {"too_slow": seconds for one
  image}, or {"unreadable": reason}. "energy" is null if the image cannot be decoded at its native size.

Any answer can be {"error"}.
"""

import contextlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workers.encoders import Encoder

Write = Callable[..., None]


def main() -> None:
    """Load the encoder, then answer until the input ends."""
    # The output of libraries must not mix with the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def write_answer(**facts: object) -> None:
        answers.write(json.dumps(facts) + "\n")
        answers.flush()

    from workers.encoders import EncoderError, load_encoder
    from workers.encoders.probing import probe_texts

    try:
        encoder = load_encoder(sys.argv[1], device="cpu", cache_dir=Path(sys.argv[2]))
        probe = probe_texts(encoder).tolist()
    except (EncoderError, MemoryError) as error:
        write_answer(error=str(error) or type(error).__name__)
        return
    write_answer(digest=encoder.digest, dim=encoder.dim, probe=probe)
    answer_until(encoder, write_answer, "")


def answer_until(encoder: "Encoder", write: Write, end: str) -> None:
    """Answer the lines of the input until it ends, or until the line `end`."""
    from workers.encoders import EncoderError

    for line in iter(sys.stdin.readline, ""):
        if line.strip() == end:
            return
        try:
            write(**_answer(encoder, json.loads(line), write))
        except (EncoderError, MemoryError) as error:
            write(error=str(error) or type(error).__name__)


def _answer(encoder: "Encoder", request: Any, write: Write) -> dict[str, Any]:
    if isinstance(request, dict):
        return _heat_map(encoder, request["heat_map"], write)
    if isinstance(request, list):
        return {
            "vectors": encoder.encode_texts(request).tolist() if request else [],
            "counts": encoder.count_tokens(request),
            "most": encoder.context_length,
        }
    (count,) = encoder.count_tokens([request])
    if count > encoder.context_length:
        return {"count": count, "most": encoder.context_length}
    return {"vector": encoder.encode_texts([request])[0].tolist()}


def _heat_map(encoder: "Encoder", request: dict[str, Any], write: Write) -> dict[str, Any]:
    import numpy as np

    from workers.encoders import PictureError
    from workers.encoders.decode import open_picture
    from workers.encoders.energy_map import energy_map
    from workers.encoders.heat_map import TooSlowError, draw

    def give_way(done: int, total: int) -> None:
        write(done=done, total=total)
        answer_until(encoder, write, "null")

    try:
        made = draw(
            encoder,
            request["file"],
            np.asarray(request["direction"], np.float32),
            seconds=request["seconds"],
            progress=give_way,
        )
    except TooSlowError as error:
        return {"too_slow": error.seconds}
    except PictureError as error:
        return {"unreadable": str(error)}
    energy = None
    with contextlib.suppress(PictureError), open_picture(request["file"], side=None) as image:
        energy = energy_map(image).tolist()
    return {
        "values": made.values.tolist(),
        "method": made.method,
        "view": list(made.view),
        "lead": made.lead,
        "blurred_lead": made.blurred_lead,
        "energy": energy,
    }


if __name__ == "__main__":
    main()
