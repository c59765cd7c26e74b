"""Labels from the names of folders: one folder for each label, below the parts of a split if there are any.

ImageFolder of torchvision and Hugging Face, the classification folders of YOLO, and FiftyOne's
ImageClassificationDirectoryTree have this layout.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable

from mekiki.datasets.importing.manifests.rows import RowLabel, labels_of
from mekiki.datasets.importing.metadata import fold_text
from mekiki.datasets.problems import ReportLine

# Words for the parts of a split, in any case and width.
SPLITS = {
    *("train", "training", "trn", "test", "testing", "tst", "val", "valid", "validation", "dev", "eval"),
    *("evaluation", "holdout", "trainval"),
    *("学習", "訓練", "トレーニング", "検証", "バリデーション", "評価", "テスト", "試験"),
}
# Words that may stand beside the names of parts: "train_set", "test2017", "X_train", 学習用データ.
_COMPANION_WORDS = {
    *("set", "sets", "data", "dataset", "datasets", "split", "images", "image", "imgs", "img", "x", "y"),
    *("用", "データ", "セット", "画像"),
}
_ENDING = re.compile(f"(?:{'|'.join(sorted(_COMPANION_WORDS - {'x', 'y'}, key=len, reverse=True))})+$")
MAX_FOLDERS = 100_000  # distinct folders of one import whose names are read
_SHOWN = 5

Parts = tuple[str, ...]


def is_split(name: str) -> bool:
    """Return whether this is the name of a part of a split.

    Such a name has a word for a part, and beside it only numbers and words such as "set" and "data".
    """
    words = [word for word in re.split(r"[\W\d_]+", fold_text(name)) if word]
    # "trainset" and 学習用データ are one word each.
    words = [
        word if word in SPLITS else _ENDING.sub("", word) for word in words if word not in _COMPANION_WORDS
    ]
    return bool(words) and all(word in SPLITS for word in words)


class FolderLabels:
    """The labels of the files of one import or one archive, by their folders.

    Call `add` for every file first. Then `label_of` returns the label of a file, and `note` what the report
    says about the folders.
    """

    def __init__(self) -> None:
        self._files: Counter[Parts] = Counter()  # folder → files directly in it
        self._depth: int | None = None
        self._without = 0
        self.problem = ""

    def add(self, name: str) -> None:
        """Record a file."""
        folder = _parts(name)[:-1]
        if folder in self._files or len(self._files) < MAX_FOLDERS:
            self._files[folder] += 1
        else:
            self.problem = "too_many"

    def labels_of(self, name: str) -> tuple[RowLabel, ...]:
        """Return the label of a file. A file outside the folders of labels has none."""
        if self._depth is None:
            self._depth = self._level()
        parts = _parts(name)
        if self.problem or len(parts) <= self._depth + 1:
            self._without += 1
            return ()
        return labels_of([parts[self._depth]])

    def note(self) -> ReportLine | None:
        """Return the line about files without a label, or None if all have one."""
        if not self._without:
            return None
        tops = sorted({parts[self._depth or 0] for parts in self._files if len(parts) > (self._depth or 0)})
        shown = ", ".join(tops[:_SHOWN]) + (" …" if len(tops) > _SHOWN else "")
        code = "folder_labels_unclear" if self.problem else "folder_labels_missing"
        return ReportLine(code, "partly", {"count": self._without, "names": shown})

    def _level(self) -> int:
        """Return the number of folders above the folders of labels."""
        depth = 0
        while True:
            below = {parts[depth] for parts in self._files if len(parts) > depth + 1}
            direct = {parts[depth] for parts in self._files if len(parts) == depth + 1}
            loose = any(len(parts) == depth for parts in self._files)
            tops = below | direct
            splits = {top for top in tops if is_split(top)}
            if splits and splits == tops and not direct and not loose:
                depth += 1
            elif splits and splits != tops and any(top in below and top not in direct for top in splits):
                self.problem = "mixed"  # a split beside other folders: which ones are labels is unclear
                return depth
            elif len(tops) == 1 and below and not direct and not loose:
                depth += 1
            else:
                return depth


def _parts(name: str) -> Parts:
    return tuple(unicodedata.normalize("NFC", name.replace("\\", "/")).split("/"))


def all_folders(names: Iterable[str]) -> FolderLabels:
    """Return the labels by folder of these files."""
    folders = FolderLabels()
    for name in names:
        folders.add(name)
    return folders
