"""The prompt workbench: a draft of prompts on the left, what it would change on the right."""

from mekiki.web.workbench.versions import compare, use
from mekiki.web.workbench.views import change_draft, discard, results, save, workbench

__all__ = ["change_draft", "compare", "discard", "results", "save", "use", "workbench"]
