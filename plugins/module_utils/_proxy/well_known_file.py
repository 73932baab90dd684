# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The files below /.well-known/matrix of a server: how they are fetched, and what they contain.

Relies on synapse/http/federation/well_known_resolver.py of Synapse 1.163 for the server file: the status must be 200,
the size below 50 KiB, and the content type does not matter.
"""

from __future__ import annotations

import json
import typing as t
import urllib.parse

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.exchange import Answer, NoAnswer, Place, Request
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.recognition import (
    BACKEND_FAILED,
    is_html,
    is_login_page,
    page,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.redirects import is_redirect, target_of
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.server_names import (
    ServerName,
    read_server_name,
    shown,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.subject import Sends

SERVER_FILE, CLIENT_FILE = "/.well-known/matrix/server", "/.well-known/matrix/client"
# A web client that no server knows: a server that allows it allows every one.
ORIGIN = "https://client.invalid"
MOST_REDIRECTS = 5
# What Synapse answers if its setting serve_server_wellknown is not set (synapse/rest/well_known.py).
SYNAPSE_DOES_NOT_SERVE = b"404. Is anything ever truly *well* known?"
_MOST_BYTES = 50 * 1024

READ, MISSING, INVALID, PAGE, REDIRECT, NOT_ASKED = "read", "missing", "invalid", "page", "redirect", "not_asked"
LIMITED, NO_BACKEND = "limited", "no_backend"
# With these, a proxy limits requests. 503 is what nginx answers then by default.
_LIMITED = {429, 503}


class Fetched(t.NamedTuple):
    """A file as it was fetched.

    `answers`: to the first request and to those that followed a redirect; the last one is the result. `state`: READ,
    MISSING (it does not exist, or there is no web server), INVALID, PAGE (HTML), REDIRECT (one that cannot be
    followed), NOT_ASKED, LIMITED (too many requests) or NO_BACKEND (what serves it does not run). The last three say
    nothing about the file. `content`: the JSON object, {} if it is not READ. `problem`: why it is not READ, a piece of
    a sentence whose subject is the file.
    """

    answers: tuple[Answer | NoAnswer, ...]
    state: str
    content: dict[str, t.Any]
    problem: str

    @property
    def last(self) -> Answer | NoAnswer:
        """The answer that counts."""
        return self.answers[-1]


def fetch_server_file(sender: Sends, host: str) -> Fetched:
    """Fetch the file with which a name delegates to another server. `host`: a host name."""
    return _read(*_follow(sender, Place("https", host, 443), Request(SERVER_FILE)), most_bytes=_MOST_BYTES)


def fetch_client_file(sender: Sends, host: str) -> Fetched:
    """Fetch the file in which clients find the server, as a web client with ORIGIN does."""
    request = Request(CLIENT_FILE, headers=(("Origin", ORIGIN),))
    return _read(*_follow(sender, Place("https", host, 443), request), most_bytes=None)


def delegated_server(file: Fetched) -> ServerName:
    """Return the `m.server` of a server file that was READ.

    Raises ValueError if other servers cannot use it: a piece of a sentence whose subject is the file.
    """
    if "m.server" not in file.content:
        raise ValueError("has no m.server")
    value = file.content["m.server"]
    if not isinstance(value, str):
        raise ValueError(f"has an m.server that is not a text: {shown(value)}")
    try:
        return read_server_name(value)
    except ValueError as error:
        raise ValueError(f"has the m.server {shown(value)}, which is not a server name, because {error}") from None


def is_json_type(answer: Answer) -> bool:
    """Return whether the content type of an answer is that of JSON."""
    return answer.header("Content-Type").partition(";")[0].strip().lower() == "application/json"


def _follow(sender: Sends, place: Place, request: Request) -> tuple[tuple[Answer | NoAnswer, ...], str]:
    """The answers, and why the last redirect cannot be followed, "" if there is no such redirect."""
    answers: list[Answer | NoAnswer] = []
    asked: set[tuple[Place, str]] = set()
    while True:
        if (place, request.target) in asked:
            return tuple(answers), f"redirects in a circle, to {shown(place.url + request.target)} again"
        asked.add((place, request.target))
        answer = sender.send(place, request)
        if isinstance(answer, Answer) and answer.status in _LIMITED | BACKEND_FAILED:
            # It can be by chance, and the file decides where everything else is asked.
            answer = sender.send(place, request)
        answers.append(answer)
        if isinstance(answer, NoAnswer) or not is_redirect(answer):
            return tuple(answers), ""
        if len(answers) > MOST_REDIRECTS:
            return tuple(answers), f"redirects more than {MOST_REDIRECTS} times"
        location = answer.header("Location")
        try:
            place, target = _redirected(place, request.target, location)
        except ValueError as error:
            return tuple(answers), str(error)
        request = request._replace(target=target)


def _redirected(place: Place, target: str, location: str) -> tuple[Place, str]:
    """Where a redirect goes to. Raises ValueError: why it cannot be followed, a piece of a sentence."""
    if not location:
        raise ValueError("redirects without the header Location")
    try:
        parts = urllib.parse.urlsplit(urllib.parse.urljoin(place.url + target, location))
        host, port = parts.hostname or "", parts.port
        read_server_name(f"[{host}]" if ":" in host else host)
    except ValueError:
        raise ValueError(f"redirects to {shown(location)}, which is not a URL") from None
    if parts.scheme != "https":
        raise ValueError(f"redirects to {shown(location)}, which is not https")
    return Place("https", host, port or 443), target_of(parts)


def _read(answers: tuple[Answer | NoAnswer, ...], redirect: str, most_bytes: int | None) -> Fetched:
    last = answers[-1]
    if redirect:
        return Fetched(answers, REDIRECT, {}, redirect)
    if isinstance(last, NoAnswer):
        if len(answers) > 1 and last.kind != "not_asked":
            target = shown(last.place.url + last.request.target.partition("?")[0])
            return Fetched(answers, REDIRECT, {}, f"redirects to {target}, where nothing answers ({last.reason})")
        if last.kind == "not_asked":
            return Fetched(answers, NOT_ASKED, {}, f"was not read ({last.reason})")
        return Fetched(answers, MISSING, {}, f"cannot be read ({last.reason})")
    if last.status in _LIMITED:
        return Fetched(answers, LIMITED, {}, f"was not read, because the proxy answered {last.status} twice")
    if last.status in BACKEND_FAILED:
        problem = f"was not read, because the proxy does not reach what serves it (status {last.status})"
        return Fetched(answers, NO_BACKEND, {}, problem)
    if last.status in (404, 410):
        return Fetched(answers, MISSING, {}, "does not exist")
    if last.status in (401, 403):
        problem = f"is refused with the status {last.status}, by a rule or an authentication of the proxy"
        return Fetched(answers, INVALID, {}, problem)
    if last.status != 200:
        return Fetched(answers, INVALID, {}, f"is answered with the status {last.status}, not 200")
    if not last.body.strip() and not is_json_type(last):
        # As Caddy does for a path for which nothing is configured.
        return Fetched(answers, MISSING, {}, "does not exist, as the answer is empty")
    if most_bytes is not None and len(last.body) >= most_bytes:
        return Fetched(answers, INVALID, {}, f"is too large: Synapse reads less than {most_bytes // 1024} KiB")
    if last.body.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        return Fetched(answers, PAGE, {}, _page(last))
    try:
        return Fetched(answers, READ, _object_in(last.body), "")
    except ValueError as error:
        return Fetched(answers, INVALID, {}, str(error))


def _object_in(body: bytes) -> dict[str, t.Any]:
    """The JSON object. Raises ValueError: what is wrong, a piece of a sentence whose subject is the file."""
    if body.startswith(b"\xef\xbb\xbf"):
        raise ValueError("begins with a byte order mark: save it as UTF-8 without one")
    if not body.strip():
        raise ValueError("is empty")
    try:
        value = json.loads(body.decode("utf-8"), parse_constant=_refuse)
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"is not JSON (line {error.lineno}, column {error.colno}: {error.msg})") from None
    except (ValueError, RecursionError):
        raise ValueError("is not JSON") from None
    if not isinstance(value, dict):
        raise ValueError("is not a JSON object")
    return value


def _refuse(constant: str) -> t.NoReturn:
    raise ValueError(constant)


def _page(answer: Answer) -> str:
    if is_login_page(answer):
        return "is answered with a login page, not with JSON: let the proxy serve this path without a login"
    named = page(answer) if is_html(answer) else "a page of the web server"
    return f"is answered with {named}, not with JSON"
