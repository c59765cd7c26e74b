"""All writes to encoders, embeddings, heads, predictions, evaluations, training runs and schedules."""

from mekiki.learning.services.choosing import chosen_with, obstacle, use_head
from mekiki.learning.services.embeddings import (
    encoding_key,
    forget_vectors,
    record_encoding_problems,
    register_encoder,
    request_encoding,
    store_embeddings,
)
from mekiki.learning.services.encoder_changes import (
    cancel_change,
    request_change,
    request_switch,
    request_take_back,
    settle_all,
    take_back_obstacle,
)
from mekiki.learning.services.encoder_probes import (
    record_long_prompts,
    record_probe,
    report_difference,
    withdraw_difference,
)
from mekiki.learning.services.encoder_steps import (
    begin_platform_switch,
    change_is_ready,
    record_new_encoder,
    resume_change,
    suspend_change,
    switch_over,
)
from mekiki.learning.services.encoder_upkeep import (
    record_removal,
    removal_obstacle,
    remove_embeddings,
    report_worker,
    request_removal,
)
from mekiki.learning.services.heads import (
    decisions_digest,
    next_version,
    promote,
    record_evaluation,
    record_head,
    seed_for,
)
from mekiki.learning.services.predictions import (
    drop_replaced_predictions,
    index_predictions,
    open_predictions,
    store_predictions,
)
from mekiki.learning.services.repeating import record_verification, request_verification
from mekiki.learning.services.training import (
    finish_run,
    request_scheduled_training,
    request_training,
    run_of,
    set_retraining,
    set_schedule,
    write_log,
)

__all__ = [
    "begin_platform_switch",
    "cancel_change",
    "change_is_ready",
    "chosen_with",
    "decisions_digest",
    "drop_replaced_predictions",
    "encoding_key",
    "finish_run",
    "forget_vectors",
    "index_predictions",
    "next_version",
    "obstacle",
    "open_predictions",
    "promote",
    "record_encoding_problems",
    "record_evaluation",
    "record_head",
    "record_long_prompts",
    "record_new_encoder",
    "record_probe",
    "record_removal",
    "record_verification",
    "register_encoder",
    "removal_obstacle",
    "remove_embeddings",
    "report_difference",
    "report_worker",
    "request_change",
    "request_encoding",
    "request_removal",
    "request_scheduled_training",
    "request_switch",
    "request_take_back",
    "request_training",
    "request_verification",
    "resume_change",
    "run_of",
    "seed_for",
    "set_retraining",
    "set_schedule",
    "settle_all",
    "store_embeddings",
    "store_predictions",
    "suspend_change",
    "switch_over",
    "take_back_obstacle",
    "use_head",
    "withdraw_difference",
    "write_log",
]
