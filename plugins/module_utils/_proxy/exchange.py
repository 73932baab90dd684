# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""What is sent to a server and what comes back, byte for byte: places, requests, answers."""

from __future__ import annotations

import json
import re
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._address import Address
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.server_names import joined

DEFAULT_PORTS = {"http": 80, "https": 443}
# Such as M_NOT_FOUND, or with a name in reverse order in front. It becomes part of sentences.
_ERRCODE = re.compile(r"[A-Za-z0-9_.-]{1,100}")


class Place(t.NamedTuple):
    """Where a server listens: the scheme, the host as in a URL without brackets, and the port.

    `unix_socket`: the path of a Unix socket to which the connection goes instead, "" if there is none.
    """

    scheme: str
    host: str
    port: int
    unix_socket: str = ""

    @property
    def netloc(self) -> str:
        """The host and the port as in a URL: the port only if it is not the default, IPv6 in brackets."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def address(self) -> str:
        """The host and the port, always with the port, IPv6 in brackets."""
        return joined(self.host, self.port)

    @property
    def url(self) -> str:
        """The URL without a path."""
        return f"{self.scheme}://{self.netloc}"

    @property
    def named(self) -> str:
        """The URL without a path as messages name it, with the socket."""
        return str(Address(self.url, self.unix_socket))


class Request(t.NamedTuple):
    """A request. `target` is the path and the query as they are sent, without any change.

    `is_sent_once`: on a new connection, so that it is never repeated because a kept connection was closed.
    """

    target: str
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    is_sent_once: bool = False


class Answer(t.NamedTuple):
    """The answer to a request.

    `seconds`: from sending the request to the last byte. `version`: such as HTTP/1.1. `address`: to which the
    connection was made, `local_address`: from which. `tag`: what the user agent contains, to find it in a log.
    """

    place: Place
    request: Request
    tag: str
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    seconds: float
    version: str
    address: str
    local_address: str

    def all(self, name: str) -> list[str]:
        """Return the values of every header with this name, in their order."""
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def header(self, name: str) -> str:
        """Return the first value of a header, "" if there is none."""
        return next(iter(self.all(name)), "")

    @property
    def json(self) -> dict[str, t.Any]:
        """The body as a JSON object, {} if it is none."""
        try:
            value = json.loads(self.body)
        except (ValueError, RecursionError):
            return {}
        return value if isinstance(value, dict) else {}

    @property
    def errcode(self) -> str:
        """The `errcode` of an error of Matrix, "" if the answer has none, or a text that cannot be one."""
        text = text_of(self.json.get("errcode"))
        return text if _ERRCODE.fullmatch(text) else ""

    @property
    def error(self) -> str:
        """The `error` of an error of Matrix, "" if the answer has none."""
        return text_of(self.json.get("error"))

    @property
    def is_matrix(self) -> bool:
        """Whether the answer is JSON, as all answers of the Matrix endpoints of Synapse."""
        return bool(self.json) or self.body.strip() in (b"{}", b'""')


class NoAnswer(t.NamedTuple):
    """Why a request got no answer.

    `kind`: refused, unresolved, timeout (the connection was not accepted in time), silent (it was accepted, but
    there was no answer in time), certificate, tls, closed, unreachable, not_http or not_asked. `reason`: a piece of a
    sentence, such as "127.0.0.1:8448 refused the connection".
    """

    place: Place
    request: Request
    tag: str
    kind: str
    reason: str


def text_of(value: t.Any) -> str:
    """Return a text, "" for any other value."""
    return value if isinstance(value, str) else ""
