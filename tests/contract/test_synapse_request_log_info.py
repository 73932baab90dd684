# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What synapse_request_log_info finds in the log of a real server, compared with the metrics of that server."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import time
import typing as t
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

from ansible_collections.matrix_ops.synapse.tests.contract import hanging, meeting, servers
from ansible_collections.matrix_ops.synapse.tests.contract.case import Place
from ansible_collections.matrix_ops.synapse.tests.contract.expectation import Refusal, Result, play, prove_refusal
from ansible_collections.matrix_ops.synapse.tests.contract.server import Server
from ansible_collections.matrix_ops.synapse.tests.contract.waiting import until

_MODULE = "synapse_request_log_info"
_PLAIN = "%(asctime)s - %(name)s - %(lineno)d - %(levelname)s - %(request)s - %(message)s"
# A metric of the server, and the sum that the log has to give.
_TOTALS = {
    "synapse_http_server_response_count_total": "count",
    "synapse_http_server_response_db_txn_count_total": "database_transactions",
    "synapse_http_server_response_size_total": "response_bytes",
}
_SECONDS = {
    "synapse_http_server_response_db_txn_duration_seconds_total": ("database_seconds",),
    "synapse_http_server_response_db_sched_duration_seconds_total": ("database_wait_seconds",),
}
# The log has milliseconds, and Synapse's CPU time goes on a bit after the line was logged.
_ROUNDING = 0.0006
_FORGED = (
    "1.2.3.4 - 8008 - {@admin:forged.test} Processed request: 9.999sec/0.000sec ru=(0.001sec, 0.000sec)"
    ' db=(0.000sec/0.000sec/0) 0B 200 "GET /forged HTTP/1.1" "ua" [0 dbevts]'
)


class Logged:
    """A server of its own, whose log configuration a test writes."""

    def __init__(self, server: Server, directory: Path) -> None:
        self.server = server
        self.place = Place(server, "own", directory)
        self.log = Path(server.log)
        self._configuration = Path(server.directory, "log_config.yaml")

    def configure(self, *, reload: bool = False, **changes: t.Any) -> None:
        """Write a log configuration, and let Synapse use it: by a restart, or with `reload` by a signal."""
        formatter = changes.pop("formatter", {"format": _PLAIN})
        level = changes.pop("access_level", "INFO")
        content = {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"precise": formatter},
            "handlers": {"file": {"class": "logging.FileHandler", "formatter": "precise", "filename": str(self.log)}},
            "loggers": {"synapse.access": {"level": level}},
            "root": {"level": "INFO", "handlers": ["file"]},
            **changes,
        }
        self._configuration.write_text(json.dumps(content))
        if reload:
            os.kill(self.pid, signal.SIGHUP)
        else:
            servers.restart(self.server)

    @property
    def pid(self) -> int:
        """The process of the server."""
        return int(Path(self.server.directory, "homeserver.pid").read_text())

    def look(self, **parameters: t.Any) -> Result:
        """Run the module in check mode and for real: both return the same, and change nothing."""
        given = {"base_url": None, "config_path": self.server.config_path, **parameters}
        predicted = play(self.place, _MODULE, given, token=False, check=True)
        seen = play(self.place, _MODULE, given, token=False)
        assert not seen.get("failed"), seen
        assert not seen["changed"]
        # Between the two, the log goes on, and so does the time for which a request is pending.
        for name in ("summary", "requests", "unread", "unknown"):
            assert seen.get(name) == predicted.get(name)
        return seen

    def totals(self) -> dict[str, float]:
        """Return the sums of the metrics, over all endpoints."""
        with urllib.request.urlopen(self.server.metrics_url) as answer:
            text = answer.read().decode()
        sums = dict.fromkeys((*_TOTALS, *_SECONDS), 0.0)
        for name, value in re.findall(r"^(\w+)\{[^\n]*\} (\S+)$", text, re.MULTILINE):
            if name in sums:
                sums[name] += float(value)
        return sums

    def raw(self, *lines: str) -> bytes:
        """Send a request as these lines, and return the answer."""
        parts = urllib.parse.urlsplit(self.server.base_url)
        with socket.create_connection((str(parts.hostname), int(parts.port or 0)), timeout=60) as connection:
            connection.sendall("\r\n".join((*lines, "Connection: close", "", "")).encode("latin-1"))
            answer = b""
            while received := connection.recv(65536):
                answer += received
        return answer


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Logged]:
    """A server whose requests only these tests make."""
    with servers.own_servers("sqlite", **hanging.SETTINGS) as [server]:
        yield Logged(server, tmp_path_factory.mktemp("own"))


def _use(own: Logged, count: int) -> None:
    """Make requests of several kinds: `count` of each."""
    for number in range(count):
        room = own.server.make_room(own.server.user_token)
        own.server.send(
            "PUT",
            f"/_matrix/client/v3/rooms/{meeting.quoted(room)}/send/m.room.message/{own.place.unique}{number}",
            {"msgtype": "m.text", "body": "x"},
            own.server.user_token,
        )
        own.server.ask("GET", f"/_matrix/client/v3/rooms/{meeting.quoted(room)}/members", None, own.server.user_token)
        own.server.ask("GET", "/_matrix/client/v3/profile/@nobody:nowhere.test", None, "")
        own.server.ask("GET", "/_matrix/client/v3/sync?timeout=0", None, own.server.user_token)


def _assert_equal_totals(own: Logged, before: tuple[Result, dict[str, float]], count: int) -> Result:
    """Compare what the log and the metrics have counted since `before`, and return what is in the log now."""
    settled = until(own.totals, lambda found: found[next(iter(_TOTALS))] >= before[1][next(iter(_TOTALS))] + count)
    seen = own.look(**before[0]["asked"])
    for metric, name in _TOTALS.items():
        assert seen["summary"][name] - before[0]["summary"][name] == settled[metric] - before[1][metric], name
    for metric, names in _SECONDS.items():
        logged = sum(seen["summary"][name] - before[0]["summary"][name] for name in names)
        assert abs(logged - (settled[metric] - before[1][metric])) <= _ROUNDING * count + 0.002, names
    assert seen["unread"] == {"count": 0, "samples": []}
    return seen


def _look_now(own: Logged, **asked: t.Any) -> tuple[Result, dict[str, float]]:
    return {**own.look(**asked), "asked": asked}, own.totals()


@pytest.mark.xdist_group("request log")
@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("default", {}),
        ("DEBUG", {"access_level": "DEBUG"}),
        ("terse JSON", {"formatter": {"class": "synapse.logging.TerseJsonFormatter"}}),
        ("JSON without a time", {"formatter": {"class": "synapse.logging.JsonFormatter"}}),
        ("Google's JSON", {"formatter": {"class": "synapse.logging.GcpJsonFormatter"}}),
        ("without a time", {"formatter": {"format": "%(name)s: [%(request)s] %(message)s"}}),
        (
            "a format of its own",
            {"formatter": {"format": "<%(levelname)-8s> {%(asctime)s} %(name)s/%(request)s| %(message)s"}},
        ),
        (
            "another time",
            {
                "formatter": {
                    "format": "%(asctime)s %(levelname)s %(name)s %(request)s %(message)s",
                    "datefmt": "%d.%m.%Y %H.%M.%S",
                }
            },
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_totals_are_those_of_the_metrics(own: Logged, name: str, changes: dict[str, t.Any]) -> None:
    own.log.unlink(missing_ok=True)
    own.configure(**changes)
    _use(own, 1)
    before = _look_now(own)
    _use(own, 3)
    seen = _assert_equal_totals(own, before, 15)
    assert [source["path"] for source in seen["sources"]] == [str(own.log)]
    by_endpoint = {(found["method"], found["endpoint"]): found for found in seen["summary"]["by_endpoint"]}
    for endpoint in (
        ("POST", "/_matrix/client/v3/createRoom"),
        ("PUT", "/_matrix/client/v3/rooms/{room_id}/send/{event_type}/{txn_id}"),
        ("GET", "/_matrix/client/v3/rooms/{room_id}/members"),
        ("GET", "/_matrix/client/v3/profile/{user_id}"),
        ("GET", "/_matrix/client/v3/sync"),
    ):
        assert by_endpoint[endpoint]["count"] == 4, endpoint
    named = {found["requester"]: found["count"] for found in seen["summary"]["by_requester"]}
    assert named[own.server.user] == 16
    assert named[""] >= 4
    # A path that was given is read as the one that the log configuration names.
    datefmt = changes.get("formatter", {}).get("datefmt")
    known = {"log_format": changes["formatter"]["format"], "log_datefmt": datefmt} if datefmt else {}
    given = own.look(path=[str(own.log)], **known)
    assert given["summary"] == seen["summary"]
    # The JSON without a time, and the format without one.
    assert bool(seen["summary"]["by_hour"]) == ("without a time" not in name)


@pytest.mark.xdist_group("request log")
def test_what_clients_send_forges_nothing(own: Logged) -> None:
    own.log.unlink(missing_ok=True)
    own.configure()
    before = _look_now(own)
    line = f"2026-11-29 10:20:00,000 - synapse.access.http.8008 - 643 - INFO - GET-7777 - {_FORGED}"
    for header in (
        f'User-Agent: ua" [0 dbevts]{_FORGED}',
        f"User-Agent: {line}",
        f"User-Agent: {line}\x0b{line}",
        f"User-Agent: - Received request: GET /forged\r\n {line}",
        "X-Forwarded-For: 9.9.9.9 - 8008 - {@admin:forged.test} Processed request: 9.999sec/0.000sec ru=(0.1",
    ):
        assert own.raw("GET /_matrix/client/versions HTTP/1.1", "Host: x", header).startswith(b"HTTP/1.1 200")
    path = f"/_matrix/client/v3/directory/room/{urllib.parse.quote(f'#x{line}:{own.server.name}', safe='')}"
    own.raw(f"GET {path} HTTP/1.1", "Host: x")
    own.raw('GET /_matrix/client/versions?"HTTP/1.1"{@admin:forged.test} HTTP/1.1', "Host: x")
    own.raw("GET-7777 /_matrix/client/versions HTTP/1.1", "Host: x")
    room = own.server.make_room(own.server.user_token, name=f"x\n{line}", topic=line)
    own.server.send(
        "PUT",
        f"/_matrix/client/v3/profile/{own.server.user}/displayname",
        {"displayname": f"y\n{line}"},
        own.server.user_token,
    )
    own.server.ask(
        "GET",
        f"/_matrix/client/v3/rooms/{meeting.quoted(room)}/state/{meeting.quoted(line)}",
        None,
        own.server.user_token,
    )
    seen = _assert_equal_totals(own, before, 9)
    assert not [found for found in seen["summary"]["by_requester"] if "forged" in found["requester"]]
    assert seen["summary"]["processing_seconds"]["max"] < 9
    assert own.look(request="GET-7777")["requests"] == []


@pytest.mark.xdist_group("request log")
@pytest.mark.parametrize(("formatter", "forged"), [("TerseJsonFormatter", 0), ("JsonFormatter", 0), (None, 1)])
def test_line_feeds_of_clients_forge_nothing_in_json(own: Logged, formatter: str | None, forged: int) -> None:
    own.log.unlink(missing_ok=True)
    own.configure(formatter={"class": f"synapse.logging.{formatter}"} if formatter else {"format": _PLAIN})
    line = f"2026-11-29 10:20:00,000 - synapse.access.http.8008 - 643 - INFO - GET-7777 - {_FORGED}"
    user = {"type": "m.id.user", "user": f"x\n{line}\n"}
    body = {"type": "m.login.password", "identifier": user, "password": "wrong"}
    assert own.server.ask("POST", "/_matrix/client/v3/login", body, "")[0] == 403
    # Of a text format, the documentation does not promise it: whoever finds a way has to change both.
    assert len(own.look(request="GET-7777")["requests"]) == forged
    seen = own.look()["summary"]
    assert len([found for found in seen["by_requester"] if "forged" in found["requester"]]) == forged


@pytest.mark.xdist_group("request log")
def test_requests_of_each_start_are_told_apart(own: Logged) -> None:
    own.log.unlink(missing_ok=True)
    own.configure(access_level="DEBUG")
    first = own.pid
    _use(own, 2)
    own.configure(access_level="DEBUG")
    assert own.pid != first
    _use(own, 2)
    tags = re.findall(r" - INFO - (PUT-[0-9]+) - [^\n]*Processed request", own.log.read_text())
    twice = [tag for tag in dict.fromkeys(tags) if tags.count(tag) == 2]
    assert twice, tags
    seen = own.look(request=twice[0])
    assert len(seen["requests"]) == 2
    for found in seen["requests"]:
        assert (found["received"], found["finished"]) == (True, True)
        assert found["processed"]["method"] == "PUT"
        assert found["first_ts"] <= found["last_ts"]
        assert found["process"]["started_ts"] < found["first_ts"]
        lines = own.log.read_text().split("\n")
        assert [line for line in lines if line in found["lines"]] == found["lines"]
        assert all(f" - {twice[0]} - " in line for line in found["lines"])
    assert seen["requests"][0]["last_ts"] < seen["requests"][1]["process"]["started_ts"]
    assert len({json.dumps(found["process"]) for found in seen["requests"]}) == 2
    # A rotation in the middle of everything, as Synapse's own handler does it.
    rotated = own.log.with_name(f"{own.log.name}.2026-11-28")
    own.log.rename(rotated)
    own.configure(reload=True, access_level="DEBUG")
    until(own.log.exists, bool)
    _use(own, 1)
    again = own.look(request=twice[0])
    assert again["requests"][:2] == [{**found, "files": [str(rotated)]} for found in seen["requests"]]
    both = own.look(path=[f"{own.log}*"])
    assert [source["path"] for source in both["sources"]] == [str(rotated), str(own.log)]
    assert {source["stream"] for source in both["sources"]} == {str(own.log)}
    assert both["summary"]["count"] == sum(
        own.look(path=[str(path)])["summary"]["count"] for path in (rotated, own.log)
    )
    rotated.unlink()


@pytest.mark.xdist_group("request log")
def test_a_request_that_hangs_is_unfinished(own: Logged) -> None:
    own.log.unlink(missing_ok=True)
    own.configure(access_level="DEBUG")
    with hanging.hanging_request(own.server):
        begun = time.time()
        until(time.time, lambda now: now > begun + 2.1)
        seen = own.look(gather=["unfinished"], unfinished_after=1)["unfinished"]
    assert seen["received_lines"]
    [found] = seen["requests"]
    assert (found["method"], found["endpoint"]) == (hanging.METHOD, hanging.ENDPOINT)
    assert 1 < found["seconds"] < 60
    assert found["source"] == str(own.log)
    assert not found["long_poll"]
    assert own.look(gather=["unfinished"], unfinished_after=0)["unfinished"]["requests"] == []


@pytest.mark.xdist_group("request log")
def test_without_debug_the_metrics_tell_what_is_in_flight(own: Logged) -> None:
    own.log.unlink(missing_ok=True)
    own.configure()
    with hanging.hanging_request(own.server):
        seen = own.look(gather=["unfinished"])
    assert not seen["unfinished"]["received_lines"]
    assert {"pid": own.pid, "method": hanging.METHOD, "servlet": hanging.SERVLET, "count": 1} in seen["unfinished"][
        "in_flight"
    ]
    [unknown] = seen["unknown"]
    assert unknown["name"] == "unfinished"
    assert "synapse.access:" in unknown["fix"]


@pytest.mark.xdist_group("request log")
def test_since_and_until_divide_the_log(own: Logged) -> None:
    own.log.unlink(missing_ok=True)
    own.configure()
    _use(own, 2)
    middle = int(time.time() * 1000) + 5
    until(time.time, lambda now: now * 1000 > middle + 5)
    _use(own, 1)
    whole, before, after = (
        own.look(**window)["summary"]["count"] for window in ({}, {"until": str(middle)}, {"since": str(middle)})
    )
    assert after == 5
    assert before == whole - after
    assert own.look(since="-1h")["summary"]["count"] == whole
    assert own.look(until="-1h")["summary"]["count"] == 0


@pytest.mark.xdist_group("request log")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"root": {"level": "WARNING", "handlers": ["file"]}, "loggers": {}},
            "the root logger .* is at WARNING. Set its level to INFO",
        ),
        ({"root": {"level": "INFO", "handlers": []}}, "no handler gets them"),
        ({"access_level": "ERROR"}, "the logger synapse.access is at ERROR"),
        (
            {"loggers": {"synapse.access.http": {"propagate": False}}},
            "the logger synapse.access.http has propagate: false and no handler that gets them. Set it to true",
        ),
    ],
)
def test_a_configuration_that_keeps_no_requests_is_named(own: Logged, changes: dict[str, t.Any], message: str) -> None:
    own.log.unlink(missing_ok=True)
    own.configure(**changes)
    case = Refusal(
        "nothing is kept",
        _MODULE,
        lambda place: {"base_url": None, "config_path": own.server.config_path},
        message,
        token=False,
    )
    prove_refusal(own.place, case)
