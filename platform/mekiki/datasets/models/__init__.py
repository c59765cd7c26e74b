"""Tables of datasets, their images, and the imports that added the images."""

from mekiki.datasets.models.datasets import (
    KEEP_ADDRESS,
    Acquisition,
    AuditShareChange,
    ChangedFile,
    Dataset,
    DatasetAddress,
    new_seed,
)
from mekiki.datasets.models.images import Image, ImageName, PixelWindow
from mekiki.datasets.models.imports import ImportBatch, ImportProblem
from mekiki.datasets.models.metadata import MetadataField, MetadataValue
from mekiki.datasets.models.quotas import DatasetUsage, PlatformQuota
from mekiki.datasets.models.review_settings import (
    DEFAULT_DISPLAY_MS,
    LEAST_DISPLAY_MS,
    MAX_GRID_IMAGE_MS,
    MIN_GRID_IMAGE_MS,
    MOST_DISPLAY_MS,
    MOST_REVIEWERS,
)
from mekiki.datasets.models.seen_files import SeenFile, WatchedFolder

__all__ = [
    "DEFAULT_DISPLAY_MS",
    "KEEP_ADDRESS",
    "LEAST_DISPLAY_MS",
    "MAX_GRID_IMAGE_MS",
    "MIN_GRID_IMAGE_MS",
    "MOST_DISPLAY_MS",
    "MOST_REVIEWERS",
    "Acquisition",
    "AuditShareChange",
    "ChangedFile",
    "Dataset",
    "DatasetAddress",
    "DatasetUsage",
    "Image",
    "ImageName",
    "ImportBatch",
    "ImportProblem",
    "MetadataField",
    "MetadataValue",
    "PixelWindow",
    "PlatformQuota",
    "SeenFile",
    "WatchedFolder",
    "new_seed",
]
