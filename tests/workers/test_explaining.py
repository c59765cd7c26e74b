"""The search worker's explanations: what it stores of prompts and heat maps, and of failures."""

import subprocess
import sys
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from mekiki.config import clock
from mekiki.datasets import storage
from mekiki.learning.explaining import heat_map_state
from mekiki.learning.models import Encoder, HeatMap, PromptEmbedding, TextEmbedding
from mekiki.learning.search.texts import text_digest
from tests.factories import EncoderFactory
from tests.roles import set_fixed
from tests.why_setup import DIM, WhyStation
from workers.heads.serial import load_head
from workers.steps import texts
from workers.steps.explaining import draw_requested_heat_map, embed_single_prompts, load_in_advance
from workers.steps.texts import ReaderError

pytestmark = pytest.mark.django_db


class Reader:
    """A stand-in for the encoder's process, with one reply to every request."""

    def __init__(self, encoder: Encoder, reply: Any) -> None:
        self.facts = {"digest": encoder.digest, "dim": encoder.dim, "probe": []}
        self.reply, self.asked = reply, []

    def read(self, name: str, request: Any, progress: Any = None) -> Any:
        self.asked.append(request)
        if isinstance(self.reply, Exception):
            raise self.reply
        if progress is not None and isinstance(request, dict):
            progress(1, 2)
        return self.reply

    def load(self, name: str) -> None:
        if isinstance(self.reply, Exception):
            raise self.reply

    def close(self) -> None:
        pass


MAP = {
    "values": [[0.5, -0.25], [0.0, 0.125]],
    "method": "gradient",
    "view": [0.0, 0.0, 1.0, 1.0],
    "lead": 3.0,
    "blurred_lead": 1.0,
    "energy": [[0.0, 1.5, 0.25]],
}


@pytest.fixture
def station() -> WhyStation:
    made = WhyStation(prompts_known=False)
    image = made.items[0].image
    storage.write_atomically(storage.original_name(image.dataset_id, image.sha256), b"content")
    return made


def asked_map(station: WhyStation, runner_up: Any = None, **more: Any) -> HeatMap:
    now = clock.now()
    return HeatMap.objects.create(
        image=station.items[0].image,
        head=station.head,
        label=station.labels[0],
        runner_up=runner_up,
        recipe=1,
        began_at=now,
        used_at=now,
        asked_at=now,
        **more,
    )


@pytest.mark.parametrize("against_runner_up", [True, False])
def test_heat_map_is_stored_with_the_lead_of_the_head(station: WhyStation, against_runner_up: bool) -> None:
    row = asked_map(station, station.labels[1] if against_runner_up else None)
    reader = Reader(station.encoder, MAP)
    assert draw_requested_heat_map(row.pk, reader) == "found"
    head = load_head(bytes(station.head.weights))
    others = [1] if against_runner_up else [1, 2]
    expected = 20 * (head.weights[0] - head.weights[others].mean(0))
    assert np.allclose(reader.asked[0]["heat_map"]["direction"], expected, atol=1e-5)
    row.refresh_from_db()
    state = heat_map_state(row)
    assert state.values.tolist() == MAP["values"] and row.method == "gradient"
    assert state.energy.tolist() == MAP["energy"]
    assert row.lead == pytest.approx(3.0 + float(head.bias[0] - head.bias[others].mean()), abs=1e-5)
    assert row.lead - row.blurred_lead == pytest.approx(2.0)
    # A message that arrives twice, and one about a map that was deleted.
    assert draw_requested_heat_map(row.pk, reader) == draw_requested_heat_map(10**9, reader) == ""
    assert len(reader.asked) == 1


def test_searches_are_answered_while_a_heat_map_is_computed(station: WhyStation) -> None:
    row, now = asked_map(station), clock.now()

    def asked_text(text: str, encoder: Encoder, **more: Any) -> TextEmbedding:
        fields = {"used_at": now, "asked_at": now} | more
        digest = text_digest(text)
        return TextEmbedding.objects.create(encoder=encoder, digest=digest, text=text, **fields)

    searched = asked_text("a scratch", station.encoder)
    others = [
        asked_text("a dent", EncoderFactory(dim=DIM)),
        asked_text("a hole", station.encoder, asked_at=now - timedelta(hours=1)),
    ]

    class Process(Reader):
        def read(self, name: str, request: Any, progress: Any = None) -> Any:
            reply = super().read(name, request, progress)
            return reply if isinstance(request, dict) else {"vector": [1.0] + [0.0] * (DIM - 1)}

    assert draw_requested_heat_map(row.pk, Process(station.encoder, MAP)) == "found"
    searched.refresh_from_db()
    assert searched.answered_at and np.allclose(searched.vector, [1.0] + [0.0] * (DIM - 1))
    assert not any(TextEmbedding.objects.get(pk=one.pk).answered_at for one in others)


@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        (ReaderError("out of memory"), "failed"),
        ({"too_slow": 2.34}, "too_slow"),
        ({"unreadable": "no image"}, "no_file"),
    ],
)
def test_failures_are_stored_with_a_sentence(station: WhyStation, reply: Any, problem: str) -> None:
    row = asked_map(station)
    assert draw_requested_heat_map(row.pk, Reader(station.encoder, reply)) == problem
    row.refresh_from_db()
    state = heat_map_state(row)
    assert state.values is None and state.problem == problem and row.answered_at
    assert state.problem.sentence(state.detail)


def test_missing_file_other_weights_and_damaged_head_are_stored(station: WhyStation) -> None:
    other = Reader(station.encoder, MAP)
    other.facts["digest"] = "f" * 64
    row = asked_map(station)
    assert draw_requested_heat_map(row.pk, other) == "other_weights"

    row = asked_map(station, station.labels[1])
    set_fixed(station.head, weights=b"nothing")
    assert draw_requested_heat_map(row.pk, Reader(station.encoder, MAP)) == "failed"

    row = asked_map(station, station.labels[2])
    image = station.items[0].image
    storage.picture_path(image).unlink()
    assert draw_requested_heat_map(row.pk, Reader(station.encoder, MAP)) in {"no_file", "failed"}
    assert HeatMap.objects.filter(problem="").count() == 0


def test_old_requests_are_ignored(station: WhyStation) -> None:
    row = asked_map(station)
    HeatMap.objects.update(asked_at=row.asked_at - 10 * heat_maps_expire())
    assert draw_requested_heat_map(row.pk, Reader(station.encoder, MAP)) == ""


def heat_maps_expire() -> Any:
    from mekiki.learning.explaining.requests import EXPIRES

    return EXPIRES


def test_prompts_are_embedded_at_once_and_failures_stored(station: WhyStation) -> None:
    prompts = list(station.head.prompt_set.prompts.order_by("pk"))
    now = clock.now()
    for prompt in prompts:
        PromptEmbedding.objects.create(encoder=station.encoder, prompt=prompt, began_at=now, asked_at=now)
    ids = [prompt.pk for prompt in prompts]
    assert embed_single_prompts(station.encoder.pk, ids[:1], Reader(station.encoder, ReaderError("x"))) == (
        "not_loaded"
    )
    rows = PromptEmbedding.objects.filter(prompt__in=ids[1:]).order_by("prompt")
    reader = Reader(station.encoder, {"vectors": np.eye(len(ids) - 1, DIM).tolist()})
    assert embed_single_prompts(station.encoder.pk, ids, reader) == "found"
    assert sorted(reader.asked[0]) == sorted(prompt.text for prompt in prompts[1:])
    assert all(row.vector is not None and row.answered_at for row in rows)
    assert embed_single_prompts(station.encoder.pk, ids, reader) == ""
    failed = PromptEmbedding.objects.get(prompt=prompts[0])
    assert (failed.problem, failed.detail) == ("not_loaded", {"reason": "x"})


def test_encoder_is_loaded_in_advance(station: WhyStation) -> None:
    assert load_in_advance(station.encoder.pk, Reader(station.encoder, None)) == "loaded"
    assert load_in_advance(station.encoder.pk, Reader(station.encoder, ReaderError("x"))) == "not_loaded"
    assert load_in_advance(10**9, Reader(station.encoder, None)) == ""


def test_progress_and_answer_that_arrive_together_are_read_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The pipe can hold several lines. None of them may wait in a buffer for the next one."""
    program = """
import sys
print('{"digest": "d", "dim": 4, "probe": []}', flush=True)
for line in sys.stdin:
    sys.stdout.write('{"done": 1, "total": 2}\\\\n{"done": 2, "total": 2}\\\\n{"values": []}\\\\n')
    sys.stdout.flush()
""".replace("\\\\", "\\")
    monkeypatch.setattr(texts, "ANSWERING", 20.0)
    started = subprocess.Popen
    monkeypatch.setattr(
        texts.subprocess, "Popen", lambda _command, **more: started([sys.executable, "-c", program], **more)
    )
    process, seen = texts.TextEncoderProcess(), []
    try:
        for _ in range(2):
            seen.clear()
            assert process.read("x", {}, lambda *now: seen.append(now)) == {"values": []}
            assert seen == [(1, 2), (2, 2)]
    finally:
        process.close()
