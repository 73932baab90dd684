# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Downloads: what a server answers goes into a file piece by piece, and to no other place than may be trusted."""

from __future__ import annotations

import typing as t
import urllib.parse

from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client, filled
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
    """What a download is written to."""

    def write(self, piece: bytes, /) -> object:
        """Take the next bytes."""


def download(
    client: Client,
    template: str,
    file: Sink,
    *,
    params: t.Mapping[str, t.Any] | None = None,
    closing: bool = False,
    **path: str,
) -> int:
    """Write what GET answers into `file`, piece by piece, and return how many bytes they were. See Client.request.

    The client's `timeout` is for each piece. `closing` ends the connection with the answer, so that one which is
    shorter than Synapse has said is known at once: Synapse keeps silent in the middle of it otherwise.
    A redirect is followed, as to a store of objects, but without the access token, and only to HTTPS or to a server
    on the same host. Raises what Client.request does, and what `file.write` does; part may have been written then.
    """
    headers = {"Accept-Encoding": "identity", **({"Connection": "close"} if closing else {})}
    where = filled(template, path)
    asked: t.Mapping[str, t.Any] | str | None = params
    redirects = _REDIRECTS_FOLLOWED
    while True:
        with client.streamed(where, params=asked, headers=headers) as response:
            if response.status_code < 300:
                return _receive(f"GET {client.base_url}{where}", response, file)
            if response.status_code not in (307, 308):
                client.answer_of("GET", where, response)
        client, where, asked = _elsewhere(client, where, response, redirects)
        redirects -= 1


def _receive(naming: str, response: requests.Response, file: Sink) -> int:
    # Old versions of the library do not check the length, and new ones tell of it in words of their own.
    response.raw.enforce_content_length = False
    received = 0
    for piece in response.iter_content(_PIECE):
        file.write(piece)
        received += len(piece)
    announced = response.headers.get("Content-Length", "")
    if announced.isdigit() and received != int(announced) and "Content-Encoding" not in response.headers:
        raise ConnectionFailed(
            f"{naming} failed: the connection ended after {received} of {announced} bytes."
            " See whether Synapse runs, and what stands between it and this host."
        )
    return received


def _elsewhere(client: Client, where: str, response: requests.Response, redirects: int) -> tuple[Client, str, str]:
    """Return who asks without the token where a redirect leads to, and the path and the query to ask for."""
    source = urllib.parse.urlsplit(client.base_url + where)
    redirected = f"GET {client.base_url}{where} was redirected to"
    try:
        target = urllib.parse.urlsplit(urllib.parse.urljoin(source.geturl(), response.headers.get("Location", "")))
        stranger = client.stranger_to(f"{target.scheme}://{target.netloc}")
    except InvalidInput as error:
        raise UnexpectedAnswer(f"{redirected} what is not a URL. See what stands before Synapse.") from error
    # Without the query, which may be what lets anybody in who knows it.
    redirected = f"{redirected} {stranger.base_url}{target.path}"
    if client.has_token and target.path == source.path:
        # The same endpoint at another place, which would want the token.
        raise UnexpectedAnswer(f"{redirected}. Set base_url to where Synapse itself answers.")
    safe = target.scheme == "https" or (target.scheme, target.hostname) == (source.scheme, source.hostname)
    if not safe or not redirects:
        why = "it is neither HTTPS nor on the same host" if redirects else "redirects lead on and on"
        raise UnexpectedAnswer(
            f"{redirected}, which was not followed: {why}."
            " See how Synapse, or what stands before it, is told to serve media."
        )
    return stranger, target.path, target.query
