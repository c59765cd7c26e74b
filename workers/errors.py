"""What a stage raises when it cannot go on for a reason a person can mend."""


class StageError(Exception):
    """The job ends as failed with this sentence: what happened, what was kept, what to do next."""
