"""What an import meets in a folder: system folders, links, pipes, names in other encodings.

Every entry is reported.
"""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from mekiki.accounts.models import User
from mekiki.config import regular_files
from mekiki.datasets import services
from mekiki.datasets.importing import folders, names
from mekiki.datasets.models import Dataset, Image, ImportBatch
from tests.datasets.helpers import Files, codes, lines, picture, zipped

Upload = Callable[[Files], ImportBatch]
Import = Callable[[Path], ImportBatch]


@pytest.fixture
def import_folder(dataset: Dataset, admin: User) -> Import:
    """Import a folder of the server."""

    def run(path: Path) -> ImportBatch:
        services.import_folder(dataset=dataset, path=path, user=admin)
        return services.run_import(batch=ImportBatch.objects.latest("pk"), progress=lambda done, total: None)

    return run


def put(folder: Path, files: dict[str | bytes, bytes]) -> Path:
    for name, data in files.items():
        path = folder / os.fsdecode(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


NAS = {
    "line1/a.png": picture(1),
    "line1/@eaDir/a.png/SYNOPHOTO_THUMB_M.jpg": picture(2),
    "line1/@eaDir/a.png/SYNOPHOTO_THUMB_XL.jpg": picture(3),
    "#recycle/old.png": picture(4),
    ".snapshot/daily.0/old.png": picture(5),
    ".Trash-1000/files/old.png": picture(6),
    "System Volume Information/x.png": picture(7),
    ".@__thumb/x.png": picture(8),
    "@__thumb/y.png": picture(9),
    "TrashBox/z.png": picture(10),
    "line1/._a.png": b"x",
    "Thumbs.db": b"x",
    "line1/Thumbs.db": b"x",
}
EXPECTED_LINES = {
    **dict.fromkeys(("line1/@eaDir", "#recycle", ".snapshot", ".Trash-1000"), "folder_passed_over"),
    **dict.fromkeys(("System Volume Information", ".@__thumb"), "folder_passed_over"),
    **dict.fromkeys(("@__thumb", "TrashBox"), "folder_passed_over"),
    **{"._*": "system_files", "thumbs.db": "system_files"},
}


@pytest.mark.parametrize("source", ["folder", "upload", "zip"])
def test_system_folders_are_ignored_and_reported(
    upload: Upload, import_folder: Import, tmp_path: Path, source: str
) -> None:
    if source == "folder":
        batch = import_folder(put(tmp_path, dict(NAS)))
    else:
        batch = upload(dict(NAS) if source == "upload" else {"a.zip": zipped(NAS)})
    prefix = "a.zip/" if source == "zip" else ""
    assert [image.name for image in Image.objects.all()] == ["line1/a.png"]
    assert lines(batch, "skipped") == {prefix + name: code for name, code in EXPECTED_LINES.items()}
    assert batch.problems.get(name=f"{prefix}line1/@eaDir").detail == {"count": 2}
    assert batch.problems.get(name=f"{prefix}thumbs.db").detail == {"count": 2}
    assert (batch.added, batch.rejected, batch.skipped) == (1, 0, 10)


def test_ordinary_names_that_look_similar_are_imported(upload: Upload) -> None:
    files = {name: picture(i) for i, name in enumerate(["@line/a.png", "..b.png", ".c.png", "recycle/d.png"])}
    assert upload(files).added == 4


def test_links_in_a_folder_are_reported_and_not_followed(import_folder: Import, tmp_path: Path) -> None:
    target = put(tmp_path / "elsewhere", {"b.png": picture(2), "c.png": picture(3)})
    folder = put(tmp_path / "here", {"line1/a.png": picture(1)})
    (folder / "line2").symlink_to(target)
    (folder / "file.png").symlink_to(target / "b.png")
    (folder / "gone.png").symlink_to(tmp_path / "nowhere")
    (folder / "line1" / "loop").symlink_to(folder)
    (folder / "self").symlink_to(folder / "self")
    batch = import_folder(folder)
    assert codes(batch) == {
        "line2": "linked_folder",
        "file.png": "symlink",
        "gone.png": "broken_link",
        "line1/loop": "linked_folder",
        "self": "broken_link",
    }
    assert (batch.added, batch.rejected) == (1, 5)


def test_link_given_as_the_path_is_followed(import_folder: Import, tmp_path: Path) -> None:
    real = put(tmp_path / "real", {"a.png": picture(1)})
    (tmp_path / "link").symlink_to(real)
    (tmp_path / "link.png").symlink_to(real / "a.png")
    assert import_folder(tmp_path / "link").added == 1
    assert import_folder(tmp_path / "link.png").duplicates == 1


@pytest.fixture
def folder_with_pipes(tmp_path: Path) -> Path:
    """Create a folder with one image, a named pipe and a socket."""
    folder = put(tmp_path / "special", {"a.png": picture(1)})
    os.mkfifo(folder / "pipe.png")
    os.mkfifo(folder / "metadata.csv")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "s.png"))
    return folder


def test_pipes_and_sockets_are_named_and_never_opened(import_folder: Import, folder_with_pipes: Path) -> None:
    batch = import_folder(folder_with_pipes)
    assert codes(batch) == dict.fromkeys(["pipe.png", "metadata.csv", "s.png"], "special_file")
    assert batch.problems.get(name="pipe.png").detail == {"format": "named pipe"}
    assert batch.added == 1


def test_pipe_that_replaces_a_file_does_not_block_the_import(
    import_folder: Import, tmp_path: Path, monkeypatch
) -> None:
    """The file is replaced after the folder was listed."""
    folder = put(tmp_path / "f", {"a.png": picture(1), "b.png": picture(2)})
    scan = folders.Folder.files

    def files_with_pipe(self: folders.Folder):
        for name, _path in scan(self):
            if name == "b.png" and (folder / "b.png").is_file():
                (folder / "b.png").unlink()
                os.mkfifo(folder / "b.png")
                yield name, folder / "b.png"
            else:
                yield name, folder / name

    monkeypatch.setattr(folders.Folder, "files", files_with_pipe)
    assert codes(import_folder(folder)) == {"b.png": "special_file"}


def test_open_regular_checks_the_file_after_opening(tmp_path: Path, monkeypatch) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(regular_files.NotRegularError, match="named pipe"):
        regular_files.open_regular(tmp_path / "pipe")
    regular = put(tmp_path, {"file": b"x"}) / "file"
    stat_of_regular = regular.stat()
    monkeypatch.setattr(Path, "stat", lambda self, **_options: stat_of_regular)
    with pytest.raises(regular_files.NotRegularError, match="named pipe"):
        regular_files.open_regular(tmp_path / "pipe")
    with pytest.raises(OSError):
        (tmp_path / "link").symlink_to(regular)
        regular_files.open_regular(tmp_path / "link", follow_links=False)
    with pytest.raises(regular_files.NotRegularError, match="folder"):
        monkeypatch.undo()
        regular_files.open_regular(tmp_path)


@pytest.mark.parametrize("path", ["special/pipe.png", "/dev/null"])
def test_pipe_or_device_given_as_the_path_is_refused(
    dataset: Dataset, folder_with_pipes: Path, path: str
) -> None:
    with pytest.raises(CommandError, match=r"is not a file but a (named pipe|device)"):
        call_command("import", dataset.slug, str(folder_with_pipes.parent / path))
    assert not ImportBatch.objects.exists()


def test_unreadable_folder_is_reported(import_folder: Import, tmp_path: Path, monkeypatch) -> None:
    folder = put(tmp_path, {"open/a.png": picture(1), "locked/b.png": picture(2)})
    scandir = os.scandir

    def refuse(path):
        if Path(path).name == "locked":
            raise PermissionError
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    batch = import_folder(folder)
    assert codes(batch) == {"locked": "unreadable_folder"} and batch.added == 1


WORDS = ["傷_01.png", "表面_01.png", "ワイヤー_01.png", "汚れ_01.png"]


@pytest.mark.parametrize("encoding", ["cp932", "euc_jp"])
def test_names_in_a_japanese_encoding_are_decoded(
    import_folder: Import, tmp_path: Path, encoding: str
) -> None:
    table = ("ファイル名,ライン\r\n" + "".join(f"{w},{i}\r\n" for i, w in enumerate(WORDS))).encode(encoding)
    files: dict[str | bytes, bytes] = {w.encode(encoding): picture(i) for i, w in enumerate(WORDS)}
    top = tmp_path.joinpath(os.fsdecode("検査画像".encode(encoding)))
    batch = import_folder(put(top, {**files, "metadata.csv": table}))
    metadata_of_images = dict(Image.objects.values_list("name", "metadata"))
    assert metadata_of_images == {w: {"ライン": str(i)} for i, w in enumerate(WORDS)}
    assert codes(batch) == {}
    note = batch.problems.get(code="names_encoding")
    assert (note.name, note.outcome) == ("検査画像", "noted")
    assert note.detail["count"] == 5


def test_names_without_a_common_encoding_are_kept_byte_by_byte(import_folder: Import, tmp_path: Path) -> None:
    batch = import_folder(
        put(
            tmp_path,
            {
                "傷.png".encode(): picture(1),
                "汚れ.png".encode("cp932"): picture(2),
                b"\xfd\xff.png": picture(3),
            },
        )
    )
    assert set(Image.objects.values_list("name", flat=True)) == {"傷.png", "汚れ.png", "<0xFD><0xFF>.png"}
    assert batch.problems.get(code="names_mixed").outcome == "noted"


def test_path_in_another_encoding_is_readable_in_every_message(
    admin: User, dataset: Dataset, import_folder: Import, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    top = os.fsdecode(os.fsencode(tmp_path) + b"/" + "表\ufffd".replace("\ufffd", "示").encode("cp932"))
    with pytest.raises(ValidationError, match="表示"):
        services.import_folder(dataset=dataset, path=top, user=admin)
    with pytest.raises(CommandError, match="表示"):
        call_command("import", dataset.slug, top)
    Path(top).mkdir()
    batch = import_folder(Path(top))
    assert codes(batch) == {"表示": "no_image"}
    assert folders.from_location(batch.location) == Path(top)
    call_command("import", dataset.slug, top)
    client = Client()
    client.force_login(admin)
    page = client.get(reverse("import-batch", args=[dataset.slug, batch.pk])).content.decode()
    assert "表示" in page
    assert (
        client.get(f"/api/v1/datasets/{dataset.slug}/imports/{batch.pk}/report").json()[0]["name"] == "表示"
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a\0b\u202egpj.exe", "a<U+0000>b<U+202E>gpj.exe"),
        ("a\udc95.png", "a<0x95>.png"),
        (" a .png", " a .png"),
        ("か\u3099.png", "が.png"),
        ("x\\\\y\u200b.png", "x//y<U+200B>.png"),
        ("", "unnamed"),
    ],
)
def test_special_characters_of_names_become_visible(name: str, expected: str) -> None:
    assert names.readable_name(name) == expected
    assert names.readable_name(expected) == expected


def test_a_name_beyond_the_limit_keeps_its_end() -> None:
    name = names.readable_name("x" * 5000 + "/a.png")
    assert len(name) == names.MAX_NAME and name.startswith("…") and name.endswith("x/a.png")
