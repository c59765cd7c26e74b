"""Messages of learning: reasons for a promotion, logs of trainings, repeated trainings, and searches."""

from mekiki.learning.messages.embedding import KILLS_WORKER
from mekiki.learning.messages.promotion import REASONS
from mekiki.learning.messages.repeating import OBSTACLES, REPETITIONS
from mekiki.learning.messages.searches import SEARCHES
from mekiki.learning.messages.training import TRAINING_LOG

__all__ = ["KILLS_WORKER", "OBSTACLES", "REASONS", "REPETITIONS", "SEARCHES", "TRAINING_LOG"]
