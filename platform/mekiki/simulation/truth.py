"""The hidden truth. Only the simulated reviewer and the score see it.

No name of an image reveals it.
"""

import csv
import json
import re
import unicodedata
from collections.abc import Callable, Mapping
from pathlib import Path

from django.db.models.functions import Substr
from django.utils.translation import gettext as _

from mekiki.config.regular_files import read_regular
from mekiki.datasets.models import Dataset
from mekiki.labeling.models import Label
from mekiki.labeling.text import clean


class TruthError(Exception):
    """Error for a folder or a prompts file that cannot be used. The message says why and what to do."""


def default_prompts(name: str) -> list[str]:
    """Return prompts for a folder without a description: its name as words, in both languages."""
    words = re.sub(r"[_\-\s]+", " ", name).strip()
    return [words, f"a photo of {words}", f"{words}の写真"]


def read_prompts(file: Path | None, names: list[str]) -> dict[str, list[str]]:
    """Return label → prompts: from the file if it names the label, and otherwise default prompts.

    The file is JSON: folder name → list of prompts. Raises TruthError if the file has another form, or names
    a folder that does not exist.
    """
    given: dict[str, list[str]] = {}
    if file is not None:
        try:
            content = json.loads(read_regular(file))
        except (OSError, ValueError, RecursionError) as error:
            raise TruthError(
                _("%(file)s cannot be read as JSON: %(why)s") % {"file": file, "why": error}
            ) from None
        if not isinstance(content, dict):
            raise TruthError(_("%(file)s must be an object: folder name → list of prompts.") % {"file": file})
        for raw_name, prompts in content.items():
            name = unicodedata.normalize("NFC", raw_name)
            usable = isinstance(prompts, list) and all(isinstance(p, str) and p.strip() for p in prompts)
            if not usable or not prompts:
                raise TruthError(
                    _("%(file)s: “%(name)s” needs a list of at least one prompt.")
                    % {"file": file, "name": name}
                )
            if name not in names:
                raise TruthError(
                    _("%(file)s: there is no folder “%(name)s” (there are: %(names)s).")
                    % {"file": file, "name": name, "names": ", ".join(names)}
                )
            given[name] = prompts
    return {name: given.get(name) or default_prompts(name) for name in names}


def first_folder(name: str) -> str:
    """Return the first folder of an image's name. It is the label if the labels lie at the top."""
    return unicodedata.normalize("NFC", name.replace("\\", "/").split("/")[0])


def read_table(file: Path) -> dict[str, str]:
    """Return SHA-256 of a picture → label, from the truth.csv of a sample."""
    with file.open(newline="", encoding="utf-8") as stream:
        return {row["sha256"]: row["label"] for row in csv.DictReader(stream)}


def take_folder_names(
    dataset: Dataset, label_of: Callable[[str], str | None] = first_folder
) -> dict[str, str]:
    """Return SHA-256 of an image → label, and remove the folder names from the image names.

    The dataset was imported from a folder of folders. With the folder names, everybody who opens it could
    read the labels. `label_of` returns the label for the name of an image.
    """
    rows = dataset.images.values_list("sha256", "name")
    labels = {sha256: label_of(name) or "" for sha256, name in rows}
    dataset.images.update(name=Substr("sha256", 1, 12))
    return labels


class Truth:
    """Image → true label, for one dataset. `labels`: SHA-256 of an image → name of its label."""

    def __init__(self, dataset: Dataset, labels: Mapping[str, str]) -> None:
        known = {label.name: label.pk for label in Label.objects.filter(dataset=dataset)}
        self.dataset = dataset
        self.by_id: dict[int, int] = {}
        self.by_hash: dict[str, int] = {}
        for pk, sha256 in dataset.images.values_list("pk", "sha256"):
            # Names of labels were cleaned when the labels were created; names of folders were not.
            label = known.get(clean(labels.get(sha256, "")))
            if label is None:
                raise TruthError(
                    f"The image {sha256} has no label in the truth, or one that the dataset lacks."
                )
            self.by_id[pk] = label
            self.by_hash[sha256] = label
