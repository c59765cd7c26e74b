"""Messages about encoder errors. Each says what happened and what to do next.

workers.encoders does not import Django and raises English sentences with a code (ENCODER_CODES). A job shows
the sentences of this module. Stored results stay, and the encoder in use keeps serving.
"""

from typing import Any

from mekiki.config.messages import Messages, gettext_noop, when


def _detail(value: Any) -> str:
    return str(value).strip().rstrip(".") or "–"


ENCODER_PROBLEMS = Messages("encoder problems", missing="–", default=_detail)
ENCODER_PROBLEMS.add(
    "packages_missing",
    gettext_noop(
        "This machine lacks the packages that run encoders (%(reason)s). Install Mekiki with its extra "
        "“workers”."
    ),
)
ENCODER_PROBLEMS.add(
    "no_gpu",
    gettext_noop(
        "A GPU is required by MEKIKI_DEVICE, but this machine has none. Set MEKIKI_DEVICE to “cpu” or “auto”,"
        " or repair the GPU's driver."
    ),
)
ENCODER_PROBLEMS.add(
    "no_memory",
    when(
        "needed",
        gettext_noop(
            "There is too little memory to load the encoder “%(name)s” (needed: %(needed)s MB, free: "
            "%(free)s MB). Stop other programs, or choose a smaller encoder."
        ),
    ),
    when(
        lambda v: not v.get("needed"),
        gettext_noop("There is too little memory to load the encoder “%(name)s”. Choose a smaller one."),
    ),
)
ENCODER_PROBLEMS.add(
    "no_gpu_memory",
    gettext_noop(
        "The GPU has too little memory for the encoder “%(name)s” (needed: %(needed)s MB, free: %(free)s "
        "MB). Stop other programs that use it, or choose a smaller encoder."
    ),
)
ENCODER_PROBLEMS.add(
    "no_disk",
    gettext_noop(
        "There is too little free disk space to download the encoder “%(name)s” (needed: %(needed)s MB, free:"
        " %(free)s MB, in %(folder)s). Free some space, then start it again."
    ),
)
ENCODER_PROBLEMS.add(
    "no_network",
    gettext_noop(
        "The encoder “%(name)s” is not on this machine yet, and %(host)s cannot be reached. Connect the "
        "machine to the internet and start it again: the download goes on from where it was. Or copy the "
        "model here and choose its folder."
    ),
)
ENCODER_PROBLEMS.add(
    "download_failed",
    gettext_noop(
        "The encoder “%(name)s” could not be downloaded (%(reason)s). Start it again later: what has arrived "
        "is kept."
    ),
)
ENCODER_PROBLEMS.add(
    "download_damaged",
    gettext_noop(
        "A file of the encoder “%(name)s” arrived damaged twice (%(file)s). Nothing of it was kept; check "
        "the network, then start it again."
    ),
)
ENCODER_PROBLEMS.add(
    "no_access",
    gettext_noop(
        "The hub gives the encoder “%(name)s” only to people who accepted its licence. Accept it there, and "
        "set HF_TOKEN for the workers."
    ),
)
ENCODER_PROBLEMS.add(
    "unknown_name",
    when(
        "near",
        gettext_noop(
            "There is no encoder “%(name)s”. Names that look like it: %(near)s. Choose one from the list."
        ),
    ),
    when(
        lambda v: not v.get("near"), gettext_noop("There is no encoder “%(name)s”. Choose one from the list.")
    ),
)
ENCODER_PROBLEMS.add(
    "unknown_weights",
    gettext_noop("There are no such weights: “%(name)s”. %(architecture)s has these: %(known)s."),
)
ENCODER_PROBLEMS.add(
    "unknown_model",
    gettext_noop("The hub has no model “%(name)s”, or shows it only with a token. Check how it is written."),
)
ENCODER_PROBLEMS.add(
    "unknown_variant",
    gettext_noop("There is no variant “+%(variant)s” of an encoder. There are +onnx and +int8."),
)
ENCODER_PROBLEMS.add(
    "no_folder",
    gettext_noop(
        "The folder “%(folder)s” does not exist on the machine that runs the workers. Copy the model there, "
        "or choose another folder."
    ),
)
ENCODER_PROBLEMS.add(
    "not_a_model",
    gettext_noop(
        "“%(folder)s” has no open_clip_config.json, so it is not a model saved by open_clip. Choose the "
        "folder that holds this file."
    ),
)
ENCODER_PROBLEMS.add(
    "no_weights",
    gettext_noop(
        "“%(folder)s” holds a configuration and no weights. Copy open_clip_model.safetensors beside it."
    ),
)
ENCODER_PROBLEMS.add(
    "bad_config",
    gettext_noop(
        "The configuration of this model cannot be used: %(reason)s. Copy open_clip_config.json again from "
        "the source."
    ),
)
ENCODER_PROBLEMS.add(
    "damaged",
    gettext_noop(
        "The file of weights “%(file)s” is damaged or incomplete. Copy it again; for “pocket”, install "
        "Mekiki again."
    ),
)
ENCODER_PROBLEMS.add(
    "unsafe",
    gettext_noop(
        "“%(file)s” would run code when it is read, so it was not read. Save the model as safetensors."
    ),
)
ENCODER_PROBLEMS.add(
    "wrong_architecture",
    gettext_noop(
        "The weights in “%(file)s” do not belong to the configuration beside them (%(reason)s). Copy both "
        "from the same model."
    ),
)
ENCODER_PROBLEMS.add(
    "no_tokenizer",
    gettext_noop(
        "The tokenizer of the encoder “%(name)s” is missing or cannot be read (%(reason)s). Copy its files "
        "(tokenizer.json and those beside it) into the folder of the model."
    ),
)
ENCODER_PROBLEMS.add(
    "preprocessing",
    gettext_noop(
        "This version of open_clip prepares images in a way that Mekiki does not know. Install the versions "
        "Mekiki was tested with."
    ),
)
ENCODER_PROBLEMS.add(
    "variant_failed",
    gettext_noop(
        "The ONNX form of the encoder “%(name)s” could not be made (%(reason)s). Choose the encoder without "
        "+onnx or +int8."
    ),
)
ENCODER_PROBLEMS.add(
    "variant_differs",
    gettext_noop(
        "The quick form of the encoder “%(name)s” gives vectors too different from the original's (cosine "
        "%(cosine)s). Choose the encoder without +onnx or +int8."
    ),
)
ENCODER_PROBLEMS.add(
    "variant_overflows",
    gettext_noop(
        "The 8-bit form of the encoder “%(name)s” would give other vectors on some processors (layer "
        "%(layer)s), so it was not kept. Choose the encoder without +int8."
    ),
)
ENCODER_PROBLEMS.add(
    "unusable",
    gettext_noop(
        "%(name)s was loaded, but the values it computes from a test picture and a test sentence cannot be"
        " used. Its weights are damaged, or do not belong to its architecture."
    ),
)
ENCODER_PROBLEMS.add(
    "differs_here",
    gettext_noop(
        "The worker on %(host)s computes different vectors with “%(name)s” than recorded (cosine %(cosine)s,"
        " at least %(least)s is needed), so it embedded nothing. Stored embeddings are kept, and the work"
        " waits for another worker. Compare the processor, the GPU and the versions of torch and onnxruntime"
        " of the workers. Repair or stop this worker, then start it again."
    ),
)
ENCODER_PROBLEMS.add(
    "load_failed",
    gettext_noop("The encoder “%(name)s” could not be loaded (%(reason)s). The encoder in use stays."),
)
ENCODER_PROBLEMS.add(
    "run_failed",
    gettext_noop("The encoder failed while it worked (%(reason)s). What was stored is kept; start it again."),
)


def encoder_problem(error: Exception) -> str:
    """Return the sentence for an EncoderError in the reader's language.

    Return the error's own English message if its code is unknown here.
    """
    code = getattr(error, "code", "")
    if code not in ENCODER_PROBLEMS:
        return str(error)
    details = {name: str(value) for name, value in getattr(error, "details", {}).items() if value}
    return ENCODER_PROBLEMS.render(code, details)
