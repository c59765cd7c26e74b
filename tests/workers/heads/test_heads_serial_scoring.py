"""Serialization of heads, scoring in chunks, and training."""

from __future__ import annotations

import json
import pickle
import re
import struct
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from workers.heads.head import LogisticHead, NonFiniteVectors
from workers.heads.scoring import score
from workers.heads.serial import MalformedHead, dump_head, load_head
from workers.heads.train import train_head
from workers.heads.zero_shot import ZeroShotHead


def logistic(labels: int = 5, d: int = 16, seed: int = 0) -> LogisticHead:
    rng = np.random.default_rng(seed)
    return LogisticHead(
        rng.normal(size=(labels, d)),
        rng.normal(size=labels),
        logit_scale=14.3,
        temperature=1.7,
        calibrated=True,
        details={"labels": 12, "lambda0": 0.5, "名": "傷"},
    )


@given(st.integers(1, 6), st.integers(1, 9), st.integers(0, 99))
@settings(max_examples=20)
def test_a_loaded_head_is_equal_and_gives_the_same_bytes(labels: int, d: int, seed: int) -> None:
    head = logistic(labels, d, seed)
    data = dump_head(head)
    back = load_head(data)
    assert type(back) is LogisticHead
    assert back.weights.tobytes() == head.weights.tobytes()
    assert back.bias.tobytes() == head.bias.tobytes()
    assert (back.logit_scale, back.temperature, back.calibrated) == (14.3, 1.7, True)
    assert back.details == head.details
    assert dump_head(back) == data == dump_head(logistic(labels, d, seed))


def test_a_zero_shot_head_loads_as_zero_shot() -> None:
    back = load_head(dump_head(ZeroShotHead(np.eye(3), 50.0)))
    assert (type(back), back.kind, back.calibrated) == (ZeroShotHead, "zero_shot", False)


def test_bytes_are_the_same_in_another_process() -> None:
    program = (
        "import numpy as np, hashlib, sys\n"
        "from workers.heads.zero_shot import ZeroShotHead\n"
        "from workers.heads.serial import dump_head\n"
        "details = {'b': 1, 'a': [2], 'c': {'z': 1, 'y': 2}}\n"
        "h = ZeroShotHead(np.arange(6.0).reshape(2, 3), 3.0, details=details)\n"
        "print(hashlib.sha256(dump_head(h)).hexdigest())\n"
    )
    digests = {
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
        for _ in "ab"
    }
    assert len(digests) == 1


def head_file(**changes: object) -> bytes:
    base = {
        "format": 1, "kind": "logistic", "n_labels": 2, "dim": 2, "logit_scale": 1.0, "temperature": 1.0,
        "calibrated": False, "details": {},
    }  # fmt: skip
    tensors = {"weights": np.eye(2, dtype=np.float32), "bias": np.zeros(2, np.float32)}
    tensors.update({k: v for k, v in changes.items() if isinstance(v, np.ndarray)})
    for name in [k for k, v in changes.items() if v is None and k in tensors]:
        del tensors[name]
    base.update({k: v for k, v in changes.items() if k not in ("weights", "bias", "extra")})
    return save(tensors, metadata={"head": json.dumps(base)})


def test_a_hand_written_file_loads() -> None:
    assert load_head(head_file()).n_labels == 2


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00" * 7,
        b"\xff" * 64,
        pickle.dumps({"weights": [1]}),
        struct.pack("<Q", 5) + b"[1,2]",
        struct.pack("<Q", 1 << 60) + b"{}",
        struct.pack("<Q", 60_000) + b"[" * 60_000,
        save({"weights": np.eye(2, dtype=np.float32)}),
        head_file(bias=None),
        head_file(format=2),
        head_file(kind="pickle"),
        head_file(kind=["logistic"]),
        head_file(n_labels=3),
        head_file(dim=1),
        head_file(temperature=0.0),
        head_file(temperature="1"),
        head_file(logit_scale=True),
        head_file(logit_scale=float("nan")),
        head_file(calibrated="yes"),
        head_file(details=[]),
        head_file(bias=np.zeros(3, np.float32)),
        head_file(bias=np.zeros(2, np.float64)),
        head_file(weights=np.eye(2, dtype=np.float64)),
        head_file(weights=np.full((2, 2), np.nan, np.float32)),
        head_file(weights=np.zeros(4, np.float32)),
        head_file(extra=np.zeros(1, np.float32)),
        head_file()[:-1],
        head_file() + b"x",
    ],
)
def test_invalid_bytes_raise_malformed_head(data: bytes) -> None:
    with pytest.raises(MalformedHead):
        load_head(data)


@given(st.integers(0, 2000), st.integers(0, 255))
@settings(max_examples=150, deadline=None)
def test_a_changed_byte_is_refused_or_gives_another_valid_head(at: int, value: int) -> None:
    data = bytearray(dump_head(logistic()))
    data[at % len(data)] = value
    try:
        back = load_head(bytes(data))
    except MalformedHead:
        return
    assert np.isfinite(back.weights).all()
    assert back.temperature > 0


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("chunk", [1, 7, 100, 65536])
def test_scores_equal_the_heads_probabilities_for_any_chunk(dtype: type, chunk: int) -> None:
    head = logistic()
    X = np.random.default_rng(1).normal(size=(53, 16)).astype(dtype) / 4
    p = head.predict_proba(X).astype(np.float64)
    s = score(head, X, chunk=chunk)
    order = np.argsort(-p, axis=1)
    np.testing.assert_array_equal(s.label, order[:, 0])
    np.testing.assert_array_equal(s.runner_up, order[:, 1])
    ranked = np.take_along_axis(p, order, axis=1)
    np.testing.assert_allclose(s.confidence, ranked[:, 0], atol=1e-5)
    np.testing.assert_allclose(s.runner_up_confidence, ranked[:, 1], atol=1e-5)
    np.testing.assert_allclose(s.margin, ranked[:, 0] - ranked[:, 1], atol=1e-5)
    np.testing.assert_allclose(s.entropy, -(p * np.log(p + 1e-30)).sum(axis=1), atol=1e-4)
    assert (s.label.dtype, s.confidence.dtype, s.entropy.dtype) == (np.int32, np.float32, np.float32)


def test_conversion_in_blocks_covers_all_rows() -> None:
    head = logistic()
    X = np.random.default_rng(1).normal(size=(5001, 16)).astype(np.float16)
    np.testing.assert_array_equal(score(head, X).label, head.predict(X))


def test_scores_of_no_rows_and_of_one_label() -> None:
    assert len(score(logistic(), np.empty((0, 16), np.float32))) == 0
    s = score(ZeroShotHead(np.ones((1, 4)), 10.0), np.ones((3, 4), np.float32))
    assert s.label.tolist() == [0, 0, 0]
    assert s.runner_up.tolist() == [-1, -1, -1]
    assert s.margin.tolist() == s.confidence.tolist() == [1.0, 1.0, 1.0]
    assert s.entropy.tolist() == [0.0, 0.0, 0.0]


def test_rows_with_invalid_scores_are_named() -> None:
    X = np.zeros((10, 16), np.float32)
    X[7] = np.nan
    with pytest.raises(NonFiniteVectors) as caught:
        score(logistic(), X, chunk=3)
    assert caught.value.rows.tolist() == [7]
    with pytest.raises(ValueError, match="16"):
        score(logistic(), np.zeros((2, 3), np.float32))


def labelled(n: int = 200, noise: float = 0.5):
    rng = np.random.default_rng(3)
    T = rng.normal(size=(4, 32))
    T /= np.linalg.norm(T, axis=1, keepdims=True)
    y = rng.integers(0, 4, n)
    X = T[y] + noise * rng.normal(size=(n, 32))
    return (X / np.linalg.norm(X, axis=1, keepdims=True)).astype(np.float32), y, T


def test_training_calibrates_and_logs_its_steps() -> None:
    X, y, T = labelled(1200)
    codes: list[str] = []

    def log(code: str, /, **values: Any) -> None:
        codes.append(code)

    trained = train_head(X[:200], y[:200], class_embeddings=T, logit_scale=100.0, seed=1, log=log)
    assert trained.head.calibrated
    assert json.loads(json.dumps(trained.metrics)) == trained.metrics
    figures = trained.metrics["cross_validated_on_reviewed_labels"]
    fresh = (trained.head.predict(X[200:]) == y[200:]).mean()
    assert figures["cv_accuracy"] == pytest.approx(fresh, abs=0.08)
    assert confidence_gap(trained.head.predict_proba(X[200:]), y[200:]) < 0.08
    assert codes[0] == "labels" and "cross_validated" in codes
    # No metric is called plain accuracy: that is measured on the audit sample only.
    names = set(re.findall(r'"(\w*accuracy)"', json.dumps(trained.metrics)))
    assert names == {"cv_accuracy", "zero_shot_reviewed_accuracy"}
    again = train_head(X[:200], y[:200], class_embeddings=T, logit_scale=100.0, seed=1)
    assert dump_head(again.head) == dump_head(trained.head)


def confidence_gap(p: np.ndarray, y: np.ndarray) -> float:
    return abs(float(p.max(axis=1).mean()) - float((p.argmax(axis=1) == y).mean()))


def test_training_on_few_or_no_labels_is_uncalibrated() -> None:
    X, y, T = labelled()
    for n in (0, 1, 5):
        trained = train_head(X[:n], y[:n], class_embeddings=T, logit_scale=100.0)
        assert not trained.head.calibrated
        assert trained.head.temperature == 1.0
        assert trained.metrics["cross_validated_on_reviewed_labels"] is None
        assert sum(trained.metrics["labels_per_class"]) == n


SCORING = (
    "heads.serial heads.scoring heads.zero_shot heads.calibration "
    "acquisition.mix acquisition.audit evaluation.metrics"
)


@pytest.mark.parametrize(
    ("modules", "heavy"),
    [(SCORING, "torch sklearn scipy django mekiki"), ("heads.train", "torch django mekiki")],
)
def test_the_packages_import_no_heavy_libraries(modules: str, heavy: str) -> None:
    imports = "".join(f"import workers.{module}\n" for module in modules.split())
    program = f"import sys\n{imports}print([m for m in {heavy.split()} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
