# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Fetches the files of the media that an export describes, and compares them with what was uploaded.

Relies on GET /_matrix/client/v1/media/download (Synapse 1.111), for older servers on /_matrix/media/v3/download, and on
the columns of local_media_repository, which the descriptions show. `sha256` is among them since Synapse 1.128.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import errno
import hashlib
import os
import re
import stat
import threading
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import Configuration
from ansible_collections.matrix_ops.synapse.plugins.module_utils._download import download
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import (
    ApiError,
    AuthenticationFailed,
    ConnectionFailed,
    EndpointMissing,
    InvalidInput,
    NotFound,
    RateLimited,
    SynapseError,
    UnexpectedAnswer,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.media_store import (
    MediaStore,
    NotInStore,
    find_media_store,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.names import name_of
from ansible_collections.matrix_ops.synapse.plugins.module_utils._progress import Work, progress

_DOWNLOAD = "/_matrix/client/v1/media/download/{server_name}/{media_id}"
_OLD_DOWNLOAD = "/_matrix/media/v3/download/{server_name}/{media_id}"
_BYPASS = {"admin_unsafely_bypass_quarantine": "true"}
# The media IDs that Synapse creates. Such an id becomes three names in the media store.
_MEDIA_ID = re.compile(r"[0-9A-Za-z_-]{5,255}")
_OWN_FILE = re.compile(r"[0-9A-Za-z_+=-]+(\.part)?")
_PIECE = 1 << 20

Source = t.Literal["client_api", "media_store"]


class MediaOutcome(t.NamedTuple):
    """The result for one medium. Either `file` is its name in the directory, or `reason` explains why there is no file.

    `size` (bytes) and `sha256` are those of the fetched file, `media_type` and `upload_name` are set by the uploader.
    `source` is the source of the file, None for a file that existed already.
    """

    media_id: str
    file: str | None
    size: int | None
    sha256: str | None
    media_type: str | None
    upload_name: str | None
    source: Source | None
    reason: str | None


@dataclasses.dataclass(frozen=True)
class MediaSources:
    """The sources of the files: `store` for files that it has, otherwise the server of `client`.

    `include_quarantined`: also quarantined media, for which the server requires the token of a server admin.
    """

    server_name: str
    client: Client | None = None
    store: MediaStore | None = None
    include_quarantined: bool = False


def choose_sources(
    method: str,
    configuration: Configuration,
    client: Client | None,
    *,
    working_directory: str | None = None,
    include_quarantined: bool = False,
) -> MediaSources:
    """Return the sources for `method`: "media_store", "client_api", or "auto" for both.

    `client` is None without an access token. Raises InvalidInput or ConfigurationError if no source is left.
    """
    store = None
    if method != "client_api":
        try:
            store = MediaStore(find_media_store(configuration, working_directory))
            store.require_readable()
        except SynapseError:
            if method == "media_store" or client is None:
                raise
            store = None
    elif client is None:
        raise InvalidInput(
            "media_source: client_api requires an access token. Set access_token or access_token_path, or set"
            " media_source: media_store to copy the files from the media store."
        )
    client = None if method == "media_store" else client
    return MediaSources(configuration.server_name, client, store, include_quarantined)


def fetch_media(
    descriptions: t.Iterable[t.Mapping[str, t.Any]],
    directory: str,
    sources: MediaSources,
    parallel: int = 4,
    total: int | None = None,
) -> list[MediaOutcome]:
    """Fetch the file of each description (objects of media_ids/*) into `directory`, which is created if it is missing.

    Each file is named after its media ID (see _export.names), and complete: it has the size of the upload, and the same
    SHA-256 if Synapse knows that. A complete file that exists is kept, other files of earlier runs are removed.
    Previews of links are skipped, because Synapse has fetched them, not the user. Returns the result for each of the
    other media, sorted by media ID.

    `parallel` files are fetched at the same time. `total`: how many descriptions there are, for the progress. Raises
    SynapseError if the disk is full, or if the server or the whole store does not answer. The next run finds the files
    that were fetched before.
    """
    return _Fetching(descriptions, directory, sources, total).run(parallel)


def find_missing(descriptions: t.Iterable[t.Mapping[str, t.Any]], sources: MediaSources) -> dict[str, str]:
    """Return the media, by media ID, of which the descriptions alone show that there is no file, and the reasons."""
    found = {}
    for description in descriptions:
        medium = _read(str(description.get("media_id")), description)
        try:
            _require_fetchable(medium, sources)
        except _Missing as missing:
            found[medium.media_id] = str(missing)
    return found


class _Medium(t.NamedTuple):
    """The needed data of one medium. `length` is None if it was never uploaded, `sha256` if Synapse is old."""

    media_id: str
    length: int | None
    sha256: str | None
    media_type: str | None
    upload_name: str | None
    quarantined_by: str | None
    origin: str | None


class _Missing(Exception):
    """There is no file. The text is the reason."""


class _Stopped(Exception):
    """Another file has failed in a way that ends everything."""


class _Fetching:
    def __init__(
        self,
        descriptions: t.Iterable[t.Mapping[str, t.Any]],
        directory: str,
        sources: MediaSources,
        total: int | None,
    ) -> None:
        self._descriptions = iter(descriptions)
        self._directory = directory
        self._sources = sources
        self._known: set[str] = set()
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._endpoint = _DOWNLOAD
        self._total = total
        self._done = self._fetched = 0

    def run(self, parallel: int) -> list[MediaOutcome]:
        with _writing(self._directory), contextlib.suppress(FileExistsError):
            os.mkdir(self._directory, 0o700)
        with concurrent.futures.ThreadPoolExecutor(parallel) as pool:
            try:
                working = [pool.submit(self._work) for _number in range(parallel)]
                done, _others = concurrent.futures.wait(working, return_when=concurrent.futures.FIRST_EXCEPTION)
                for future in done:
                    future.result()
            finally:
                # After a failure, or if a signal interrupts this one, the other threads end with their next piece.
                self._stopped.set()
        outcomes = sorted(outcome for future in working for outcome in future.result())
        self._clear({outcome.file for outcome in outcomes})
        return outcomes

    def _work(self) -> list[MediaOutcome]:
        outcomes = []
        while not self._stopped.is_set():
            medium = self._next()
            if medium is None:
                break
            outcomes.append(self._settle(medium))
            self._note(done=1)
        return outcomes

    def _note(self, *, done: int = 0, fetched: int = 0) -> None:
        """Report that so many more media are done, and so many more bytes are fetched."""
        with self._lock:
            self._done += done
            self._fetched += fetched
        progress.report(Work.MEDIA, self._done, self._total, size=self._fetched)

    def _next(self) -> _Medium | None:
        with self._lock:
            for description in self._descriptions:
                media_id = str(description.get("media_id"))
                if description.get("url_cache") is None and media_id not in self._known:
                    self._known.add(media_id)
                    return _read(media_id, description)
                self._done += 1
        return None

    def _settle(self, medium: _Medium) -> MediaOutcome:
        outcome = MediaOutcome(
            medium.media_id, None, None, None, medium.media_type, medium.upload_name, source=None, reason=None
        )
        try:
            _require_fetchable(medium, self._sources)
            name = name_of(medium.media_id)
            path = os.path.join(self._directory, name)
            sha256 = _complete(path, medium)
            if sha256 is None:
                with _Part(path, medium, self._stopped, lambda size: self._note(fetched=size)) as part:
                    source = self._fetch(medium, part)
                    sha256 = part.finish()
                outcome = outcome._replace(source=source)
        except _Missing as missing:
            return outcome._replace(reason=str(missing))
        return outcome._replace(file=name, size=medium.length, sha256=sha256)

    def _fetch(self, medium: _Medium, part: _Part) -> Source:
        store, client = self._sources.store, self._sources.client
        if store is not None:
            try:
                store.copy(medium.media_id, part)
                return "media_store"
            except NotInStore as error:
                if client is None and error.forbidden:
                    raise SynapseError(
                        f"The media store {store.path} cannot be read by this user. Run the task with become, as root"
                        " or as the user of Synapse."
                    ) from error
                if client is None:
                    raise _Missing(str(error)) from error
            part.restart()
        if client is None:
            raise _Missing("there is neither a media store nor a server to fetch it from")
        self._download(client, medium, part)
        return "client_api"

    def _download(self, client: Client, medium: _Medium, part: _Part) -> None:
        for attempt in (1, 2):
            try:
                self._ask(client, medium, part, closing=attempt > 1)
                return
            except NotFound as error:
                raise _Missing("the server does not have it: it was deleted, or the media store lost it") from error
            except (AuthenticationFailed, RateLimited):
                raise
            except EndpointMissing as error:
                error.explain(f"If a worker serves the media, set {client.address.leading_to('that worker')}.")
                raise
            except ApiError as error:
                raise _Missing(f"the server refused it: {error.status} {error.errcode}: {error.error}") from error
            except (ConnectionFailed, UnexpectedAnswer) as error:
                _require_answering(client, error)
                if attempt > 1:
                    part.require_begun_as_uploaded()
                    raise _Missing(f"it could not be fetched: {str(error).rstrip('.')}") from error
            part.restart()

    def _ask(self, client: Client, medium: _Medium, part: _Part, *, closing: bool) -> None:
        endpoint = self._endpoint
        try:
            self._ask_at(endpoint, client, medium, part, closing)
        except EndpointMissing:
            if endpoint == _OLD_DOWNLOAD:
                raise
            self._ask_at(_OLD_DOWNLOAD, client, medium, part, closing)
            # Only now it is certain which of the two endpoints the server has.
            self._endpoint = _OLD_DOWNLOAD

    def _ask_at(self, endpoint: str, client: Client, medium: _Medium, part: _Part, closing: bool) -> None:
        download(
            client,
            endpoint,
            part,
            params=_BYPASS if medium.quarantined_by else None,
            closing=closing,
            server_name=self._sources.server_name,
            media_id=medium.media_id,
        )

    def _clear(self, kept: t.Collection[str | None]) -> None:
        with _writing(self._directory), os.scandir(self._directory) as entries:
            for entry in entries:
                ours = _OWN_FILE.fullmatch(entry.name) and not entry.is_dir(follow_symlinks=False)
                if ours and entry.name not in kept:
                    os.unlink(entry.path)


class _Part:
    """A file that is being fetched. `finish` gives it its name; otherwise it is removed at the end."""

    def __init__(self, path: str, medium: _Medium, stopped: threading.Event, note: t.Callable[[int], None]) -> None:
        """`note` is called with the size of each piece."""
        self._note = note
        self._path = path
        self._part = f"{path}.part"
        self._medium = medium
        self._stopped = stopped
        self._size = 0
        self._sha256 = hashlib.sha256()

    def __enter__(self) -> _Part:
        with _writing(self._part):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._part)
            self._file = os.fdopen(os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
        return self

    def __exit__(self, *_: object) -> None:
        # An incomplete file is useless.
        with contextlib.suppress(OSError):
            self._file.close()
        with contextlib.suppress(OSError):
            os.unlink(self._part)

    def write(self, piece: bytes) -> None:
        """Add the next bytes. Raises SynapseError if the disk is full, _Missing for more bytes than were uploaded."""
        if self._stopped.is_set():
            raise _Stopped
        self._size += len(piece)
        if self._medium.length is None or self._size > self._medium.length:
            raise _Missing(f"it is longer than the {self._medium.length} bytes that were uploaded")
        self._sha256.update(piece)
        with _writing(self._part):
            self._file.write(piece)
        self._note(len(piece))

    def restart(self) -> None:
        """Start again with an empty file."""
        self._size = 0
        self._sha256 = hashlib.sha256()
        with _writing(self._part):
            self._file.seek(0)
            self._file.truncate()

    def require_begun_as_uploaded(self) -> None:
        """Raise _Missing if a part of the file arrived."""
        if self._size:
            _require_uploaded(self._medium, self._size, None)

    def finish(self) -> str:
        """Give the file its name and return its SHA-256. Raises _Missing if it differs from what was uploaded."""
        sha256 = self._sha256.hexdigest()
        _require_uploaded(self._medium, self._size, sha256)
        with _writing(self._part):
            self._file.close()
            os.replace(self._part, self._path)
        return sha256


def _read(media_id: str, description: t.Mapping[str, t.Any]) -> _Medium:
    def text(key: str) -> str | None:
        value = description.get(key)
        return value if isinstance(value, str) else None

    length = description.get("media_length")
    return _Medium(
        media_id,
        length if isinstance(length, int) else None,
        text("sha256"),
        text("media_type"),
        text("upload_name"),
        text("quarantined_by"),
        text("media_origin"),
    )


def _require_fetchable(medium: _Medium, sources: MediaSources) -> None:
    if not _MEDIA_ID.fullmatch(medium.media_id):
        raise _Missing("its media ID is not one that Synapse creates")
    if medium.origin not in (None, sources.server_name):
        raise _Missing(f"it belongs to the server {medium.origin}, and this server has at most a copy")
    if medium.length is None:
        raise _Missing("its media ID was reserved, but no file was uploaded")
    if medium.quarantined_by and not sources.include_quarantined:
        raise _Missing(f"it was quarantined by {medium.quarantined_by}")


def _require_uploaded(medium: _Medium, size: int, sha256: str | None) -> None:
    if size != medium.length:
        raise _Missing(f"its length is {size} bytes, but {medium.length} were uploaded")
    if medium.sha256 and sha256 and sha256 != medium.sha256:
        raise _Missing(f"its SHA-256 is {sha256}, but the SHA-256 of the upload is {medium.sha256}")


def _complete(path: str, medium: _Medium) -> str | None:
    """Return the SHA-256 of the file if it exists and is the right one, else None."""
    sha256 = hashlib.sha256()
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode) or status.st_size != medium.length:
                return None
            os.fchmod(file.fileno(), 0o600)
            while piece := file.read(_PIECE):
                sha256.update(piece)
    except OSError:
        return None
    found = sha256.hexdigest()
    return found if medium.sha256 in (None, found) else None


def _require_answering(client: Client, error: SynapseError) -> None:
    """Raise `error` if the server does not answer at all: then the cause is not the single file."""
    try:
        client.get("/_matrix/client/v3/account/whoami")
    except AuthenticationFailed:
        raise
    except ApiError:
        return
    except SynapseError:
        error.explain("Set media_source: media_store to copy the files from the media store without the server.")
        raise error from None


@contextlib.contextmanager
def _writing(path: str) -> t.Iterator[None]:
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise SynapseError(
            f"The disk is full: {path} could not be written. Free some space, and run the task again."
            if full
            else f"{path} could not be written: {error.strerror}. Check that this user may write there."
        ) from error
