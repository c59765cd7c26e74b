"""Messages of an import's report: what happened to a file, what was kept, and what to do.

`ImportProblem.code` is a code of PROBLEMS, and `ImportProblem.detail` holds its values.
"""

from mekiki.datasets.messages.files import KINDS_OF_FILE, PROBLEMS
from mekiki.datasets.messages.manifests import ROW_PROBLEMS
from mekiki.datasets.messages.tables import TABLE_PROBLEMS

__all__ = ["KINDS_OF_FILE", "PROBLEMS", "ROW_PROBLEMS", "TABLE_PROBLEMS"]
