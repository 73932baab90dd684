# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Downloads the answer of a server into a file, piece by piece, and only from trusted URLs."""

from __future__ import annotations

import typing as t
import urllib.parse

from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client, filled
from ansible_collections.matrix_ops.synapse.plugins.module_utils._connection_options import is_loopback
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import (
    ConnectionFailed,
    InvalidInput,
    UnexpectedAnswer,
)

if t.TYPE_CHECKING:
    import requests

_PIECE = 1 << 17
_REDIRECTS_FOLLOWED = 3


class Sink(t.Protocol):
    """The target of a download."""

    def write(self, piece: bytes, /) -> object:
        """Write the next bytes."""


def download(
    client: Client,
    template: str,
    file: Sink,
    *,
    params: t.Mapping[str, t.Any] | None = None,
    closing: bool = False,
    **path: str,
) -> int:
    """Write the answer to a GET request into `file`, piece by piece, and return its size in bytes. See Client.request.

    The client's `timeout` applies to each piece. `closing` ends the connection after the answer, so that an answer
    which is shorter than announced is detected at once. Otherwise Synapse sends nothing more and keeps it open.
    A redirect, for example to an object store, is followed without the access token, and only to HTTPS or to a server
    on the same host. Raises what Client.request and `file.write` raise. A part may have been written then.
    """
    headers = {"Accept-Encoding": "identity", **({"Connection": "close"} if closing else {})}
    where = filled(template, path)
    asked: t.Mapping[str, t.Any] | str | None = params
    redirects = _REDIRECTS_FOLLOWED
    while True:
        with client.streamed(where, params=asked, headers=headers) as response:
            if response.status_code < 300:
                return _receive(f"GET {client.address.at(where)}", response, file)
            if response.status_code not in (307, 308):
                client.answer_of("GET", where, response)
        client, where, asked = _elsewhere(client, where, response, redirects)
        redirects -= 1


def _receive(naming: str, response: requests.Response, file: Sink) -> int:
    # Old versions of the library do not check the length, and new ones report it with their own messages.
    response.raw.enforce_content_length = False
    received = 0
    for piece in response.iter_content(_PIECE):
        file.write(piece)
        received += len(piece)
    announced = response.headers.get("Content-Length", "")
    if announced.isdigit() and received != int(announced) and "Content-Encoding" not in response.headers:
        raise ConnectionFailed(
            f"{naming} failed: the connection ended after {received} of {announced} bytes."
            " Check that Synapse runs, and check the proxies between it and this host."
        )
    return received


def _elsewhere(client: Client, where: str, response: requests.Response, redirects: int) -> tuple[Client, str, str]:
    """Return a client without the token for the target of a redirect, and the path and the query to request."""
    source = urllib.parse.urlsplit(client.base_url + where)
    redirected = f"GET {client.address.at(where)} was redirected to"
    try:
        target = urllib.parse.urlsplit(urllib.parse.urljoin(source.geturl(), response.headers.get("Location", "")))
        stranger = client.stranger_to(f"{target.scheme}://{target.netloc}")
    except InvalidInput as error:
        raise UnexpectedAnswer(
            f"{redirected} something that is not a URL. Check the reverse proxy of Synapse."
        ) from error
    # Without the query, which may contain a secret.
    redirected = f"{redirected} {stranger.base_url}{target.path}"
    if client.has_token and target.path == source.path:
        # The same endpoint on another server, which would require the token.
        raise UnexpectedAnswer(f"{redirected}. Set {client.address.leading_to('Synapse itself')}.")
    safe = target.scheme == "https" or _is_on_host_of(client, source, target)
    if not safe or not redirects:
        reason = "it is neither HTTPS nor on the same host" if redirects else "there are too many redirects"
        raise UnexpectedAnswer(
            f"{redirected}, which was not followed: {reason}. Check how Synapse and its reverse proxy serve media."
        )
    return stranger, target.path, target.query


def _is_on_host_of(client: Client, source: urllib.parse.SplitResult, target: urllib.parse.SplitResult) -> bool:
    if client.address.unix_socket:
        # Then the host of base_url is only a name.
        return source[:2] == target[:2] or is_loopback(target.hostname or "")
    return (target.scheme, target.hostname) == (source.scheme, source.hostname)
