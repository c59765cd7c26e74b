"""The kinds of jobs. This module can be imported before Django is set up."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class Kind(models.TextChoices):
    """The kinds of jobs. Each kind is the Celery task workers.tasks.<kind>."""

    IMPORT_IMAGES = "import_images", _("Import images")
    ENCODE = "encode", _("Compute embeddings")
    PREDICT = "predict", _("Predict by prompts")
    TRAIN = "train", _("Retrain")
    REFILL = "refill", _("Choose the next images")
    FREEZE = "freeze", _("Freeze label set")
    CHANGE_ENCODER = "change_encoder", _("Change the encoder")
    REMOVE_EMBEDDINGS = "remove_embeddings", _("Remove embeddings")
    INDEX = "index", _("Build the search index")
    VERIFY_HEAD = "verify_head", _("Repeat a training")
    SEAL = "seal", _("Seal events and answers")
    CHECK_SEALS = "check_seals", _("Check the seals")
    REBUILD_PICTURES = "rebuild_pictures", _("Make display pictures again")
    CERTIFY = "certify", _("Certify labels set by machine")
    PLAN_CERTIFICATE = "plan_certificate", _("Plan a certificate")
    UNDO_IMPORT = "undo_import", _("Take an import back")
    WATCH_FOLDER = "watch_folder", _("Scan a watched folder")
    AGREEMENT = "agreement", _("Compute the agreement of a study")
    PURGE = "purge", _("Delete the files of a dataset")
    BULK_ACT = "bulk_act", _("Act on many images")
    NEAR_DUPLICATES = "near_duplicates", _("Group near-duplicates")
    TYPE_METADATA = "type_metadata", _("Read the types of metadata")
