"""Which encoders a person may choose in the browser or over the API.

An admin of a dataset is not the operator of the machine. A `local-dir:` is read by a worker with the rights of the
service, so only folders are taken that the operator has put aside for models; whether anything may be downloaded,
and from where, is the operator's choice too (MEKIKI_MODEL_FOLDERS, MEKIKI_ENCODER_SOURCES).
"""

import os
from pathlib import PurePosixPath

from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from mekiki.learning.encoder_catalogue import EncoderName, parse_encoder_name


def checked_encoder(text: str) -> EncoderName:
    """The name, well formed and allowed on this machine. Whether there is such an encoder is found out by loading it.

    ValidationError says what is wrong. It is the same for a folder that exists and one that does not: nothing outside
    the folders for models is looked at.
    """
    name = parse_encoder_name(text)
    if name.kind == "folder" and not _is_model_folder(name.base.removeprefix("local-dir:")):
        raise ValidationError(
            _(
                "This folder may not be read. Model folders lie in %(folders)s; the operator of the machine can put "
                "the model there, or allow another folder (MEKIKI_MODEL_FOLDERS)."
            )
            % {"folders": ", ".join(map(str, settings.MODEL_FOLDERS))},
            code="folder_not_allowed",
        )
    if name.kind in {"registry", "hub"} and name.kind not in settings.ENCODER_SOURCES:
        raise ValidationError(
            _(
                "This machine does not download encoders from there (MEKIKI_ENCODER_SOURCES). Choose “pocket” or a "
                "model folder, or ask the operator of the machine."
            ),
            code="source_not_allowed",
        )
    return name


def folder_names() -> list[str]:
    """The model folders that lie ready: `local-dir:` names of each folder with an open_clip_config.json."""
    names = []
    for root in settings.MODEL_FOLDERS:
        try:
            folders = sorted(root.iterdir()) if root.is_dir() else []
        except OSError:  # a folder the web server's user may not list
            continue
        names += [f"local-dir:{folder}" for folder in folders if (folder / "open_clip_config.json").is_file()]
    return names


def _is_model_folder(path: str) -> bool:
    # Links that the operator put into such a folder are followed; “..” and the like are resolved before anything is.
    asked = PurePosixPath(os.path.normpath(path))
    return any(asked.is_relative_to(os.path.normpath(root)) for root in settings.MODEL_FOLDERS)
