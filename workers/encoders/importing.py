"""Import of open_clip in half of the processor time that a plain import takes.

Three things are left out (docs/decisions/0050). torch's compiler (torch._dynamo) takes longer to import than
open_clip. torchvision and timm refer to it when they are imported: torchvision for one function of
`roi_align`, timm for a mark on functions that must not be compiled. The package transformers is imported when
a text tower needs it. Garbage is not collected during the imports.
"""

import contextlib
import gc
import importlib
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

from .torchvision_shim import ensure_torchvision

NAMES = ("torch._dynamo", "torch._dynamo.utils")


class _StandIn(types.ModuleType):
    """A module that imports the real module when code reads an attribute that the stand-in lacks."""

    def __getattr__(self, name: str) -> Any:
        # The import system and `inspect` ask a module for such names. Only the path of a package means that
        # the real module is needed, for the import of another module of the package.
        if name.startswith("__") and (self.__name__, name) != (NAMES[0], "__path__"):
            raise AttributeError(name)
        _remove_stand_ins()
        return getattr(importlib.import_module(self.__name__), name)


def _remove_stand_ins() -> None:
    for name in NAMES:
        if isinstance(sys.modules.get(name), _StandIn):
            del sys.modules[name]


def _is_compile_supported(device_type: str) -> bool:
    _remove_stand_ins()
    return bool(importlib.import_module("torch._dynamo.utils").is_compile_supported(device_type))


def _disable(function: Callable[..., Any] | None = None, *_options: Any, **_more: Any) -> Callable[..., Any]:
    """Return the function, or a decorator that returns its function: nothing is compiled here."""
    return function if function is not None else lambda decorated: decorated


@contextlib.contextmanager
def compiler_on_demand() -> Iterator[None]:
    """Import torch, then run the block, which imports what uses torch, without torch's compiler.

    Code that needs the compiler, inside the block or later, gets the real one. No effect if it is loaded.
    """
    importlib.import_module("torch")
    if NAMES[0] not in sys.modules:
        compiler, utils = map(_StandIn, NAMES)
        compiler.disable = _disable  # type: ignore[attr-defined]
        utils.is_compile_supported = _is_compile_supported  # type: ignore[attr-defined]
        sys.modules.update({NAMES[0]: compiler, NAMES[1]: utils})
    try:
        yield
    finally:
        _remove_stand_ins()


@contextlib.contextmanager
def _collection_paused() -> Iterator[None]:
    """Run the block without garbage collection. Later collections do not look at the objects made in it."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        if enabled:
            gc.enable()


@contextlib.contextmanager
def _without_transformers() -> Iterator[None]:
    """Run the block, which imports open_clip, as if transformers were not installed."""
    is_missing = "transformers" not in sys.modules
    if is_missing:
        sys.modules["transformers"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if is_missing:
            del sys.modules["transformers"]


def import_open_clip() -> types.ModuleType:
    """Import torch, torchvision and open_clip, if they are not imported yet, and return open_clip.

    Raises ImportError if a package is not installed or does not load.
    """
    if "open_clip" not in sys.modules:
        with _collection_paused(), compiler_on_demand(), _without_transformers():
            ensure_torchvision()
            importlib.import_module("open_clip")
    return sys.modules["open_clip"]


def import_transformers() -> None:
    """Import transformers, and let open_clip build text towers with it.

    Raises ImportError if the package is not installed or does not load.
    """
    import_open_clip()
    hf_model = importlib.import_module("open_clip.hf_model")
    if hf_model.transformers is None:
        with _collection_paused(), compiler_on_demand():
            importlib.import_module("transformers")
            importlib.reload(hf_model)
        model = importlib.import_module("open_clip.model")
        model.HFTextEncoder = hf_model.HFTextEncoder  # type: ignore[attr-defined]
