# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The one HTTP client: a session to a Synapse that speaks JSON, its quoting, its paging and its patience."""

from __future__ import annotations

import contextlib
import email.utils
import threading
import time
import typing as t
import urllib.parse

from ansible_collections.matrix_ops.synapse.plugins.module_utils._address import Address
from ansible_collections.matrix_ops.synapse.plugins.module_utils._connection_options import (
    checked_access_token,
    checked_authorities,
    checked_base_url,
    checked_timeout,
    checked_unix_socket,
    is_loopback,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import (
    ApiError,
    InvalidInput,
    MissingLibrary,
    UnexpectedAnswer,
    naming_the_request,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._faults import (
    faults_beside,
    faults_of,
    foreign_answer,
    redirection,
    refusal,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._identifiers import server_name_of
from ansible_collections.matrix_ops.synapse.plugins.module_utils._unix_socket import adapter_for, headers_for

if t.TYPE_CHECKING:
    import requests

JsonObject = dict[str, t.Any]

_UPDATES = "/_synapse/admin/v1/background_updates/status"
_RESUME = "/_synapse/admin/v1/background_updates/enabled"
# In seconds, for a question that only explains a failure.
_HURRY = 5
_DEFAULT_RETRY_AFTER_MS = 1000
# Even where no wait is asked for, so that asking again and again comes to an end.
_SHORTEST_WAIT = 0.1


class Answer(dict[str, t.Any]):
    """The JSON object that a request was answered with, and its HTTP `status`."""

    status = 200


class Client:
    """A session to one Synapse, as one caller.

    `base_url`: where Synapse answers, without `/_matrix`. `access_token`: sent as a header, never in a URL.
    `verify`: true, false, or the path of a CA bundle. `timeout`: seconds for one request.
    `rate_limit_retry_timeout`: how many seconds all the waits that 429 answers ask for may add up to.
    `connections`: how many requests there can be at the same time; the client may be used by that many threads.
    `unix_socket`: the path of a Unix socket to which it connects, instead of to the host of `base_url`.
    """

    def __init__(
        self,
        base_url: str,
        access_token: str | None = None,
        *,
        verify: bool | str = True,
        timeout: float = 30,
        rate_limit_retry_timeout: float = 60,
        connections: int = 10,
        unix_socket: str | None = None,
        sleep: t.Callable[[float], None] = time.sleep,
    ) -> None:
        self.base_url = checked_base_url(base_url)
        self.address = Address(self.base_url, checked_unix_socket(unix_socket, self.base_url))
        self._access_token = checked_access_token(access_token)
        self._verify = checked_authorities(verify, "ca_path")
        self._timeout = checked_timeout(timeout)
        self._patience = rate_limit_retry_timeout
        self._connections = connections
        self._lock = threading.Lock()
        self._sleep = sleep
        self._session: requests.Session | None = None
        self._caller: JsonObject | None = None
        self._strangers: dict[str, Client] = {}
        self._ahead = 0.0
        self._pending: str | None = None

    def speaking_as(self, access_token: str | None) -> Client:
        """Return a client for the same server that sends `access_token` instead (none at all if it is None)."""
        return self._speaking(self.base_url, access_token, self.address.unix_socket)

    def stranger_to(self, base_url: str) -> Client:
        """Return the one client that asks another server, which must not see the token. Raises InvalidInput."""
        with self._lock:
            if base_url not in self._strangers:
                # Where the server itself leads to another one of its paths, that is behind its socket as well.
                own = urllib.parse.urlsplit(self.base_url)[:2] == urllib.parse.urlsplit(base_url)[:2]
                self._strangers[base_url] = self._speaking(base_url, None, self.address.unix_socket if own else "")
            return self._strangers[base_url]

    def _speaking(self, base_url: str, access_token: str | None, unix_socket: str) -> Client:
        return Client(
            base_url,
            access_token,
            verify=self._verify,
            timeout=self._timeout,
            rate_limit_retry_timeout=self._patience,
            connections=self._connections,
            unix_socket=unix_socket,
            sleep=self._sleep,
        )

    def get(self, template: str, *, params: t.Mapping[str, t.Any] | None = None, **path: str) -> JsonObject:
        """Return the JSON object that GET answers. See `request`."""
        return self._exchange("GET", template, path, params=params)

    def put(self, template: str, body: JsonObject, **path: str) -> JsonObject:
        """Return the JSON object that PUT answers. See `request`."""
        return self._exchange("PUT", template, path, body=body)

    def post(self, template: str, body: JsonObject, **path: str) -> JsonObject:
        """Return the JSON object that POST answers. See `request`."""
        return self._exchange("POST", template, path, body=body)

    def delete(self, template: str, body: JsonObject | None = None, **path: str) -> JsonObject:
        """Return the JSON object that DELETE answers. See `request`."""
        return self._exchange("DELETE", template, path, body=body)

    def request(
        self,
        method: str,
        template: str,
        *,
        params: t.Mapping[str, t.Any] | None = None,
        body: JsonObject | None = None,
        **path: str,
    ) -> Answer:
        """Send a request and return the JSON object of the answer.

        `template` is the path, with a `{name}` for each keyword in `path`, whose value is quoted as one segment.
        A 429 is waited out as long as it says, within `rate_limit_retry_timeout`.
        Raises a subclass of ApiError for what Synapse refuses, ConnectionFailed, or UnexpectedAnswer.
        """
        return self._exchange(method, template, path, params=params, body=body)

    @contextlib.contextmanager
    def streamed(
        self, where: str, *, params: t.Mapping[str, t.Any] | str | None, headers: t.Mapping[str, str]
    ) -> t.Iterator[requests.Response]:
        """Give the response to GET, whatever its status but 429, which is waited out; the block reads its body.

        `where` is the path as it is sent. Raises ConnectionFailed, also for what the library raises in the block, and
        RateLimited for a 429 that asks for too long a wait.
        """
        while True:
            with naming_the_request("GET", self.base_url + where):
                with faults_beside("GET", self.address, where), self._faults("GET", where):
                    response = self._open().get(
                        self.base_url + where,
                        params=params,
                        headers=headers,
                        timeout=self._timeout,
                        allow_redirects=False,
                        stream=True,
                    )
                with self._faults("GET", where), response:
                    if response.status_code != 429:
                        yield response
                        return
                    self._wait("GET", where, response)

    def _exchange(
        self,
        method: str,
        template: str,
        path: t.Mapping[str, str],
        *,
        params: t.Mapping[str, t.Any] | None = None,
        body: JsonObject | None = None,
    ) -> Answer:
        where = filled(template, path)
        with naming_the_request(method, self.base_url + where):
            while True:
                with faults_beside(method, self.address, where), self._faults(method, where):
                    response = self._open().request(
                        method,
                        self.base_url + where,
                        params=params,
                        json=body,
                        timeout=self._timeout,
                        # A redirected PUT would arrive as a GET, and the token with it at whatever host was named.
                        allow_redirects=False,
                    )
                self._ahead = _ahead_of_this_host(response, self._ahead)
                if response.status_code != 429:
                    return self.answer_of(method, where, response)
                self._wait(method, where, response)

    def pages(
        self,
        template: str,
        items: str,
        *,
        token: str = "next_token",
        limit: int = 100,
        params: t.Mapping[str, t.Any] | None = None,
        **path: str,
    ) -> t.Iterator[JsonObject]:
        """Yield every object of a paged list: `items` names the list in the answer, `token` the key of the next page.

        `limit` is the size of a page, at least 1: Synapse answers `limit=0` with the same next page for ever.
        Raises UnexpectedAnswer if a page leads back to itself.
        """
        if limit < 1:
            raise ValueError("a page holds at least one object")
        position: str | None = None
        while True:
            query = {**(params or {}), "limit": limit}
            if position is not None:
                query["from"] = position
            page = self._exchange("GET", template, path, params=query)
            yield from self._listed(page, template, items)
            following = page.get(token)
            if following is None:
                return
            if str(following) == (position or "0"):
                raise UnexpectedAnswer(
                    f"The list at {self.address.at(template)} does not end:"
                    f" the page at {position or 0} names itself as the next one."
                )
            position = str(following)

    def _listed(self, page: JsonObject, template: str, items: str) -> list[JsonObject]:
        found = page.get(items, [])
        if isinstance(found, list) and all(isinstance(each, dict) for each in found):
            return found
        raise UnexpectedAnswer(
            f"The answer of {self.address.at(template)} contains no list of {items}, so it does not come from Synapse."
            f" Check that {self.address.option} leads to Synapse, not to another service."
        )

    def whoami(self) -> JsonObject:
        """Return whom the access token belongs to: `user_id`, `device_id` if it has one, `is_guest`. Asked once.

        From GET /_matrix/client/v3/account/whoami. Raises AuthenticationFailed if the token is not valid.
        """
        if self._caller is None:
            self._caller = self.get("/_matrix/client/v3/account/whoami")
        return self._caller

    @property
    def has_token(self) -> bool:
        """Whether it sends an access token."""
        return bool(self._access_token)

    def sends(self, access_token: str) -> bool:
        """Whether this is the access token that it sends."""
        return self._access_token == access_token

    @property
    def caller(self) -> str:
        """The user ID that the access token belongs to. Raises AuthenticationFailed if the token is not valid."""
        return str(member(self.whoami(), "user_id"))

    @property
    def server_name(self) -> str:
        """The server's own name, with its port if it has one: that of the caller, who is always local."""
        return server_name_of(self.caller)

    def now_ms(self) -> int:
        """Return what the server's clock says, in milliseconds since 1970, as its last answer has told.

        This host's own clock, where no answer has told the time.
        """
        return int((time.time() + self._ahead) * 1000)

    @contextlib.contextmanager
    def _faults(self, method: str, where: str) -> t.Iterator[None]:
        self._open()
        with faults_of(method, self.address, where, self._timeout):
            yield

    def _open(self) -> requests.Session:
        if self._session is None:
            try:
                import requests
            except ImportError as error:
                raise MissingLibrary("requests", "to connect to Synapse") from error
            with self._lock:
                self._session = self._session or self._opened(requests.Session())
        return self._session

    def _opened(self, session: requests.Session) -> requests.Session:
        from requests.adapters import HTTPAdapter

        if self.address.unix_socket:
            # No connection goes elsewhere: base_url only gives the header Host, and a path if it has one.
            session.mount("http://", adapter_for(self.address.unix_socket, self._connections))
            session.headers.update(headers_for(self.address))
        else:
            for scheme in ("http://", "https://"):
                session.mount(scheme, HTTPAdapter(pool_maxsize=self._connections))
        session.headers["User-Agent"] = "matrix_ops.synapse"
        if self._access_token:
            session.headers["Authorization"] = f"Bearer {self._access_token}"
        # The environment is asked once, not for every request. Its proxy could not reach this host's own loopback.
        settings = session.merge_environment_settings(self.base_url, {}, None, self._verify, None)
        session.verify = settings["verify"]
        if self.base_url.startswith("https:") and isinstance(session.verify, str):
            checked_authorities(session.verify, "The file that REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE names,")
        if not self.address.unix_socket and not is_loopback(urllib.parse.urlsplit(self.base_url).hostname or ""):
            session.proxies = settings["proxies"]
        # With it go the entries of ~/.netrc, which would replace the token.
        session.trust_env = False
        return session

    def answer_of(self, method: str, where: str, response: requests.Response) -> Answer:
        """Return the JSON object of the response from the path `where`. Raises what `request` raises."""
        try:
            answer = response.json()
        except RecursionError as error:
            # As what people have set themselves may be.
            raise UnexpectedAnswer(
                f"{method} {self.address.at(where)} got an answer that is nested too deeply to be read."
            ) from error
        except ValueError:
            answer = None
        if 300 <= response.status_code < 400:
            raise redirection(method, self.address, where, response)
        if not isinstance(answer, dict):
            raise foreign_answer(method, self.address, where, response)
        if response.status_code >= 400:
            refused = refusal(method, self.address, where, response.status_code, answer)
            if refused.status == 500:
                self._explain_failure(refused)
            raise refused
        found = Answer(answer)
        found.status = response.status_code
        return found

    def _explain_failure(self, error: ApiError) -> None:
        """Add to an internal error that background updates are pending, which is often its cause. Asked once."""
        with self._lock:
            known, self._pending = self._pending, self._pending or ""
        if known is None and self.has_token:
            known = self._pending = self._running_updates()
        if known:
            error.explain(f"{known} Requests can fail until all are complete. Run the task again then.")

    def _running_updates(self) -> str:
        """What is known of the background updates, as a sentence, or "". Asked without patience: this only explains."""
        try:
            response = self._open().get(
                self.base_url + _UPDATES, timeout=min(self._timeout, _HURRY), allow_redirects=False
            )
            found = response.json() if response.status_code == 200 else {"current_updates": {}}
            names = sorted({str(update["name"]) for update in found["current_updates"].values()})
        # Whatever it is, the error that is to be explained tells more.
        except Exception:
            return ""
        if found.get("enabled") is False:
            return f"Background updates of the database are paused. Resume them (POST {_RESUME} with enabled: true)."
        return f"A background update of the database runs ({', '.join(names)})." if names else ""

    def _wait(self, method: str, where: str, response: requests.Response) -> None:
        seconds = max(_SHORTEST_WAIT, _retry_after_ms(response) / 1000)
        with self._lock:
            affordable = seconds <= self._patience
            self._patience -= seconds if affordable else 0
        if not affordable:
            raise refusal(
                method,
                self.address,
                where,
                429,
                {"errcode": "M_LIMIT_EXCEEDED", "error": f"Too Many Requests, retry in {seconds:.0f} s"},
            )
        self._sleep(seconds)


def member(answer: JsonObject, key: str) -> t.Any:
    """Return what `answer` holds under `key`. Raises UnexpectedAnswer if it holds nothing: it is not Synapse's then."""
    try:
        return answer[key]
    except KeyError:
        raise UnexpectedAnswer(
            f"The answer contains no {key}, so it does not come from Synapse. Check that base_url, or unix_socket if it"
            " is set, leads to Synapse, not to another service."
        ) from None


def filled(template: str, path: t.Mapping[str, str]) -> str:
    """Return the path with each value in `path` quoted as one segment. Raises InvalidInput for what cannot be one."""
    return template.format(**{name: _segment(value) for name, value in path.items()})


def _segment(value: str) -> str:
    """Return an identifier as one segment of a path. Raises InvalidInput for what could not stay one."""
    try:
        quoted = urllib.parse.quote(value, safe="")
    except UnicodeEncodeError:
        raise InvalidInput(f"{value!a} is not text: it contains bytes that are not UTF-8.") from None
    # The layers below take these for steps in the path, however they are quoted.
    if quoted in ("", ".", ".."):
        raise InvalidInput(f"{value!r} is not an identifier.")
    return quoted


def _ahead_of_this_host(response: requests.Response, known: float) -> float:
    """How many seconds the server's clock is ahead of this host's; `known` if the response does not tell."""
    try:
        return email.utils.parsedate_to_datetime(response.headers["Date"]).timestamp() - time.time()
    except (KeyError, TypeError, ValueError, OverflowError):
        return known


def _retry_after_ms(response: requests.Response) -> float:
    """How long a 429 asks to wait, in milliseconds: `retry_after_ms` of the body, else the header Retry-After (s)."""
    try:
        asked = float(response.json()["retry_after_ms"])
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError):
        try:
            asked = float(response.headers["Retry-After"]) * 1000
        except (ValueError, KeyError):
            asked = _DEFAULT_RETRY_AFTER_MS
    return asked
