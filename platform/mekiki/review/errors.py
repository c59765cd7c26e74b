"""Errors for answers and undos that were refused, with a code for programs and a sentence for people."""


class ReviewError(Exception):
    """Raised if the present state forbids the act (HTTP 409).

    `message` explains what happened, what was kept, and what to do next.
    """

    status = 409

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class NotFoundForReviewerError(ReviewError):
    """Raised if the item, lease or label does not exist for this reviewer (HTTP 404)."""

    status = 404


class InvalidAnswerError(ReviewError):
    """Raised if the answer is invalid in any state (HTTP 422)."""

    status = 422
