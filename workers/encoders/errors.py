"""What can go wrong, in sentences a person can act on."""


class _Coded(Exception):
    """The message is English and complete; ``code`` and ``details`` let a page say the same in another language."""

    def __init__(self, message: str, code: str, **details: str) -> None:
        super().__init__(message)
        self.code = code
        self.details = details


class EncoderError(_Coded):
    """An encoder could not be loaded or used; the message says why and what to do.

    Codes: `packages_missing`, `no_gpu`, `no_memory`, `unknown_name`, `unknown_weights`, `no_folder`,
    `not_a_model`, `damaged` (the bundled weights), `load_failed`, `run_failed`, `preprocessing`.
    """


class PictureError(_Coded):
    """One image could not be read; the message says why.

    Codes: `missing`, `too_many_pixels`, `not_an_image`, `damaged`.
    """
