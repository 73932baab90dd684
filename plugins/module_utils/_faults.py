# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The messages for failed requests: each failure becomes an error with a message that contains the fix."""

from __future__ import annotations

import contextlib
import re
import sys
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._address import Address
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errcodes import explain
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
    causes,
    told,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._unix_socket import problem_of

if t.TYPE_CHECKING:
    import requests

# The forms in which the libraries give the reason: "[Errno 111] Connection refused", "certificate verify failed: ...",
# "ConnectionResetError(104, 'Connection reset by peer')", "RemoteDisconnected('Remote end closed connection ...')".
_REASONS = (
    re.compile(r"\[Errno -?\d+\] ([^'\")]+)"),
    re.compile(r"certificate verify failed: ([^('\"]+)"),
    re.compile(r"\w+\((?:\d+, )?'([^']+)'\)"),
    re.compile(r"\(['\"](Connection broken)\b"),
)


# What Synapse does not serve if the Matrix Authentication Service manages the accounts (rest/admin/__init__.py, 1.163).
_DELEGATED = re.compile(r"/(login|register|reset_password/|registration_tokens)|/users/[^/]+/admin$")


@contextlib.contextmanager
def faults_of(method: str, address: Address, path: str, timeout: float) -> t.Iterator[None]:
    """Convert the errors of the libraries in the block, which sends a request, into errors of this collection.

    `timeout`: how many seconds the block waits for the server. Raises ConnectionFailed, or InvalidInput for a URL that
    is not valid.
    """
    import http.client
    import socket
    import ssl

    import requests
    import urllib3

    where = f"{method} {address.at(path)} failed"
    handled = sys.exc_info()[1]
    try:
        yield
    except (
        requests.exceptions.InvalidProxyURL,
        urllib3.exceptions.ProxySchemeUnknown,
        urllib3.exceptions.ProxySchemeUnsupported,
    ) as error:
        raise InvalidInput(
            f"{where}: the proxy in the environment is not a valid URL. Check the variables http_proxy, https_proxy"
            " and all_proxy."
        ) from error
    except (requests.exceptions.InvalidURL, urllib3.exceptions.LocationValueError) as error:
        raise InvalidInput(f"base_url {address.base_url!r} is not a valid URL. Check its host name.") from error
    except (
        requests.exceptions.RequestException,
        urllib3.exceptions.HTTPError,
        http.client.HTTPException,
        ssl.SSLError,
        socket.gaierror,
        socket.herror,
        ConnectionError,
        # Before Python 3.10 this is a different class than TimeoutError.
        socket.timeout,
    ) as error:
        found = list(causes(error, handled))
        sent = not _has_no_connection(found)
        problem = problem_of(found, address.unix_socket) if address.unix_socket else ""
        if problem:
            raise ConnectionFailed(f"{where}: {problem}", sent=False) from error
        if _is_about_a_certificate(found):
            raise ConnectionFailed(
                f"{where}: the TLS certificate is not valid ({_innermost(error)}). Set ca_path to the certificate of"
                " the authority that signed it, or base_url to the name in the certificate.",
                sent=False,
            ) from error
        if isinstance(error, requests.exceptions.SSLError):
            raise ConnectionFailed(
                f"{where}: the TLS handshake failed ({_innermost(error)}). Check whether the port in base_url uses TLS,"
                " and begin base_url with https:// or http:// accordingly.",
                sent=sent,
            ) from error
        # While it reads an answer, the library raises the same class for a timeout as for other failures.
        if isinstance(error, (requests.exceptions.Timeout, socket.timeout)) or "Read timed out" in str(error):
            raise ConnectionFailed(
                f"{where}: no answer within {timeout:g} seconds."
                " Check whether Synapse is overloaded, or set the option timeout to more seconds.",
                sent=sent,
                waited=timeout if sent else None,
            ) from error
        raise ConnectionFailed(
            f"{where}: {_innermost(error)}. Check that Synapse runs, and that {_listening(address)}.",
            sent=sent,
        ) from error


@contextlib.contextmanager
def faults_beside(method: str, address: Address, path: str) -> t.Iterator[None]:
    """Convert other errors in the block, such as a missing file of a library, into errors of this collection.

    Only for a block that does nothing except sending a request, because a full disk is not an error of a connection.
    Raises ConnectionFailed, or UnexpectedAnswer for an answer that the library cannot parse.
    """
    try:
        yield
    except OSError as error:
        raise ConnectionFailed(f"{method} {address.at(path)} failed: {told(error)}") from error
    except ValueError as error:
        # The library parses the target of a redirect even if it does not follow it.
        raise UnexpectedAnswer(
            f"{method} {address.at(path)} got an answer that cannot be parsed, so it does not come from Synapse."
            f" Set {address.leading_to('Synapse itself')}."
        ) from error


def _listening(address: Address) -> str:
    if address.unix_socket:
        return "unix_socket is the path of one of its listeners"
    return "base_url is the URL where it listens"


def _is_about_a_certificate(found: t.Sequence[BaseException]) -> bool:
    import ssl

    words = str(found[0])
    return any(isinstance(cause, ssl.CertificateError) for cause in found) or (
        "certificate verify failed" in words or "doesn't match" in words
    )


def _has_no_connection(found: t.Sequence[BaseException]) -> bool:
    """Whether there was no connection, so that the request cannot have been sent."""
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
    return any(isinstance(cause, unconnected) for cause in found)


def refusal(method: str, address: Address, path: str, status: int, answer: t.Mapping[str, t.Any]) -> ApiError:
    """Return the error for a request that Synapse refused with `status` and the JSON object `answer`."""
    errcode, words = str(answer.get("errcode", "")), str(answer.get("error", ""))
    kind, fix = _kind_of(status, errcode), explain(status, errcode, words)
    if kind is EndpointMissing:
        fix = (
            f"{fix} Set {address.leading_to('the main process of Synapse')}, not of a worker or of a proxy that hides"
            " it."
        )
        if _DELEGATED.search(path):
            fix += (
                " If the Matrix Authentication Service manages the accounts, Synapse serves no logins and no passwords."
            )
    said = f"{status} {errcode}: {words}".rstrip(": ").rstrip(".")
    message = f"{method} {address.at(path)} was refused ({said}). {fix}".rstrip()
    return kind(message, method=method, url=address.url(path), status=status, errcode=errcode, error=words)


def redirection(method: str, address: Address, path: str, response: requests.Response) -> UnexpectedAnswer:
    """Return the error for a redirect. Synapse itself does not send redirects."""
    return UnexpectedAnswer(
        f"{method} {address.at(path)} was redirected to {response.headers.get('Location', 'nowhere')}"
        f" ({response.status_code}). Set {address.leading_to('Synapse itself')}."
    )


def foreign_answer(method: str, address: Address, path: str, response: requests.Response) -> UnexpectedAnswer:
    """Return the error for an answer that is not from Synapse, but from a proxy or another service."""
    return UnexpectedAnswer(
        f"{method} {address.at(path)} got an answer that does not come from Synapse"
        f" ({response.status_code}, {_describe(response)}). {_fix_of_foreign_answer(address, response.status_code)}"
    )


def _kind_of(status: int, errcode: str) -> type[ApiError]:
    if status in (404, 405) and errcode == "M_UNRECOGNIZED":
        return EndpointMissing
    kinds = {401: AuthenticationFailed, 403: PermissionDenied, 404: NotFound, 429: RateLimited}
    return kinds.get(status, ApiError)


def _fix_of_foreign_answer(address: Address, status: int) -> str:
    if status in (502, 503, 504):
        return "A proxy answers there, and Synapse does not answer the proxy. Check that Synapse runs."
    usual = "" if address.unix_socket else ", usually http://127.0.0.1:8008"
    return f"Set {address.leading_to('Synapse itself')}{usual}, not of a proxy or another service."


def _describe(response: requests.Response) -> str:
    kind = response.headers.get("Content-Type", "").partition(";")[0] or "no content type"
    title = re.search(r"<title>\s*([^<]{1,100}?)\s*</title>", response.text[:4096], re.IGNORECASE)
    return f"{kind}, titled {title.group(1)!r}" if title else kind


def _innermost(error: BaseException) -> str:
    """Return the reason of the innermost of the wrapped errors. The outer errors only repeat the URL."""
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
