# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The words for what goes wrong on the way to a server and back: each fault becomes an error that names its mend."""

from __future__ import annotations

import contextlib
import re
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import (
    ApiError,
    AuthenticationFailed,
    ConnectionFailed,
    EndpointMissing,
    InvalidInput,
    NotFound,
    PermissionDenied,
    RateLimited,
    UnexpectedAnswer,
    told,
)

if t.TYPE_CHECKING:
    import requests

# Where the libraries below put the reason: "[Errno 111] Connection refused", "certificate verify failed: ...",
# "ConnectionResetError(104, 'Connection reset by peer')", "RemoteDisconnected('Remote end closed connection ...')".
_REASONS = (
    re.compile(r"\[Errno -?\d+\] ([^'\")]+)"),
    re.compile(r"certificate verify failed: ([^('\"]+)"),
    re.compile(r"\w+\((?:\d+, )?'([^']+)'\)"),
    re.compile(r"\(['\"](Connection broken)\b"),
)


@contextlib.contextmanager
def faults_of(method: str, base_url: str, path: str, timeout: float) -> t.Iterator[None]:
    """Turn what the libraries raise in the block, which speaks with the server, into errors of this collection.

    `timeout`: how many seconds the block gives the server. Raises ConnectionFailed, or InvalidInput for no URL at all.
    """
    import http.client
    import socket
    import ssl

    import requests
    import urllib3

    where = f"{method} {base_url}{path} failed"
    try:
        yield
    except (
        requests.exceptions.InvalidProxyURL,
        urllib3.exceptions.ProxySchemeUnknown,
        urllib3.exceptions.ProxySchemeUnsupported,
    ) as error:
        raise InvalidInput(
            f"{where}: the proxy that the environment names (http_proxy, https_proxy or all_proxy) is not a URL that"
            " can be used."
        ) from error
    except (requests.exceptions.InvalidURL, urllib3.exceptions.LocationValueError) as error:
        raise InvalidInput(f"base_url {base_url!r} is not a URL that can be used.") from error
    except (
        requests.exceptions.RequestException,
        urllib3.exceptions.HTTPError,
        http.client.HTTPException,
        ssl.SSLError,
        socket.gaierror,
        socket.herror,
        ConnectionError,
        # Another class than TimeoutError before Python 3.10.
        socket.timeout,
    ) as error:
        if _is_about_a_certificate(error):
            raise ConnectionFailed(
                f"{where}: the TLS certificate was not accepted ({_innermost(error)})."
                " Set ca_path to the authority that signed it, or base_url to the name it was made for.",
                sent=False,
            ) from error
        if isinstance(error, requests.exceptions.SSLError):
            raise ConnectionFailed(
                f"{where}: TLS could not be spoken ({_innermost(error)}). See whether base_url leads to a port with"
                " TLS, and is to begin with https:// or http://.",
                sent=not _has_no_connection(error),
            ) from error
        # While an answer is being read, the library does not tell this one from other failures.
        if isinstance(error, (requests.exceptions.Timeout, socket.timeout)) or "Read timed out" in str(error):
            sent = not _has_no_connection(error)
            raise ConnectionFailed(
                f"{where}: no answer within {timeout:g} seconds."
                " See whether Synapse is overloaded, or allow more with the option timeout.",
                sent=sent,
                waited=timeout if sent else None,
            ) from error
        raise ConnectionFailed(
            f"{where}: {_innermost(error)}."
            " See whether Synapse runs and listens there; base_url says where it is looked for.",
            sent=not _has_no_connection(error),
        ) from error


@contextlib.contextmanager
def faults_beside(method: str, base_url: str, path: str) -> t.Iterator[None]:
    """Turn what else can go wrong in the block, such as a file that a library needs, into errors of this collection.

    Only for a block that does nothing but speak with the server: a full disk is no fault of a connection. Raises
    ConnectionFailed, or UnexpectedAnswer for an answer that the library cannot make sense of.
    """
    try:
        yield
    except OSError as error:
        raise ConnectionFailed(f"{method} {base_url}{path} failed: {told(error)}") from error
    except ValueError as error:
        # It looks at where a redirect leads to, even if it is not to follow it.
        raise UnexpectedAnswer(
            f"{method} {base_url}{path} got an answer that cannot be read, so it is not Synapse's."
            " Set base_url to where Synapse itself answers."
        ) from error


def _causes(error: BaseException) -> t.Iterator[BaseException]:
    """The error, and those that it was made from: the libraries wrap them in several ways."""
    seen: set[int] = set()
    waiting: list[t.Any] = [error]
    while waiting:
        current = waiting.pop()
        if not isinstance(current, BaseException) or id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        waiting += [getattr(current, "reason", None), current.__cause__, current.__context__, *current.args]


def _is_about_a_certificate(error: BaseException) -> bool:
    import ssl

    return any(isinstance(cause, ssl.CertificateError) for cause in _causes(error)) or (
        "certificate verify failed" in str(error) or "doesn't match" in str(error)
    )


def _has_no_connection(error: BaseException) -> bool:
    """Whether there was no connection to send the request on: nothing can have come of it."""
    import socket

    import requests
    import urllib3

    unconnected = (
        requests.exceptions.ConnectTimeout,
        urllib3.exceptions.NewConnectionError,
        urllib3.exceptions.ConnectTimeoutError,
        socket.gaierror,
        socket.herror,
        ConnectionRefusedError,
    )
    return any(isinstance(cause, unconnected) for cause in _causes(error))


def refusal(method: str, url: str, status: int, answer: t.Mapping[str, t.Any]) -> ApiError:
    """Return the error for what Synapse refused with `status` and its JSON object `answer`."""
    errcode, words = str(answer.get("errcode", "")), str(answer.get("error", ""))
    kind, mend = _classify(status, errcode, words)
    said = f"{status} {errcode}: {words}".rstrip(": ").rstrip(".")
    message = f"{method} {url} was refused ({said}). {mend}".rstrip()
    return kind(message, method=method, url=url, status=status, errcode=errcode, error=words)


def redirection(method: str, url: str, response: requests.Response) -> UnexpectedAnswer:
    """Return the error for a redirect, which Synapse does not answer with."""
    return UnexpectedAnswer(
        f"{method} {url} was redirected to {response.headers.get('Location', 'nowhere')}"
        f" ({response.status_code}). Set base_url to where Synapse itself answers."
    )


def foreign_answer(method: str, url: str, response: requests.Response) -> UnexpectedAnswer:
    """Return the error for an answer that is not Synapse's: a proxy's page, or another service's."""
    return UnexpectedAnswer(
        f"{method} {url} got an answer that is not Synapse's"
        f" ({response.status_code}, {_describe(response)}). {_mend_foreign_answer(response.status_code)}"
    )


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
