"""Label sets with labels that a certificate set: what they hold, and when such labels are not offered."""

import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from mekiki.audit.private_key import settle_key
from mekiki.exports.models import LabelSet
from mekiki.exports.services import check_download, freeze
from mekiki.exports.writing import write_label_set
from mekiki.labeling.services import update_label
from mekiki.quality.services.certificates import (
    StreamCandidate,
    draw_next,
    extend_to_stream,
    label_stream,
    revoke,
)
from mekiki.review.models import Decision, QueueItem, Stream
from mekiki.review.services import ImageChoice, start_bulk_act
from tests.exports.certified_setup import AcceptedPool, rows_of
from tests.exports.helpers import Judged, ignore_progress, path_of
from tests.exports.test_verify import contents_of
from tests.factories import ImageFactory, set_fixed
from tests.offline import run_from_source
from tests.shared_rows import rows_of_module
from verification.label_set import format as form
from verification.label_set.problems import VerifyReport
from verification.label_set.verify import verify


@pytest.fixture(scope="module")
def accepted_pool(django_db_setup: None, django_db_blocker: Any) -> Iterator[AcceptedPool]:
    """Create one pool for all tests of the module."""
    with rows_of_module(django_db_blocker):
        settle_key()
        yield AcceptedPool()


@pytest.fixture
def world(accepted_pool: AcceptedPool, db: None) -> AcceptedPool:
    """Return the pool with objects that a test may change."""
    return deepcopy(accepted_pool)


def checked(label_set: LabelSet) -> tuple[dict[str, bytes], VerifyReport]:
    """Return the files of a label set, which must verify, and the report."""
    report = verify(path_of(label_set))
    assert report.ok, [str(p) for p in report.problems]
    return contents_of(path_of(label_set)), report


def test_a_set_with_certified_labels_verifies(world: AcceptedPool) -> None:
    label_set = world.label_set()
    contents, report = checked(label_set)
    manifest = json.loads(contents[form.MANIFEST])
    assert manifest["format_version"] == 4 and manifest["machine_labels"]["kind"] == "certified"
    assert label_set.machine_labels and label_set.human_labels
    rows = rows_of(contents)
    assert {row["source"] for row in rows} == {"human", "certified"}
    for row in rows:
        certified = row["source"] == "certified"
        assert certified == (row["certificate"] == 1) == (row["confidence"] is not None)
        assert not certified or row["head"] == {"version": world.head.version, "digest": world.head.digest}
    table = contents[form.TABLE].decode("utf-8-sig").splitlines()
    assert table[0].endswith(",certificate") and any(line.endswith(",1") for line in table[1:])
    book = json.loads(contents[form.CERTIFICATE])
    assert book["others"] == [world.labelled_otherwise.sha256] and not book["not_included"]
    assert report.summary["certificate"]["left"] == label_set.machine_labels == book["claim"]["left"]


def test_readme_and_manifest_state_the_bound_in_both_languages(world: AcceptedPool) -> None:
    contents, report = checked(world.label_set())
    book = json.loads(contents[form.CERTIFICATE])
    readme = contents[form.README].decode()
    assert f"At most {book['promised']} of them (50 %) are wrong" in readme
    assert "認定 1 は" in readme and "certificate_pool.csv" in readme
    statement = report.summary["machine_labels"]["statement"]
    assert statement["en"] in readme and statement["ja"] in readme
    assert "no quality contract" not in readme


def test_labels_of_later_images_are_left_out_and_counted(world: AcceptedPool) -> None:
    extend_to_stream(certificate=world.certificate, user=world.admin, share=0.5)
    later = [world.make_image() for _ in range(3)]
    candidates = [StreamCandidate(one.pk, one.sha256, world.labels[0].pk, 0.9, 0.0) for one in later]
    assert label_stream(certificate=world.certificate, candidates=candidates) == 3
    sentence = "Left out: 3 labels that certificate 1 set for images that were imported after its freeze."
    browser = Client()
    browser.force_login(world.admin)
    in_japanese = "認定 1 が、凍結の後に取り込んだ画像に付けた 3 件"
    for language, words in (("en", sentence), ("ja", in_japanese)):
        page = browser.get(f"/d/{world.dataset.slug}/exports/", headers={"accept-language": language})
        assert words in page.content.decode()
    contents, _report = checked(world.label_set())
    assert sentence in contents[form.README].decode() and in_japanese in contents[form.README].decode()
    assert json.loads(contents[form.MANIFEST])["machine_labels"]["later_labels_left_out"] == 3
    assert not {one.sha256 for one in later} & {row["image_sha256"] for row in rows_of(contents)}


def test_images_excluded_after_a_certificate_are_counted_and_improve_no_figure(world: AcceptedPool) -> None:
    """Neither the bound nor the audit of a certificate gets better when images are excluded (invariant 4)."""
    before, first = checked(world.label_set())
    book = json.loads(before[form.CERTIFICATE])
    audited = [json.loads(line) for line in before[form.AUDIT].splitlines()]
    wrong = next(line["image_sha256"] for line in audited if line["label_id"] == world.labels[1].pk)
    by_machine = certified_image(world)
    chosen = [by_machine, world.dataset.images.get(sha256=wrong), world.labelled_otherwise]
    # The audited images hide their facts for some time after their answers.
    QueueItem.objects.filter(image__in=chosen).update(finished_at=timezone.now() - timedelta(days=1))
    act = start_bulk_act(
        dataset=world.dataset,
        user=world.admin,
        act="exclude",
        images=ImageChoice(image_ids=[image.pk for image in chosen]),
        reason="blurred",
    )
    assert (act.changed, act.left_out, act.audited) == (3, 0, 0)
    label_set = world.label_set()
    contents, report = checked(label_set)
    after = json.loads(contents[form.CERTIFICATE])
    # The certificate states the same, and lists the image that it leaves to the machine and the set lacks.
    assert after["not_included"] == [by_machine.sha256] and not book["not_included"]
    for name in ("claim", "promised", "audited", "others", "protocol"):
        assert after[name] == book[name], name
    assert contents[form.AUDIT] == before[form.AUDIT] and contents[form.POOL] == before[form.POOL]
    # The set holds fewer labels, and says so first, in both languages.
    rows = {row["image_sha256"] for row in rows_of(contents)}
    assert rows == {row["image_sha256"] for row in rows_of(before)} - {image.sha256 for image in chosen}
    manifest, earlier = json.loads(contents[form.MANIFEST]), json.loads(before[form.MANIFEST])
    assert manifest["excluded"] == 3 and "excluded" not in earlier
    assert manifest["counts"]["machine"] == earlier["counts"]["machine"] - 1
    assert manifest["counts"]["human"] == earlier["counts"]["human"] - 2
    left = f"{book['claim']['left']} labels to the machine. At most {book['promised']} of them"
    for sentence in (left, f"holds {manifest['counts']['machine']} of these labels", "excluded"):
        assert sentence in manifest["machine_labels"]["statement"]["en"]
    readme = contents[form.README].decode()
    assert "3 images that an admin has excluded are left out." in readme and "除外" in readme
    # The figures of the head are those of the audit sample, which the act left alone.
    assert manifest["accuracy"] == earlier["accuracy"]
    assert report.summary["certificate"] == first.summary["certificate"]
    world.certificate.refresh_from_db()
    assert world.certificate.accepted == earlier["counts"]["machine"]


def test_verifier_alone_checks_the_certificate(world: AcceptedPool) -> None:
    path = path_of(world.label_set())
    done = run_from_source("verification.label_set", path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["certificate"]["number"] == 1


def test_command_states_the_certificate(world: AcceptedPool, capsys: Any) -> None:
    path = path_of(world.label_set())
    call_command("verify", str(path))
    shown = capsys.readouterr().out
    assert "Certificate 1 left" in shown and "✓" in shown


def test_writing_again_gives_the_same_bytes(world: AcceptedPool) -> None:
    label_set = world.label_set()
    first = path_of(label_set).read_bytes()
    # Later answers change labels of people, but not the file of a snapshot that exists already.
    world.correct(next(image for image in world.images if image.pk in world.left()))
    set_fixed(label_set, state="freezing")
    again = LabelSet.objects.get()
    assert path_of(write_label_set(label_set=again, progress=ignore_progress)).read_bytes() == first


def certified_image(world: AcceptedPool) -> Any:
    return next(i for i in world.images if i.machine_labels.exists() and i.pk in world.left())


def test_a_label_that_a_person_gave_later_wins(world: AcceptedPool) -> None:
    image = certified_image(world)
    world.correct(image)
    contents, report = checked(world.label_set())
    row = next(row for row in rows_of(contents) if row["image_sha256"] == image.sha256)
    assert row["source"] == "human" and row["certificate"] is None
    summary = report.summary
    assert summary["certificate"]["left"] == summary["counts"]["machine"] + 1
    assert "other images since" in contents[form.README].decode()


@pytest.mark.parametrize("kind", ["skip", "flag"])
def test_a_skipped_or_flagged_image_is_listed_and_has_no_machine_label(
    world: AcceptedPool, kind: str
) -> None:
    image = certified_image(world)
    world.correct(image, kind)
    contents, _report = checked(world.label_set())
    assert json.loads(contents[form.CERTIFICATE])["not_included"] == [image.sha256]
    assert image.sha256 not in {row["image_sha256"] for row in rows_of(contents)}


def test_an_audited_answer_that_was_changed_later_does_not_change_the_test(world: AcceptedPool) -> None:
    before = checked(world.label_set())[1].summary["certificate"]
    audited = Decision.objects.filter(item__stream=Stream.CERTIFY, kind="correct").order_by("pk").first()
    assert audited is not None
    world.correct(audited.image)
    contents, report = checked(world.label_set())
    assert report.summary["certificate"] == before
    row = next(row for row in rows_of(contents) if row["image_sha256"] == audited.image.sha256)
    assert row["label_id"] == world.labels[2].pk


def test_images_outside_the_pool_get_no_machine_label(world: AcceptedPool) -> None:
    from mekiki.quality.models import MachineLabel

    later = ImageFactory(dataset=world.dataset)
    MachineLabel.objects.create(
        image=later,
        dataset=world.dataset,
        label=world.labels[0],
        certificate=world.certificate,
        confidence=0.9,
    )
    contents, _report = checked(world.label_set())
    assert later.sha256 not in {row["image_sha256"] for row in rows_of(contents)}


def suspend(world: AcceptedPool) -> None:
    update_label(label=world.labels[1], user=world.admin, critical=True)


@pytest.mark.parametrize(
    "stop", [suspend, lambda world: revoke(certificate=world.certificate, user=world.admin)]
)
def test_labels_of_a_stopped_certificate_are_not_offered(
    world: AcceptedPool, stop: Callable[[AcceptedPool], Any]
) -> None:
    requested = freeze(dataset=world.dataset, user=world.admin, certified=True)
    stop(world)
    with pytest.raises(ValidationError, match="left out"):
        freeze(dataset=world.dataset, user=world.admin, certified=True)
    # The job of a set that was requested before the certificate was stopped writes nothing.
    with pytest.raises(ValidationError, match="not in use any more"):
        write_label_set(label_set=requested, progress=ignore_progress)
    text = page_of(world)
    assert "labels of certificate 1 are left out" in text and 'value="certified"' not in text


def page_of(world: AcceptedPool, language: str = "en") -> str:
    client = Client(headers={"accept-language": language})
    client.force_login(world.admin)
    return client.get(f"/d/{world.dataset.slug}/exports/").content.decode()


@pytest.mark.parametrize("language", ["en", "ja"])
def test_page_offers_certified_labels_and_shows_what_was_frozen(world: AcceptedPool, language: str) -> None:
    address = f"/d/{world.dataset.slug}/exports/"
    client = Client(headers={"accept-language": language})
    client.force_login(world.admin)
    assert 'value="certified"' in page_of(world, language)
    assert client.post(address, {"labels": "certified"}).status_code == 302
    label_set = write_label_set(label_set=LabelSet.objects.get(), progress=ignore_progress)
    assert label_set.certificate == world.certificate
    text = page_of(world, language)
    assert f"/quality/certificates/{world.certificate.version}/" in text
    assert label_set.snapshot["machine"]["statement"][language] in text
    revoke(certificate=world.certificate, user=world.admin)
    word = "not in use any more" if language == "en" else "現在は使われていません"
    assert word in page_of(world, language)


@pytest.mark.parametrize(
    "values",
    [
        {"labels": "certified", "machine_threshold": "0.9"},
        {"labels": "people", "machine_threshold": "0.9"},
        {"labels": "everything"},
        {"machine_threshold": "0.9"},
    ],
)
def test_form_takes_no_threshold_without_the_explicit_choice(
    world: AcceptedPool, values: dict[str, str]
) -> None:
    set_fixed(world.head, calibrated=True)
    client = Client()
    client.force_login(world.admin)
    assert client.post(f"/d/{world.dataset.slug}/exports/", values).status_code == 422
    assert not LabelSet.objects.exists()


def test_no_certificate_and_a_threshold_beside_it_are_refused(judged: Judged, world: AcceptedPool) -> None:
    with pytest.raises(ValidationError, match="no certified labels"):
        freeze(dataset=judged.dataset, user=judged.admin, certified=True)
    with pytest.raises(ValidationError, match="one of them"):
        freeze(dataset=world.dataset, user=world.admin, certified=True, machine_threshold=0.9)
    with pytest.raises(PermissionDenied):
        freeze(dataset=world.dataset, user=world.people[0], certified=True)


def test_reviewers_cannot_read_the_pool_of_images_that_they_may_judge_blind(world: AcceptedPool) -> None:
    set_fixed(world.dataset, audit_fraction=0)
    # Answers of the audit can be undone for some minutes.
    QueueItem.objects.update(finished_at=datetime(2026, 1, 1, tzinfo=UTC))
    world.dataset.refresh_from_db()
    label_set = world.label_set()
    hidden = certified_image(world)
    check_download(label_set=label_set, user=world.people[0])
    world.item(Stream.AUDIT, hidden, predicted=False)
    with pytest.raises(PermissionDenied, match="without seeing a prediction"):
        check_download(label_set=label_set, user=world.people[0])
    check_download(label_set=label_set, user=world.admin)


def test_uncertified_predictions_say_so_first(judged: Judged) -> None:
    draft = freeze(dataset=judged.dataset, user=judged.admin, machine_threshold=0.94)
    contents, report = checked(write_label_set(label_set=draft, progress=ignore_progress))
    assert {row["source"] for row in rows_of(contents)} == {"human", "uncertified"}
    assert all(row["certificate"] is None for row in rows_of(contents))
    assert form.CERTIFICATE not in contents
    lines = contents[form.README].decode().splitlines()
    assert "NOT certified" in lines[4] and "0.94" in lines[4]
    assert report.summary["machine_labels"]["kind"] == "uncertified"
    client = Client(headers={"accept-language": "en"})
    client.force_login(judged.admin)
    assert "NOT certified" in client.get(f"/d/{judged.dataset.slug}/exports/").content.decode()


def test_people_only_sets_keep_their_format(world: AcceptedPool, judged: Judged) -> None:
    for dataset, user in ((world.dataset, world.admin), (judged.dataset, judged.admin)):
        draft = freeze(dataset=dataset, user=user)
        contents, _report = checked(write_label_set(label_set=draft, progress=ignore_progress))
        manifest = json.loads(contents[form.MANIFEST])
        assert manifest["format_version"] == 2 and "machine_labels" not in manifest
        assert set(manifest["files"]) == set(form.LISTED)
        assert all(tuple(row) == form.FIELDS for row in rows_of(contents))
        assert contents[form.TABLE].decode("utf-8-sig").splitlines()[0] == ",".join(form.COLUMNS)
        readme = contents[form.README].decode()
        assert "0 by machine\n\nmanifest.json" in readme and "ertificate" not in readme


class OverlappingPool(AcceptedPool):
    """A pool whose audited images are judged by two reviewers, who disagree about the fourth image."""

    def audit(self) -> None:
        """Answer audits until the audit can end."""
        self.labelled_otherwise = None
        for number in range(1, 100):
            state = self.state
            if state.is_complete:
                return
            draw_next(certificate=self.certificate, state=state)
            for place, person in enumerate(self.people):
                leased = self.next(person)
                if leased:
                    wrong = number == 4 and place == 1
                    self.answer(person, leased[0], "correct", label=self.labels[wrong])


def test_two_reviewers_for_each_image_and_public_words(db: None) -> None:
    world = OverlappingPool(overlap=2, critical_bound=0.5, delta_critical=0.01)
    contents, _report = checked(world.label_set())
    lines = [json.loads(line) for line in contents[form.AUDIT].splitlines()]
    assert {len(line["decisions"]) for line in lines} == {2}
    assert [line["number"] for line in lines if line["label_id"] is None] == [4]
    assert json.loads(contents[form.CERTIFICATE])["protocol"]["delta_critical"] == 0.01
