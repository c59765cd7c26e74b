"""The tokenizer a model wants, and how many tokens a text has before anything is cut.

open_clip's tokenizers cut without a word: CLIP's BPE keeps the first `context - 1` tokens and puts the end mark after
them; Hugging Face tokenizers (SigLIP's sentencepiece, XLM-R, …) cut to `max_length`. Counting therefore asks the
tokenizer inside for all tokens, marks of start and end included.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from .errors import EncoderError

# What these become tells one tokenizer from another: they are part of an encoder's identity (see identity.py).
PROBES = ("a photo of a scratched steel plate", "Crack!", "金属表面の傷", "良品", "42 mm")


def tokenizer(text: dict[str, Any], folder: Path | None, *, name: str) -> Any:
    """open_clip's tokenizer for a `text_cfg`, from local files only. Raises: EncoderError."""
    from open_clip.tokenizer import DEFAULT_CONTEXT_LENGTH, HFTokenizer, SimpleTokenizer

    length = int(text.get("context_length", DEFAULT_CONTEXT_LENGTH))
    options = dict(text.get("tokenizer_kwargs") or {})
    try:
        if folder is None:
            made = SimpleTokenizer(context_length=length, **options)
        else:
            made = HFTokenizer(
                str(folder),
                context_length=length,
                tokenizer_mode=text.get("tokenizer_mode"),
                trust_remote_code=False,
                local_files_only=True,
                **options,
            )
        made(["a"])
    except EncoderError:
        raise
    except Exception as error:
        # transformers raises OSError, ValueError, KeyError, TypeError, bare Exception from its Rust half, …
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
        if "trust_remote_code" in str(error):
            raise EncoderError(
                f"The tokenizer in «{folder}» wants to run code of its own, which is not allowed.",
                "unsafe",
                file=str(folder),
            ) from error
        raise EncoderError(
            f"The tokenizer of «{name}» cannot be used: {reason}", "no_tokenizer", name=name, reason=reason
        ) from error
    return made


def counter(made: Any) -> Callable[[str], int]:
    """A function that counts the tokens of a text before truncation, for the tokenizer given."""
    if hasattr(made, "encode"):  # CLIP's own BPE; start and end are added on top
        return lambda text: len(made.encode(text)) + 2
    clean = getattr(made, "clean_fn", None) or (lambda text: text)
    inner = made.tokenizer
    if getattr(made, "tokenizer_mode", ""):  # its own start, end and class marks
        return lambda text: len(inner(clean(text), add_special_tokens=False, truncation=False).input_ids) + 3
    return lambda text: len(inner(clean(text), truncation=False).input_ids)
