"""Why an answer or an undo was not taken: a code for programs, a sentence for people."""


class ReviewError(Exception):
    """The state forbids it (409). `message` says what happened, what was kept, and what to do next."""

    status = 409

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class UnknownHereError(ReviewError):
    """The item, lease or label does not exist for this reviewer (404)."""

    status = 404


class InvalidAnswerError(ReviewError):
    """The answer itself makes no sense, whatever the state (422)."""

    status = 422
