"""Import of torchvision with a CPU build of torch.

torchvision's wheel contains a native library built for CUDA. With a CPU build of torch this library does not
load, so its operators are not declared, and `import torchvision` fails with «operator torchvision::nms does
not exist». But open_clip needs only torchvision's pure Python transforms. Declaring the schemas of those
operators first is enough for the import. A call of one of them still fails with an error.

importing.py calls :func:`ensure_torchvision` before it imports open_clip. It has no effect where torchvision
loads without it.
"""

import importlib
import sys

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
# The schemas exist only while the object that declared them exists, so it is kept for the life of the
# process.
_declared: list[object] = []


def ensure_torchvision() -> None:
    """Import torchvision, and declare its missing operators where its native library cannot load.

    Raises ImportError if torchvision is not installed or fails for another reason.
    """
    if "torchvision" in sys.modules:
        return
    try:
        importlib.import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise ImportError(f"torchvision does not load: {error}") from error
    else:
        return
    for name in [name for name in sys.modules if name == "torchvision" or name.startswith("torchvision.")]:
        del sys.modules[name]  # remove the half-imported modules
    import torch

    library = torch.library.Library("torchvision", "DEF")
    for schema in _SCHEMAS:
        library.define(schema)
    _declared.append(library)
    importlib.import_module("torchvision")
