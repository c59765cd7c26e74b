"""What can go wrong, in sentences a person can act on."""


class EncoderError(Exception):
    """An encoder could not be loaded or used; the message says why and what to do."""


class PictureError(Exception):
    """One image could not be read; the message says why."""
