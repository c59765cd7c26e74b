"""The tokenizer of a model, and the number of tokens of a text before truncation.

open_clip's tokenizers truncate silently. CLIP's BPE keeps the first `context - 1` tokens and adds the end
token; Hugging Face tokenizers (SigLIP's sentencepiece, XLM-R, …) truncate to `max_length`. The count
therefore takes all tokens from the inner tokenizer, start and end tokens included.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from .errors import EncoderError
from .importing import import_transformers

# The tokens of these texts distinguish tokenizers and are part of an encoder's identity (see identity.py).
PROBES = ("a photo of a scratched steel plate", "Crack!", "金属表面の傷", "良品", "42 mm")


def tokenizer(text: dict[str, Any], folder: Path | None, *, name: str) -> Any:
    """Return open_clip's tokenizer for a `text_cfg`, from local files only.

    Raises EncoderError.
    """
    from open_clip.tokenizer import DEFAULT_CONTEXT_LENGTH, HFTokenizer, SimpleTokenizer

    length = int(text.get("context_length", DEFAULT_CONTEXT_LENGTH))
    options = dict(text.get("tokenizer_kwargs") or {})
    try:
        if folder is None:
            made = SimpleTokenizer(context_length=length, **options)
        else:
            import_transformers()
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
        # transformers raises OSError, ValueError, KeyError, TypeError, bare Exception from its Rust part, …
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


def token_counter(made: Any) -> Callable[[str], int]:
    """Return a function that counts the tokens of a text before truncation by the given tokenizer."""
    if hasattr(made, "encode"):  # CLIP's BPE: start and end tokens are added
        return lambda text: len(made.encode(text)) + 2
    clean = getattr(made, "clean_fn", None) or (lambda text: text)
    inner = made.tokenizer
    if getattr(made, "tokenizer_mode", ""):  # start, end and class tokens are added
        return lambda text: len(inner(clean(text), add_special_tokens=False, truncation=False).input_ids) + 3
    return lambda text: len(inner(clean(text), truncation=False).input_ids)
