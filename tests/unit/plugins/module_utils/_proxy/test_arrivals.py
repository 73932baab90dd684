# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How requests arrived, by the log: each format, forged lines, warnings without a tag, and what is missing."""

from __future__ import annotations

import errno
import json
import os
import threading
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.running import Started
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy import arrivals
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.arrivals import (
    Arrival,
    Arrivals,
    LogWatch,
    log_files_of,
)

TAG, OTHER = "0123456789ab", "ba9876543210"
NUMBERS = "0.001sec/0.000sec ru=(0.001sec, 0.000sec) db=(0.000sec/0.000sec/0) 59B 404"
LACKS = "forwarded request lacks an x-forwarded-proto header: assuming https"


def agent(tag: str) -> str:
    return f"matrix_ops.synapse/1.0.0 (synapse_proxy_info; {tag})"


def message(
    tag: str = TAG, uri: str = "/_matrix/a%2Fb", address: str = "192.0.2.7", user_agent: str = "", version: str = "1.1"
) -> str:
    return (
        f'{address} - 8008 - {{None}} Processed request: {NUMBERS} "GET {uri} HTTP/{version}"'
        f' "{user_agent or agent(tag)}" [0 dbevts]'
    )


def line(text: str, logger: str = "synapse.access.http.8008", level: str = "INFO", request: str = "GET-7") -> str:
    return f"2026-11-29 17:00:00,123 - {logger} - 643 - {level} - {request} - {text}\n"


def warning() -> str:
    return line(LACKS, "synapse.http.site", "WARNING", "sentinel")


def as_json(text: str) -> str:
    event = {"log": text, "namespace": "synapse.access.http.8008", "level": "INFO", "time": 1.5, "request": "GET-7"}
    return json.dumps(event) + "\n"


def read(tmp_path: Path, *lines: str, tags: t.Sequence[str] = (TAG,)) -> Arrivals:
    path = tmp_path / "homeserver.log"
    path.write_text(line(message(uri="/old")))
    with LogWatch([str(path)]) as watch:
        with path.open("a", encoding="utf-8") as file:
            file.writelines(lines)
        return watch.read(tags, 0)


@pytest.mark.parametrize(
    "text",
    [
        line(message()),
        as_json(message()),
        message() + "\n",
        f"INFO:synapse.access.http.8008:{message()}\n",
        f"synapse.access.http.8008: [GET-7] {message()}\n",
        f"2026-11-29T17:00:00 host synapse[12]: {line(message())}",
        json.dumps({"log": line(message()), "stream": "stderr", "time": "2026-11-29T17:00:00.123Z"}) + "\n",
    ],
    ids=["default", "json", "message", "basic", "journal style", "syslog", "docker"],
)
def test_formats(tmp_path: Path, text: str) -> None:
    found = read(tmp_path, text)
    assert found.get(TAG) == Arrival("/_matrix/a%2Fb", "192.0.2.7", "HTTP/1.1", "GET", False)
    assert found.reason == ""


def test_only_lines_that_are_new(tmp_path: Path) -> None:
    found = read(tmp_path)
    assert not found.found
    assert found.get(TAG) is None
    assert found.reason.startswith("1 of the requests did not appear in ")
    assert "log_path" in found.fix


def test_several_requests_and_those_of_others(tmp_path: Path) -> None:
    lines = [line(message(user_agent="curl/8")), line(message(OTHER, uri="/x", version="1.0")), line(message())]
    found = read(tmp_path, *lines, tags=(TAG, OTHER))
    assert [found.found[tag].http_version for tag in (TAG, OTHER)] == ["HTTP/1.1", "HTTP/1.0"]
    assert len(found.found) == 2


def test_missing_ones_are_missing(tmp_path: Path) -> None:
    found = read(tmp_path, line(message()), tags=(TAG, OTHER))
    assert found.get(TAG) is not None
    assert found.get(OTHER) is None
    assert found.reason.startswith("1 of the requests did not appear")
    assert found.fix == "Run the task again."


@pytest.mark.parametrize(
    "text",
    [
        line(message(user_agent="curl/8", uri=f"/{TAG}")),
        line(message(user_agent=f"curl/8 {TAG}0")),
        line(message(), logger="synapse.http.server"),
        line(f"something with {agent(TAG)}"),
        line(f'192.0.2.7 - 8008 - Received request: GET /a "{agent(TAG)}"', level="DEBUG"),
        line(message())[:150] + "\n",
    ],
    ids=["in the path", "longer text", "other logger", "other message", "received", "cut"],
)
def test_lines_that_do_not_show_an_arrival(tmp_path: Path, text: str) -> None:
    assert not read(tmp_path, text).found


def test_the_first_line_counts(tmp_path: Path) -> None:
    found = read(tmp_path, line(message(uri="/first")), line(message(uri="/second")))
    assert found.found[TAG].uri == "/first"


def test_warning_belongs_to_the_next_request(tmp_path: Path) -> None:
    found = read(tmp_path, line(message(OTHER)), warning(), line(message()), tags=(TAG, OTHER))
    assert (found.found[OTHER].lacks_proto, found.found[TAG].lacks_proto) == (False, True)


def test_warnings_of_requests_at_the_same_time(tmp_path: Path) -> None:
    lines = [warning(), warning(), line(message(OTHER)), line(message())]
    found = read(tmp_path, *lines, tags=(TAG, OTHER))
    assert found.found[OTHER].lacks_proto
    assert found.found[TAG].lacks_proto


def test_warning_of_another_request(tmp_path: Path) -> None:
    found = read(tmp_path, warning(), line(message(user_agent="curl/8")), line(message()))
    assert not found.found[TAG].lacks_proto


def test_old_warning_of_a_request_that_is_not_logged(tmp_path: Path) -> None:
    found = read(tmp_path, *[warning()] * 30, *[line(message(user_agent="curl/8"))] * 11, line(message()))
    assert not found.found[TAG].lacks_proto


def test_warning_that_a_client_has_written_is_none(tmp_path: Path) -> None:
    received = line(f"{LACKS} - 8008 - Received request: GET /a", level="DEBUG")
    found = read(tmp_path, line(message(user_agent=LACKS)), received, line(message()))
    assert not found.found[TAG].lacks_proto


def test_url_that_synapse_has_seen(tmp_path: Path) -> None:
    target = "/_matrix/client/v3/login/sso/redirect?probe=1"
    seen = f"http://localhost:8008{target}"
    text = f"Requested URI {seen} is not canonical: redirecting to https://example.org{target}"
    forged = message(user_agent=f"Requested URI http://forged.invalid{target} is not canonical: redirecting to x")
    found = read(tmp_path, line(forged), line(text, "synapse.rest.client.login"))
    assert found.requested_uris == (seen,)
    assert found.requested_uri(target) == seen
    assert found.requested_uri("/other") == ""


def test_without_a_log() -> None:
    assert not Arrivals().found
    assert Arrivals().get(TAG) is None
    assert Arrivals().requested_uri("/x") == ""


def test_waits_for_a_log_that_is_written_later(tmp_path: Path) -> None:
    path = tmp_path / "homeserver.log"
    path.write_bytes(b"")

    def write() -> None:
        path.rename(tmp_path / "homeserver.log.1")
        path.write_text(line(message()))

    with LogWatch([str(path)]) as watch:
        writer = threading.Timer(0.1, write)
        writer.start()
        begin = time.monotonic()
        found = watch.read([TAG], 30)
        writer.join()
    assert found.get(TAG) is not None
    assert time.monotonic() - begin < 20


def test_nothing_is_waited_for_without_tags(tmp_path: Path) -> None:
    path = tmp_path / "homeserver.log"
    path.write_text("")
    with LogWatch([str(path)]) as watch:
        assert watch.read([], 30).reason == ""


def test_too_much_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrivals, "_MOST_TEXT", 1000)
    found = read(tmp_path, *[line("noise")] * 100, line(message()))
    assert not found.found
    assert "were appended to" in found.reason


def test_bytes_that_are_not_text(tmp_path: Path) -> None:
    path = tmp_path / "homeserver.log"
    path.write_bytes(b"")
    with LogWatch([str(path)]) as watch:
        path.write_bytes(
            b"\xff\xfe\0 " + agent(TAG).encode() + b" Processed request: \xff\n" + line(message()).encode()
        )
        assert watch.read([TAG], 0).get(TAG) is not None


def test_two_logs(tmp_path: Path) -> None:
    paths = [tmp_path / "homeserver.log", tmp_path / "worker.log"]
    for path in paths:
        path.write_text("")
    with LogWatch([str(path) for path in paths]) as watch:
        # The warning of one process says nothing about the requests of another one.
        paths[0].write_text(warning())
        paths[1].write_text(line(message()))
        found = watch.read([TAG], 0)
    assert not found.found[TAG].lacks_proto


def test_a_log_that_does_not_exist(tmp_path: Path) -> None:
    good = tmp_path / "homeserver.log"
    good.write_text("")
    with pytest.raises(InvalidInput, match="log_path .* does not exist"):
        LogWatch([str(good), str(tmp_path / "missing.log")])


def configure(tmp_path: Path, handler: dict[str, t.Any], level: str = "INFO") -> list[str]:
    logging = tmp_path / "log.yaml"
    content = {"version": 1, "handlers": {"one": handler}, "root": {"level": level, "handlers": ["one"]}}
    logging.write_text(json.dumps(content))
    path = tmp_path / "homeserver.yaml"
    path.write_text(json.dumps({"server_name": "example.org", "log_config": str(logging)}))
    return [str(path)]


def test_log_file_of_a_configuration(tmp_path: Path) -> None:
    path = tmp_path / "homeserver.log"
    path.write_text("")
    found = log_files_of(configure(tmp_path, {"class": "logging.FileHandler", "filename": str(path)}))
    assert found == arrivals.LogFiles([str(path)], ())


@pytest.mark.parametrize(
    ("handler", "level", "words"),
    [
        ({"class": "logging.StreamHandler"}, "INFO", "journal"),
        ({"class": "logging.FileHandler", "filename": "/nonexistent/homeserver.log"}, "INFO", "does not exist"),
        ({"class": "logging.StreamHandler"}, "WARNING", "Set its level to INFO"),
    ],
)
def test_no_log_file(tmp_path: Path, handler: dict[str, t.Any], level: str, words: str) -> None:
    found = log_files_of(configure(tmp_path, handler, level))
    assert found.paths == []
    (unknown,) = found.unknown
    assert unknown.name == "log_path"
    assert words in unknown.reason
    assert "log_path" in unknown.fix


def test_log_file_that_cannot_be_used(tmp_path: Path) -> None:
    path = tmp_path / "homeserver.log"
    os.mkfifo(path)
    found = log_files_of(configure(tmp_path, {"class": "logging.FileHandler", "filename": str(path)}))
    assert found.paths == []
    assert str(path) in found.unknown[0].reason


def test_log_configuration_that_cannot_be_read(tmp_path: Path) -> None:
    config_path = configure(tmp_path, {"class": "logging.StreamHandler"})
    (tmp_path / "log.yaml").unlink()
    (unknown,) = log_files_of(config_path).unknown
    assert "log.yaml" in unknown.reason


def test_configuration_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(SynapseError):
        log_files_of([str(tmp_path / "missing.yaml")])


def test_log_that_cannot_be_read_any_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [str(tmp_path / name) for name in ("one.log", "two.log")]
    for path in paths:
        Path(path).write_text("")
    original = os.pread

    def pread(descriptor: int, size: int, offset: int) -> bytes:
        if os.path.samestat(os.fstat(descriptor), os.stat(paths[0])):
            raise OSError(errno.EIO, "Input/output error")
        return original(descriptor, size, offset)

    with LogWatch(paths) as watch:
        Path(paths[1]).write_text(line(message()))
        monkeypatch.setattr(os, "pread", pread)
        begin = time.monotonic()
        found = watch.read([TAG, OTHER], 10)
    # What the other file says is kept, and nothing more is waited for.
    assert time.monotonic() - begin < 5
    assert found.get(TAG) is not None
    assert found.reason == f"{paths[0]} cannot be read: Input/output error."


def test_log_files_of_all_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[Started] = []
    for name in ("main", "worker", "silent", "main"):
        directory = tmp_path / name
        directory.mkdir(exist_ok=True)
        (directory / "homeserver.log").write_text("")
        handler = {"class": "logging.FileHandler", "filename": str(directory / "homeserver.log")}
        config_path = configure(directory, {"class": "logging.StreamHandler"} if name == "silent" else handler)
        found.append(Started(tuple(config_path), str(directory)))
    monkeypatch.setattr(arrivals, "started_processes", lambda _config_path: (found, []))
    logs = log_files_of(found[0].config_path)
    assert logs.paths == [str(tmp_path / name / "homeserver.log") for name in ("main", "worker")]
    assert ["journal" in unknown.reason for unknown in logs.unknown] == [True]


@pytest.mark.parametrize(("others", "expected"), [(9, True), (10, False)])
def test_how_many_requests_are_between_a_warning_and_its_request(tmp_path: Path, others: int, expected: bool) -> None:
    lines = [*[warning()] * (others + 1), *[line(message(user_agent="curl/8"))] * others]
    assert read(tmp_path, *lines, line(message())).found[TAG].lacks_proto is expected


def test_another_number_in_the_path_hides_nothing(tmp_path: Path) -> None:
    found = read(tmp_path, line(message(uri=f"/_matrix/{OTHER}")))
    assert found.found[TAG].uri == f"/_matrix/{OTHER}"
