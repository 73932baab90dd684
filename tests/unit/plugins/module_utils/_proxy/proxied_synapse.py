# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A Synapse behind a proxy that exist only in a test: what Synapse 1.163 answers, and how proxies change targets."""

from __future__ import annotations

import json
import re
import threading
import typing as t
from urllib.parse import unquote, unquote_to_bytes

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.exchange import Answer, NoAnswer, Place, Request
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.subject import Signs, Site, Subject

NAME = "example.org"
PUBLIC = Place("https", "matrix.example.org", 443)
FEDERATION = Place("https", "matrix.example.org", 8448)
DIRECT = Place("http", "127.0.0.1", 8008)
ALL = ("client", "media", "well_known", "federation", "key")
HTML = (("Content-Type", "text/html"),)
_NO_RESOURCE = b"<html><title>404 - No Such Resource</title></html>"


class Page(t.NamedTuple):
    """What is answered."""

    status: int
    body: bytes = b"<html>the proxy</html>"
    headers: tuple[tuple[str, str], ...] = HTML


Proxy = t.Callable[[str], t.Union[str, Page, None]]


class Arrived(t.NamedTuple):
    """What the log shows of a request."""

    uri: str


def error(status: int, errcode: str, text: str = "Unrecognized request") -> Page:
    return Page(status, json.dumps({"errcode": errcode, "error": text}).encode(), ())


def synapse(target: str) -> Page:
    """Answer as Synapse does."""
    path, mark, query = target.partition("?")
    if not path.startswith("/_matrix"):
        return Page(404, _NO_RESOURCE)
    if unquote(path) == "/_matrix/static":
        return Page(302, b"", (("Location", f"{path}/{mark}{query}"),))
    if path == "/_matrix/client/versions":
        is_token = "access_token=" in query
        return error(401, "M_UNKNOWN_TOKEN") if is_token else Page(200, b'{"versions": ["v1.11"]}', ())
    if path == "/_matrix/federation/v1/version":
        return Page(200, b'{"server": {"name": "Synapse"}}', ())
    if re.fullmatch("/_matrix/key/v2/server(/[^/]*)?", path):
        return Page(200, b'{"server_name": "example.org"}', ())
    found = re.fullmatch("/_matrix/client/v3/directory/room/([^/]*)", path)
    if found:
        alias = unquote(found[1])
        if not alias.startswith("#"):
            return error(400, "M_INVALID_PARAM", "Room alias invalid")
        return error(404, "M_NOT_FOUND", f"Room alias {alias} not found")
    if re.fullmatch("/_matrix/media/v3/download/[^/]*/[^/]*(/[^/]*)?", path):
        if "allow_remote=x" in query:
            return error(400, "M_INVALID_PARAM")
        is_local = "allow_remote=false" in query.split("&")
        return error(404, "M_NOT_FOUND", f"Not found '{path}'" if is_local else "Not found")
    if re.fullmatch("/_matrix/federation/v1/(event/[^/]*/?|make_join/[^/]*/[^/]*)", path):
        return error(401, "M_UNAUTHORIZED", "Missing Authorization headers")
    if re.fullmatch("/_matrix/federation/v2/send_join/[^/]*/[^/]*", path):
        return error(405, "M_UNRECOGNIZED")
    if path == "/_matrix/federation/v1/openid/userinfo":
        return error(401, "M_UNKNOWN_TOKEN" if "access_token=" in query else "M_MISSING_TOKEN")
    return error(404, "M_UNRECOGNIZED")


class World:
    """Sends requests through a proxy to Synapse, or to Synapse itself. It is also the log of Synapse.

    `direct`: what Synapse itself answers, if the proxy changes answers.
    """

    reason, fix = "", ""

    def __init__(
        self,
        proxy: Proxy,
        server: t.Callable[[str], Page] = synapse,
        direct: t.Callable[[str], Page] | None = None,
    ) -> None:
        self._proxy = proxy
        self._server = server
        self._direct = direct or server
        self._logged: dict[str, str] = {}
        self._lock = threading.Lock()
        self.sent: list[tuple[Place, Request]] = []

    def send(self, place: Place, request: Request, timeout: float | None = None) -> Answer | NoAnswer:
        with self._lock:
            return self._answer(place, request)

    def _answer(self, place: Place, request: Request) -> Answer | NoAnswer:
        self.sent.append((place, request))
        tag = f"{len(self.sent):012x}"
        arrived = request.target if place == DIRECT else self._proxy(request.target)
        if arrived is None:
            return NoAnswer(place, request, tag, "timeout", f"{place.address} did not answer within 10 seconds")
        if isinstance(arrived, str):
            self._logged[tag] = re.sub("access_token=[^&]*", "access_token=<redacted>", arrived)
            arrived = self._direct(arrived) if place == DIRECT else self._server(arrived)
        status, body, headers = arrived
        return Answer(place, request, tag, status, headers, body, 0.1, "HTTP/1.1", "192.0.2.1:443", "192.0.2.2")

    def get(self, tag: str) -> Arrived | None:
        return Arrived(self._logged[tag]) if tag in self._logged else None


class NoLog:
    """A log that is not known."""

    reason, fix = "", ""

    def get(self, tag: str) -> Arrived | None:
        return None


def subject_of(world: World, direct: bool = False, two_sites: bool = False, signer: Signs | None = None) -> Subject:
    sites: tuple[Site, ...] = (Site("client", PUBLIC, ALL),)
    if two_sites:
        sites = (Site("client", PUBLIC, ALL[:3]), Site("federation", FEDERATION, ALL[3:]))
    return Subject(NAME, sites, world, direct=DIRECT if direct else None, signer=signer)


def intact(target: str) -> str:
    return target


def nginx(target: str) -> str:
    """Change a target as nginx does if proxy_pass has a path: it decodes, merges slashes, and encodes what it must."""
    path, mark, query = target.partition("?")
    kept: list[bytes] = []
    for segment in re.sub(rb"/+", b"/", unquote_to_bytes(path)).split(b"/"):
        if segment == b"..":
            kept[1:] = kept[1:-1]
        elif segment != b".":
            kept.append(segment)
    encoded = (chr(byte) if 0x21 <= byte < 0x7F and byte not in b'#%?"' else f"%{byte:02X}" for byte in b"/".join(kept))
    return "".join(encoded) + mark + query


def apache(target: str) -> str:
    """Change a target as Apache does with AllowEncodedSlashes NoDecode, but without nocanon."""
    path, mark, query = target.partition("?")
    tokens = (
        token if len(token) == 1 or token.upper() == "%2F" else chr(int(token[1:], 16))
        for token in re.findall("%[0-9A-Fa-f]{2}|.", path)
    )
    allowed = re.compile("[A-Za-z0-9$_.+!*'(),:@&=;~/-]|%2[Ff]")
    return "".join(token if allowed.fullmatch(token) else f"%{ord(token):02X}" for token in tokens) + mark + query


def encoding_twice(target: str) -> str:
    path, mark, query = target.partition("?")
    return path.replace("%", "%25") + mark + query


def refusing(pattern: str, status: int) -> Proxy:
    """Return a proxy that answers itself to paths with a pattern."""

    def proxy(target: str) -> str | Page:
        return Page(status) if re.search(pattern, target.partition("?")[0], re.I) else target

    return proxy


def only(prefix: str, proxy: Proxy) -> Proxy:
    """Return a proxy that changes only paths with a prefix."""
    return lambda target: proxy(target) if target.startswith(prefix) else target
