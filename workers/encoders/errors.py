"""Errors of encoders and images, with messages that tell the user what to do."""

import contextlib
from collections.abc import Iterator

# Error codes and their meaning. workers/messages.py has the translated sentences; a test compares the
# two.
ENCODER_CODES = {
    "packages_missing": "the packages that run encoders are not installed (reason)",
    "no_gpu": "a GPU was asked for and there is none",
    "no_memory": "too little memory to load it (name, needed, free; in MB, empty when unknown)",
    "no_gpu_memory": "the same on the GPU (name, needed, free)",
    "no_disk": "too little disk to download it (name, needed, free, folder)",
    "no_network": "the hub cannot be reached and the files are not here (name, host)",
    "download_failed": "the hub answered, but not with the file (name, reason)",
    "download_damaged": "what was downloaded is not what the hub announced (name, file)",
    "no_access": "the hub refuses this model without an accepted licence or a token (name)",
    "unknown_name": "no such architecture (name, near: names like it)",
    "unknown_weights": "no such weights of this architecture (name, architecture, known)",
    "unknown_model": "the hub has no such model (name)",
    "unknown_variant": "no such variant (name, variant)",
    "no_folder": "no such folder on the machine of the workers (folder)",
    "not_a_model": "the folder, or the model of the hub, has no open_clip_config.json (folder)",
    "no_weights": "there is a configuration and no weights (folder)",
    "bad_config": "the configuration cannot be one of an open_clip model (reason)",
    "damaged": "the file of weights is damaged or cut short (file)",
    "unsafe": "the file of weights wants to run code; only tensors are read (file)",
    "wrong_architecture": "the weights do not fit the configuration (file, reason)",
    "no_tokenizer": "the files of the tokenizer are missing or cannot be read (name, reason)",
    "preprocessing": "the model prepares images in a way this version does not know",
    "variant_failed": "the ONNX form of the image tower could not be made (name, reason)",
    "variant_differs": "the ONNX form gives other vectors than the original (name, cosine, smallest)",
    "variant_overflows": "the 8-bit form overflows on some processors (name, layer)",
    "unusable": "what it computes from known pictures and sentences is no unit vector (name)",
    "differs_here": "this machine computes other vectors than those on record (name, host, cosine, least)",
    "load_failed": "anything else that stopped loading (name, reason)",
    "run_failed": "the network failed while embedding (reason)",
}


class _Coded(Exception):
    """Base class of errors with a code.

    The message is English and complete. With ``code`` and ``details``, a page can show it in another
    language.
    """

    def __init__(self, message: str, code: str, **details: str) -> None:
        super().__init__(message)
        self.code = code
        self.details = details


class EncoderError(_Coded):
    """An encoder could not be loaded or used.

    The message says why and what to do. The codes are in ENCODER_CODES.
    """


class OtherVectorsError(EncoderError):
    """This machine computes other vectors than those on record.

    It must not embed. Another machine may.
    """


class PictureError(_Coded):
    """One image could not be read. The message says why.

    Codes: `missing`, `too_many_pixels`, `too_much_memory`, `not_an_image`, `damaged`.
    """


@contextlib.contextmanager
def wrap_encoder_errors(act: str) -> Iterator[None]:
    """Convert failures of a network to EncoderError."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        raise EncoderError(
            f"The encoder failed while {act}: {error}", "run_failed", reason=str(error)[:500]
        ) from error
