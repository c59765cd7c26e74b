"""Parts of an upload are added completely and once, or not at all."""

import io
import threading
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from mekiki.accounts.models import User
from mekiki.datasets import services
from mekiki.datasets.models import Dataset, ImportBatch
from tests.datasets.helpers import picture

FILES = {f"{number}.jpg": picture(number) for number in range(3)}


def sent(*, short: str = "") -> list[tuple[str, Any, int | None]]:
    """The files of a part. The connection breaks in the middle of the file `short`."""
    return [
        (name, io.BytesIO(data[:100] if name == short else data), len(data)) for name, data in FILES.items()
    ]


def waiting(batch: ImportBatch) -> int:
    return ImportBatch.objects.values_list("waiting_bytes", flat=True).get(pk=batch.pk)


def run(batch: ImportBatch, user: User) -> ImportBatch:
    services.finish_upload(batch=batch, user=user)
    return services.run_import(batch=batch, progress=lambda done, total: None)


def test_a_file_that_cannot_be_stored_is_not_counted_as_waiting(dataset: Dataset, admin: User) -> None:
    batch = services.start_upload(dataset=dataset, user=admin)
    names = Path(batch.location) / "names.jsonl"
    names.mkdir()  # nothing can be written to it, as on a full disk
    with pytest.raises(OSError, match="directory"):
        services.add_file(batch=batch, name="0.jpg", file=io.BytesIO(FILES["0.jpg"]))
    with pytest.raises(OSError, match="directory"):
        services.add_files(batch=batch, part=0, files=sent())
    assert waiting(batch) == 0
    assert [path.name for path in Path(batch.location).iterdir()] == ["names.jsonl"]
    names.rmdir()
    services.add_files(batch=batch, part=0, files=sent())
    assert waiting(batch) == sum(map(len, FILES.values()))


def test_a_part_that_broke_off_is_sent_again_as_a_whole(dataset: Dataset, admin: User) -> None:
    batch = services.start_upload(dataset=dataset, user=admin)
    with pytest.raises(services.IncompleteError):
        services.add_files(batch=batch, part=0, files=sent(short="2.jpg"))
    assert waiting(batch) == 0
    assert list(Path(batch.location).iterdir()) == []
    assert services.add_files(batch=batch, part=0, files=sent()) == 3
    done = run(batch, admin)
    assert (done.added, done.duplicates, done.rejected) == (3, 0, 0)


class SentAgain(io.BytesIO):
    """A file whose part arrives a second time, completely, while it is being read."""

    def __init__(self, data: bytes, batch: ImportBatch) -> None:
        super().__init__(data)
        self._batch: ImportBatch | None = batch

    def read(self, size: int | None = -1, /) -> bytes:
        if self._batch is not None:
            batch, self._batch = self._batch, None
            assert services.add_files(batch=batch, part=0, files=sent()) == 3
        return super().read(size)


def test_a_part_that_arrives_twice_at_the_same_time_is_added_once(dataset: Dataset, admin: User) -> None:
    batch = services.start_upload(dataset=dataset, user=admin)
    files = sent()
    files[1] = ("1.jpg", SentAgain(FILES["1.jpg"], batch), len(FILES["1.jpg"]))
    assert services.add_files(batch=batch, part=0, files=files, refused=[("big.jpg", 10**12)]) == 0
    assert waiting(batch) == sum(map(len, FILES.values()))
    done = run(batch, admin)
    assert (done.added, done.duplicates, done.rejected) == (3, 0, 0)


@pytest.mark.django_db(transaction=True)
def test_parts_that_end_in_the_same_moment_are_added_once(dataset: Dataset, admin: User) -> None:
    batch = services.start_upload(dataset=dataset, user=admin)
    together = threading.Barrier(4)
    taken: list[int] = []

    class Last(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            piece = super().read(size)
            if not piece:
                together.wait(20)
            return piece

    def send() -> None:
        try:
            files = [*sent()[:2], ("2.jpg", Last(FILES["2.jpg"]), None)]
            taken.append(services.add_files(batch=batch, part=7, files=files))
        finally:
            connection.close()

    threads = [threading.Thread(target=send) for _number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(taken) == [0, 0, 0, 3]
    assert waiting(batch) == sum(map(len, FILES.values()))
    done = run(batch, admin)
    assert (done.added, done.duplicates) == (3, 0)
