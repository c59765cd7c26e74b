"""Translated sentences for encoder errors: code and details → sentence.

workers.encoders does not import Django and raises English sentences with a code (ENCODER_CODES). A job shows
the sentences of this module. Each sentence says what happened and what to do next. Stored results stay, and
the encoder in use keeps serving.
"""

from collections.abc import Mapping
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

SENTENCES: dict[str, str | Promise] = {
    "packages_missing": gettext_lazy(
        "This machine lacks the packages that run encoders (%(reason)s). Install Mekiki with its extra "
        "“workers”."
    ),
    "no_gpu": gettext_lazy(
        "A GPU is required by MEKIKI_DEVICE, but this machine has none. Set MEKIKI_DEVICE to “cpu” "
        "or “auto”, or repair the GPU's driver."
    ),
    "no_memory": gettext_lazy(
        "There is too little memory to load the encoder “%(name)s” (needed: %(needed)s MB, free: %(free)s "
        "MB). Stop other programs, or choose a smaller encoder."
    ),
    "no_gpu_memory": gettext_lazy(
        "The GPU has too little memory for the encoder “%(name)s” (needed: %(needed)s MB, free: %(free)s "
        "MB). Stop other programs that use it, or choose a smaller encoder."
    ),
    "no_disk": gettext_lazy(
        "There is too little free disk space to download the encoder “%(name)s” (needed: %(needed)s "
        "MB, free: %(free)s MB, in %(folder)s). Free some space, then start it again."
    ),
    "no_network": gettext_lazy(
        "The encoder “%(name)s” is not on this machine yet, and %(host)s cannot be reached. Connect the "
        "machine to the internet and start it again: the download goes on from where it was. Or copy the "
        "model here and choose its folder."
    ),
    "download_failed": gettext_lazy(
        "The encoder “%(name)s” could not be downloaded (%(reason)s). Start it again later: what has arrived "
        "is kept."
    ),
    "download_damaged": gettext_lazy(
        "A file of the encoder “%(name)s” arrived damaged twice (%(file)s). Nothing of it was kept; check "
        "the network, then start it again."
    ),
    "no_access": gettext_lazy(
        "The hub gives the encoder “%(name)s” only to people who accepted its licence. Accept it there, and "
        "set HF_TOKEN for the workers."
    ),
    "unknown_name": gettext_lazy(
        "There is no encoder “%(name)s”. Names that look like it: %(near)s. Choose one from the list."
    ),
    "unknown_weights": gettext_lazy(
        "There are no such weights: “%(name)s”. %(architecture)s has these: %(known)s."
    ),
    "unknown_model": gettext_lazy(
        "The hub has no model “%(name)s”, or shows it only with a token. Check how it is written."
    ),
    "unknown_variant": gettext_lazy(
        "There is no variant “+%(variant)s” of an encoder. There are +onnx and +int8."
    ),
    "no_folder": gettext_lazy(
        "The folder “%(folder)s” does not exist on the machine that runs the workers. Copy the model there, "
        "or choose another folder."
    ),
    "not_a_model": gettext_lazy(
        "“%(folder)s” has no open_clip_config.json, so it is not a model saved by open_clip. Choose the "
        "folder that holds this file."
    ),
    "no_weights": gettext_lazy(
        "“%(folder)s” holds a configuration and no weights. Copy open_clip_model.safetensors beside it."
    ),
    "bad_config": gettext_lazy(
        "The configuration of this model cannot be used: %(reason)s. Copy open_clip_config.json again from "
        "the source."
    ),
    "damaged": gettext_lazy(
        "The file of weights “%(file)s” is damaged or incomplete. Copy it again; for “pocket”, install "
        "Mekiki again."
    ),
    "unsafe": gettext_lazy(
        "“%(file)s” would run code when it is read, so it was not read. Save the model as safetensors."
    ),
    "wrong_architecture": gettext_lazy(
        "The weights in “%(file)s” do not belong to the configuration beside them (%(reason)s). Copy both "
        "from the same model."
    ),
    "no_tokenizer": gettext_lazy(
        "The tokenizer of the encoder “%(name)s” is missing or cannot be read (%(reason)s). Copy its files "
        "(tokenizer.json and those beside it) into the folder of the model."
    ),
    "preprocessing": gettext_lazy(
        "This version of open_clip prepares images in a way that Mekiki does not know. Install the versions "
        "Mekiki was tested with."
    ),
    "variant_failed": gettext_lazy(
        "The ONNX form of the encoder “%(name)s” could not be made (%(reason)s). Choose the encoder without "
        "+onnx or +int8."
    ),
    "variant_differs": gettext_lazy(
        "The quick form of the encoder “%(name)s” gives vectors too different from the original's (cosine "
        "%(cosine)s). Choose the encoder without +onnx or +int8."
    ),
    "variant_overflows": gettext_lazy(
        "The 8-bit form of the encoder “%(name)s” would give other vectors on some processors (layer "
        "%(layer)s), so it was not kept. Choose the encoder without +int8."
    ),
    "unusable": gettext_lazy(
        "%(name)s was loaded, but the values it computes from a test picture and a test sentence "
        "cannot be used. Its weights are damaged, or do not belong to its architecture."
    ),
    "differs_here": gettext_lazy(
        "The worker on %(host)s computes different vectors with “%(name)s” than recorded (cosine "
        "%(cosine)s, at least %(least)s is needed), so it embedded nothing. Stored embeddings are "
        "kept, and the work waits for another worker. Compare the processor, the GPU and the "
        "versions of torch and onnxruntime of the workers. Repair or stop this worker, then start it "
        "again."
    ),
    "load_failed": gettext_lazy(
        "The encoder “%(name)s” could not be loaded (%(reason)s). The encoder in use stays."
    ),
    "run_failed": gettext_lazy(
        "The encoder failed while it worked (%(reason)s). What was stored is kept; start it again."
    ),
}


class _Shown(dict[str, str]):
    """Details by name. A missing or empty detail is shown as a dash."""

    def __init__(self, details: Mapping[str, Any]) -> None:
        super().__init__({key: str(value).strip().rstrip(".") or "–" for key, value in details.items()})

    def __missing__(self, key: str) -> str:
        return "–"


def sentence(error: Exception) -> str:
    """Return the sentence for an EncoderError in the reader's language.

    Return the error's own English message if its code is unknown here.
    """
    code = getattr(error, "code", "")
    details = getattr(error, "details", {})
    if code == "no_memory" and not details.get("needed"):
        return _("There is too little memory to load the encoder “%(name)s”. Choose a smaller one.") % _Shown(
            details
        )
    if code == "unknown_name" and not details.get("near"):
        return _("There is no encoder “%(name)s”. Choose one from the list.") % _Shown(details)
    text = SENTENCES.get(code)
    return str(error) if text is None else str(text) % _Shown(details)
