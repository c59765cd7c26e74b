"""All writes to encoders, embeddings, heads, predictions, evaluations, training runs and schedules."""

from mekiki.learning.services.choosing import is_manual_choice_for, promotion_obstacle, request_promotion
from mekiki.learning.services.embeddings import (
    delete_derived_data,
    encoding_key,
    record_encoding_problems,
    register_encoder,
    request_encoding,
    store_embeddings,
)
from mekiki.learning.services.encoder_changes import (
    cancel_change,
    record_all_lost_jobs,
    request_change,
    request_revert,
    request_switch,
    revert_obstacle,
)
from mekiki.learning.services.encoder_probes import (
    record_long_prompts,
    record_probe,
    report_difference,
    withdraw_difference,
)
from mekiki.learning.services.encoder_steps import (
    begin_platform_switch,
    mark_change_ready,
    record_new_encoder,
    record_step_failure,
    resume_change,
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
    get_or_create_run,
    request_scheduled_training,
    request_training,
    set_retraining,
    set_schedule,
    start_training,
    write_log,
)

__all__ = [
    "begin_platform_switch",
    "cancel_change",
    "decisions_digest",
    "delete_derived_data",
    "drop_replaced_predictions",
    "encoding_key",
    "finish_run",
    "get_or_create_run",
    "index_predictions",
    "is_manual_choice_for",
    "mark_change_ready",
    "next_version",
    "open_predictions",
    "promote",
    "promotion_obstacle",
    "record_all_lost_jobs",
    "record_encoding_problems",
    "record_evaluation",
    "record_head",
    "record_long_prompts",
    "record_new_encoder",
    "record_probe",
    "record_removal",
    "record_step_failure",
    "record_verification",
    "register_encoder",
    "removal_obstacle",
    "remove_embeddings",
    "report_difference",
    "report_worker",
    "request_change",
    "request_encoding",
    "request_promotion",
    "request_removal",
    "request_revert",
    "request_scheduled_training",
    "request_switch",
    "request_training",
    "request_verification",
    "resume_change",
    "revert_obstacle",
    "seed_for",
    "set_retraining",
    "set_schedule",
    "start_training",
    "store_embeddings",
    "store_predictions",
    "switch_over",
    "withdraw_difference",
    "write_log",
]
