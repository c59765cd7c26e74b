"""What a folder of folders and a prompts file may look like, and what is said when they may not."""

import json
import os

import pytest

from mekiki.simulation.truth import TruthError, default_prompts, read_prompts


def test_names_become_words():
    assert default_prompts("rolled-in_scale") == [
        "rolled in scale",
        "a photo of rolled in scale",
        "rolled in scaleの写真",
    ]


def test_prompts_of_the_file_replace_only_what_they_name(tmp_path):
    file = tmp_path / "prompts.json"
    file.write_text(json.dumps({"良品": ["きれいな部品"]}), encoding="utf-8")
    prompts = read_prompts(file, ["crack", "良品"])
    assert prompts["良品"] == ["きれいな部品"]
    assert prompts["crack"] == default_prompts("crack")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("not json", "cannot be read as JSON"),
        ("[1]", "must be an object"),
        ('{"crack": "one text"}', "needs a list of at least one prompt"),
        ('{"crack": []}', "needs a list of at least one prompt"),
        ('{"crack": [3]}', "needs a list of at least one prompt"),
        ('{"rack": ["a rack"]}', "no folder “rack”"),
    ],
)
def test_a_malformed_prompts_file_is_refused_with_the_reason(tmp_path, content, says):
    file = tmp_path / "prompts.json"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(TruthError, match=says):
        read_prompts(file, ["crack", "良品"])


def test_a_prompts_file_that_is_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(TruthError, match="named pipe"):
        read_prompts(tmp_path / "pipe", ["a", "b"])
