""" "Which folders replay uses as labels: splits, levels above them, and what it refuses before a run."""

import io
import os
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from mekiki.accounts.models import User
from mekiki.datasets import services
from mekiki.datasets.importing.folder_labels import SPLITS, is_split
from mekiki.datasets.models import ImportBatch
from mekiki.simulation.layout import images_in_two_labels, read_layout
from mekiki.simulation.truth import TruthError
from tests.datasets.helpers import picture, zipped

PNG = picture(1, kind="PNG")


def create_files(folder: Path, *files: str, data: bytes = PNG) -> Path:
    for name in files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


@pytest.mark.parametrize(
    ("files", "depth"),
    [
        (["ok/1.png", "ng/1.png"], 0),
        (["train/ok/1.png", "train/ng/1.png", "test/ok/2.png", "test/ng/2.png"], 1),
        (["Train/ok/1.png", "VALID/ng/1.png", "validation/ok/2.png"], 1),
        (["学習/ok/1.png", "検証/ng/1.png", "評価/ok/3.png"], 1),
        (["ｔｒａｉｎ/ok/1.png", "val/ng/1.png"], 1),
        (["images/train/ok/1.png", "images/val/ng/2.png"], 2),
        (["train/images/ok/1.png", "train/images/ng/2.png"], 2),
        (["data/ok/1.png", "data/ng/1.png"], 1),
        *(
            ([f"{train}/ok/1.png", f"{train}/ng/1.png", f"{test}/ok/2.png"], 1)
            for train, test in (
                ("train_set", "Test-Set"),
                ("trainset", "valset"),
                ("training data", "test data"),
                ("train2017", "val2017"),
                ("01_train", "02_test"),
                ("X_train", "X_test"),
                ("学習用データ", "検証用データ"),
                ("トレーニング", "テスト用"),
            )
        ),
        (["ok/train/1.png", "ng/test/1.png"], 0),
        (["ok/line1/cam2/1.png", "ng/1.png"], 0),
    ],
)
def test_labels_are_read_below_splits_and_single_folders(tmp_path, files, depth):
    layout = read_layout(create_files(tmp_path, *files))
    assert (layout.labels, layout.depth) == (["ng", "ok"], depth)
    for name in files:
        assert layout.label_of(name) == ("ok" if "ok" in name.split("/") else "ng")
    remarks = " ".join(layout.remarks)
    assert "Labels and their files: ng (" in remarks
    if depth:
        assert "not as labels" in remarks or "only folder" in remarks


def test_labels_that_begin_or_end_like_a_split_are_labels(tmp_path):
    names = ["contest", "data", "set", "training_shoe", "x", "テストピース", "画像"]
    layout = read_layout(create_files(tmp_path, *(f"{name}/line1/1.png" for name in names)))
    assert layout.labels == sorted(names)


def test_label_named_train_next_to_another_label_is_a_label(tmp_path):
    assert read_layout(create_files(tmp_path, "train/1.png", "bus/1.png")).labels == ["bus", "train"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["train/1.png", "test/2.png"], "look like the parts of a split, and they contain images"),
        (["train/ok/1.png", "train/ng/1.png", "test/9.png"], "look like the parts of a split"),
        (["train/ok/1.png", "train/ng/1.png", "scratch/9.png"], "does not guess which folders are labels"),
        (["images/1.png", "labels/1.png"], "annotations in separate files"),
        (["train2017/1.png", "annotations/a.json"], "annotations in separate files"),
        (["JPEGImages/1.png", "Annotations/1.xml"], "annotations in separate files"),
        (["train_set/1.png", "test_set/2.png"], "look like the parts of a split, and they contain images"),
        (["ok/1.png"], "it has 1 \\(ok\\)"),
        (["train/ok/1.png", "test/ok/1.png"], "at least two folders"),
        ([], "at least two folders with images in them, one for each label; it has 0"),
        (["OK/1.png", "ok/2.png", "ng/1.png"], "OK, ok differ only in case or width"),
        (["train/ok/1.png", "test/ＯＫ/1.png", "test/ng/1.png"], "differ only in case or width"),
        (["ok/1.png", "ng/1.png", "7.png"], "1 image is not in the folder of any label \\(7.png\\)"),
    ],
)
def test_ambiguous_layouts_are_refused_before_a_run(tmp_path, files, message):
    with pytest.raises(TruthError, match=message):
        read_layout(create_files(tmp_path, *files))


def test_missing_folder_is_reported(tmp_path):
    with pytest.raises(TruthError, match="nowhere is not a folder"):
        read_layout(tmp_path / "nowhere")


def test_archive_among_the_images_is_refused(tmp_path):
    create_files(tmp_path, "ok/1.png", "ng/1.png")
    create_files(tmp_path, "ok/more.zip", data=zipped({"a.png": PNG}))
    with pytest.raises(TruthError, match=r"ok/more.zip is an archive"):
        read_layout(tmp_path)


def test_composed_and_decomposed_names_are_one_label(tmp_path):
    create_files(tmp_path, "train/か\u3099/1.png", "test/が/1.png", "test/x/1.png")
    assert read_layout(tmp_path).images == {"が": 2, "x": 1}


def test_ignored_files_are_reported_before_a_run(tmp_path):
    create_files(tmp_path / "here", "ok/1.png", "ng/1.png", "ok/deep/2.png", "#recycle/old.png", "notes.txt")
    folder = create_files(tmp_path / "here", "notes.txt", data=b"text")
    (folder / "scratch").mkdir()
    (folder / "empty" / "inside").mkdir(parents=True)
    (folder / "linked").symlink_to(create_files(tmp_path / "there", "3.png"))
    os.mkfifo(folder / "ok" / "pipe.png")
    layout = read_layout(folder)
    text = "\n".join(layout.remarks)
    assert layout.images == {"ok": 2, "ng": 1}
    assert "Folders without a file, left out: empty, scratch." in text
    assert "have folders inside; all images in them are used: ok." in text
    assert "linked: This is a link to another folder" in text
    assert "ok/pipe.png: This is not a file but a named pipe" in text
    assert "#recycle: " in text


def test_refusal_lists_the_ignored_files(tmp_path):
    folder = create_files(tmp_path / "here", "ok/1.png")
    (folder / "ng").symlink_to(create_files(tmp_path / "there", "3.png"))
    with pytest.raises(TruthError, match=r"it has 1 \(ok\)(?s:.)*ng: This is a link to another folder"):
        read_layout(folder)


def test_number_of_remarks_is_limited(tmp_path):
    create_files(tmp_path, "ok/1.png", "ng/1.png")
    for i in range(50):
        (tmp_path / f"gone{i}").symlink_to("nowhere")
    remarks = read_layout(tmp_path).remarks
    assert len(remarks) < 30 and remarks[-1] == "… and 30 more"


def test_folder_names_in_shift_jis_are_decoded(tmp_path):
    top = tmp_path / os.fsdecode("検査".encode("cp932"))
    create_files(top, os.fsdecode("良品/1.png".encode("cp932")), os.fsdecode("不良/1.png".encode("cp932")))
    layout = read_layout(top)
    assert layout.labels == ["不良", "良品"]
    assert any("Shift-JIS" in remark for remark in layout.remarks)
    with pytest.raises(TruthError, match="検査"):
        read_layout(create_files(tmp_path / os.fsdecode("検査2".encode("cp932")), "a/1.png"))


def test_replay_command_refuses_a_folder_with_status_two(tmp_path):
    with pytest.raises(CommandError, match="look like the parts of a split") as refused:
        call_command("replay", str(create_files(tmp_path, "train/1.png", "test/2.png")), stdout=io.StringIO())
    assert refused.value.returncode == 2


def test_split_words_are_recognised_in_any_case():
    assert all(is_split(word) and is_split(word.upper()) for word in SPLITS)


def test_picture_under_two_labels_is_reported(db, tmp_path):
    admin = User.objects.create_user("ada", may_create_datasets=True)
    create_files(tmp_path, "train/ok/1.png", "train/ng/1.png")
    create_files(tmp_path, "test/ok/2.png", "train/ok/3.png", data=picture(2))
    dataset = services.create_dataset(name="Parts", user=admin)
    services.import_folder(dataset=dataset, path=tmp_path, user=admin)
    batch = services.run_import(batch=ImportBatch.objects.get(), progress=lambda done, total: None)
    (sentence,) = images_in_two_labels(read_layout(tmp_path), batch)
    assert "1 picture is in the folders of two labels" in sentence
    assert "train/ng/1.png = train/ok/1.png" in sentence


@pytest.mark.parametrize("start", [b"II+\0", b"MM\0+", b"II*\0", b"GIF89a", b"RIFF\4\0\0\0WEBP"])
def test_image_of_any_format_outside_the_folders_is_refused(tmp_path: Path, start: bytes) -> None:
    create_files(tmp_path, "ok/1.png", "ng/1.png")
    create_files(tmp_path, "loose", data=start + bytes(20))
    with pytest.raises(TruthError, match=r"not in the folder of any label \(loose\)"):
        read_layout(tmp_path)


def test_sound_file_outside_the_folders_is_ignored(tmp_path: Path) -> None:
    create_files(tmp_path, "ok/1.png", "ng/1.png")
    create_files(tmp_path, "loose.wav", data=b"RIFF\4\0\0\0WAVE" + bytes(20))
    assert read_layout(tmp_path).labels == ["ng", "ok"]


def test_missing_label_during_a_run_is_reported_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the folder changes during the run."""

    def run(*_arguments: object) -> None:
        raise TruthError("The image 0 has no label in the truth.")

    monkeypatch.setattr("mekiki.simulation.management.commands.replay.Command._run_child", run)
    with pytest.raises(CommandError, match="no label in the truth") as refused:
        call_command("replay", create_files(tmp_path, "ok/1.png", "ng/1.png"), inside=True)
    assert refused.value.returncode == 2
