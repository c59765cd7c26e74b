"""Predictions in one partition for each head.

The rules of foreign keys hold while several processes work, and after they die.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from mekiki.datasets.models import Image
from mekiki.labeling.models import Label
from mekiki.learning import services
from mekiki.learning.models import Head, Prediction
from mekiki.learning.services import predictions
from mekiki.review.services.leases import _predicted
from tests.factories import ChampionFactory, DatasetFactory, HeadFactory, ImageFactory, LabelFactory
from tests.roles import as_owner, superuser_url, test_database_url, without_append_only
from tests.waiting import is_blocked_by, until
from workers.embeddings import Mirror
from workers.heads.scoring import Scores
from workers.steps import predictions as steps

ROOT = Path(__file__).resolve().parents[2]
ALL_INDEXES = {"_pkey", "_by_label", "_by_confidence", "_by_label_image"}


class Scene:
    """A dataset with three labels, n images and a head."""

    def __init__(self, n: int = 6) -> None:
        self.dataset = DatasetFactory()
        self.labels = [LabelFactory(dataset=self.dataset) for _ in range(3)]
        self.images = [ImageFactory(dataset=self.dataset) for _ in range(n)]
        self.head = self.new_head()

    def new_head(self) -> Any:
        return HeadFactory(dataset=self.dataset, label_ids=[label.pk for label in self.labels])

    def store(self, head: Any = None, images: list[Any] | None = None) -> int:
        """Store predictions of the first label, with the second as runner-up."""
        some = self.images if images is None else images
        n = len(some)
        return services.store_predictions(
            head=head or self.head,
            image_ids=[image.pk for image in some],
            label_ids=[self.labels[0].pk] * n,
            runner_up_ids=[self.labels[1].pk] * n,
            confidence=np.linspace(0.5, 0.9, n),
            margin=[0.1] * n,
            entropy=[0.2] * n,
        )


def partitions() -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits"
            " WHERE inhparent = 'learning_prediction'::regclass"
        )
        return {row[0] for row in cursor.fetchall()}


def indexes(head: Any) -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT indexname FROM pg_indexes WHERE tablename = %s", [predictions.partition_name(head.pk)]
        )
        return {row[0].removeprefix(predictions.partition_name(head.pk)) for row in cursor.fetchall()}


def sql(text: str, *values: Any) -> None:
    """Run SQL as the owner, because the application deletes no image, label or head."""
    with as_owner(), connection.cursor() as cursor:
        cursor.execute(text, values)


def rows() -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT head_id, image_id, label_id, runner_up_id, confidence, margin, entropy"
            " FROM learning_prediction "
            "ORDER BY 1, 2"
        )
        return cursor.fetchall()


@contextmanager
def other_session() -> Iterator[psycopg.Connection]:
    with psycopg.connect(
        **connection.get_connection_params() | {"context": None, "cursor_factory": psycopg.Cursor}
    ) as own:
        yield own


def run_in_thread(action: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    """Run a function in a thread on its own connection and add its result or error to the list."""
    out: list[Any] = []

    def run() -> None:
        try:
            out.append(action())
        except Exception as error:
            out.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread, out


@pytest.mark.django_db
class TestForeignKeyRules:
    """The rules of foreign keys, checked on the database itself."""

    @pytest.mark.parametrize("by_orm", [True, False])
    def test_deleting_an_image_deletes_its_predictions(self, by_orm: bool) -> None:
        scene, elsewhere = Scene(), Scene()
        second = scene.new_head()
        for head in (scene.head, second):
            scene.store(head)
        elsewhere.store()
        deleted_ids = [image.pk for image in scene.images[:2]]
        if by_orm:
            with as_owner():
                Image.objects.filter(pk__in=deleted_ids).delete()
        else:
            sql("DELETE FROM datasets_image WHERE id = ANY(%s)", deleted_ids)
        remaining = set(Prediction.objects.values_list("head_id", "image_id"))
        assert remaining == {(h.pk, i.pk) for h in (scene.head, second) for i in scene.images[2:]} | {
            (elsewhere.head.pk, i.pk) for i in elsewhere.images
        }

    @pytest.mark.parametrize("by_orm", [True, False])
    def test_deleting_a_head_deletes_its_predictions(self, by_orm: bool) -> None:
        scene = Scene()
        kept_head = scene.new_head()
        for head in (scene.head, kept_head):
            scene.store(head)
        assert predictions.partition_name(scene.head.pk) in partitions()
        with without_append_only(Head):
            if by_orm:
                scene.head.delete()
            else:
                sql("DELETE FROM learning_head WHERE id = %s", scene.head.pk)
        assert set(Prediction.objects.values_list("head_id", flat=True)) == {kept_head.pk}
        assert predictions.partition_name(kept_head.pk) in partitions()
        assert len([name for name in partitions() if name == f"learning_prediction_{scene.head.pk}"]) == 0
        other = HeadFactory()
        with without_append_only(Head):
            other.delete()  # a head that has predicted nothing

    @pytest.mark.parametrize("which", [0, 1])
    def test_label_with_predictions_cannot_be_deleted(self, which: int) -> None:
        scene = Scene()
        scene.store()
        with as_owner(triggers=False), connection.cursor() as cursor:
            cursor.execute("DELETE FROM labeling_prompt")
        with pytest.raises(IntegrityError, match="is named by predictions"), transaction.atomic():
            sql("DELETE FROM labeling_label WHERE id = %s", scene.labels[which].pk)
            sql("SET CONSTRAINTS ALL IMMEDIATE")
        # A label that no prediction names. All of it in one transaction, in any order.
        with transaction.atomic():
            sql("DELETE FROM labeling_label WHERE id = %s", scene.labels[2].pk)
            sql("SET CONSTRAINTS ALL IMMEDIATE")
            sql("SET CONSTRAINTS ALL DEFERRED")
            sql("DELETE FROM labeling_label WHERE id = %s", scene.labels[which].pk)
            sql("DELETE FROM learning_prediction")
            sql("SET CONSTRAINTS ALL IMMEDIATE")
        assert not Prediction.objects.exists()

    def test_predictions_need_existing_labels_and_images_without_repetition(self) -> None:
        scene, elsewhere = Scene(), Scene()
        images = [*scene.images, elsewhere.images[0], scene.images[0]]
        assert scene.store(images=images) == len(scene.images)
        first = Prediction.objects.get(image=scene.images[0])
        assert first.confidence == 0.5, "of an image sent twice, the first counts"
        unknown = scene.labels[1].pk = 10**9
        with pytest.raises(IntegrityError, match=str(unknown)), transaction.atomic():
            scene.store(scene.new_head())

    def test_predictions_of_a_deleted_head_are_refused(self) -> None:
        scene = Scene()
        with without_append_only(Head):
            Head.objects.filter(pk=scene.head.pk).delete()
        with pytest.raises(Head.DoesNotExist):
            scene.store()
        assert f"learning_prediction_{scene.head.pk}" not in partitions()

    def test_indexes_are_created_after_all_rows(self) -> None:
        scene = Scene()
        services.index_predictions(head=scene.head)  # nothing was stored, so there is nothing to index
        scene.store()
        assert indexes(scene.head) == {"_pkey"}
        for _ in range(2):
            services.index_predictions(head=scene.head)
            assert indexes(scene.head) == ALL_INDEXES
        new = ImageFactory(dataset=scene.dataset)
        assert scene.store(images=[new]) == 1

    def test_lease_reads_only_the_partition_of_the_head_in_use(self) -> None:
        scene = Scene()
        heads = [scene.head, *(scene.new_head() for _ in range(3))]
        for head in heads:
            scene.store(head)
        ChampionFactory(dataset=scene.dataset, head=heads[2])
        with CaptureQueriesContext(connection) as caught:
            predicted = _predicted(scene.dataset, [scene.images[0].pk])
        assert predicted[scene.images[0].pk]["head"] == heads[2].version
        assert len(caught.captured_queries) == 2
        with connection.cursor() as cursor:
            cursor.execute("EXPLAIN (GENERIC_PLAN) " + caught.captured_queries[1]["sql"])
            plan = "\n".join(row[0] for row in cursor.fetchall())
        assert predictions.partition_name(heads[2].pk) in plan
        assert not any(predictions.partition_name(head.pk) in plan for head in (*heads[:2], heads[3])), plan

    def test_lease_repeats_its_query_if_the_head_was_replaced_meanwhile(self) -> None:
        scene = Scene()
        old, new = scene.head, scene.new_head()
        for head in (old, new):
            scene.store(head)
        services.promote(head=old, reason={"code": "first_head"})
        replacements: list[bool] = []

        def replace(execute: Any, query: str, *rest: Any) -> Any:
            if "learning_prediction" in query and not replacements:
                replacements.append(True)
                services.promote(head=new, reason={"code": "better_than_prompts"})
                assert services.drop_replaced_predictions(scene.dataset) == 1
            return execute(query, *rest)

        with connection.execute_wrapper(replace):
            predicted = _predicted(scene.dataset, [scene.images[0].pk])
        assert replacements and predicted[scene.images[0].pk]["head"] == new.version


@pytest.mark.django_db(transaction=True)
class TestConcurrency:
    def test_an_image_that_is_being_deleted_is_left_out(self) -> None:
        scene = Scene()
        services.open_predictions(head=scene.head)
        deleted_id = scene.images[0].pk
        with other_session() as own:
            own.execute("SET ROLE mekiki")
            own.execute("DELETE FROM datasets_image WHERE id = %s", [deleted_id])
            thread, out = run_in_thread(scene.store)
            until(lambda: is_blocked_by(own.info.backend_pid))
        thread.join(20)
        assert out == [len(scene.images) - 1]
        assert not Prediction.objects.filter(image_id=deleted_id).exists()

    def test_image_deleted_during_storing_leaves_no_prediction(self) -> None:
        scene = Scene()
        deleted_id = scene.images[0].pk

        def delete() -> None:
            sql("DELETE FROM datasets_image WHERE id = %s", deleted_id)

        with transaction.atomic():
            assert scene.store() == len(scene.images)
            thread, out = run_in_thread(delete)
            time.sleep(0.3)
            assert not out, "the deletion waits for the predictions"
        thread.join(20)
        assert out == [None]
        assert Prediction.objects.count() == len(scene.images) - 1
        assert not Prediction.objects.filter(image_id=deleted_id).exists()

    def test_label_is_not_deleted_while_its_predictions_are_stored(self) -> None:
        scene = Scene()

        def delete() -> None:
            sql("DELETE FROM labeling_label WHERE id = %s", scene.labels[0].pk)

        with transaction.atomic():
            scene.store()
            thread, out = run_in_thread(delete)
            time.sleep(0.3)
        thread.join(20)
        assert isinstance(out[0], IntegrityError)
        assert Label.objects.filter(pk=scene.labels[0].pk).exists()

    def test_two_workers_store_predictions_of_one_head_once(self) -> None:
        scene = Scene(n=40)
        started = [run_in_thread(lambda: scene.store()) for _ in range(3)]
        for thread, _out in started:
            thread.join(20)
        assert sorted(out[0] for _thread, out in started) == [0, 0, 40]
        assert Prediction.objects.count() == 40

    def test_predictions_of_two_heads_are_stored_concurrently(self) -> None:
        scene, elsewhere = Scene(), Scene()
        second = scene.new_head()
        with transaction.atomic():  # its transaction stays open while the others start and end
            scene.store()
            started = [run_in_thread(act) for act in (lambda: elsewhere.store(), lambda: scene.store(second))]
            # Attaching a partition locks the parent against another attachment until the commit.
            time.sleep(0.2)
        for thread, out in started:
            thread.join(20)
            assert out == [6]
        assert Prediction.objects.count() == 18

    def test_drop_waits_for_readers_and_is_repeated_later(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(predictions, "DROP_TRIES", 3)
        monkeypatch.setattr(predictions, "DROP_PAUSE", 0.05)
        scene = Scene()
        old, new = scene.head, scene.new_head()
        for head in (old, new):
            scene.store(head)
        ChampionFactory(dataset=scene.dataset, head=new)
        with other_session() as own:
            own.execute("SELECT * FROM learning_prediction WHERE head_id = %s LIMIT 1", [old.pk])
            start = time.monotonic()
            assert services.drop_replaced_predictions(scene.dataset) == 0
            assert time.monotonic() - start < 5
            assert Prediction.objects.filter(head=old).count() == 6, "all predictions stay"
        with connection.cursor() as cursor:
            cursor.execute("SHOW lock_timeout")
            assert cursor.fetchone()[0] == "0", "the short timeout applied to the drop only"
        assert services.drop_replaced_predictions(scene.dataset) == 1
        assert set(Prediction.objects.values_list("head_id", flat=True)) == {new.pk}
        assert scene.store(old) == 6, "an older head can predict again"


CHILD = """
import sys, django
django.setup()
from tests.learning.test_predictions import store_in_chunks
store_in_chunks(int(sys.argv[1]), lambda **facts: print(facts.get("done"), flush=True))
"""


def store_in_chunks(head_id: int, report: Any) -> int:
    """Store predictions as a worker does: every image of the head's dataset, a hundred at a time."""
    head = Head.objects.get(pk=head_id)
    ids = np.array(Image.objects.filter(dataset=head.dataset).order_by("pk").values_list("pk", flat=True))
    n = len(ids)
    half = np.full(n, 0.5, np.float32)
    scores = Scores(np.zeros(n, np.int32), np.ones(n, np.int32), half, half / 2, half / 2, half)
    steps.CHUNK = 100
    return steps.store_missing_predictions(
        head, scores, Mirror(ids, np.full(n, 0.5), np.empty((n, 0), np.float16)), report
    )


@pytest.mark.django_db(transaction=True)
def test_storing_resumes_after_a_kill(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "CHUNK", 100)
    scene = Scene(n=0)
    sql(
        "INSERT INTO datasets_image (dataset_id, sha256, name, format, width, height, size, metadata,"
        " audit_key, created_at, window_version, rendition) "
        "SELECT %s, n, n, 'PNG', 1, 1, 1, '{}', 0.5, now(), 0, 0 FROM generate_series(1, 20000) n",
        scene.dataset.pk,
    )
    environment = os.environ | {
        "PYTHONPATH": f"{ROOT / 'platform'}:{ROOT}",
        "DATABASE_URL": test_database_url(),
    }
    child = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", CHILD, str(scene.head.pk)],
        cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert child.stdout is not None
    for line in child.stdout:
        if line.strip() not in {"", "0", "None"}:
            break
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    child.stdout.close()
    stored_before = Prediction.objects.count()
    assert 0 < stored_before < 20_000, "killed in the middle"
    assert "_by_label" not in indexes(scene.head)
    stored_after = store_in_chunks(scene.head.pk, lambda **_facts: None)
    assert 0 < stored_after <= 20_000 - stored_before
    assert Prediction.objects.count() == Image.objects.filter(dataset=scene.dataset).count() == 20_000
    assert "_by_label" in indexes(scene.head)


@pytest.mark.django_db(transaction=True)
def test_a_dump_restores_with_rows_partitions_and_triggers(tmp_path: Path) -> None:
    from mekiki.embedded.postgres import install_folder

    scene = Scene()
    scene.store()
    services.index_predictions(head=scene.head)
    bin_folder, name = install_folder() / "bin", connection.settings_dict["NAME"]
    url = superuser_url()
    source, target = (url.replace("/mekiki?", f"/{database}?") for database in (name, "restored"))
    dump = tmp_path / "dump.sql"
    subprocess.run([bin_folder / "pg_dump", "--file", dump, source], check=True, timeout=120)
    with psycopg.connect(url, autocommit=True) as own:
        own.execute("DROP DATABASE IF EXISTS restored")
        own.execute("CREATE DATABASE restored")
    try:
        subprocess.run(
            [bin_folder / "psql", "--quiet", "--set", "ON_ERROR_STOP=1", "--file", dump, target],
            check=True, timeout=120, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        with psycopg.connect(target) as own:
            table = predictions.partition_name(scene.head.pk)
            count = "SELECT count(*) FROM learning_prediction"
            assert own.execute(count).fetchone() == (6,)
            names = own.execute("SELECT indexname FROM pg_indexes WHERE tablename = %s", [table]).fetchall()
            assert {n for (n,) in names} == {f"{table}{suffix}" for suffix in ALL_INDEXES}
            own.execute("DELETE FROM datasets_image WHERE id = %s", [scene.images[0].pk])
            assert own.execute(count).fetchone() == (5,)
    finally:
        with psycopg.connect(url, autocommit=True) as own:
            own.execute("DROP DATABASE IF EXISTS restored")
