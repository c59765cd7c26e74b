"""Checks of the encoder names that a user may choose in the browser or over the API.

An admin of a dataset is not the operator of the machine. A worker reads a `local-dir:` with the rights of the
service. So only folders that the operator has reserved for models are allowed (MEKIKI_MODEL_FOLDERS). The
operator also decides whether and from where encoders are downloaded (MEKIKI_ENCODER_SOURCES).
"""

import os
from pathlib import PurePosixPath

from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from mekiki.learning.encoder_catalogue import EncoderName, parse_encoder_name


def checked_encoder(text: str) -> EncoderName:
    """Return the parsed name if it is well formed and allowed on this machine.

    Whether the encoder exists is known only when a worker loads it. Raises ValidationError with the reason.
    The error does not depend on whether a folder exists: nothing outside the model folders is read.
    """
    name = parse_encoder_name(text)
    if name.kind == "folder" and not _is_model_folder(name.base.removeprefix("local-dir:")):
        raise ValidationError(
            _(
                "This folder may not be read. Model folders are in %(folders)s. The operator of the "
                "machine can put the model there, or allow another folder (MEKIKI_MODEL_FOLDERS)."
            )
            % {"folders": ", ".join(map(str, settings.MODEL_FOLDERS))},
            code="folder_not_allowed",
        )
    if name.kind in {"registry", "hub"} and name.kind not in settings.ENCODER_SOURCES:
        raise ValidationError(
            _(
                "This machine does not download encoders from there (MEKIKI_ENCODER_SOURCES). Choose "
                "“pocket” or a model folder, or ask the operator of the machine."
            ),
            code="source_not_allowed",
        )
    return name


def folder_names() -> list[str]:
    """Return the `local-dir:` names of all model folders that contain an open_clip_config.json."""
    names = []
    for root in settings.MODEL_FOLDERS:
        try:
            folders = sorted(root.iterdir()) if root.is_dir() else []
        except OSError:  # the web server's user may not list this folder
            continue
        names += [f"local-dir:{folder}" for folder in folders if (folder / "open_clip_config.json").is_file()]
    return names


def _is_model_folder(path: str) -> bool:
    # Links that the operator put into a model folder are allowed. “..” is resolved before the comparison.
    asked = PurePosixPath(os.path.normpath(path))
    return any(asked.is_relative_to(os.path.normpath(root)) for root in settings.MODEL_FOLDERS)
