"""Labels as a YAML file: what is saved can be read, and hostile files are refused. Versions of the labels."""

from typing import Any

import pytest
import yaml
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from mekiki.labeling import services
from mekiki.labeling.models import SchemaVersion
from mekiki.labeling.selectors import active_labels
from mekiki.labeling.starters import starter
from mekiki.labeling.yaml_file import read_schema, write_schema
from tests.factories import DatasetFactory, UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def dataset() -> Any:
    made = DatasetFactory(admin=UserFactory(username="admin"), slug="parts")
    one = starter("weld")
    assert one is not None
    services.apply_starter(dataset=made, starter=one, language="ja", reads=("en", "ja"), user=admin_of(made))
    return made


def admin_of(dataset: Any) -> Any:
    return dataset.memberships.first().user


def test_template_sets_japanese_names_and_prompts_first(dataset: Any) -> None:
    crack = active_labels(dataset).get(name="割れ")
    entries = {entry["name"]: entry for entry in read_schema(write_schema(dataset).encode())}
    assert entries["割れ"]["critical"] and crack.critical and crack.guideline.startswith("ビードに沿う")
    assert crack.guideline_texts == {"en": "A dark line along or across the bead. In doubt, choose crack."}
    prompts = entries["割れ"]["prompts"]
    assert len(prompts) == 4 and prompts[0].endswith("の写真") and prompts[-1].isascii()
    english = services.starting.starter_specs(starter("weld"), "en", ("en",))
    assert english[2]["name"] == "crack" and all(text.isascii() for text in english[2]["prompts"])


def test_saved_file_is_shown_in_the_form_of_another_dataset(dataset: Any) -> None:
    admin = admin_of(dataset)
    client = Client(headers={"accept-language": "en"})
    client.force_login(admin)
    saved = client.get(reverse("labels-download", args=["parts"]))
    assert saved["Content-Type"].startswith("application/yaml")
    other = DatasetFactory(admin=admin, slug="other")
    services.set_schema(
        dataset=other,
        labels=[{"name": "割れ", "prompts": ["x"]}, {"name": "古い", "prompts": ["y"]}],
        user=admin,
    )
    file = SimpleUploadedFile("labels.yaml", saved.content)
    page = client.post(reverse("labels-read-file", args=["other"]), {"file": file})
    rows = page.context["formset"].initial
    assert [row["name"] for row in rows] == [*active_labels(dataset).values_list("name", flat=True), "古い"]
    assert rows[-1]["remove"] and [row["id"] for row in rows].count(None) == 5
    assert active_labels(other).count() == 2 and "Nothing is saved yet" in page.content.decode()
    # What the form shows can be saved as it is.
    fields = {"labels-TOTAL_FORMS": str(len(rows)), "labels-INITIAL_FORMS": str(len(rows))}
    for number, row in enumerate(rows):
        fields |= {f"labels-{number}-{k}": str(v) for k, v in row.items() if v not in (None, False, "")}
    assert client.post(reverse("labels", args=["other"]), fields).status_code == 302
    assert read_schema(write_schema(other).encode()) == read_schema(saved.content)
    assert client.post(reverse("labels-read-file", args=["other"]), {}).status_code == 422


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"mekiki_labels: 2\nlabels: []", "mekiki_labels: 1"),
        (b"mekiki_labels: 1\nlabels: []", "1 to 200 labels"),
        (b"mekiki_labels: 1\nlabels: [3]", "label 1 is no mapping"),
        (b"mekiki_labels: 1\nlabels: [{name: a, colour: red}]", "colour"),
        (b"mekiki_labels: 1\nlabels: [{name: a, prompts: x}]", "another type"),
        (b"mekiki_labels: 1\nlabels: [{name: a, key: true}]", "another type"),
        (b"a: &a [x]\nb: [*a, *a]", "references"),
        (b"!!python/object/apply:os.system ['true']", "constructor"),
        (b"\xff\xfe\x00", "utf-8"),
        (b"[" * 5000, "not read"),
        (b"x" * 5_000_000, "MB"),
    ],
)
def test_malformed_and_hostile_files_are_refused_with_the_reason(content: bytes, reason: str) -> None:
    with pytest.raises(ValidationError) as error:
        read_schema(content)
    assert reason in error.value.messages[0] and "Nothing was changed" in error.value.messages[0]


def test_every_change_of_the_labels_makes_a_version(dataset: Any) -> None:
    admin = admin_of(dataset)
    versions = SchemaVersion.objects.filter(dataset=dataset)
    assert versions.count() == 1 and yaml.safe_load(write_schema(dataset))["schema_version"] == 1
    label = active_labels(dataset).first()
    services.update_label(label=label, user=admin, guideline="other words")  # has its own versions
    assert versions.count() == 1
    services.update_label(label=label, user=admin, name="合格")
    services.archive_label(label=label, user=admin)
    services.restore_label(label=label, user=admin)
    made = services.add_label(dataset=dataset, name="新", user=admin)
    last = versions.first()
    assert last is not None and (last.version, last.created_by) == (5, admin)
    assert last.labels[-1] == {
        "id": made.pk, "name": "新", "code": "", "position": made.position,
        "critical": False, "is_none": False,
    }  # fmt: skip
    assert versions.get(version=2).digest == versions.get(version=4).digest
