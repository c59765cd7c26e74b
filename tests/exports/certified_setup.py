"""A dataset with an accepted certificate, whose audit follows the order of the seed."""

import hashlib
import io
import json
from typing import Any

import numpy as np

from mekiki.datasets.models import Image
from mekiki.exports.models import LabelSet
from mekiki.exports.services import freeze
from mekiki.exports.writing import write_label_set
from mekiki.quality.models import Certificate
from mekiki.quality.services.certificates import (
    FrozenPool,
    accept,
    draw_next,
    mark_accepted,
    set_machine_labels,
)
from mekiki.review.models import Stream
from tests.exports.helpers import ignore_progress
from tests.factories import ChampionFactory, EvaluationFactory, ImageFactory
from tests.quality_setup import SEED, CertifiedPool
from verification.certificates.order import audit_order, order_key
from verification.label_set import format as form


class AcceptedPool(CertifiedPool):
    """A pool of 60 images whose certificate was audited with one wrong answer, and accepted."""

    def __init__(self, size: int = 60, *, accepted: bool = True, **protocol: Any) -> None:
        values = {"alpha": 0.5, "limit": 30, "levels": (0.8, 0.9), **protocol}
        super().__init__(size=size, **values)
        EvaluationFactory(head=self.head)
        if not hasattr(self.dataset, "champion"):
            ChampionFactory(head=self.head)
        self.freeze()
        self.audit()
        self.end()
        assert self.certificate.state == Certificate.State.PASSED
        if accepted:
            self.accept()

    def make_image(self) -> Image:
        """Create an image whose hash, and so its place in the audit, is the same in each run."""
        number = Image.objects.filter(dataset=self.dataset).count()
        return ImageFactory(dataset=self.dataset, sha256=hashlib.sha256(b"certified %d" % number).hexdigest())

    def pool(self, **values: Any) -> FrozenPool:
        """Return the frozen pool with the audit order of the seed."""
        key = order_key(SEED, self.certificate.public_words)
        order = audit_order(key, [image.sha256 for image in self.images])
        position = np.zeros(len(order), np.int64)
        position[order] = np.arange(1, len(order) + 1)
        return super().pool(**{"audit_position": position, **values})

    def audit(self) -> None:
        """Answer audits until the audit can end.

        The second answer is undone and given again, the third is wrong, and the fifth is a skip. A person
        labels another candidate outside the audit.
        """
        key = order_key(SEED, self.certificate.public_words)
        last = audit_order(key, [image.sha256 for image in self.images])[-1]
        self.labelled_otherwise = self.images[last]
        self.correct(self.labelled_otherwise)
        for number in range(1, 100):
            state = self.state
            if state.is_complete:
                return
            draw_next(certificate=self.certificate, state=state)
            leased = self.next(self.people[0])
            if not leased:
                return
            if number == 2:
                self.answer(self.people[0], leased[0], "correct", label=self.labels[2])
                self.undo(self.people[0])
                leased = self.next(self.people[0])
            if number == 5:
                self.answer(self.people[0], leased[0], "skip")
            else:
                self.answer(self.people[0], leased[0], "correct", label=self.labels[number == 3])

    def correct(self, image: Any, kind: str = "correct") -> None:
        """Let a person answer about an image outside the audit."""
        self.item(Stream.RECHECK, image, predicted=False)
        leased = self.next(self.people[1])
        assert leased[0].item.image_id == image.pk
        more = {"label": self.labels[2]} if kind == "correct" else {}
        self.answer(self.people[1], leased[0], kind, **more)

    def accept(self) -> None:
        """Accept the certificate and set its labels."""
        accept(certificate=self.certificate, user=self.admin)
        n = set_machine_labels(certificate=self.certificate, first=1, last=len(self.images))
        self.certificate = mark_accepted(certificate=self.certificate, accepted=n) or self.certificate
        assert self.certificate.state == Certificate.State.ACCEPTED

    def label_set(self, **values: Any) -> LabelSet:
        """Freeze and write a label set with the certified labels."""
        draft = freeze(dataset=self.dataset, user=self.admin, **{"certified": True, **values})
        return write_label_set(label_set=draft, progress=ignore_progress)


def rows_of(contents: dict[str, bytes]) -> list[dict[str, Any]]:
    """Return the rows of labels.jsonl."""
    return [json.loads(line) for line in contents[form.ROWS].splitlines()]


def with_rows(contents: dict[str, bytes], rows: list[dict[str, Any]]) -> dict[str, bytes]:
    """Write labels.jsonl and labels.csv again."""
    import csv

    table = io.StringIO()
    columns = form.columns(json.loads(contents[form.MANIFEST])["format_version"])
    csv.writer(table).writerows([columns, *(form.row_cells(row) for row in rows)])
    return {
        **contents,
        form.ROWS: b"".join(form.row_line(row) for row in rows),
        form.TABLE: b"\xef\xbb\xbf" + table.getvalue().encode(),
    }
