"""Every write to encoders, embeddings, heads, predictions, evaluations, training runs and schedules."""

from mekiki.learning.services.choosing import chosen_with, obstacle, use_head
from mekiki.learning.services.embeddings import (
    encoding_key,
    record_encoding_problems,
    register_encoder,
    request_encoding,
    store_embeddings,
)
from mekiki.learning.services.heads import (
    decisions_digest,
    drop_replaced_predictions,
    next_version,
    promote,
    record_evaluation,
    record_head,
    seed_for,
    store_predictions,
)
from mekiki.learning.services.training import (
    finish_run,
    request_training,
    run_of,
    set_schedule,
)

__all__ = [
    "chosen_with",
    "decisions_digest",
    "drop_replaced_predictions",
    "encoding_key",
    "finish_run",
    "next_version",
    "obstacle",
    "promote",
    "record_encoding_problems",
    "record_evaluation",
    "record_head",
    "register_encoder",
    "request_encoding",
    "request_training",
    "run_of",
    "seed_for",
    "set_schedule",
    "store_embeddings",
    "store_predictions",
    "use_head",
]
