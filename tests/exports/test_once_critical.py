"""A label that was not critical for a while: a set with its machine labels reports that first."""

import json
import zipfile
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from mekiki.exports.models import LabelSet
from mekiki.exports.services import freeze
from mekiki.exports.writing import write_label_set
from mekiki.labeling.services import update_label
from mekiki.learning.models import Prediction
from tests.exports.helpers import Judged, ignore_progress, path_of
from tests.roles import as_owner
from verification.label_set.verify import verify

pytestmark = pytest.mark.django_db


def freeze_with_machine_labels(judged: Judged) -> LabelSet:
    draft = freeze(dataset=judged.dataset, user=judged.admin, machine_threshold=0.5)
    write_label_set(label_set=draft, progress=ignore_progress)
    return LabelSet.objects.get(pk=draft.pk)


def page_text(judged: Judged, language: str = "en") -> str:
    client = Client(headers={"accept-language": language})
    client.force_login(judged.reviewer)
    return client.get(reverse("exports", args=["parts"])).content.decode()


@pytest.fixture
def set_of_uncritical_label(judged: Judged) -> LabelSet:
    """Freeze a set while 傷 is not critical, so that it holds machine labels of 傷."""
    scratch = judged.labels[1]
    Prediction.objects.filter(image__in=judged.images[9:]).update(label=scratch)
    update_label(label=scratch, user=judged.admin, critical=False)
    label_set = freeze_with_machine_labels(judged)
    assert label_set.machine_labels == 3
    return label_set


def test_once_critical_label_is_named_in_manifest_readme_and_page(
    judged: Judged, set_of_uncritical_label: LabelSet
) -> None:
    scratch = judged.labels[1]
    scratch.refresh_from_db()
    day = f"{scratch.critical_until:%Y-%m-%d %H:%M}"
    report = verify(path_of(set_of_uncritical_label))
    assert report.ok
    (entry,) = report.summary["once_critical"]
    assert (entry["label"], entry["label_id"], entry["machine_labels"]) == ("傷", scratch.pk, 3)
    assert entry["critical_until"].startswith(f"{scratch.critical_until:%Y-%m-%dT%H:%M}")
    with zipfile.ZipFile(path_of(set_of_uncritical_label)) as archive:
        readme = archive.read("README.txt").decode()
        assert json.loads(archive.read("manifest.json"))["once_critical"] == [entry]
    first = readme.split("manifest.json")[0]
    assert f"The label “傷” was critical until {day}" in first and "holds 3 machine labels" in first
    assert f"ラベル「傷」は {day}" in readme and readme.index("ラベル「傷」") < readme.rindex("manifest.sig")
    assert "was critical until" in page_text(judged) and "is marked critical since" not in page_text(judged)
    # Critical again: the file stays, and the page shows both facts.
    update_label(label=scratch, user=judged.admin, critical=True)
    text = page_text(judged)
    assert "was critical until" in text and "is marked critical since" in text
    assert "ラベル「傷」" in page_text(judged, "ja")


def test_label_that_became_critical_after_the_freeze_is_shown(judged: Judged) -> None:
    good = judged.labels[0]
    Prediction.objects.filter(image__in=judged.images[9:]).update(label=good)
    label_set = freeze_with_machine_labels(judged)
    assert verify(path_of(label_set)).summary["once_critical"] == []
    assert "critical since" not in page_text(judged)
    update_label(label=good, user=judged.admin, critical=True)
    assert "The label “good” is marked critical since" in page_text(judged)
    # The same applies to a set that was frozen before the counts by label were stored.
    snapshot = {k: v for k, v in label_set.snapshot.items() if k not in {"machine_by_label", "once_critical"}}
    other = copy_label_set(label_set, snapshot)
    assert page_text(judged).count("The label “good” is marked critical since") == 2, other


def copy_label_set(label_set: LabelSet, snapshot: dict[str, Any]) -> LabelSet:
    from mekiki.exports.models import LabelSetEntry

    copy = LabelSet.objects.get(pk=label_set.pk)
    copy.pk, copy.version, copy.snapshot = None, label_set.version + 1, snapshot
    copy.save(force_insert=True)
    with as_owner(triggers=False):  # a frozen set accepts no entry
        LabelSetEntry.objects.bulk_create(
            LabelSetEntry(
                label_set=copy,
                **{
                    f.attname: getattr(e, f.attname)
                    for f in e._meta.concrete_fields
                    if f.name != "label_set"
                },
            )
            for e in LabelSetEntry.objects.filter(label_set=label_set.pk)
        )  # fmt: skip
    return copy


def test_label_set_without_machine_labels_names_no_critical_label(judged: Judged) -> None:
    update_label(label=judged.labels[1], user=judged.admin, critical=False)
    draft = freeze(dataset=judged.dataset, user=judged.admin)
    write_label_set(label_set=draft, progress=ignore_progress)
    label_set = LabelSet.objects.get(pk=draft.pk)
    assert verify(path_of(label_set)).summary["once_critical"] == []
    assert "critical until" not in page_text(judged)


def test_page_shows_accuracy_interval_and_images_that_left_the_sample(judged: Judged) -> None:
    from mekiki.labeling.services import archive_label
    from mekiki.learning.models import Evaluation

    Evaluation.objects.create(head=judged.head, n=2, correct=1, low=0.09, high=0.91, answers=8)
    freeze_with_machine_labels(judged)
    text = page_text(judged)
    assert "9.0 % to 91.0 %" in text and "1 of 2 audited images right" in text and "50.0 %" not in text
    assert "Since this figure was computed" not in text
    archive_label(label=judged.labels[2], user=judged.admin, confirmed=True)
    assert "Since this figure was computed: The label" in page_text(judged)
