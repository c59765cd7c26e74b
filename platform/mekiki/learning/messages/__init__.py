"""Messages of learning: promotions, trainings, repeated trainings, searches, explanations and trials."""

from mekiki.learning.messages.embedding import KILLS_WORKER
from mekiki.learning.messages.explanations import EXPLANATIONS
from mekiki.learning.messages.promotion import REASONS
from mekiki.learning.messages.repeating import OBSTACLES, REPETITIONS
from mekiki.learning.messages.searches import SEARCHES
from mekiki.learning.messages.training import TRAINING_LOG
from mekiki.learning.messages.trials import TRIALS

__all__ = [
    "EXPLANATIONS",
    "KILLS_WORKER",
    "OBSTACLES",
    "REASONS",
    "REPETITIONS",
    "SEARCHES",
    "TRAINING_LOG",
    "TRIALS",
]
