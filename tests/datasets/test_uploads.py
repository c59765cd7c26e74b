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


def files_of_part(*, short: str = "") -> list[tuple[str, Any, int | None]]:
    """Return the files of a part. The connection breaks in the middle of the file `short`."""
    return [
        (name, io.BytesIO(data[:100] if name == short else data), len(data)) for name, data in FILES.items()
    ]


def waiting_bytes(batch: ImportBatch) -> int:
    return ImportBatch.objects.values_list("waiting_bytes", flat=True).get(pk=batch.pk)


def finish_and_import(batch: ImportBatch, user: User) -> ImportBatch:
    services.finish_upload(batch=batch, user=user)
    return services.run_import(batch=batch, progress=lambda done, total: None)


def test_a_file_that_cannot_be_stored_is_not_counted_as_waiting(dataset: Dataset, admin: User) -> None:
    batch = services.start_upload(dataset=dataset, user=admin)
    names = Path(batch.location) / "names.jsonl"
    names.mkdir()  # nothing can be written to it, as on a full disk
    with pytest.raises(OSError, match="directory"):
        services.add_file(batch=batch, user=admin, name="0.jpg", file=io.BytesIO(FILES["0.jpg"]))
    with pytest.raises(OSError, match="directory"):
        services.add_files(batch=batch, user=admin, part=0, files=files_of_part())
    assert waiting_bytes(batch) == 0
    assert [path.name for path in Path(batch.location).iterdir()] == ["names.jsonl"]
    names.rmdir()
    services.add_files(batch=batch, user=admin, part=0, files=files_of_part())
    assert waiting_bytes(batch) == sum(map(len, FILES.values()))


def test_incomplete_part_is_discarded_and_sent_again(dataset: Dataset, admin: User) -> None:
    batch = services.start_upload(dataset=dataset, user=admin)
    with pytest.raises(services.IncompleteError):
        services.add_files(batch=batch, user=admin, part=0, files=files_of_part(short="2.jpg"))
    assert waiting_bytes(batch) == 0
    assert list(Path(batch.location).iterdir()) == []
    assert services.add_files(batch=batch, user=admin, part=0, files=files_of_part()) == 3
    finished = finish_and_import(batch, admin)
    assert (finished.added, finished.duplicates, finished.rejected) == (3, 0, 0)


class SentAgain(io.BytesIO):
    """A file whose part arrives a second time, completely, while it is being read."""

    def __init__(self, data: bytes, batch: ImportBatch, user: User) -> None:
        super().__init__(data)
        self._batch: ImportBatch | None = batch
        self._user = user

    def read(self, size: int | None = -1, /) -> bytes:
        if self._batch is not None:
            batch, self._batch = self._batch, None
            assert services.add_files(batch=batch, user=self._user, part=0, files=files_of_part()) == 3
        return super().read(size)


def test_a_part_that_arrives_twice_at_the_same_time_is_added_once(dataset: Dataset, admin: User) -> None:
    batch = services.start_upload(dataset=dataset, user=admin)
    files = files_of_part()
    files[1] = ("1.jpg", SentAgain(FILES["1.jpg"], batch, admin), len(FILES["1.jpg"]))
    assert (
        services.add_files(batch=batch, user=admin, part=0, files=files, refused=[("big.jpg", 10**12)]) == 0
    )
    assert waiting_bytes(batch) == sum(map(len, FILES.values()))
    finished = finish_and_import(batch, admin)
    assert (finished.added, finished.duplicates, finished.rejected) == (3, 0, 0)


@pytest.mark.django_db(transaction=True)
def test_parts_that_end_in_the_same_moment_are_added_once(dataset: Dataset, admin: User) -> None:
    batch = services.start_upload(dataset=dataset, user=admin)
    barrier = threading.Barrier(4)
    added_counts: list[int] = []

    class Last(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            piece = super().read(size)
            if not piece:
                barrier.wait(20)
            return piece

    def send() -> None:
        try:
            files = [*files_of_part()[:2], ("2.jpg", Last(FILES["2.jpg"]), None)]
            added_counts.append(services.add_files(batch=batch, user=admin, part=7, files=files))
        finally:
            connection.close()

    threads = [threading.Thread(target=send) for _number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(added_counts) == [0, 0, 0, 3]
    assert waiting_bytes(batch) == sum(map(len, FILES.values()))
    finished = finish_and_import(batch, admin)
    assert (finished.added, finished.duplicates) == (3, 0)
