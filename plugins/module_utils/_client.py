# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The one HTTP client: a session to a Synapse, its quoting, its paging, its patience and its errors."""

from __future__ import annotations

import ipaddress
import os
import re
import threading
import time
import typing as t
import urllib.parse

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import (
    ApiError,
    AuthenticationFailed,
    ConnectionFailed,
    EndpointMissing,
    InvalidInput,
    MissingLibrary,
    NotFound,
    PermissionDenied,
    RateLimited,
    UnexpectedAnswer,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._identifiers import server_name_of

if t.TYPE_CHECKING:
    import requests

JsonObject = dict[str, t.Any]

_DEFAULT_RETRY_AFTER_MS = 1000
# Even where no wait is asked for, so that asking again and again comes to an end.
_SHORTEST_WAIT = 0.1
# Where the libraries below put the reason: "[Errno 111] Connection refused", "certificate verify failed: ...",
# "ConnectionResetError(104, 'Connection reset by peer')", "RemoteDisconnected('Remote end closed connection ...')".
_REASONS = (
    re.compile(r"\[Errno -?\d+\] ([^'\")]+)"),
    re.compile(r"certificate verify failed: ([^('\"]+)"),
    re.compile(r"\w+\((?:\d+, )?'([^']+)'\)"),
)


class Client:
    """A session to one Synapse, as one caller.

    `base_url`: where Synapse answers, without `/_matrix`. `access_token`: sent as a header, never in a URL.
    `verify`: true, false, or the path of a CA bundle. `timeout`: seconds for one request.
    `rate_limit_retry_timeout`: how many seconds all the waits that 429 answers ask for may add up to.
    `connections`: how many requests there can be at the same time; the client may be used by that many threads.
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
        sleep: t.Callable[[float], None] = time.sleep,
    ) -> None:
        self.base_url = _checked_base_url(base_url)
        self._access_token = _checked_access_token(access_token)
        self._verify = _checked_authorities(verify)
        self._timeout = timeout
        self._patience = rate_limit_retry_timeout
        self._connections = connections
        self._lock = threading.Lock()
        self._sleep = sleep
        self._session: requests.Session | None = None
        self._caller: JsonObject | None = None

    def speaking_as(self, access_token: str | None) -> Client:
        """Return a client for the same server that sends `access_token` instead (none at all if it is None)."""
        return Client(
            self.base_url,
            access_token,
            verify=self._verify,
            timeout=self._timeout,
            rate_limit_retry_timeout=self._patience,
            connections=self._connections,
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
    ) -> JsonObject:
        """Send a request and return the JSON object of the answer.

        `template` is the path, with a `{name}` for each keyword in `path`, whose value is quoted as one segment.
        A 429 is waited out as long as it says, within `rate_limit_retry_timeout`.
        Raises a subclass of ApiError for what Synapse refuses, ConnectionFailed, or UnexpectedAnswer.
        """
        return self._exchange(method, template, path, params=params, body=body)

    def _exchange(
        self,
        method: str,
        template: str,
        path: t.Mapping[str, str],
        *,
        params: t.Mapping[str, t.Any] | None = None,
        body: JsonObject | None = None,
    ) -> JsonObject:
        quoted = {name: _segment(value) for name, value in path.items()}
        where = template.format(**quoted)
        while True:
            response = self._send(method, where, params, body)
            if response.status_code != 429:
                return self._read(method, where, response)
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
            yield from page.get(items, [])
            following = page.get(token)
            if following is None:
                return
            if str(following) == (position or "0"):
                raise UnexpectedAnswer(
                    f"The list at {self.base_url}{template} does not end:"
                    f" the page at {position or 0} names itself as the next one."
                )
            position = str(following)

    def whoami(self) -> JsonObject:
        """Return whom the access token belongs to: `user_id`, `device_id` if it has one, `is_guest`. Asked once.

        From GET /_matrix/client/v3/account/whoami. Raises AuthenticationFailed if the token is not valid.
        """
        if self._caller is None:
            self._caller = self.get("/_matrix/client/v3/account/whoami")
        return self._caller

    @property
    def caller(self) -> str:
        """The user id that the access token belongs to. Raises AuthenticationFailed if the token is not valid."""
        return str(member(self.whoami(), "user_id"))

    @property
    def server_name(self) -> str:
        """The server's own name, with its port if it has one: that of the caller, who is always local."""
        return server_name_of(self.caller)

    def _send(
        self, method: str, where: str, params: t.Mapping[str, t.Any] | None, body: JsonObject | None
    ) -> requests.Response:
        session = self._open()
        import requests

        try:
            return session.request(
                method,
                self.base_url + where,
                params=params,
                json=body,
                timeout=self._timeout,
                # A redirected PUT would arrive as a GET, and the token with it at whatever host was named.
                allow_redirects=False,
            )
        except requests.exceptions.SSLError as error:
            raise ConnectionFailed(
                f"{self._naming(method, where)} failed: the TLS certificate was not accepted ({_innermost(error)})."
                " Set ca_path to the authority that signed it, or base_url to the name it was made for."
            ) from error
        except requests.exceptions.Timeout as error:
            raise ConnectionFailed(
                f"{self._naming(method, where)} failed: no answer within {self._timeout:g} seconds."
                " See whether Synapse is overloaded, or allow more with the option timeout."
            ) from error
        except requests.exceptions.InvalidURL as error:
            raise InvalidInput(f"base_url {self.base_url!r} is not a URL that can be used.") from error
        except requests.exceptions.RequestException as error:
            raise ConnectionFailed(
                f"{self._naming(method, where)} failed: {_innermost(error)}."
                " See whether Synapse runs and listens there; base_url says where it is looked for."
            ) from error

    def _open(self) -> requests.Session:
        if self._session is None:
            try:
                import requests
            except ImportError as error:
                raise MissingLibrary("requests", "to speak with Synapse") from error
            with self._lock:
                self._session = self._session or self._opened(requests.Session())
        return self._session

    def _opened(self, session: requests.Session) -> requests.Session:
        from requests.adapters import HTTPAdapter

        for scheme in ("http://", "https://"):
            session.mount(scheme, HTTPAdapter(pool_maxsize=self._connections))
        session.headers["User-Agent"] = "matrix_ops.synapse"
        if self._access_token:
            session.headers["Authorization"] = f"Bearer {self._access_token}"
        # The environment is asked once, not for every request. Its proxy could not reach this host's own loopback.
        settings = session.merge_environment_settings(self.base_url, {}, None, self._verify, None)
        session.verify = settings["verify"]
        if not _is_loopback(urllib.parse.urlsplit(self.base_url).hostname or ""):
            session.proxies = settings["proxies"]
        # With it go the entries of ~/.netrc, which would replace the token.
        session.trust_env = False
        return session

    def _read(self, method: str, where: str, response: requests.Response) -> JsonObject:
        try:
            answer = response.json()
        except ValueError:
            answer = None
        if 300 <= response.status_code < 400:
            raise UnexpectedAnswer(
                f"{self._naming(method, where)} was redirected to {response.headers.get('Location', 'nowhere')}"
                f" ({response.status_code}). Set base_url to where Synapse itself answers."
            )
        if not isinstance(answer, dict):
            raise UnexpectedAnswer(
                f"{self._naming(method, where)} got an answer that is not Synapse's"
                f" ({response.status_code}, {_describe(response)}). {_mend_foreign_answer(response.status_code)}"
            )
        if response.status_code >= 400:
            raise self._api_error(method, where, response.status_code, answer)
        return answer

    def _wait(self, method: str, where: str, response: requests.Response) -> None:
        seconds = max(_SHORTEST_WAIT, _retry_after_ms(response) / 1000)
        with self._lock:
            affordable = seconds <= self._patience
            self._patience -= seconds if affordable else 0
        if not affordable:
            raise self._api_error(
                method,
                where,
                429,
                {"errcode": "M_LIMIT_EXCEEDED", "error": f"Too Many Requests, retry in {seconds:.0f} s"},
            )
        self._sleep(seconds)

    def _api_error(self, method: str, where: str, status: int, answer: JsonObject) -> ApiError:
        errcode, words = str(answer.get("errcode", "")), str(answer.get("error", ""))
        kind, mend = _classify(status, errcode, words)
        said = f"{status} {errcode}: {words}".rstrip(": ").rstrip(".")
        message = f"{self._naming(method, where)} was refused ({said}). {mend}".rstrip()
        return kind(message, method=method, url=self.base_url + where, status=status, errcode=errcode, error=words)

    def _naming(self, method: str, where: str) -> str:
        return f"{method} {self.base_url}{where}"


def member(answer: JsonObject, key: str) -> t.Any:
    """Return what `answer` holds under `key`. Raises UnexpectedAnswer if it holds nothing: it is not Synapse's then."""
    try:
        return answer[key]
    except KeyError:
        raise UnexpectedAnswer(
            f"The answer holds no {key}, so it does not come from Synapse: base_url may lead to another service."
        ) from None


def _segment(value: str) -> str:
    """Return an identifier as one segment of a path. Raises InvalidInput for what could not stay one."""
    try:
        quoted = urllib.parse.quote(value, safe="")
    except UnicodeEncodeError:
        raise InvalidInput(f"{value!a} is not text: it holds bytes that are not UTF-8.") from None
    # The layers below take these for steps in the path, however they are quoted.
    if quoted in ("", ".", ".."):
        raise InvalidInput(f"{value!r} is not an identifier.")
    return quoted


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _checked_base_url(base_url: str) -> str:
    try:
        parts = urllib.parse.urlsplit(base_url)
        labels = (parts.hostname or "").rstrip(".").split(".")
        valid = parts.scheme in ("http", "https") and all(labels) and (parts.port is None or parts.port > 0)
        (parts.hostname or "").encode("idna")
    except ValueError:
        raise InvalidInput("base_url is not a URL: write it as http://127.0.0.1:8008.") from None
    if parts.username or parts.password:
        raise InvalidInput("base_url holds a user name or password: Synapse takes an access token, leave them out.")
    if not valid or parts.query or parts.fragment:
        raise InvalidInput(f"base_url {base_url!r} is not the URL of a server: write it as http://127.0.0.1:8008.")
    path = parts.path.rstrip("/")
    if path.startswith(("/_matrix", "/_synapse")):
        raise InvalidInput(
            f"base_url {base_url!r} holds the path of an endpoint: leave out everything from {path[:8]} on."
        )
    return f"{parts.scheme}://{parts.netloc}{path}"


def _checked_authorities(verify: bool | str) -> bool | str:
    if isinstance(verify, bool):
        return verify
    import ssl

    try:
        context = ssl.create_default_context()
        context.load_verify_locations(**{"capath" if os.path.isdir(verify) else "cafile": verify})
    except OSError as error:
        reason = "holds no certificate" if isinstance(error, ssl.SSLError) else f"cannot be read: {error.strerror}"
        raise InvalidInput(f"ca_path {verify} {reason}.") from error
    return verify


def _checked_access_token(access_token: str | None) -> str | None:
    # What no header can carry would fail deep below, in words that quote the token.
    if access_token and not re.fullmatch(r"[!-~]+", access_token):
        raise InvalidInput(
            "The access token holds characters that no access token has, such as white space:"
            " see whether it is complete, and alone in its file or variable."
        )
    return access_token


def _classify(status: int, errcode: str, words: str) -> tuple[type[ApiError], str]:
    if status == 401:
        if errcode == "M_USER_LOCKED":
            return AuthenticationFailed, "The account that the access token belongs to is locked."
        if errcode == "M_MISSING_TOKEN":
            return AuthenticationFailed, "Set access_token or access_token_path."
        return (
            AuthenticationFailed,
            "The access token is not valid (any more): get a new one with synapse_access_token.",
        )
    if status == 403 and "not a server admin" in words:
        return PermissionDenied, "Use the access token of a server admin, or make its account one."
    if status == 403:
        return PermissionDenied, ""
    if status in (404, 405) and errcode == "M_UNRECOGNIZED":
        return EndpointMissing, (
            "This server does not serve that endpoint: base_url must lead to Synapse's main process (not to a worker or"
            " to a proxy that hides it), and where the Matrix Authentication Service is in charge of accounts,"
            " Synapse serves neither logins nor passwords."
        )
    if status == 404:
        return NotFound, ""
    if status == 429:
        return RateLimited, "Run the task later, or allow a longer wait with rate_limit_retry_timeout."
    if status == 503 and "introspect" in words:
        return ApiError, (
            "The Matrix Authentication Service, which is in charge of this server's accounts, does not answer Synapse:"
            " see whether it runs. What it alone can do is done with mas-cli."
        )
    if status >= 500:
        return ApiError, "Synapse's log says more."
    return ApiError, ""


def _retry_after_ms(response: requests.Response) -> float:
    """How long a 429 asks to wait, in milliseconds: `retry_after_ms` of the body, else the header Retry-After (s)."""
    try:
        asked = float(response.json()["retry_after_ms"])
    except (ValueError, KeyError, TypeError):
        try:
            asked = float(response.headers["Retry-After"]) * 1000
        except (ValueError, KeyError):
            asked = _DEFAULT_RETRY_AFTER_MS
    return asked


def _mend_foreign_answer(status: int) -> str:
    if status in (502, 503, 504):
        return "A proxy answers there, and Synapse does not answer the proxy: see whether Synapse runs."
    return "base_url may lead to a proxy or to another service; Synapse's own is mostly http://127.0.0.1:8008."


def _describe(response: requests.Response) -> str:
    kind = response.headers.get("Content-Type", "").partition(";")[0] or "no content type"
    title = re.search(r"<title>\s*([^<]{1,100}?)\s*</title>", response.text[:4096], re.IGNORECASE)
    return f"{kind}, titled {title.group(1)!r}" if title else kind


def _innermost(error: BaseException) -> str:
    """The reason at the bottom of a chain of wrapped errors: the outer ones only repeat the URL."""
    reason = getattr(error, "reason", None) or (error.args[0] if error.args else None)
    while isinstance(reason, BaseException):
        deeper = getattr(reason, "reason", None)
        if not isinstance(deeper, BaseException):
            break
        reason = deeper
    text = str(reason or error)
    for pattern in _REASONS:
        found = pattern.search(text)
        if found:
            return found.group(1).strip()
    return text.rpartition(">: ")[2].rstrip(".") or type(error).__name__
