"""The ES modules that a script imports, so that a page can load them at once."""

import posixpath
import re
from functools import lru_cache
from pathlib import Path

from django.contrib.staticfiles import finders

_IMPORT = re.compile(r'^import [^"]*"(\.[^"]+)";', re.MULTILINE)


@lru_cache
def imported_modules(script: str) -> list[str]:
    """Return a static script and all modules that it imports, directly or not, as names of static files.

    Without this list a browser learns of a module only when it has read the module that imports it: each
    level of imports costs a round trip.
    """
    modules: list[str] = []
    waiting = [script]
    while waiting:
        name = waiting.pop(0)
        file = finders.find(name)
        if name in modules or not isinstance(file, str):
            continue
        modules.append(name)
        folder = posixpath.dirname(name)
        text = Path(file).read_text(encoding="utf-8")
        waiting += [posixpath.normpath(posixpath.join(folder, other)) for other in _IMPORT.findall(text)]
    return modules
