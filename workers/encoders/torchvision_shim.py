"""Makes torchvision importable beside a CPU build of torch.

torchvision's wheel carries a native library built for CUDA. Beside a CPU torch the library does not load, its
operators are therefore never declared, and `import torchvision` stops with «operator torchvision::nms does not
exist», although open_clip needs nothing but torchvision's pure Python transforms. Declaring the schemas of those
operators first is enough for the import; calling one of them still fails, and says so.

Call :func:`ensure_torchvision` before the first import of open_clip. It does nothing where torchvision loads by
itself.
"""

import importlib
import sys

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
# A library's schemas live as long as the object that declared them: keep it for the life of the process.
_declared: list[object] = []


def ensure_torchvision() -> None:
    """Import torchvision, declaring its missing operators where its own library cannot load.

    Raises: ImportError when torchvision is not installed, or fails for another reason.
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
        del sys.modules[name]  # what the failed import left half done
    import torch

    library = torch.library.Library("torchvision", "DEF")
    for schema in _SCHEMAS:
        library.define(schema)
    _declared.append(library)
    importlib.import_module("torchvision")
