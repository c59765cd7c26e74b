"""Downloads that break, return wrong data, are refused or impossible, and caches that replace them."""

import hashlib
import shutil
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.workers.encoders.conftest import FakeHub
from workers.encoders import EncoderError, load_encoder
from workers.encoders.hub import Hub

WEIGHTS = "open_clip_model.safetensors"


@pytest.fixture(autouse=True)
def empty_common_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Use an empty cache, never the cache of the person who runs the tests."""
    from huggingface_hub import constants

    place = tmp_path / "common"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(place))
    return place


@pytest.fixture
def closed_address() -> Iterator[str]:
    """Return an address that refuses connections."""
    with socket.socket() as bound_socket:
        bound_socket.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound_socket.getsockname()[1]}"


def partial_files(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.rglob("*.part"))


def test_a_model_of_the_hub_is_downloaded_once_with_progress(
    fake_hub: FakeHub, folder: Path, tmp_path: Path, closed_address: str
) -> None:
    progress_calls: list[tuple[int, int]] = []
    encoder = load_encoder(
        "hf-hub:maker/tiny",
        device="cpu",
        cache_dir=tmp_path,
        endpoint=fake_hub.address,
        progress=lambda done, total: progress_calls.append((done, total)),
    )
    assert encoder.digest == load_encoder(f"local-dir:{folder}", device="cpu").digest
    size = (folder / WEIGHTS).stat().st_size
    assert progress_calls[-1] == (size, size)
    assert [done for done, total in progress_calls if total == size] == sorted(
        done for done, total in progress_calls if total == size
    )
    assert partial_files(tmp_path) == []
    # From now on the network is neither needed nor used.
    again = load_encoder("hf-hub:maker/tiny", device="cpu", cache_dir=tmp_path, endpoint=closed_address)
    assert again.digest == encoder.digest


def test_huggingface_hub_reads_the_downloaded_file(fake_hub: FakeHub, folder: Path, tmp_path: Path) -> None:
    from huggingface_hub import hf_hub_download

    path = Hub(tmp_path, endpoint=fake_hub.address).first_available("maker/tiny", ["none", WEIGHTS])
    assert path is not None
    cached_path = hf_hub_download("maker/tiny", WEIGHTS, cache_dir=tmp_path, local_files_only=True)
    assert Path(cached_path).read_bytes() == (folder / WEIGHTS).read_bytes()


def test_stopped_download_is_resumed(fake_hub: FakeHub, tmp_path: Path) -> None:
    fake_hub.models["maker/big"] = {"weights.bin": bytes(range(256)) * 100_000}

    class StopError(Exception):
        pass

    def stop(done: int, total: int) -> None:
        if done > total // 2:
            raise StopError

    with pytest.raises(StopError):
        Hub(tmp_path, endpoint=fake_hub.address, progress=stop).first_available("maker/big", ["weights.bin"])
    assert len(partial_files(tmp_path)) == 1
    fake_hub.requests.clear()
    progress_bytes: list[int] = []
    hub = Hub(tmp_path, endpoint=fake_hub.address, progress=lambda done, _total: progress_bytes.append(done))
    path = hub.first_available("maker/big", ["weights.bin"])
    assert path is not None
    assert path.read_bytes() == fake_hub.models["maker/big"]["weights.bin"]
    (ranged,) = [
        byte_range for method, _path, byte_range in fake_hub.requests if method == "GET" and byte_range
    ]
    assert int(ranged.removeprefix("bytes=").strip("-")) > 25_600_000 // 3
    assert progress_bytes[0] > 25_600_000 // 2
    assert partial_files(tmp_path) == []


def test_download_is_resumed_after_a_broken_connection(fake_hub: FakeHub, tmp_path: Path) -> None:
    fake_hub.models["maker/big"] = {"weights.bin": bytes(range(256)) * 100_000}
    fake_hub.cut_after = 15_000_000
    path = Hub(tmp_path, endpoint=fake_hub.address).first_available("maker/big", ["weights.bin"])
    assert path is not None
    assert path.read_bytes() == fake_hub.models["maker/big"]["weights.bin"]
    assert any(byte_range.startswith("bytes=") for _method, _path, byte_range in fake_hub.requests)


def test_wrong_content_is_downloaded_again_and_then_refused(
    fake_hub: FakeHub, folder: Path, tmp_path: Path
) -> None:
    fake_hub.corrupt_answers = 1
    path = Hub(tmp_path / "once", endpoint=fake_hub.address).first_available("maker/tiny", [WEIGHTS])
    assert path is not None
    assert (
        hashlib.sha256(path.read_bytes()).digest() == hashlib.sha256((folder / WEIGHTS).read_bytes()).digest()
    )
    fake_hub.corrupt_answers = 2
    with pytest.raises(EncoderError) as caught:
        Hub(tmp_path / "twice", endpoint=fake_hub.address).first_available("maker/tiny", [WEIGHTS])
    assert caught.value.code == "download_damaged"
    assert [path for path in (tmp_path / "twice").rglob("*") if path.is_file()] == []


def test_invalid_partial_file_is_replaced(fake_hub: FakeHub, folder: Path, tmp_path: Path) -> None:
    digest = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    blobs = tmp_path / "models--maker--tiny" / "blobs"
    blobs.mkdir(parents=True)
    for invalid_content in (bytes(1000), bytes(100_000_000)):
        (blobs / f"{digest}.part").write_bytes(invalid_content)
        path = Hub(tmp_path, endpoint=fake_hub.address).first_available("maker/tiny", [WEIGHTS])
        assert path is not None
        assert path.read_bytes() == (folder / WEIGHTS).read_bytes()
        path.resolve().unlink()


def test_concurrent_downloads_create_one_file(fake_hub: FakeHub, tmp_path: Path) -> None:
    fake_hub.models["maker/big"] = {"weights.bin": bytes(range(256)) * 50_000}

    def fetch(_number: int) -> bytes:
        path = Hub(tmp_path, endpoint=fake_hub.address).first_available("maker/big", ["weights.bin"])
        assert path is not None
        return path.read_bytes()

    with ThreadPoolExecutor(4) as pool:
        bodies = list(pool.map(fetch, range(4)))
    assert set(bodies) == {fake_hub.models["maker/big"]["weights.bin"]}
    assert sum(method == "GET" and "resolve" in path for method, path, _range in fake_hub.requests) == 1
    assert partial_files(tmp_path) == []


def test_missing_network_is_reported_at_once(tmp_path: Path, closed_address: str) -> None:
    start = time.monotonic()
    with pytest.raises(EncoderError) as caught:
        load_encoder(
            "ViT-B-32-256/datacomp_s34b_b86k", device="cpu", cache_dir=tmp_path, endpoint=closed_address
        )
    assert time.monotonic() - start < 10
    assert caught.value.code == "no_network"
    assert caught.value.details["host"].startswith("127.0.0.1")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_request_to_a_silent_hub_ends_after_the_timeout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from workers.encoders import hub

    monkeypatch.setattr(hub, "PATIENCE", 0.3)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        start = time.monotonic()
        with pytest.raises(EncoderError) as caught:
            address = f"http://127.0.0.1:{silent.getsockname()[1]}"
            Hub(tmp_path, endpoint=address).first_available("a/b", ["c"])
    assert caught.value.code == "no_network"
    assert time.monotonic() - start < 5


@pytest.mark.parametrize(
    ("status", "code"),
    [(500, "no_network"), (503, "no_network"), (418, "download_failed")],
)
def test_error_status_of_the_hub_is_reported(
    fake_hub: FakeHub, tmp_path: Path, status: int, code: str
) -> None:
    fake_hub.status = status
    with pytest.raises(EncoderError) as caught:
        Hub(tmp_path, name="x", endpoint=fake_hub.address).first_available("maker/tiny", [WEIGHTS])
    assert caught.value.code == code


def test_missing_models_of_the_hub_are_reported(fake_hub: FakeHub, tmp_path: Path) -> None:
    with pytest.raises(EncoderError) as caught:
        load_encoder("hf-hub:maker/none", device="cpu", cache_dir=tmp_path, endpoint=fake_hub.address)
    assert caught.value.code == "unknown_model"
    fake_hub.models["maker/empty"] = {"README.md": b"hello"}
    with pytest.raises(EncoderError) as caught:
        load_encoder("hf-hub:maker/empty", device="cpu", cache_dir=tmp_path, endpoint=fake_hub.address)
    assert caught.value.code == "not_a_model"


def test_missing_disk_space_is_reported_before_the_download(
    fake_hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=1000))
    with pytest.raises(EncoderError) as caught:
        Hub(tmp_path, name="x", endpoint=fake_hub.address).first_available("maker/tiny", [WEIGHTS])
    assert caught.value.code == "no_disk"


def fill_cache(cache: Path, repo: str, files: dict[str, bytes]) -> None:
    """Fill a cache as the hub's own tools do."""
    storage = cache / f"models--{repo.replace('/', '--')}"
    commit = "c" * 40
    for name, content in files.items():
        blob = storage / "blobs" / hashlib.sha256(content).hexdigest()
        blob.parent.mkdir(parents=True, exist_ok=True)
        blob.write_bytes(content)
        pointer = storage / "snapshots" / commit / name
        pointer.parent.mkdir(parents=True, exist_ok=True)
        pointer.symlink_to(blob)
    (storage / "refs").mkdir(exist_ok=True)
    (storage / "refs" / "main").write_text(commit)


def test_architecture_and_weights_load_from_a_cache_filled_before(
    folder: Path,
    tmp_path: Path,
    empty_common_cache: Path,
    closed_address: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The registry's own path, with an architecture in the registry that is as small as the test's model."""
    import json

    import open_clip

    from tests.workers.encoders.conftest import TINY

    path = tmp_path / "Tiny-Test.json"
    path.write_text(json.dumps(TINY))
    monkeypatch.setattr(
        open_clip.factory, "_MODEL_CONFIGS", {**open_clip.factory._MODEL_CONFIGS, "Tiny-Test": TINY}
    )
    monkeypatch.setitem(
        open_clip.pretrained._PRETRAINED,
        "Tiny-Test",
        {"ours": open_clip.pretrained._pcfg(hf_hub="maker/tiny/")},
    )
    fill_cache(empty_common_cache, "maker/tiny", {WEIGHTS: (folder / WEIGHTS).read_bytes()})
    encoder = load_encoder(
        "Tiny-Test/ours", device="cpu", cache_dir=tmp_path / "own", endpoint=closed_address
    )
    assert encoder.name == "Tiny-Test/ours"
    assert encoder.dim == 32
    assert encoder.mean == pytest.approx(
        (0.48145466, 0.4578275, 0.40821073)
    )  # the registry's model, not the folder's


def test_weights_of_a_refused_configuration_are_not_downloaded(fake_hub: FakeHub, tmp_path: Path) -> None:
    fake_hub.models["maker/bad"] = {
        "open_clip_config.json": b"[not a configuration]",
        "open_clip_model.safetensors": b"x" * 1000,
    }
    with pytest.raises(EncoderError) as caught:
        load_encoder("hf-hub:maker/bad", device="cpu", cache_dir=tmp_path, endpoint=fake_hub.address)
    assert caught.value.code == "bad_config"
    assert not [path for _method, path, _range in fake_hub.requests if "safetensors" in path]
