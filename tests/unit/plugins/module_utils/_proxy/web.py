# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Web sites and a DNS that exist only in a test."""

from __future__ import annotations

import json
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.exchange import Answer, NoAnswer, Place, Request
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.service_records import LookupFailed, Record

JSON = ("Content-Type", "application/json")
CORS = ("Access-Control-Allow-Origin", "*")
REFUSED = "refused"


class Page(t.NamedTuple):
    """What is answered. `kind`: of a NoAnswer, "" for an answer."""

    body: bytes = b""
    status: int = 200
    headers: tuple[tuple[str, str], ...] = (JSON, CORS)
    kind: str = ""


def page(content: t.Any = b"", status: int = 200, headers: tuple[tuple[str, str], ...] = (JSON, CORS)) -> Page:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return Page(body, status, headers)


def redirect(location: str, *headers: tuple[str, str]) -> Page:
    return Page(b"", 302, (("Location", location), CORS, *headers))


class Web:
    """Sends requests to pages. `pages`: by URL; any other one of a known host is a 404, any other host refuses."""

    def __init__(self, pages: t.Mapping[str, Page] | None = None) -> None:
        self.pages = dict(pages or {})
        self.asked: list[str] = []
        self.requests: list[Request] = []

    def send(self, place: Place, request: Request, timeout: float | None = None) -> Answer | NoAnswer:
        url = f"{place.url}{request.target}"
        self.asked.append(url)
        self.requests.append(request)
        found = self.pages.get(url)
        if found is None and any(known.startswith(f"{place.url}/") for known in self.pages):
            found = page(b"nothing here", 404, ())
        if found is None or found.kind:
            kind = found.kind if found else REFUSED
            return NoAnswer(place, request, "tag", kind, f"{place.address} {kind} the connection")
        return Answer(
            place,
            request,
            "tag",
            found.status,
            found.headers,
            found.body,
            0.1,
            "HTTP/1.1",
            "192.0.2.1:443",
            "192.0.2.2",
        )


class Dns:
    """Looks up records. `records`: by name; None: the DNS fails there."""

    def __init__(
        self, records: t.Mapping[str, list[Record] | None] | None = None, aliases: t.Mapping[str, str] | None = None
    ) -> None:
        self._records = dict(records or {})
        self._aliases = dict(aliases or {})
        self.asked: list[str] = []

    def lookup(self, name: str) -> list[Record]:
        self.asked.append(name)
        found = self._records.get(name, [])
        if found is None:
            raise LookupFailed("The DNS servers did not answer.", "Check the DNS.")
        return found

    def alias_of(self, host: str) -> str:
        return self._aliases.get(host, "")
