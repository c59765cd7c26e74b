"""The page of one head and its downloads."""

from mekiki.web.heads.downloads import confusions, training_labels
from mekiki.web.heads.page import head

__all__ = ["confusions", "head", "training_labels"]
