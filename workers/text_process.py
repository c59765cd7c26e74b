"""Embedding of search texts in a child process: `python -m workers.text_process NAME FOLDER`.

The parent is the search worker. NAME is the encoder, FOLDER the folder of downloaded encoders. Each process
has one encoder; ending the process frees all its memory. It does not use Django. Input and output are lines
of JSON. The first output line is {"digest", "dim", "probe"} or {"error"}. Each input line is a text. Its
answer is {"vector"}, {"count", "most"} if the text does not fit the context, or {"error"}.
"""

import json
import os
import sys
from pathlib import Path


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
    for line in sys.stdin:
        text = json.loads(line)
        try:
            (count,) = encoder.count_tokens([text])
            if count > encoder.context_length:
                write_answer(count=count, most=encoder.context_length)
            else:
                write_answer(vector=encoder.encode_texts([text])[0].tolist())
        except (EncoderError, MemoryError) as error:
            write_answer(error=str(error) or type(error).__name__)


if __name__ == "__main__":
    main()
