"""The acts on labels and prompts. Each act is one transaction under a lock of the dataset's row."""

from mekiki.labeling.services.copying import copy_schema
from mekiki.labeling.services.drafts import discard_draft, save_draft, save_draft_as_version
from mekiki.labeling.services.labels import add_label, archive_label, restore_label, update_label
from mekiki.labeling.services.prompts import prompts_digest, prompts_taken_from, save_prompts, use_prompt_set
from mekiki.labeling.services.reorganising import merge_label, split_label
from mekiki.labeling.services.schema import LabelSpec, set_schema
from mekiki.labeling.services.starting import apply_starter

__all__ = [
    "LabelSpec",
    "add_label",
    "apply_starter",
    "archive_label",
    "copy_schema",
    "discard_draft",
    "merge_label",
    "prompts_digest",
    "prompts_taken_from",
    "restore_label",
    "save_draft",
    "save_draft_as_version",
    "save_prompts",
    "set_schema",
    "split_label",
    "update_label",
    "use_prompt_set",
]
