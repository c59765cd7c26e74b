"""Reads texts for search: `python -m workers.text_process NAME FOLDER`, a child of the search worker.

FOLDER is where downloaded encoders are kept. One encoder, one process, which can be ended to give all its memory back. A line of JSON (a text) comes in, a line
of JSON goes out: first {"digest", "dim", "probe"} or {"error"}, then for each text {"vector"}, {"count", "most"} when it
does not fit the context, or {"error"}. Without Django.
"""

import json
import os
import sys
from pathlib import Path


def main() -> None:
    """Load, then answer until the input ends."""
    # What libraries print must not mix with the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(**facts: object) -> None:
        answers.write(json.dumps(facts) + "\n")
        answers.flush()

    from workers.encoders import EncoderError, load_encoder
    from workers.encoders.probing import probe_texts

    try:
        encoder = load_encoder(sys.argv[1], device="cpu", cache_dir=Path(sys.argv[2]))
        probe = probe_texts(encoder).tolist()
    except (EncoderError, MemoryError) as error:
        say(error=str(error) or type(error).__name__)
        return
    say(digest=encoder.digest, dim=encoder.dim, probe=probe)
    for line in sys.stdin:
        text = json.loads(line)
        try:
            (count,) = encoder.count_tokens([text])
            if count > encoder.context_length:
                say(count=count, most=encoder.context_length)
            else:
                say(vector=encoder.encode_texts([text])[0].tolist())
        except (EncoderError, MemoryError) as error:
            say(error=str(error) or type(error).__name__)


if __name__ == "__main__":
    main()
