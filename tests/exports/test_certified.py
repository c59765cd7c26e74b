"""Label sets with labels that a certificate set, and the check of their evidence."""

import json

from mekiki.exports.models import LabelSet
from tests.exports.certified_setup import AcceptedPool, rows_of
from tests.exports.helpers import path_of
from tests.exports.test_verify import contents_of
from verification.label_set import format as form
from verification.label_set.verify import verify


def test_a_set_with_certified_labels_verifies(db: None) -> None:
    world = AcceptedPool()
    label_set = world.label_set()
    report = verify(path_of(label_set))
    assert report.ok, [str(p) for p in report.problems]
    assert label_set.machine_labels and label_set.human_labels
    contents = contents_of(path_of(label_set))
    manifest = json.loads(contents[form.MANIFEST])
    assert manifest["format_version"] == 4 and manifest["machine_labels"]["kind"] == "certified"
    rows = rows_of(contents)
    assert {row["source"] for row in rows} == {"human", "certified"}
    for row in rows:
        assert (row["source"] == "certified") == (row["certificate"] == 1)
        assert (row["confidence"] is not None) == (row["source"] == "certified")
    assert report.summary["certificate"]["number"] == 1
    assert LabelSet.objects.get().certificate == world.certificate
