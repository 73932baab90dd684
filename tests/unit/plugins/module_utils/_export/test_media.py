# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The files of media: from a media store like that of Synapse, and from servers that fail in every way."""

from __future__ import annotations

import errno
import hashlib
import os
import pathlib
import signal
import stat
import threading
import time
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils import _errors as errors
from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import (
    Configuration,
    ConfigurationFile,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.media import (
    MediaOutcome,
    MediaSources,
    choose_sources,
    fetch_media,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.media_store import (
    MediaStore,
    NotInStore,
    find_media_store,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.names import name_of
from ansible_collections.matrix_ops.synapse.plugins.module_utils._progress import Work
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils.scripted_http import Call, ScriptedServer

SERVER_NAME = "s1.test:8448"
FIRST, SECOND, THIRD = "AAbbFirstMediumOfThemAll", "AAbbSecond_Medium-OfThem", "CCddThirdMediumOfThemAll"
FILE = name_of(FIRST)
DOWNLOAD = "/_matrix/client/v1/media/download/s1.test%3A8448"
OLD_DOWNLOAD = "/_matrix/media/v3/download/s1.test%3A8448"
WHOAMI = "/_matrix/client/v3/account/whoami"
OCTETS = {"Content-Type": "application/octet-stream"}
CONTENT = bytes(range(256)) * 9
UNRECOGNIZED = {"errcode": "M_UNRECOGNIZED", "error": "Unrecognized request"}


def described(media_id: str, content: bytes | None = CONTENT, **more: t.Any) -> dict[str, t.Any]:
    """Return what Synapse writes into media_ids of an uploaded file. `content` None: it was never uploaded."""
    return {
        "media_id": media_id,
        "media_type": "image/png",
        "media_length": None if content is None else len(content),
        "upload_name": "/../<b>\u202e.png",
        "created_ts": 1795445585717,
        "url_cache": None,
        "last_access_ts": None,
        "quarantined_by": None,
        "safe_from_quarantine": False,
        "user_id": "@alice:s1.test:8448",
        "authenticated": 1,
        "sha256": None if content is None else hashlib.sha256(content).hexdigest(),
        **more,
    }


def served(media_id: str, content: bytes = CONTENT, base: str = DOWNLOAD, **more: t.Any) -> Call:
    return Call("GET", f"{base}/{media_id}", text=content, headers=OCTETS, **more)


def not_found(media_id: str) -> Call:
    return Call("GET", f"{DOWNLOAD}/{media_id}", {"errcode": "M_NOT_FOUND", "error": "Not found"}, 404)


def api(server: ScriptedServer, **more: t.Any) -> MediaSources:
    return MediaSources(SERVER_NAME, client=Client(server.base_url, "syt_secret"), **more)


def write_for_long(file: t.Any) -> None:
    """Write nothing again and again until it is stopped."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        file.write(b"")
    raise AssertionError("it was not stopped")


class Place:
    """A media store, and the directory that media are fetched into."""

    def __init__(self, path: pathlib.Path) -> None:
        self.store = path / "media_store"
        self.directory = path / "media"
        (self.store / "local_content").mkdir(parents=True)

    def stored(self, media_id: str, content: bytes | None = CONTENT) -> pathlib.Path:
        """Return the path in the store, with the content written there."""
        path = self.store / "local_content" / media_id[:2] / media_id[2:4] / media_id[4:]
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is not None:
            path.write_bytes(content)
        return path

    @property
    def from_store(self) -> MediaSources:
        """The store as the only source."""
        return MediaSources(SERVER_NAME, store=MediaStore(str(self.store)))

    def fetch(self, sources: MediaSources, *descriptions: dict[str, t.Any], parallel: int = 1) -> list[MediaOutcome]:
        """Fetch media, and check what must be true after every run."""
        outcomes = fetch_media(iter(descriptions), str(self.directory), sources, parallel)
        assert [outcome.media_id for outcome in outcomes] == sorted({outcome.media_id for outcome in outcomes})
        assert all((outcome.file is None) == (outcome.reason is not None) for outcome in outcomes)
        assert self.names() == sorted(name_of(outcome.media_id) for outcome in outcomes if outcome.file)
        assert stat.S_IMODE(self.directory.stat().st_mode) == 0o700
        for outcome in outcomes:
            if outcome.file:
                path = self.directory / outcome.file
                content = path.read_bytes()
                assert (outcome.size, outcome.sha256) == (len(content), hashlib.sha256(content).hexdigest())
                assert stat.S_IMODE(path.lstat().st_mode) == 0o600
        return outcomes

    def missing(self, sources: MediaSources, description: dict[str, t.Any]) -> str:
        """Return why there is no file."""
        [outcome] = self.fetch(sources, description)
        assert outcome.reason and outcome[1:4] == (None, None, None)
        return outcome.reason

    def names(self) -> list[str]:
        """The names of all files in the directory."""
        return sorted(path.name for path in self.directory.iterdir())


@pytest.fixture
def place(tmp_path: pathlib.Path) -> Place:
    """An empty place."""
    return Place(tmp_path)


@pytest.fixture(autouse=True)
def open_umask() -> t.Iterator[None]:
    """The modes must not depend on the umask of the test run."""
    before = os.umask(0)
    yield
    os.umask(before)


class TestFetch:
    def test_keeps_every_byte(self, place: Place, server: ScriptedServer) -> None:
        server.expect(served(FIRST, token="syt_secret", query={}), served(SECOND, b""))
        outcomes = place.fetch(api(server), described(FIRST), described(SECOND, b"", media_type=None, upload_name=None))
        sha256 = hashlib.sha256(CONTENT).hexdigest()
        told = ("image/png", "/../<b>\u202e.png")
        assert outcomes[0] == MediaOutcome(FIRST, FILE, len(CONTENT), sha256, *told, source="client_api", reason=None)
        assert outcomes[1][4:] == (None, None, "client_api", None)
        assert (place.directory / FILE).read_bytes() == CONTENT
        assert (place.directory / name_of(SECOND)).read_bytes() == b""

    def test_reports_how_far_it_is(
        self, place: Place, server: ScriptedServer, reports: list[tuple[t.Any, ...]]
    ) -> None:
        server.expect(served(FIRST), served(SECOND, b"1234567"))
        preview = described(THIRD, url_cache="https://x.org/")
        media = [described(FIRST), preview, described(SECOND, b"1234567")]
        fetch_media(media, str(place.directory), api(server), 1, len(media))
        size = len(CONTENT)
        assert reports[:2] == [(Work.MEDIA, 0, 3, size), (Work.MEDIA, 1, 3, size)]
        assert reports[-1] == (Work.MEDIA, 3, 3, size + 7)

    def test_takes_the_store_first(self, place: Place, server: ScriptedServer) -> None:
        place.stored(FIRST)
        place.stored(THIRD, CONTENT * 2000)
        server.expect(served(SECOND))
        sources = api(server, store=MediaStore(str(place.store)))
        descriptions = [described(THIRD, CONTENT * 2000), described(SECOND), described(FIRST)]
        outcomes = place.fetch(sources, *descriptions)
        assert [outcome.source for outcome in outcomes] == ["media_store", "client_api", "media_store"]

    def test_fetches_several_at_a_time(self, place: Place) -> None:
        meeting = threading.Barrier(4, timeout=10)

        class Meeting(MediaStore):
            def copy(self, media_id: str, file: t.Any) -> None:
                meeting.wait()
                super().copy(media_id, file)

        descriptions = [described(f"{number:02}ee{FIRST}", str(number).encode()) for number in range(40)]
        for number in range(40):
            place.stored(f"{number:02}ee{FIRST}", str(number).encode())
        sources = MediaSources(SERVER_NAME, store=Meeting(str(place.store)))
        assert len(place.fetch(sources, *descriptions, parallel=4)) == 40

    def test_fetches_what_is_described_twice_once(self, place: Place, server: ScriptedServer) -> None:
        server.expect(served(FIRST))
        assert len(place.fetch(api(server), described(FIRST), described(FIRST))) == 1

    def test_nothing_to_fetch(self, place: Place) -> None:
        assert place.fetch(place.from_store) == []

    def test_takes_the_length_where_nothing_else_is_known(self, place: Place, server: ScriptedServer) -> None:
        server.expect(served(FIRST))
        assert place.fetch(api(server), described(FIRST, sha256=None))[0].file

    def test_has_at_most_a_piece_in_memory(self, place: Place) -> None:
        sizes: list[int] = []

        class Counted:
            def write(self, piece: bytes) -> None:
                sizes.append(len(piece))

        place.stored(FIRST, b"a" * 5_000_000)
        MediaStore(str(place.store)).copy(FIRST, Counted())
        assert sum(sizes) == 5_000_000
        assert max(sizes) <= 1 << 20


class TestOldServer:
    def test_uses_the_old_endpoint(self, place: Place, server: ScriptedServer) -> None:
        unknown = Call("GET", f"{DOWNLOAD}/{FIRST}", UNRECOGNIZED, 404)
        server.expect(unknown, served(FIRST, base=OLD_DOWNLOAD), served(SECOND, base=OLD_DOWNLOAD))
        outcomes = place.fetch(api(server), described(FIRST, sha256=None), described(SECOND, sha256=None))
        assert [outcome.source for outcome in outcomes] == ["client_api", "client_api"]

    def test_is_not_a_server_without_media(self, place: Place, server: ScriptedServer) -> None:
        for base in (DOWNLOAD, OLD_DOWNLOAD):
            server.expect(Call("GET", f"{base}/{FIRST}", UNRECOGNIZED, 404))
        with pytest.raises(errors.EndpointMissing, match="a worker serves the media"):
            place.fetch(api(server), described(FIRST))

    def test_may_have_lost_the_first_one(self, place: Place, server: ScriptedServer) -> None:
        server.expect(
            Call("GET", f"{DOWNLOAD}/{FIRST}", UNRECOGNIZED, 404),
            Call("GET", f"{OLD_DOWNLOAD}/{FIRST}", {"errcode": "M_NOT_FOUND", "error": "Not found"}, 404),
        )
        assert "the server does not have it" in place.missing(api(server), described(FIRST))


class TestResume:
    @pytest.mark.parametrize("sha256", ["known", None])
    def test_keeps_a_complete_file(self, place: Place, server: ScriptedServer, sha256: str | None) -> None:
        place.directory.mkdir(0o700)
        (place.directory / FILE).write_bytes(CONTENT)
        description = described(FIRST) if sha256 else described(FIRST, sha256=None)
        [outcome] = place.fetch(api(server), description)
        assert (outcome.file, outcome.source) == (FILE, None)

    @pytest.mark.parametrize("wrong", [CONTENT[:-1], CONTENT + b"x", CONTENT[:-1] + b"x", b""])
    def test_replaces_any_other(self, place: Place, server: ScriptedServer, wrong: bytes) -> None:
        place.directory.mkdir(0o700)
        (place.directory / FILE).write_bytes(wrong)
        (place.directory / f"{FILE}.part").write_bytes(CONTENT)
        server.expect(served(FIRST))
        assert place.fetch(api(server), described(FIRST))[0].source == "client_api"
        assert (place.directory / FILE).read_bytes() == CONTENT

    def test_does_not_write_through_a_link(self, place: Place, server: ScriptedServer, tmp_path: pathlib.Path) -> None:
        elsewhere = tmp_path / "elsewhere"
        elsewhere.write_bytes(CONTENT)
        place.directory.mkdir(0o700)
        for name in (FILE, f"{FILE}.part"):
            (place.directory / name).symlink_to(elsewhere)
        server.expect(served(FIRST))
        place.fetch(api(server), described(FIRST))
        assert not (place.directory / FILE).is_symlink()
        assert elsewhere.read_bytes() == CONTENT
        assert stat.S_IMODE(elsewhere.stat().st_mode) == 0o666

    def test_removes_what_must_not_be_there_any_more(self, place: Place) -> None:
        place.directory.mkdir(0o700)
        for name in (FIRST, SECOND, f"{THIRD}.part"):
            (place.directory / name).write_bytes(CONTENT)
        # `fetch` checks what is left.
        place.fetch(place.from_store, described(FIRST, quarantined_by="@admin:s1.test"))

    def test_leaves_what_is_not_its_own(self, place: Place) -> None:
        place.directory.mkdir(0o700)
        (place.directory / "index.html").write_bytes(b"")
        (place.directory / "other").mkdir()
        fetch_media([], str(place.directory), place.from_store)
        assert place.names() == ["index.html", "other"]

    def test_finds_what_was_fetched_before_a_failure(self, place: Place, server: ScriptedServer) -> None:
        server.expect(served(FIRST), Call("GET", f"{DOWNLOAD}/{SECOND}", drop=True), Call("GET", WHOAMI, drop=True))
        with pytest.raises(errors.ConnectionFailed):
            fetch_media([described(FIRST), described(SECOND)], str(place.directory), api(server), 1)
        assert place.names() == [FILE]
        server.expect(served(SECOND))
        outcomes = place.fetch(api(server), described(FIRST), described(SECOND))
        assert [outcome.source for outcome in outcomes] == [None, "client_api"]


class TestNotFetched:
    @pytest.mark.parametrize(
        ("description", "reason"),
        [
            (described(FIRST, None), "reserved, but no file was uploaded"),
            (described(FIRST, quarantined_by="@admin:s1.test"), "quarantined by @admin:s1.test"),
            (described(FIRST, media_origin="s2.test"), "belongs to the server s2.test"),
            (described("../../../etc/passwd"), "media ID"),
            (described("AAbb/../../x"), "media ID"),
            (described("AAbb\n"), "media ID"),
            (described("AAbb"), "media ID"),
            (described("A" * 256), "media ID"),
            (described(""), "media ID"),
        ],
    )
    def test_shows_the_reason(self, place: Place, server: ScriptedServer, description: t.Any, reason: str) -> None:
        sources = api(server, store=MediaStore(str(place.store)))
        assert reason in place.missing(sources, description)

    def test_skips_previews(self, place: Place, server: ScriptedServer) -> None:
        assert place.fetch(api(server), described(FIRST, url_cache="https://example.org/")) == []

    def test_own_media_name_their_server(self, place: Place, server: ScriptedServer) -> None:
        server.expect(served(FIRST))
        assert place.fetch(api(server), described(FIRST, media_origin=SERVER_NAME))[0].file

    def test_fetches_what_is_quarantined_if_asked_to(self, place: Place, server: ScriptedServer) -> None:
        bypass = {"admin_unsafely_bypass_quarantine": "true"}
        server.expect(served(FIRST, query=bypass), served(SECOND, query={}))
        sources = api(server, include_quarantined=True)
        outcomes = place.fetch(sources, described(FIRST, quarantined_by="@admin:s1.test"), described(SECOND))
        assert all(outcome.file for outcome in outcomes)

    def test_quotes_a_refusal(self, place: Place, server: ScriptedServer) -> None:
        refusal = {"errcode": "M_UNKNOWN", "error": "Must be a server admin to bypass quarantine"}
        server.expect(Call("GET", f"{DOWNLOAD}/{FIRST}", refusal, 400))
        sources = api(server, include_quarantined=True)
        said = place.missing(sources, described(FIRST, quarantined_by="@admin:s1.test"))
        assert "400 M_UNKNOWN: Must be a server admin to bypass quarantine" in said

    def test_goes_on_after_one_that_is_lost(self, place: Place, server: ScriptedServer) -> None:
        server.expect(not_found(FIRST), served(SECOND))
        outcomes = place.fetch(api(server), described(FIRST), described(SECOND))
        assert "the server does not have it" in (outcomes[0].reason or "")
        assert outcomes[1].file

    def test_nowhere_to_fetch_from(self, place: Place) -> None:
        assert "neither a media store nor a server" in place.missing(MediaSources(SERVER_NAME), described(FIRST))


class TestWrongContent:
    @pytest.mark.parametrize("source", ["client_api", "media_store"])
    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            (CONTENT[:7], f"its length is 7 bytes, but {len(CONTENT)} were uploaded"),
            (b"", f"its length is 0 bytes, but {len(CONTENT)} were uploaded"),
            (CONTENT + b"x", f"it is longer than the {len(CONTENT)} bytes that were uploaded"),
            (
                CONTENT[::-1],
                f"its SHA-256 is {hashlib.sha256(CONTENT[::-1]).hexdigest()},"
                f" but the SHA-256 of the upload is {hashlib.sha256(CONTENT).hexdigest()}",
            ),
        ],
    )
    def test_is_not_kept(self, place: Place, server: ScriptedServer, source: str, content: bytes, reason: str) -> None:
        if source == "client_api":
            server.expect(served(FIRST, content))
        else:
            place.stored(FIRST, content)
        assert place.missing(api(server) if source == "client_api" else place.from_store, described(FIRST)) == reason

    def test_does_not_wait_twice_for_what_the_server_does_not_have(self, place: Place, server: ScriptedServer) -> None:
        cut = served(FIRST, CONTENT[:7], missing=len(CONTENT) - 7)
        server.expect(cut, Call("GET", WHOAMI, {"user_id": "@a:b"}), cut, Call("GET", WHOAMI, {"user_id": "@a:b"}))
        assert (
            place.missing(api(server), described(FIRST)) == f"its length is 7 bytes, but {len(CONTENT)} were uploaded"
        )


class TestTrouble:
    ALIVE = Call("GET", WHOAMI, {"user_id": "@a:b"})
    BROKEN = Call("GET", f"{DOWNLOAD}/{FIRST}", drop=True)

    @pytest.mark.parametrize(
        "first",
        [
            BROKEN,
            served(FIRST, CONTENT[:7], missing=9),
            Call("GET", f"{DOWNLOAD}/{FIRST}", status=502, text=b"<html>", headers={"Content-Type": "text/html"}),
        ],
    )
    def test_is_tried_again(self, place: Place, server: ScriptedServer, first: Call) -> None:
        server.expect(first, self.ALIVE, served(FIRST))
        assert place.fetch(api(server), described(FIRST))[0].file

    def test_with_one_file_does_not_keep_from_the_others(self, place: Place, server: ScriptedServer) -> None:
        server.expect(self.BROKEN, self.ALIVE, self.BROKEN, self.ALIVE, served(SECOND))
        outcomes = place.fetch(api(server), described(FIRST), described(SECOND))
        assert "could not be fetched: GET http" in (outcomes[0].reason or "")
        assert outcomes[1].file

    def test_counts_a_server_that_refuses_as_one_that_answers(self, place: Place, server: ScriptedServer) -> None:
        server.expect(self.BROKEN, Call("GET", WHOAMI, UNRECOGNIZED, 404), served(FIRST))
        assert place.fetch(api(server), described(FIRST))[0].file

    @pytest.mark.parametrize("parallel", [1, 4])
    def test_with_the_server_ends_it_all(self, place: Place, server: ScriptedServer, parallel: int) -> None:
        server.always(*(Call("GET", f"{DOWNLOAD}/{FIRST}{number}", drop=True) for number in range(100)))
        server.always(Call("GET", WHOAMI, drop=True))
        descriptions = [described(f"{FIRST}{number}") for number in range(100)]
        with pytest.raises(errors.ConnectionFailed, match="media_source: media_store"):
            fetch_media(descriptions, str(place.directory), api(server), parallel)
        assert place.names() == []

    def test_with_a_token_ends_it_all(self, place: Place, server: ScriptedServer) -> None:
        unknown = {"errcode": "M_UNKNOWN_TOKEN", "error": "Invalid access token passed."}
        server.expect(served(FIRST), Call("GET", f"{DOWNLOAD}/{SECOND}", unknown, 401))
        with pytest.raises(errors.AuthenticationFailed) as caught:
            fetch_media([described(FIRST), described(SECOND)], str(place.directory), api(server), 1)
        assert "syt_secret" not in str(caught.value)
        assert place.names() == [FILE]

    def test_with_a_token_that_shows_late_ends_it_all(self, place: Place, server: ScriptedServer) -> None:
        unknown = {"errcode": "M_UNKNOWN_TOKEN", "error": "Invalid access token passed."}
        server.expect(self.BROKEN, Call("GET", WHOAMI, unknown, 401))
        with pytest.raises(errors.AuthenticationFailed):
            fetch_media([described(FIRST)], str(place.directory), api(server), 1)

    def test_with_a_server_that_asks_to_wait_too_long_ends_it_all(self, place: Place, server: ScriptedServer) -> None:
        limited = {"errcode": "M_LIMIT_EXCEEDED", "error": "Too Many Requests", "retry_after_ms": 90_000}
        server.expect(Call("GET", f"{DOWNLOAD}/{FIRST}", limited, 429))
        with pytest.raises(errors.RateLimited):
            fetch_media([described(FIRST)], str(place.directory), api(server), 1)

    def test_stops_the_others_in_the_middle(self, place: Place) -> None:
        class Failing(MediaStore):
            def copy(self, media_id: str, file: t.Any) -> None:
                if media_id == SECOND:
                    raise errors.SynapseError("The store is gone.")
                write_for_long(file)

        sources = MediaSources(SERVER_NAME, store=Failing(str(place.store)))
        with pytest.raises(errors.SynapseError, match="The store is gone"):
            fetch_media([described(FIRST), described(SECOND)], str(place.directory), sources, 2)
        assert place.names() == []

    def test_stops_when_it_is_interrupted(self, place: Place) -> None:
        class Slow(MediaStore):
            def copy(self, media_id: str, file: t.Any) -> None:
                signal.setitimer(signal.ITIMER_REAL, 0.05)
                write_for_long(file)

        def interrupt(_number: int, _frame: t.Any) -> t.NoReturn:
            raise errors.SynapseError("The export was interrupted.")

        before = signal.signal(signal.SIGALRM, interrupt)
        try:
            with pytest.raises(errors.SynapseError, match="interrupted"):
                fetch_media([described(FIRST)], str(place.directory), MediaSources(SERVER_NAME, store=Slow("/")), 2)
        finally:
            signal.signal(signal.SIGALRM, before)
        # As Python does at its end: the signal may come before the pool knows of the thread that it has started.
        for thread in threading.enumerate():
            if thread is not threading.current_thread() and not thread.daemon:
                thread.join(10)
        assert place.names() == []

    def test_with_the_descriptions_ends_it_all(self, place: Place) -> None:
        def damaged() -> t.Iterator[dict[str, t.Any]]:
            yield described(FIRST)
            raise errors.SynapseError("media_ids/x ends in the middle of a JSON object.")

        with pytest.raises(errors.SynapseError, match="in the middle"):
            fetch_media(damaged(), str(place.directory), place.from_store, 4)


class TestDisk:
    @pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
    def test_that_is_full(self, place: Place, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
        place.stored(FIRST)

        def replace(_source: str, _target: str) -> t.NoReturn:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(os, "replace", replace)
        with pytest.raises(errors.SynapseError) as caught:
            fetch_media([described(FIRST)], str(place.directory), place.from_store, 1)
        assert str(caught.value) == (
            f"The disk is full: {place.directory / FILE}.part could not be written. Free some space, and run the task"
            " again."
        )
        assert place.names() == []

    def test_that_cannot_be_written(self, place: Place) -> None:
        place.directory.write_bytes(b"")
        with pytest.raises(errors.SynapseError, match="could not be written: Not a directory"):
            fetch_media([described(FIRST)], str(place.directory), place.from_store, 1)

    def test_without_the_directory_above(self, place: Place) -> None:
        with pytest.raises(errors.SynapseError, match="could not be written: No such file"):
            fetch_media([], str(place.directory / "deep"), place.from_store, 1)


class TestStore:
    def reason(self, place: Place, media_id: str = FIRST) -> str:
        """Return why the store does not provide the file, as reported if there is no other source."""
        return place.missing(place.from_store, described(media_id))

    def test_without_the_file(self, place: Place) -> None:
        assert self.reason(place) == "the media store does not have its file"

    def test_may_be_behind_a_link_itself(self, place: Place, tmp_path: pathlib.Path) -> None:
        place.stored(FIRST)
        (tmp_path / "link").symlink_to(place.store)
        sources = MediaSources(SERVER_NAME, store=MediaStore(str(tmp_path / "link")))
        assert place.fetch(sources, described(FIRST))[0].file

    @pytest.mark.parametrize("depth", range(4))
    def test_follows_no_link_in_it(self, place: Place, tmp_path: pathlib.Path, depth: int) -> None:
        path = place.stored(FIRST)
        linked = [path, *path.parents][depth]
        linked.rename(tmp_path / "moved")
        linked.symlink_to(tmp_path / "moved")
        assert path.read_bytes() == CONTENT
        assert "behind a symbolic link" in self.reason(place)

    def test_does_not_wait_for_a_pipe(self, place: Place) -> None:
        os.mkfifo(place.stored(FIRST, None))
        assert "is not a file" in self.reason(place)

    def test_does_not_take_a_directory_for_a_file(self, place: Place) -> None:
        place.stored(FIRST, None).mkdir()
        assert "is not a file" in self.reason(place)

    def test_leaves_no_descriptor_open(self, place: Place) -> None:
        place.stored(FIRST)
        before = os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else []
        place.fetch(place.from_store, described(FIRST), described(SECOND))
        assert len(os.listdir("/proc/self/fd") if before else []) == len(before)

    def test_that_this_user_may_not_read(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(_path: str, _flags: int, **_more: t.Any) -> t.NoReturn:
            raise PermissionError(errno.EACCES, "Permission denied")

        place.stored(FIRST)
        store = MediaStore(str(place.store))
        with monkeypatch.context() as patched:
            patched.setattr(os, "open", refuse)
            with pytest.raises(NotInStore) as caught:
                store.copy(FIRST, t.cast("t.Any", None))
        assert caught.value.forbidden

        class Forbidden(MediaStore):
            def copy(self, media_id: str, file: t.Any) -> None:
                raise caught.value

        sources = MediaSources(SERVER_NAME, store=Forbidden(str(place.store)))
        with pytest.raises(errors.SynapseError, match="Run the task with become"):
            place.fetch(sources, described(FIRST))


def configuration(**settings: t.Any) -> Configuration:
    return Configuration((ConfigurationFile("/etc/homeserver.yaml", {"server_name": SERVER_NAME, **settings}),))


class TestFindMediaStore:
    @pytest.mark.parametrize(
        ("settings", "directory", "expected"),
        [
            ({"media_store_path": "/srv/media"}, None, "/srv/media"),
            ({"media_store_path": "/srv/media"}, "/srv/synapse", "/srv/media"),
            ({"media_store_path": "media"}, "/srv/synapse", "/srv/synapse/media"),
            ({}, "/srv/synapse", "/srv/synapse/media_store"),
        ],
    )
    def test_finds_it_as_synapse_does(self, settings: t.Any, directory: str | None, expected: str) -> None:
        assert find_media_store(configuration(**settings), directory) == expected

    @pytest.mark.parametrize(
        ("settings", "said"), [({"media_store_path": "media"}, "in /etc/homeserver.yaml"), ({}, "the default")]
    )
    def test_requires_the_start_of_a_relative_path(self, settings: t.Any, said: str) -> None:
        with pytest.raises(errors.ConfigurationError, match=f"{said}.* working_directory"):
            find_media_store(configuration(**settings))


class TestChooseSources:
    CLIENT = Client("http://127.0.0.1:1", "syt_secret")

    @pytest.mark.parametrize(
        ("method", "client", "expected"),
        [
            ("auto", CLIENT, (True, True)),
            ("auto", None, (False, True)),
            ("client_api", CLIENT, (True, False)),
            ("media_store", CLIENT, (False, True)),
            ("media_store", None, (False, True)),
        ],
    )
    def test_uses_the_available_sources(
        self, place: Place, method: str, client: Client | None, expected: t.Any
    ) -> None:
        sources = choose_sources(method, configuration(media_store_path=str(place.store)), client)
        assert (sources.client is not None, sources.store is not None) == expected
        assert (sources.server_name, sources.include_quarantined) == (SERVER_NAME, False)

    def test_asks_the_server_alone_where_there_is_no_store(self, tmp_path: pathlib.Path) -> None:
        for settings in ({"media_store_path": str(tmp_path / "none")}, {"media_store_path": "relative"}):
            sources = choose_sources("auto", configuration(**settings), self.CLIENT, include_quarantined=True)
            assert (sources.client, sources.store, sources.include_quarantined) == (self.CLIENT, None, True)

    @pytest.mark.parametrize(
        ("method", "client", "kind", "said"),
        [
            ("client_api", None, errors.InvalidInput, "Set access_token"),
            (
                "media_store",
                CLIENT,
                errors.SynapseError,
                "none cannot be read: No such file or directory.*media_store_path",
            ),
            ("auto", None, errors.SynapseError, "none cannot be read: No such file or directory.*media_store_path"),
        ],
    )
    def test_error_shows_what_is_missing(
        self, tmp_path: pathlib.Path, method: str, client: Client | None, kind: type[errors.SynapseError], said: str
    ) -> None:
        with pytest.raises(kind, match=said):
            choose_sources(method, configuration(media_store_path=str(tmp_path / "none")), client)
