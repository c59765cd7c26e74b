"""Files of a model hub: from the cache if they are there, else downloaded with checks.

huggingface_hub's own `hf_hub_download` discards a partial download when a process ends, checks the size of a
file but not its content, and repeats a request without a network for a minute. This module therefore uses its
parts (addresses, headers, metadata, streaming with ranges) and adds three things: the next attempt continues
a partial file, the content is checked against the hash the hub announces, and the wait for the network is
short. The layout on disk is the hub's own (`models--OWNER--NAME/{blobs,snapshots,refs}`), so this module and
other tools can use the same cache.

Files in the cache are used without asking the hub for a newer version, because the encoder of a dataset must
not change unnoticed.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from .errors import EncoderError

Progress = Callable[[int, int], None]
PATIENCE = 5.0  # seconds to wait for the hub's answer, or for the failure of the network
_SPARE = 1 << 30  # bytes of disk to keep free: the database may be on the same disk
_BLOCK = 1 << 20


class Hub:
    """The files of one cache folder and of the machine's common cache (read only).

    The cache folder is created when needed. ``progress(done, total)`` in bytes is called during a download.
    An exception that it raises stops the download, and the next download continues from there. ``endpoint``
    is the address of a mirror, if the hub's own is not used.
    """

    def __init__(
        self,
        cache: Path | None,
        *,
        name: str = "",
        progress: Progress | None = None,
        endpoint: str | None = None,
    ) -> None:
        from huggingface_hub import constants

        common = Path(constants.HF_HUB_CACHE)
        self._cache = cache or common
        self._places = [self._cache, *([common] if common != self._cache else [])]
        self._name = name  # of the encoder, for messages
        self._progress = progress
        self._endpoint = endpoint or constants.ENDPOINT
        self._offline = bool(constants.is_offline_mode())

    def first_available(self, repo: str, names: Sequence[str], revision: str | None = None) -> Path | None:
        """Return the first of these files that the model has; None if it has none.

        Raises EncoderError.
        """
        here = self._cached(repo, names, revision)
        if here is not None:
            return here
        commit, files = self._listing(repo, revision)
        chosen = next((name for name in names if name in files), None)
        return None if chosen is None else self._fetched(repo, [chosen], commit, revision)[0]

    def folder(
        self, repo: str, needed: Sequence[str], patterns: Sequence[str], revision: str | None = None
    ) -> Path:
        """Return a folder with the model's files that match ``patterns``.

        The cached folder is used if it has one of ``needed``. Raises EncoderError: `no_tokenizer` if the
        model has none of ``needed``, else as :meth:`first`.
        """
        here = self._cached(repo, needed, revision)
        if here is not None:
            return here.parent
        commit, files = self._listing(repo, revision)
        wanted = [name for name in files if any(fnmatch(name, pattern) for pattern in patterns)]
        if not set(needed) & set(wanted):
            raise EncoderError(
                f"The model «{repo}» has none of the files {', '.join(needed)}.",
                "no_tokenizer",
                name=self._name,
                reason=f"{repo}: {', '.join(needed)}",
            )
        return self._fetched(repo, wanted, commit, revision)[0].parent

    # --- the cache ---

    def _cached(self, repo: str, names: Sequence[str], revision: str | None) -> Path | None:
        from huggingface_hub import try_to_load_from_cache

        for place in self._places:
            for name in names:
                path = try_to_load_from_cache(repo, name, cache_dir=place, revision=revision)
                if isinstance(path, str) and Path(path).is_file():
                    return Path(path)
        return None

    def _storage(self, repo: str) -> Path:
        return self._cache / f"models--{repo.replace('/', '--')}"

    # --- the network ---

    def _listing(self, repo: str, revision: str | None) -> tuple[str, list[str]]:
        """Return (commit, file names) of a model."""
        from huggingface_hub import HfApi

        if self._offline:
            raise self._unreachable()
        ref = self._storage(repo) / "refs" / (revision or "main")
        # Use the same version of the model as the files that are here already.
        if ref.is_file():
            revision = ref.read_text().strip() or revision
        with self._wrap_network_errors(repo):
            info = HfApi(endpoint=self._endpoint).model_info(repo, revision=revision, timeout=PATIENCE)
        if not info.sha:
            raise EncoderError(
                f"The hub's answer about «{repo}» names no version.",
                "download_failed",
                name=self._name,
                reason=repo,
            )
        return info.sha, [sibling.rfilename for sibling in info.siblings or []]

    def _fetched(self, repo: str, names: Sequence[str], commit: str, revision: str | None) -> list[Path]:
        from huggingface_hub import get_hf_file_metadata, hf_hub_url

        storage = self._storage(repo)
        files: list[tuple[str, str, str, int]] = []
        for name in names:
            url = hf_hub_url(repo, name, revision=commit, endpoint=self._endpoint)
            with self._wrap_network_errors(repo):
                about = get_hf_file_metadata(url, timeout=PATIENCE, endpoint=self._endpoint)
            etag = (about.etag or "").strip('"')
            if not etag or not etag.replace("-", "").isalnum() or about.size is None:
                raise EncoderError(
                    f"The hub does not say what «{name}» of «{repo}» should contain.",
                    "download_failed",
                    name=self._name,
                    reason=name,
                )
            files.append((name, url, etag, about.size))
        total = sum(size for *_rest, size in files)
        done = 0
        paths = []
        for name, url, etag, size in files:
            blob = storage / "blobs" / etag
            if not blob.is_file():
                self._download(url, blob, size=size, file=name, done=done, total=total)
            done += size
            paths.append(_linked(blob, storage / "snapshots" / commit / name))
            if self._progress:
                self._progress(done, total)
        _written(storage / "refs" / (revision or "main"), commit)
        return paths

    def _download(self, url: str, blob: Path, *, size: int, file: str, done: int, total: int) -> None:
        from huggingface_hub.file_download import http_get
        from huggingface_hub.utils import build_hf_headers

        try:
            blob.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise EncoderError(
                f"«{blob.parent}» cannot be written: {error}",
                "download_failed",
                name=self._name,
                reason=str(error),
            ) from error
        part = blob.with_name(f"{blob.name}.part")
        for last in (False, True):
            with _lock_partial_file(part) as handle:
                if blob.is_file():  # another process has downloaded it
                    part.unlink(missing_ok=True)
                    return
                have = handle.seek(0, os.SEEK_END)
                if have > size:
                    handle.truncate(0)
                    have = handle.seek(0)
                self._require_disk_space(part.parent, size - have)
                with self._wrap_network_errors(url):
                    http_get(
                        url,
                        handle,
                        resume_size=have,
                        headers=build_hf_headers(),
                        expected_size=size,
                        displayed_filename=file,
                        tqdm_class=_bar(self._progress, done + have, total),
                    )
                handle.flush()
                os.fsync(handle.fileno())
                if _hub_hash(part, size) in (blob.name, None):
                    part.replace(blob)
                    return
                part.unlink()
            if last:
                raise EncoderError(
                    f"«{file}» arrived damaged twice. Nothing was kept of it; try again later.",
                    "download_damaged",
                    name=self._name,
                    file=file,
                )

    def _require_disk_space(self, folder: Path, needed: int) -> None:
        free = shutil.disk_usage(folder).free
        if free < needed + _SPARE:
            raise EncoderError(
                f"Downloading «{self._name}» needs {needed >> 20} MB of disk in {folder}; "
                f"{free >> 20} MB are free.",
                "no_disk",
                name=self._name,
                needed=str(needed >> 20),
                free=str(free >> 20),
                folder=str(folder),
            )

    def _unreachable(self) -> EncoderError:
        host = self._endpoint.split("://")[-1].split("/")[0]
        return EncoderError(
            f"«{self._name}» is not on this machine yet, and {host} cannot be reached. Connect this machine "
            "to the internet, or copy the model here and name its folder (local-dir:).",
            "no_network",
            name=self._name,
            host=host,
        )

    @contextlib.contextmanager
    def _wrap_network_errors(self, what: str) -> Iterator[None]:
        """Convert the errors of the hub client to EncoderError."""
        import httpx2
        from huggingface_hub import errors as hub

        try:
            yield
        except hub.GatedRepoError as error:
            raise EncoderError(
                f"The hub gives «{what}» only to people who accepted its licence: do that there, and set "
                "HF_TOKEN for the workers.",
                "no_access",
                name=self._name,
            ) from error
        except (hub.RepositoryNotFoundError, hub.RevisionNotFoundError, hub.HFValidationError) as error:
            raise EncoderError(
                f"The hub has no model «{what}» (or shows it only with a token).",
                "unknown_model",
                name=self._name,
            ) from error
        except (httpx2.TransportError, hub.OfflineModeIsEnabled) as error:
            raise self._unreachable() from error
        except hub.HfHubHTTPError as error:
            if error.response is not None and error.response.status_code >= 500:
                raise self._unreachable() from error
            raise self._failed(error) from error
        except (httpx2.HTTPError, hub.FileMetadataError) as error:
            raise self._failed(error) from error
        except OSError as error:  # a size other than the announced one, or a full disk
            raise self._failed(error) from error

    def _failed(self, error: Exception) -> EncoderError:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
        return EncoderError(
            f"«{self._name}» could not be downloaded: {reason}",
            "download_failed",
            name=self._name,
            reason=reason,
        )


def _bar(progress: Progress | None, begun: int, total: int) -> Any:
    """Return a class that the hub's client uses as a progress bar."""

    class Bar:
        def __init__(self, *_given: Any, **_named: Any) -> None:
            self.done = begun

        def __enter__(self) -> "Bar":
            return self

        def __exit__(self, *_error: object) -> None:
            pass

        def update(self, n: float | None = 1) -> None:
            self.done += int(n or 0)
            if progress:
                progress(self.done, total)

        def close(self) -> None:
            pass

    return Bar


@contextlib.contextmanager
def _lock_partial_file(part: Path) -> Iterator[Any]:
    """Yield the partial file, open and exclusively locked.

    A second process waits here. The caller then checks whether the download is complete.
    """
    while True:
        with part.open("a+b") as handle:
            # Not a FileLock: the locked file is the download itself, which is renamed when it is complete.
            fcntl.flock(handle, fcntl.LOCK_EX)
            try:
                ours = os.path.samestat(os.fstat(handle.fileno()), part.stat())
            except FileNotFoundError:
                ours = False
            if ours:  # else another process completed or deleted it meanwhile
                yield handle
                return


def _hub_hash(path: Path, size: int) -> str | None:
    """Return the hash by which a hub names this file: SHA-256, or git's SHA-1 for small files.

    Return None if the name is neither.
    """
    expected = path.name.removesuffix(".part")
    if len(expected) == 64:
        digest = hashlib.sha256()
    elif len(expected) == 40:
        digest = hashlib.sha1(f"blob {size}\0".encode(), usedforsecurity=False)
    else:
        return None
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _linked(blob: Path, pointer: Path) -> Path:
    """Link a snapshot's file name to a blob atomically, and return the link."""
    pointer.parent.mkdir(parents=True, exist_ok=True)
    fresh = _draft_of(pointer)
    fresh.symlink_to(os.path.relpath(blob, pointer.parent))
    fresh.replace(pointer)
    return pointer


def _written(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = _draft_of(path)
    fresh.write_text(text)
    fresh.replace(path)


def _draft_of(path: Path) -> Path:
    """Return a name beside the file that no other thread or process uses."""
    return path.with_name(f".{path.name}.{uuid.uuid4().hex}")
