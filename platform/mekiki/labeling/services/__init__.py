"""The acts on labels and prompts. Each act is one transaction under a lock of the dataset's row."""

from mekiki.labeling.services.copying import copy_schema
from mekiki.labeling.services.labels import add_label, archive_label, restore_label, update_label
from mekiki.labeling.services.prompts import prompts_digest, save_prompts
from mekiki.labeling.services.schema import LabelSpec, set_schema

__all__ = [
    "LabelSpec",
    "add_label",
    "archive_label",
    "copy_schema",
    "prompts_digest",
    "restore_label",
    "save_prompts",
    "set_schema",
    "update_label",
]
