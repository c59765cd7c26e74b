"""Functions that are imported when they are called.

Every process sets all apps up. What an app registers for later is given by its name, so that a process that
never calls it does not import it.
"""

from collections.abc import Callable
from typing import Any

from django.utils.module_loading import import_string

# The names that were given to `by_name`. A test imports all of them.
NAMES: set[str] = set()


def by_name(name: str) -> Callable[..., Any]:
    """Return a function that calls the function with this dotted name, such as "mekiki.jobs.seals.enqueue".

    ImportError (at the call): the module or the function does not exist.
    """
    NAMES.add(name)

    def call(*args: Any, **kwargs: Any) -> Any:
        return import_string(name)(*args, **kwargs)

    return call
