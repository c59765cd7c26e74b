"""The mirror of embeddings equals the database after additions, removals, crashes and damage."""

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.db import ProgrammingError, transaction
from hypothesis import given, settings
from hypothesis import strategies as st

from mekiki.learning.models import Embedding
from mekiki.learning.services import store_embeddings
from tests.factories import DatasetFactory, EncoderFactory, ImageFactory
from tests.roles import as_owner
from workers import embeddings, mirror_files

pytestmark = pytest.mark.django_db


@pytest.fixture
def encoder() -> Any:
    return EncoderFactory(dim=6)


@pytest.fixture
def dataset() -> Any:
    return DatasetFactory()


def add_embeddings(encoder: Any, dataset: Any, n: int) -> dict[int, np.ndarray]:
    images = [ImageFactory(dataset=dataset) for _ in range(n)]
    vectors = np.random.default_rng(images[0].pk).standard_normal((n, 6)).astype(np.float32)
    store_embeddings(encoder=encoder, image_ids=[i.pk for i in images], vectors=vectors)
    return {image.pk: vector for image, vector in zip(images, vectors, strict=True)}


def equals(mirror: embeddings.Mirror, expected: dict[int, np.ndarray]) -> bool:
    ids = sorted(expected)
    return mirror.ids.tolist() == ids and np.array_equal(
        mirror.vectors, np.array([expected[i] for i in ids]).astype(np.float16).reshape(-1, 6)
    )


def test_load_reads_only_new_embeddings(encoder: Any, dataset: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(embeddings.load_mirror(encoder, dataset)) == 0
    expected = add_embeddings(encoder, dataset, 20)
    add_embeddings(encoder, DatasetFactory(), 3)
    assert equals(embeddings.load_mirror(encoder, dataset), expected)
    read: list[tuple[int, int]] = []
    real = embeddings.read_embeddings

    def read_and_record(**where: Any) -> Any:
        read.append((where["after"], where["until"]))
        return real(**where)

    monkeypatch.setattr(embeddings, "read_embeddings", read_and_record)
    new = add_embeddings(encoder, dataset, 5)
    expected |= new
    assert equals(embeddings.load_mirror(encoder, dataset), expected)
    assert equals(embeddings.load_mirror(encoder, dataset), expected)
    assert read == [(min(new) - 1, max(new))], "only the new embeddings were read, and once"


def test_late_rows_and_removed_rows_are_noticed(encoder: Any, dataset: Any) -> None:
    late = ImageFactory(dataset=dataset)
    expected = add_embeddings(encoder, dataset, 10)
    embeddings.load_mirror(encoder, dataset)
    store_embeddings(encoder=encoder, image_ids=[late.pk], vectors=np.ones((1, 6)))
    expected[late.pk] = np.ones(6, np.float32)
    assert equals(embeddings.load_mirror(encoder, dataset), expected)
    removed = sorted(expected)[4]
    Embedding.objects.filter(image_id=removed).delete()
    del expected[removed]
    assert equals(embeddings.load_mirror(encoder, dataset), expected)


def test_damaged_and_half_written_rows_are_repaired(encoder: Any, dataset: Any) -> None:
    expected = add_embeddings(encoder, dataset, 10)
    embeddings.load_mirror(encoder, dataset)
    folder = embeddings.mirror_folder(encoder, dataset)
    with (folder / "vectors").open("ab") as file:  # a crash while appending
        file.write(b"half a row")
    expected |= add_embeddings(encoder, dataset, 2)
    assert equals(embeddings.load_mirror(encoder, dataset), expected)
    (folder / "vectors").write_bytes(b"cut off")
    assert equals(embeddings.load_mirror(encoder, dataset), expected)
    (folder / "mirror.json").write_text("{ not json")
    assert equals(embeddings.load_mirror(encoder, dataset), expected)
    for name in ("ids", "keys", "vectors"):
        with (folder / name).open("r+b") as file:  # one byte changed, the length of the file unchanged
            file.seek(21)
            byte = file.read(1)
            file.seek(21)
            file.write(bytes([byte[0] ^ 4]))
        assert equals(embeddings.load_mirror(encoder, dataset), expected), name
    (folder / "vectors").unlink()
    assert equals(embeddings.load_mirror(encoder, dataset), expected)


def test_a_vector_is_never_changed_in_place(encoder: Any, dataset: Any) -> None:
    image = min(add_embeddings(encoder, dataset, 2))
    with pytest.raises(ProgrammingError, match="Cannot update"), transaction.atomic():
        Embedding.objects.filter(image_id=image).update(vector=[1.0] * 6)


def test_a_row_replaced_by_another_of_the_same_image_is_noticed(encoder: Any, dataset: Any) -> None:
    expected = add_embeddings(encoder, dataset, 9)
    embeddings.load_mirror(encoder, dataset)
    again = sorted(expected)[3:5]
    Embedding.objects.filter(image_id__in=again).delete()
    store_embeddings(encoder=encoder, image_ids=again, vectors=np.eye(6)[:2])
    expected |= dict(zip(again, np.eye(6, dtype=np.float32)[:2]))
    assert equals(embeddings.load_mirror(encoder, dataset), expected)


def test_mirror_is_read_again_after_a_restored_backup(encoder: Any, dataset: Any) -> None:
    expected = add_embeddings(encoder, dataset, 4)
    backup = transaction.savepoint()
    lost = add_embeddings(encoder, dataset, 3)
    embeddings.load_mirror(encoder, dataset)
    transaction.savepoint_rollback(backup)
    images = [ImageFactory(dataset=dataset, pk=pk) for pk in lost]  # other images under the same ids
    store_embeddings(encoder=encoder, image_ids=[i.pk for i in images], vectors=np.eye(6)[:3])
    expected |= {image.pk: row for image, row in zip(images, np.eye(6, dtype=np.float32))}
    assert equals(embeddings.load_mirror(encoder, dataset), expected)


def test_rows_written_with_triggers_off_are_detected(
    encoder: Any, dataset: Any, caplog: pytest.LogCaptureFixture
) -> None:
    expected = add_embeddings(encoder, dataset, 6)
    embeddings.load_mirror(encoder, dataset)
    ids = [ImageFactory(dataset=dataset).pk for _ in range(4)]
    with as_owner(triggers=False):
        store_embeddings(encoder=encoder, image_ids=ids[1:3], vectors=np.eye(6)[1:3])
    store_embeddings(encoder=encoder, image_ids=[ids[0], ids[3]], vectors=np.eye(6)[[0, 3]])
    expected |= dict(zip(ids, np.eye(6, dtype=np.float32)))
    assert equals(embeddings.load_mirror(encoder, dataset), expected)
    assert "the changes add up to" in caplog.text


@pytest.mark.django_db(transaction=True)
def test_load_reports_progress_and_ignores_concurrent_writes(
    encoder: Any, dataset: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mekiki.learning.binary.CHUNK", 300)
    expected = add_embeddings(encoder, dataset, 40)
    progress_calls: list[tuple[int, int]] = []
    later: dict[int, np.ndarray] = {}

    def progress(done: int, total: int) -> None:
        progress_calls.append((done, total))
        if not later:
            later.update(add_embeddings(encoder, dataset, 3))

    assert equals(embeddings.load_mirror(encoder, dataset, progress=progress), expected), (
        "the mirror shows one moment"
    )
    assert len(progress_calls) > 3 and progress_calls[-1] == (40, 40)
    assert equals(embeddings.load_mirror(encoder, dataset), expected | later)


@pytest.mark.parametrize("dim", [6])
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_files_match_after_any_changes(
    dim: int, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Rows are added and removed anywhere, in small blocks, with checks and crashes between.

    The files match.
    """
    folder = tmp_path_factory.mktemp("mirror")
    truth: dict[int, np.ndarray] = {}
    state, stamp = mirror_files.MirrorState(), 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mirror_files, "BLOCK", 4)
        for ids in data.draw(st.lists(st.sets(st.integers(1, 40), min_size=1, max_size=12), max_size=6)):
            for pk in ids:
                if truth.pop(pk, None) is None:
                    stamp += 1
                    truth[pk] = np.full(dim, stamp % 2000, np.float16)
            ranges = embeddings._merged(np.array(sorted(ids)), np.array(sorted(ids)))

            def read(first: int, last: int) -> Any:
                image_ids = np.array([pk for pk in sorted(truth) if first <= pk <= last], np.int64)
                for part in np.array_split(image_ids, 3):
                    if len(part):
                        yield part, part / 100, np.array([truth[pk] for pk in part])

            if data.draw(st.booleans()):

                def read_and_fail(first: int, last: int) -> Any:
                    yield next(iter(read(1, 40)), (np.zeros(0), np.zeros(0), np.zeros((0, dim))))
                    raise OSError("killed")

                with pytest.raises(OSError, match="killed"):
                    mirror_files.apply_changes(folder, dim, state, ranges, read_and_fail)
                state = mirror_files.load_valid_state(folder, dim) or mirror_files.MirrorState()
                if not state.count:
                    ranges = [(1, 40)]
            state = mirror_files.apply_changes(folder, dim, state, ranges, read)
            mirror_files.save_state(folder, dim, state)
            assert mirror_files._checksums_match(folder, dim, state)
            assert mirror_files.map_file(folder, "ids", state.count).tolist() == sorted(truth)
            vectors = mirror_files.map_file(folder, "vectors", state.count, dim)
            assert np.array_equal(vectors, np.array([truth[pk] for pk in sorted(truth)]).reshape(-1, dim))


def test_rows_and_mask_of_images_are_returned(encoder: Any, dataset: Any) -> None:
    ids = sorted(add_embeddings(encoder, dataset, 4))
    mirror = embeddings.load_mirror(encoder, dataset)
    rows, is_known = mirror.rows_of([ids[2], 10**12, ids[0]])
    assert rows[is_known].tolist() == [2, 0] and is_known.tolist() == [True, False, True]
    assert mirror.mask_of([ids[3], -1]).tolist() == [False, False, False, True]


def test_the_lock_of_a_killed_process_is_released(encoder: Any, dataset: Any) -> None:
    """The other process locks the file by flock, as a worker of an earlier version does."""
    expected = add_embeddings(encoder, dataset, 3)
    folder = embeddings.mirror_folder(encoder, dataset)
    folder.mkdir(parents=True)
    program = "import fcntl, sys, time; file = open(sys.argv[1], 'w'); fcntl.flock(file, fcntl.LOCK_EX);"
    program += "print('locked', flush=True); time.sleep(60)"
    command = [sys.executable, "-c", program, str(folder / "lock")]
    lock_taken = threading.Event()

    def take(folder: Path) -> None:
        with embeddings._locked(folder):
            lock_taken.set()

    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None and other.stdout.readline() == "locked\n"
        waiting = threading.Thread(target=take, args=(folder,))
        waiting.start()
        assert not lock_taken.wait(0.5)
        other.kill()
        assert lock_taken.wait(10)
    waiting.join()
    assert equals(embeddings.load_mirror(encoder, dataset), expected)


def test_the_parent_of_the_workers_has_no_torch() -> None:
    code = (
        "import django; django.setup(); import sys, workers.tasks, workers.runner; "
        "assert not {'torch', 'open_clip', 'sklearn'} & set(sys.modules), 'too much imported'"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr


def test_every_file_is_closed_if_one_cannot_be_written(tmp_path: Path) -> None:
    class Full:
        def close(self) -> None:
            raise OSError(28, "No space left on device")

    writer = mirror_files._Writer(tmp_path, 6, mirror_files.MirrorState(), in_place=False).__enter__()
    files = list(writer._files.values())
    writer._files["ids"].close()
    writer._files["ids"] = Full()  # type: ignore[assignment]
    with pytest.raises(OSError, match="No space left"):
        writer.__exit__(None)
    assert all(file.closed for file in files) and not list(tmp_path.iterdir())
