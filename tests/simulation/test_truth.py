"""What a folder of folders and a prompts file may contain, and the messages if they are wrong."""

import json
import os

import pytest

from mekiki.review.models import Stream
from mekiki.simulation.clients import ServiceClient
from mekiki.simulation.truth import (
    Truth,
    TruthError,
    default_prompts,
    extract_labels_from_names,
    read_prompts,
    read_truth_csv,
)
from tests.factories import ImageFactory, LabelFactory
from tests.review_setup import Station


def test_default_prompts_replace_separators_by_spaces():
    assert default_prompts("rolled-in_scale") == [
        "rolled in scale",
        "a photo of rolled in scale",
        "rolled in scaleの写真",
    ]


def test_prompts_file_replaces_the_prompts_of_its_labels_only(tmp_path):
    file = tmp_path / "prompts.json"
    file.write_text(json.dumps({"良品": ["きれいな部品"]}), encoding="utf-8")
    prompts = read_prompts(file, ["crack", "良品"])
    assert prompts["良品"] == ["きれいな部品"]
    assert prompts["crack"] == default_prompts("crack")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("not json", "cannot be read as JSON"),
        ("[1]", "must be an object"),
        ('{"crack": "one text"}', "needs a list of at least one prompt"),
        ('{"crack": []}', "needs a list of at least one prompt"),
        ('{"crack": [" "]}', "needs a list of at least one prompt"),
        ("[" * 100_000, "cannot be read as JSON"),
        ('{"crack": [3]}', "needs a list of at least one prompt"),
        ('{"rack": ["a rack"]}', "no folder “rack”"),
    ],
)
def test_malformed_prompts_file_is_refused_with_the_reason(tmp_path, content, message):
    file = tmp_path / "prompts.json"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(TruthError, match=message):
        read_prompts(file, ["crack", "良品"])


@pytest.mark.django_db
def test_folder_names_become_the_truth_and_are_removed_from_names():
    station = Station()
    names = [label.name for label in station.labels[:2]]
    images = [ImageFactory(dataset=station.dataset, name=f"{name}/a.png") for name in names]
    truth = Truth(station.dataset, extract_labels_from_names(station.dataset))
    assert truth.by_id == {image.pk: label.pk for image, label in zip(images, station.labels, strict=False)}
    for image in images:
        image.refresh_from_db()
        assert image.name == image.sha256[:12]
    for image, stream in zip(images, (Stream.AUDIT, Stream.UNCERTAIN), strict=True):
        station.item(stream=stream, image=image)
    leased_images = ServiceClient(station.dataset, station.reviewer()).next(2)
    assert len(leased_images) == 2
    for leased in leased_images:
        assert set(leased) == {"item", "lease", "sha256", "blind", "predicted"}
        assert leased["predicted"] is None or not leased["blind"]


@pytest.mark.django_db
def test_truth_with_an_unknown_label_is_refused(tmp_path):
    station = Station()
    image = ImageFactory(dataset=station.dataset)
    file = tmp_path / "truth.csv"
    file.write_text(f"sha256,label\n{image.sha256},no such label\n", encoding="utf-8")
    with pytest.raises(TruthError, match=image.sha256):
        Truth(station.dataset, read_truth_csv(file))


@pytest.mark.django_db
def test_label_is_matched_to_a_folder_name_after_normalisation():
    """Names of labels have no repeated spaces and no invisible characters; names of folders may."""
    station = Station()
    image = ImageFactory(dataset=station.dataset)
    label = LabelFactory(dataset=station.dataset, name="two spaces")
    truth = Truth(station.dataset, {image.sha256: " two  spa\u200bces"})
    assert truth.by_id == {image.pk: label.pk}


def test_prompts_file_that_is_a_named_pipe_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(TruthError, match="named pipe"):
        read_prompts(tmp_path / "pipe", ["a", "b"])
