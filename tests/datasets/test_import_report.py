"""The report of an import: lines by outcome, on the page, as CSV, by the API and by the command line."""

import csv
import io
import json
from collections.abc import Callable

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from mekiki.accounts.models import User
from mekiki.datasets import services
from mekiki.datasets.importing import report
from mekiki.datasets.models import Dataset, Image, ImportBatch
from mekiki.jobs.models import Job, State
from tests.datasets.helpers import Files, lines, picture, zipped
from tests.roles import set_fixed

Upload = Callable[[Files], ImportBatch]


def client_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def test_a_duplicate_is_listed_with_both_names(upload: Upload) -> None:
    batch = upload({"ok/1.png": picture(1), "ng/1.png": picture(1), "ok/2.png": picture(2)})
    assert (batch.added, batch.duplicates, batch.rejected, batch.skipped) == (2, 1, 0, 1)
    line = batch.problems.get()
    assert (line.name, line.code, line.outcome, line.detail) == (
        *("ng/1.png", "duplicate", "skipped"),
        {"kept": "ok/1.png"},
    )


def test_duplicates_across_zips_and_imports_are_listed(upload: Upload) -> None:
    first = upload({"a.zip": zipped({"x.png": picture(1)}), "b.zip": zipped({"x.png": picture(1)})})
    assert lines(first, "skipped") == {"b.zip/x.png": "duplicate"}
    second = upload({"y.png": picture(1), "bad.png": b"bad"})
    assert lines(second, "skipped") == {"y.png": "duplicate"}
    assert second.problems.get(code="duplicate").detail == {"kept": "x.png"}
    assert lines(second, "refused") == {"bad.png": "not_an_image"}


def test_an_import_that_runs_again_lists_no_image_as_its_own_duplicate(dataset: Dataset, admin: User) -> None:
    batch = services.start_upload(dataset=dataset, user=admin)
    for name, seed in (("a.png", 1), ("b.png", 2), ("c.png", 1)):
        services.add_file(batch=batch, user=admin, name=name, file=io.BytesIO(picture(seed)))

    def kill(done: int, total: int | None) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        services.run_import(batch=batch, progress=kill)
    assert Image.objects.count() == 2
    batch = services.run_import(batch=batch, progress=lambda done, total: None)
    assert lines(batch, "skipped") == {"c.png": "duplicate"}
    assert (batch.added, batch.duplicates) == (2, 1)


def test_lines_of_one_kind_are_limited_and_their_number_is_stated(
    upload: Upload, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "MAX_LINES_OF_A_KIND", 5)
    batch = upload({f"{i}.txt": b"text" for i in range(12)})
    assert batch.rejected == 12
    assert batch.problems.filter(code="not_an_image").count() == 5
    line = batch.problems.get(code="more_not_listed")
    assert (line.outcome, line.detail) == ("noted", {"count": 12, "limit": 5})


def test_the_page_groups_lines_by_outcome(admin: User, dataset: Dataset, upload: Upload) -> None:
    batch = upload({"a.png": picture(1), "b.png": picture(1), "c.png": b"no", "metadata.csv": b"line\n3\n"})
    client = client_of(admin)
    url = reverse("import-batch", args=[dataset.slug, batch.pk])
    page = client.get(url).content.decode()
    for title in ("Not imported (1)", "Imported in part (1)", "Ignored (1)"):
        assert title in page
    assert "already stored under the name a.png" in page
    only = client.get(url + "?outcome=skipped").content.decode()
    assert "already stored" in only and "Not imported (1)" not in only
    assert client.get(url + "?outcome=else").status_code == 404
    again = upload({"d.png": picture(1)})
    page = client.get(reverse("import-batch", args=[dataset.slug, again.pk])).content.decode()
    assert "already stored under the names a.png, b.png." in page
    image = dataset.images.get(name="a.png")
    set_fixed(image, audit_key=0.4)
    page = client.get(reverse("image", args=[dataset.slug, image.sha256])).content.decode()
    assert "Also imported as" in page and "b.png" in page and "d.png" in page
    Dataset.objects.update(audit_fraction=0.5)
    page = client.get(reverse("image", args=[dataset.slug, image.sha256])).content.decode()
    assert "b.png" not in page, "the names of an image of the audit reserve are hidden"
    assert client.get(url + "?outcome=skipped&after=x").status_code == 200


def test_the_report_is_a_csv_file_for_spreadsheets(admin: User, dataset: Dataset, upload: Upload) -> None:
    batch = upload({"=cmd()|x.txt": b"x", "傷,「1」.png": picture(1), "b.png": picture(1)})
    response = client_of(admin).get(
        reverse("import-report", args=[dataset.slug, batch.pk]), headers={"accept-language": "ja"}
    )
    data = response.getvalue()
    assert data.startswith(b"\xef\xbb\xbf")
    rows = list(csv.reader(io.StringIO(data.decode("utf-8-sig"))))
    assert len(rows) == 3 and all(len(row) == 5 for row in rows)
    assert {row[1] for row in rows[1:]} == {"'=cmd()|x.txt", "b.png"}
    duplicate = next(row for row in rows if row[4] == "duplicate")
    assert "傷,「1」.png" in duplicate[2] and "名前" in duplicate[2]


def test_no_name_in_the_report_is_a_formula_in_a_spreadsheet(
    admin: User, dataset: Dataset, upload: Upload
) -> None:
    names = [f"{start}1.txt" for start in "=+-@＝＋－＠'"]
    batch = upload(dict.fromkeys(names, b"x"))
    response = client_of(admin).get(reverse("import-report", args=[dataset.slug, batch.pk]))
    rows = list(csv.reader(io.StringIO(response.getvalue().decode("utf-8-sig"))))
    assert {row[1] for row in rows[1:]} == {f"'{name}" for name in names}


def test_the_api_gives_imports_and_their_lines(
    admin: User, reviewer: User, stranger: User, dataset: Dataset, upload: Upload
) -> None:
    batch = upload({"a.png": picture(1), "b.png": picture(1), "c.png": b"no"})
    base = f"/api/v1/datasets/{dataset.slug}/imports"
    client = client_of(admin)
    listed = client.get(base).json()
    assert [row["id"] for row in listed] == [batch.pk]
    assert listed[0]["outcomes"] == {"refused": 1, "partly": 0, "skipped": 1, "noted": 0}
    assert client.get(f"{base}/{batch.pk}").json() == listed[0]
    rows = client.get(f"{base}/{batch.pk}/report").json()
    assert {(row["name"], row["outcome"], row["code"]) for row in rows} == {
        ("b.png", "skipped", "duplicate"),
        ("c.png", "refused", "not_an_image"),
    }
    assert all(row["what"] and row["advice"] for row in rows)
    assert [row["name"] for row in client.get(f"{base}/{batch.pk}/report?outcome=skipped").json()] == [
        "b.png"
    ]
    later = client.get(f"{base}/{batch.pk}/report?after={rows[0]['id']}").json()
    assert later == rows[1:]
    assert client.get(f"{base}/{batch.pk}/report?outcome=else").status_code == 422
    assert client_of(reviewer).get(base).status_code == 403
    assert client_of(stranger).get(f"{base}/{batch.pk}/report").status_code == 404
    assert Client().get(base).status_code == 401


def test_the_command_prints_the_report_by_outcome(
    dataset: Dataset, admin: User, tmp_path, capsys: pytest.CaptureFixture[str], monkeypatch
) -> None:
    for name, data in {"a.png": picture(1), "b.png": picture(1)}.items():
        (tmp_path / name).write_bytes(data)

    def run_now(command: object, job: Job) -> Job:
        services.run_import(
            batch=ImportBatch.objects.get(pk=job.payload["batch"]), progress=lambda done, total: None
        )
        Job.objects.filter(pk=job.pk).update(state=State.SUCCEEDED)
        job.refresh_from_db()
        return job

    monkeypatch.setattr("mekiki.datasets.management.commands.import.Command._watch", run_now)
    call_command("import", dataset.slug, str(tmp_path), "--wait")
    out = capsys.readouterr().out
    assert "Ignored (1):" in out and "b.png: The same picture is already stored under the name a.png." in out
    assert "Metadata of known images" not in out
    (tmp_path / "metadata.csv").write_text("file,lot\na.png,7\n")
    call_command("import", dataset.slug, str(tmp_path), "--wait")
    assert "Metadata of known images changed: 1." in capsys.readouterr().out
    (tmp_path / "c.png").write_bytes(b"no image")
    with pytest.raises(SystemExit) as exit_info:
        call_command("import", dataset.slug, str(tmp_path), "--wait")
    assert exit_info.value.code == 3
    assert "Not imported (1):" in capsys.readouterr().out
    with pytest.raises(SystemExit) as exit_info:
        call_command("import", dataset.slug, str(tmp_path), "--wait", "--json")
    assert exit_info.value.code == 3
    answer = json.loads(capsys.readouterr().out)
    assert (answer["added"], answer["rejected"]) == (0, 1)
    assert {line["name"]: line["outcome"] for line in answer["report"]}["c.png"] == "refused"
