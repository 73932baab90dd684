# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The HTTP client against a real server on loopback that answers as no sound Synapse does."""

from __future__ import annotations

import pathlib
import re
import socket
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils import _errors as errors
from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils.asking import TOKEN, client_of, failure_of
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils.scripted_http import (
    CERTIFICATE,
    UPDATES,
    Call,
    ScriptedServer,
)

PROXY_PAGE = b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"


def read_in_parts(client: Client) -> bytes:
    """Return the body of the answer to GET /a."""
    with client.streamed("/a", params=None, headers={}) as response:
        return response.content


class TestRequest:
    def test_sends_and_returns_json(self, server: ScriptedServer) -> None:
        server.expect(
            Call("GET", "/a", {"b": 1}, query={"c": "d e"}, body=None, token=TOKEN),
            Call("PUT", "/a", {}, body={"x": [1, "ü"]}, token=TOKEN),
            Call("POST", "/a", {}, body={}, token=TOKEN),
            Call("DELETE", "/a", {}, body=None, token=TOKEN),
            Call("DELETE", "/a", {}, body={"erase": True}, token=TOKEN),
        )
        client = client_of(server)
        assert client.get("/a", params={"c": "d e"}) == {"b": 1}
        client.put("/a", {"x": [1, "ü"]})
        client.post("/a", {})
        client.delete("/a")
        client.delete("/a", {"erase": True})

    def test_sends_no_token_without_one(self, server: ScriptedServer) -> None:
        server.expect(Call("GET", "/a", token=None))
        Client(server.base_url).get("/a")

    def test_speaks_as_somebody_else(self, server: ScriptedServer) -> None:
        server.expect(Call("GET", "/a", token="other"), Call("GET", "/a", token=None), Call("GET", "/a", token=TOKEN))
        client = client_of(server)
        client.speaking_as("other").get("/a")
        client.speaking_as(None).get("/a")
        client.get("/a")

    @pytest.mark.parametrize(
        ("value", "segment"),
        [
            ("@alice:example.org", "%40alice%3Aexample.org"),
            ("@a/b:[::1]:8448", "%40a%2Fb%3A%5B%3A%3A1%5D%3A8448"),
            ("#a?b#c%2F&d=e+f g", "%23a%3Fb%23c%252F%26d%3De%2Bf%20g"),
            ("#日本:x", "%23%E6%97%A5%E6%9C%AC%3Ax"),
            ("!-_.~", "%21-_.~"),
            ("{user_id}", "%7Buser_id%7D"),
        ],
    )
    def test_quotes_a_value_as_one_segment(self, server: ScriptedServer, value: str, segment: str) -> None:
        server.expect(Call("GET", f"/a/{segment}/b"))
        client_of(server).get("/a/{it}/b", it=value)

    @pytest.mark.parametrize("value", ["", ".", ".."])
    def test_refuses_a_segment_that_leads_elsewhere(self, server: ScriptedServer, value: str) -> None:
        failure_of(errors.InvalidInput, lambda: client_of(server).get("/a/{it}/b", it=value))

    def test_keeps_the_path_of_the_base_url(self, server: ScriptedServer) -> None:
        server.expect(Call("GET", "/behind/a"))
        Client(f"{server.base_url}/behind/").get("/a")


class TestRefusals:
    @pytest.mark.parametrize(
        ("status", "answer", "kind", "said"),
        [
            (
                401,
                {"errcode": "M_UNKNOWN_TOKEN", "error": "Unknown"},
                errors.AuthenticationFailed,
                "synapse_access_token",
            ),
            (401, {"errcode": "M_MISSING_TOKEN", "error": "Missing"}, errors.AuthenticationFailed, "access_token_path"),
            (401, {"errcode": "M_USER_LOCKED", "error": "Locked"}, errors.AuthenticationFailed, "is locked"),
            (
                403,
                {"errcode": "M_FORBIDDEN", "error": "You are not a server admin"},
                errors.PermissionDenied,
                "an admin|admin,",
            ),
            (403, {"errcode": "M_FORBIDDEN", "error": "No"}, errors.PermissionDenied, r"\(403 M_FORBIDDEN: No\)"),
            (
                404,
                {"errcode": "M_NOT_FOUND", "error": "No such room."},
                errors.NotFound,
                r"M_NOT_FOUND: No such room\)",
            ),
            (404, {"errcode": "M_UNRECOGNIZED", "error": "?"}, errors.EndpointMissing, "main process"),
            (405, {"errcode": "M_UNRECOGNIZED", "error": "?"}, errors.EndpointMissing, "main process"),
            (400, {"errcode": "M_INVALID_PARAM", "error": "Bad"}, errors.ApiError, r"\(400 M_INVALID_PARAM: Bad\)"),
            (409, {}, errors.ApiError, r"\(409\)"),
            (500, {"errcode": "M_UNKNOWN", "error": "Internal"}, errors.ApiError, "Check the log of Synapse"),
            (503, {"error": None}, errors.ApiError, "503"),
        ],
    )
    def test_tells_what_synapse_said(
        self, server: ScriptedServer, status: int, answer: t.Any, kind: type[errors.ApiError], said: str
    ) -> None:
        server.expect(Call("PUT", "/a/b%2Fc", answer, status))
        error = failure_of(kind, lambda: client_of(server).put("/a/{it}", {"password": "hidden"}, it="b/c"))
        assert error.message.startswith(f"PUT {server.base_url}/a/b%2Fc was refused ({status}")
        assert re.search(said, error.message)
        assert "hidden" not in f"{error} {error.details}"
        assert isinstance(error, errors.ApiError)
        assert (error.status, error.errcode) == (status, answer.get("errcode", ""))
        assert error.details["request"] == {"method": "PUT", "url": f"{server.base_url}/a/b%2Fc"}


class TestInternalErrorWhileUpdatesArePending:
    FAILURE = Call("PUT", "/a", {"errcode": "M_UNKNOWN", "error": "Internal server error"}, 500)
    HINT = (
        "A background update of the database runs (a_index). Requests can fail until all are complete. Run the task"
        " again then."
    )

    @staticmethod
    def running(answer: t.Any, **more: t.Any) -> Call:
        return Call("GET", UPDATES, answer, **{"token": TOKEN, **more})

    def message(self, server: ScriptedServer, **options: t.Any) -> str:
        client = client_of(server, **options)
        error = failure_of(errors.ApiError, lambda: client.put("/a", {}))
        assert isinstance(error, errors.ApiError)
        assert (error.status, error.errcode, error.may_be_done) == (500, "M_UNKNOWN", True)
        assert error.details["request"]["url"] == f"{server.base_url}/a"
        assert error.message.startswith(f"PUT {server.base_url}/a was refused (500 M_UNKNOWN: Internal server error).")
        return error.message

    def test_says_so(self, server: ScriptedServer) -> None:
        server.expect(self.FAILURE, self.running({"current_updates": {"master": {"name": "a_index"}}}))
        assert self.message(server).endswith(f"Check the log of Synapse for the reason. {self.HINT}")

    def test_names_those_of_each_database(self, server: ScriptedServer) -> None:
        updates = {"master": {"name": "b"}, "state": {"name": "a"}, "third": {"name": "a"}}
        server.expect(self.FAILURE, self.running({"current_updates": updates}))
        assert " runs (a, b). Requests" in self.message(server)

    def test_says_that_they_are_paused(self, server: ScriptedServer) -> None:
        server.expect(self.FAILURE, self.running({"current_updates": {}, "enabled": False}))
        assert re.search(
            r"database are paused\. Resume them \(POST .*/enabled with enabled: true\)", self.message(server)
        )

    def test_asks_once(self, server: ScriptedServer) -> None:
        server.expect(self.FAILURE, self.running({"current_updates": {"master": {"name": "a_index"}}}), self.FAILURE)
        client = client_of(server)
        for _attempt in range(2):
            assert failure_of(errors.ApiError, lambda: client.put("/a", {})).message.endswith(self.HINT)

    @pytest.mark.parametrize(
        "answer",
        [
            Call("GET", UPDATES, {"current_updates": {}}),
            Call("GET", UPDATES, {"current_updates": {}, "enabled": True}),
            Call("GET", UPDATES, {"enabled": True}),
            Call("GET", UPDATES, {"current_updates": [1]}),
            Call("GET", UPDATES, {"current_updates": {"master": {}}}),
            Call("GET", UPDATES, {"current_updates": {"master": {"name": "x"}}}, 500),
            Call("GET", UPDATES, {"errcode": "M_FORBIDDEN"}, 403),
            Call("GET", UPDATES, {"errcode": "M_LIMIT_EXCEEDED", "retry_after_ms": 10_000}, 429),
            Call("GET", UPDATES, text=b"<html>"),
            Call("GET", UPDATES, status=302, headers={"Location": "/a"}),
            Call("GET", UPDATES, drop=True),
            Call("GET", UPDATES, missing=5),
        ],
    )
    def test_hides_nothing_if_it_cannot_tell(self, server: ScriptedServer, answer: Call) -> None:
        server.expect(self.FAILURE, answer)
        assert self.message(server).endswith("Check the log of Synapse for the reason.")

    def test_does_not_wait_long(self, server: ScriptedServer) -> None:
        server.expect(self.FAILURE, Call("GET", UPDATES, silent=True))
        assert self.message(server, timeout=0.2).endswith("Check the log of Synapse for the reason.")

    def test_does_not_ask_without_a_token(self, server: ScriptedServer) -> None:
        server.expect(self.FAILURE)
        client = Client(server.base_url)
        failure_of(errors.ApiError, lambda: client.put("/a", {}))
        assert len(server.headers) == 1

    @pytest.mark.parametrize("status", [400, 502, 503])
    def test_does_not_ask_after_another_error(self, server: ScriptedServer, status: int) -> None:
        server.expect(Call("PUT", "/a", {"errcode": "M_UNKNOWN", "error": "?"}, status))
        client = client_of(server)
        failure_of(errors.ApiError, lambda: client.put("/a", {}))
        assert len(server.headers) == 1


class TestForeignAnswers:
    @pytest.mark.parametrize(
        ("call", "said"),
        [
            (Call("GET", "/a", text=PROXY_PAGE, status=502, headers={"Content-Type": "text/html"}), "502 Bad Gateway"),
            (Call("GET", "/a", text=PROXY_PAGE, headers={"Content-Type": "text/html; charset=utf-8"}), "text/html"),
            (Call("GET", "/a", text=b""), "application/json"),
            (Call("GET", "/a", text=b'{"a": ' * 200_000), "nested too deeply"),
            (Call("GET", "/a", text=b"OK", headers={"Content-Type": "text/plain"}), "text/plain"),
            (Call("GET", "/a", text=b"\xff\xfe\x00"), "200"),
            (Call("GET", "/a", [1, 2]), "200"),
            (Call("GET", "/a", "text"), "200"),
            (Call("GET", "/a", None), "200"),
            (Call("GET", "/a", text=PROXY_PAGE, status=404, headers={"Content-Type": "text/html"}), "404"),
            (Call("GET", "/a", text=PROXY_PAGE, status=401, headers={"Content-Type": "text/html"}), "401"),
        ],
    )
    def test_says_that_it_is_not_synapse(self, server: ScriptedServer, call: Call, said: str) -> None:
        server.expect(call)
        error = failure_of(errors.UnexpectedAnswer, lambda: client_of(server).get("/a"))
        assert said in error.message

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_follows_no_redirect(self, server: ScriptedServer, status: int) -> None:
        elsewhere = f"{server.base_url}/elsewhere"
        server.expect(Call("PUT", "/a", {}, status, {"Location": elsewhere}))
        error = failure_of(errors.UnexpectedAnswer, lambda: client_of(server).put("/a", {}))
        assert elsewhere in error.message
        assert "base_url" in error.message

    def test_does_not_take_any_json_for_an_identity(self, server: ScriptedServer) -> None:
        server.expect(Call("GET", "/_matrix/client/v3/account/whoami", {"status": "fine"}))
        failure_of(errors.UnexpectedAnswer, lambda: client_of(server).caller)


class TestConnection:
    def test_names_the_request_that_failed(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        client = Client(f"http://127.0.0.1:{port}", TOKEN)
        error = failure_of(errors.ConnectionFailed, lambda: client.put("/a/{it}", {"password": "hidden"}, it="b/c"))
        assert error.details == {"request": {"method": "PUT", "url": f"http://127.0.0.1:{port}/a/b%2Fc"}}

    def test_says_that_nobody_listens(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        error = failure_of(errors.ConnectionFailed, Client(f"http://127.0.0.1:{port}", TOKEN).whoami)
        assert f"127.0.0.1:{port}/_matrix/client/v3/account/whoami failed: Connection refused." in error.message

    def test_says_the_same_of_an_answer_that_is_read_in_parts(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        client = Client(f"http://127.0.0.1:{port}", TOKEN)
        error = failure_of(errors.ConnectionFailed, lambda: read_in_parts(client))
        assert f"GET http://127.0.0.1:{port}/a failed: Connection refused. Check that Synapse runs" in error.message
        assert isinstance(error, errors.ConnectionFailed)
        assert not error.may_be_done

    def test_says_that_there_is_no_such_host(self) -> None:
        error = failure_of(errors.ConnectionFailed, Client("http://synapse.invalid", TOKEN).whoami)
        assert "synapse.invalid" in error.message
        assert "<" not in error.message

    def test_says_that_no_answer_came_in_time(self, server: ScriptedServer) -> None:
        server.expect(Call("GET", "/a", silent=True))
        error = failure_of(errors.ConnectionFailed, lambda: client_of(server, timeout=0.2).get("/a"))
        assert "no answer within 0.2 seconds" in error.message

    def test_says_that_the_connection_broke(self, server: ScriptedServer) -> None:
        server.expect(Call("GET", "/a", drop=True))
        error = failure_of(errors.ConnectionFailed, lambda: client_of(server).get("/a"))
        assert "Remote end closed connection without response" in error.message


class TestCertificates:
    def test_refuses_one_that_is_not_trusted(self) -> None:
        with ScriptedServer(tls=True) as server:
            error = failure_of(errors.ConnectionFailed, lambda: client_of(server).get("/a"))
            assert "self-signed certificate" in error.message
            assert "ca_path" in error.message

    def test_accepts_one_of_the_authority_given(self) -> None:
        with ScriptedServer(tls=True) as server:
            server.expect(Call("GET", "/a", token=TOKEN))
            client_of(server, verify=str(CERTIFICATE)).get("/a")

    def test_refuses_one_for_another_name(self) -> None:
        with ScriptedServer(tls=True) as server:
            client = Client(f"https://localhost:{server.port}", TOKEN, verify=str(CERTIFICATE))
            error = failure_of(errors.ConnectionFailed, lambda: client.get("/a"))
            assert "base_url to the name" in error.message

    @pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
    def test_verifies_nothing_when_told_so(self, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "missing"))
        with ScriptedServer(tls=True) as server:
            server.expect(Call("GET", "/a"))
            client_of(server, verify=False).get("/a")

    def test_accepts_the_same_for_another_token_and_for_another_server(self) -> None:
        with ScriptedServer(tls=True) as server:
            server.expect(Call("GET", "/a", token="other"), Call("GET", "/a", token=None))
            client = client_of(server, verify=str(CERTIFICATE))
            client.speaking_as("other").get("/a")
            client.stranger_to(server.base_url).get("/a")

    @pytest.mark.parametrize("content", [None, "not a certificate"])
    def test_says_that_the_authority_cannot_be_read(self, tmp_path: pathlib.Path, content: str | None) -> None:
        bundle = tmp_path / "authority.pem"
        if content is not None:
            bundle.write_text(content, encoding="utf-8")
        with ScriptedServer(tls=True) as server:
            error = failure_of(errors.InvalidInput, lambda: client_of(server, verify=str(bundle)).get("/a"))
            assert f"ca_path {bundle}" in error.message


class TestEnvironment:
    def test_netrc_does_not_replace_the_token(
        self, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
    ) -> None:
        netrc = tmp_path / "netrc"
        netrc.write_text("machine 127.0.0.1 login someone password else\n", encoding="ascii")
        netrc.chmod(0o600)
        monkeypatch.setenv("NETRC", str(netrc))
        server.expect(Call("GET", "/a", token=TOKEN), Call("GET", "/a", token=None))
        client_of(server).get("/a")
        Client(server.base_url).get("/a")

    @pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
    def test_no_proxy_is_asked_for_loopback(
        self, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch, variable: str
    ) -> None:
        monkeypatch.setenv(variable, "http://127.0.0.1:1")
        server.expect(Call("GET", "/a"))
        client_of(server).get("/a")

    @pytest.mark.parametrize("host", ["synapse.invalid:8008", "localhost.invalid", "127.invalid"])
    def test_the_proxy_is_asked_for_other_hosts(
        self, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch, host: str
    ) -> None:
        monkeypatch.setenv("http_proxy", server.base_url)
        server.expect(Call("GET", f"http://{host}/a", token=TOKEN))
        Client(f"http://{host}", TOKEN).get("/a")


class TestRateLimit:
    LIMITED: t.ClassVar[dict[str, str]] = {"errcode": "M_LIMIT_EXCEEDED", "error": "Too Many Requests"}

    def waits(self, server: ScriptedServer, *calls: Call, allowed: float = 60) -> list[float]:
        """Return how long the client waited before it was served."""
        waited: list[float] = []
        server.expect(*calls, Call("POST", "/a", {"served": True}, body={"b": 1}))
        client = client_of(server, sleep=waited.append, rate_limit_retry_timeout=allowed)
        assert client.post("/a", {"b": 1}) == {"served": True}
        return waited

    @pytest.mark.parametrize(
        ("answer", "headers", "seconds"),
        [
            ({"retry_after_ms": 2500}, {}, 2.5),
            ({"retry_after_ms": 2500}, {"Retry-After": "9"}, 2.5),
            ({}, {"Retry-After": "3"}, 3.0),
            ({"retry_after_ms": None}, {"Retry-After": "3"}, 3.0),
            ({"retry_after_ms": "soon"}, {"Retry-After": "later"}, 1.0),
            ({}, {}, 1.0),
        ],
    )
    def test_waits_as_long_as_it_is_asked_to(
        self, server: ScriptedServer, answer: t.Any, headers: t.Any, seconds: float
    ) -> None:
        assert self.waits(server, Call("POST", "/a", {**self.LIMITED, **answer}, 429, headers)) == [seconds]

    def test_waits_for_the_page_of_a_proxy_too(self, server: ScriptedServer) -> None:
        headers = {"Content-Type": "text/html", "Retry-After": "4"}
        assert self.waits(server, Call("POST", "/a", status=429, text=PROXY_PAGE, headers=headers)) == [4.0]

    def test_waits_again_and_again(self, server: ScriptedServer) -> None:
        calls = [Call("POST", "/a", {**self.LIMITED, "retry_after_ms": 1000 * n}, 429) for n in (1, 2, 3)]
        assert self.waits(server, *calls, allowed=6) == [1.0, 2.0, 3.0]

    def test_all_waits_together_stay_within_what_is_allowed(self, server: ScriptedServer) -> None:
        waited: list[float] = []
        limited = Call("GET", "/a", {**self.LIMITED, "retry_after_ms": 4000}, 429)
        server.expect(limited, Call("GET", "/a"), limited, limited)
        client = client_of(server, sleep=waited.append, rate_limit_retry_timeout=10)
        client.get("/a")
        error = failure_of(errors.RateLimited, lambda: client.get("/a"))
        assert waited == [4.0, 4.0]
        assert "retry in 4 s" in error.message
        assert "rate_limit_retry_timeout" in error.message

    def test_does_not_wait_at_all_where_it_would_be_too_long(self, server: ScriptedServer) -> None:
        waited: list[float] = []
        server.expect(Call("GET", "/a", {**self.LIMITED, "retry_after_ms": 300001}, 429))
        client = client_of(server, sleep=waited.append, rate_limit_retry_timeout=300)
        failure_of(errors.RateLimited, lambda: client.get("/a"))
        assert waited == []

    @pytest.mark.parametrize("milliseconds", ["0", "-5", "1e-9", "NaN"])
    def test_does_not_ask_for_ever(self, server: ScriptedServer, milliseconds: str) -> None:
        text = f'{{"errcode": "M_LIMIT_EXCEEDED", "retry_after_ms": {milliseconds}}}'.encode()
        server.always(Call("GET", "/a", status=429, text=text))
        waited: list[float] = []

        def sleep(seconds: float) -> None:
            waited.append(seconds)
            assert len(waited) < 100

        client = client_of(server, sleep=sleep, rate_limit_retry_timeout=0.9)
        failure_of(errors.RateLimited, lambda: client.get("/a"))
        assert 0 < sum(waited) <= 0.9


class TestPages:
    def test_reads_every_page(self, server: ScriptedServer) -> None:
        server.expect(
            Call("GET", "/list", {"users": [{"n": 1}, {"n": 2}], "next_token": "2"}, query={"limit": "2", "x": "y"}),
            Call("GET", "/list", {"users": [{"n": 3}], "next_token": 3}, query={"limit": "2", "x": "y", "from": "2"}),
            Call("GET", "/list", {"users": []}, query={"limit": "2", "x": "y", "from": "3"}),
        )
        pages = client_of(server).pages("/list", "users", limit=2, params={"x": "y"})
        assert [user["n"] for user in pages] == [1, 2, 3]

    def test_reads_pages_that_are_counted_otherwise(self, server: ScriptedServer) -> None:
        server.expect(
            Call("GET", "/a%2Fb/list", {"rooms": [{}], "next_batch": 1}, query={"limit": "100"}),
            Call("GET", "/a%2Fb/list", {"rooms": [{}]}, query={"limit": "100", "from": "1"}),
        )
        assert len(list(client_of(server).pages("/{it}/list", "rooms", token="next_batch", it="a/b"))) == 2

    @pytest.mark.parametrize("limit", [0, -1])
    def test_never_asks_for_pages_without_objects(self, server: ScriptedServer, limit: int) -> None:
        with pytest.raises(ValueError, match="at least one"):
            list(client_of(server).pages("/list", "users", limit=limit))

    @pytest.mark.parametrize("first", ["0", 0])
    def test_notices_a_first_page_that_leads_to_itself(self, server: ScriptedServer, first: t.Any) -> None:
        server.expect(Call("GET", "/list", {"users": [], "next_token": first}))
        failure_of(errors.UnexpectedAnswer, lambda: list(client_of(server).pages("/list", "users")))

    def test_notices_a_later_page_that_leads_to_itself(self, server: ScriptedServer) -> None:
        server.expect(
            Call("GET", "/list", {"users": [{}], "next_token": "1"}),
            Call("GET", "/list", {"users": [{}], "next_token": "1"}),
        )
        error = failure_of(errors.UnexpectedAnswer, lambda: list(client_of(server).pages("/list", "users")))
        assert "does not end" in error.message


class TestIdentity:
    def test_is_asked_once(self, server: ScriptedServer) -> None:
        server.expect(
            Call(
                "GET", "/_matrix/client/v3/account/whoami", {"user_id": "@a:[::1]:8448", "device_id": "D"}, token=TOKEN
            )
        )
        client = client_of(server)
        assert client.caller == "@a:[::1]:8448"
        assert client.server_name == "[::1]:8448"
        assert client.whoami()["device_id"] == "D"


class TestOptions:
    @pytest.mark.parametrize(
        "base_url",
        [
            "",
            "127.0.0.1:8008",
            "ftp://127.0.0.1",
            "http://",
            "http://127.0.0.1:port",
            "http://127.0.0.1:99999",
            "http://127.0.0.1:0",
            "http://[::1",
            "http://127.0.0.1:8008/_matrix/client/v3",
            "http://127.0.0.1:8008/_synapse/admin",
            "http://127.0.0.1:8008?a=b",
            "http://127.0.0.1:8008#a",
            "http://admin:hunter2@127.0.0.1:8008",
        ],
    )
    def test_refuses_what_is_no_base_url(self, base_url: str) -> None:
        error = failure_of(errors.InvalidInput, lambda: Client(base_url))
        assert "base_url" in error.message
        assert "hunter2" not in error.message

    @pytest.mark.parametrize("base_url", ["http://synapse..invalid", "http://.", "http://*:8008", "http://a b"])
    def test_refuses_a_host_that_cannot_be(self, base_url: str) -> None:
        with pytest.raises((errors.InvalidInput, errors.ConnectionFailed)):
            Client(base_url).whoami()

    @pytest.mark.parametrize("token", ["two words", "line\nend", "ümlaut", "tab\t"])
    def test_refuses_a_token_that_no_header_can_carry(self, token: str) -> None:
        with pytest.raises(errors.InvalidInput) as caught:
            Client("http://127.0.0.1", token)
        assert token not in str(caught.value)
