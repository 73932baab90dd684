# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A request that Synapse cannot answer for a while, because it waits for another server."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import typing as t
import urllib.parse
import urllib.request

from ansible_collections.matrix_ops.synapse.tests.contract.server import Server

# The settings of a server on which a request can hang: longer than any test lasts, also on a slow machine.
SETTINGS: dict[str, t.Any] = {
    "federation": {"client_timeout": "600s", "max_long_retries": 0, "max_short_retries": 0},
    "ip_range_blacklist": [],
}
METHOD, SERVLET, ENDPOINT = "GET", "ClientDirectoryServer", "/_matrix/client/v3/directory/room/{room_alias}"
_SECONDS = 60


@contextlib.contextmanager
def hanging_request(server: Server) -> t.Iterator[None]:
    """Let a request of `ENDPOINT` hang until the end of the block. The server has been started with `SETTINGS`."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        alias = urllib.parse.quote(f"#hanging:127.0.0.1:{silent.getsockname()[1]}", safe="")
        path = ENDPOINT.format(room_alias=alias)
        hanging = threading.Thread(target=_ask_quietly, args=(server, path), daemon=True)
        hanging.start()
        silent.settimeout(_SECONDS)
        connection, _address = silent.accept()
        with connection:
            yield
    hanging.join(_SECONDS)
    assert not hanging.is_alive(), "the request still hangs although the other server is gone"


def _ask_quietly(server: Server, path: str) -> None:
    request = urllib.request.Request(
        f"{server.base_url}{path}", headers={"Authorization": f"Bearer {server.user_token}"}
    )
    with contextlib.suppress(OSError, ssl.SSLError):
        urllib.request.urlopen(request, timeout=600).read()
