# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""HTTP over a Unix socket, by the library requests-unixsocket2 or the older requests-unixsocket.

Both contain the same Python package. Relies on its UnixAdapter, which is the same in 0.1.5 to 1.0.1.
"""

from __future__ import annotations

import errno
import os
import pwd
import socket
import stat
import sys
import threading
import time
import typing as t
import urllib.parse

from ansible_collections.matrix_ops.synapse.plugins.module_utils._address import Address
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, MissingLibrary, causes

if t.TYPE_CHECKING:
    from requests.adapters import HTTPAdapter

_LIBRARY = "requests-unixsocket2"
# Without them Synapse does not know an address of the client, and answers 500 where it needs one, such as for a login
# (getClientAddress in synapse/http/site.py, 1.163). A listener at a Unix socket believes them.
_FORWARDED = {"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "http"}
# In seconds, before a listener is asked again that has no room for one more connection. TCP waits for it by itself.
_PAUSE = 0.05


def headers_for(address: Address) -> dict[str, str]:
    """Return what each request over the socket of `address` must contain."""
    return {"Host": urllib.parse.urlsplit(address.base_url).netloc, **_FORWARDED}


def adapter_for(unix_socket: str, connections: int) -> HTTPAdapter:
    """Return what sends the requests of a session to a socket, for as many threads as there are `connections`.

    The URLs of the requests do not name the socket. Raises MissingLibrary, or InvalidInput if the library is too old.
    """
    import requests
    import urllib3

    try:
        from requests_unixsocket.adapters import UnixAdapter, UnixHTTPConnection
    except ImportError as error:
        raise MissingLibrary(_LIBRARY, "for the option unix_socket") from error
    is_new = hasattr(urllib3, "BaseHTTPResponse")
    if is_new and not issubclass(UnixHTTPConnection, urllib3.connection.HTTPConnection):
        raise InvalidInput(
            f"The installed requests-unixsocket is too old for urllib3 2. Install {_LIBRARY} in its place, in the"
            " Python of the module."
        )
    root = f"http+unix://{urllib.parse.quote(unix_socket, safe='')}"

    class Adapter(UnixAdapter):
        """The adapter of the library has a pool for each URL. This one has a pool for each thread, to reuse it."""

        def get_connection(self, url: str | bytes, proxies: t.Any = None) -> t.Any:
            adapter: t.Any = super()
            return adapter.get_connection(f"{root}/{threading.get_ident()}")

        # The older versions of the library do not have it, and newer ones of requests call only this.
        def get_connection_with_tls_context(
            self, request: t.Any, verify: t.Any, proxies: t.Any = None, cert: t.Any = None
        ) -> t.Any:
            return self.get_connection(request.url)

        def send(
            self,
            request: requests.PreparedRequest,
            stream: bool = False,
            timeout: t.Any = None,
            verify: t.Any = True,
            cert: t.Any = None,
            proxies: t.Any = None,
        ) -> requests.Response:
            end = time.monotonic() + timeout
            handled = sys.exc_info()[1]
            while True:
                try:
                    return super().send(request, stream, timeout, verify, cert, proxies)
                except OSError as error:
                    if _errno_of(causes(error, handled)) != errno.EAGAIN or time.monotonic() > end:
                        raise
                except AttributeError as error:
                    # urllib3 ignores this number, and then has no connection.
                    if "NoneType" not in str(error):
                        raise
                    raise requests.ConnectionError(OSError(errno.EPROTOTYPE, "Wrong kind of socket")) from error
                time.sleep(_PAUSE)

    # The library has no types of its own.
    make: t.Callable[..., HTTPAdapter] = Adapter
    return make(pool_connections=connections + 1)


def connect_to_path(unix_socket: str, left: t.Callable[[], float]) -> socket.socket:
    """Return a connection to a socket. `left` returns how many seconds are left. Raises OSError, and what it raises."""
    connection = socket.socket(socket.AF_UNIX)
    try:
        while True:
            connection.settimeout(left())
            try:
                connection.connect(unix_socket)
                return connection
            except BlockingIOError:
                time.sleep(_PAUSE)
    except BaseException:
        connection.close()
        raise


def problem_of(found: t.Iterable[BaseException], unix_socket: str) -> str:
    """Return why there is no connection to a socket and what to do, as sentences; "" if there was a connection.

    `found`: the error and what it wraps.
    """
    fix = "Check that Synapse runs, and that unix_socket is the path of one of its listeners."
    number = _errno_of(found)
    if number == errno.ENOENT:
        return f"unix_socket {unix_socket} does not exist. {fix}"
    if number in (errno.EACCES, errno.EPERM):
        return (
            f"the user {_user()} is not allowed to connect to unix_socket {unix_socket}. Run the task with become, or"
            " allow it with the mode of the listener and of the directories above."
        )
    if number in (errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG):
        return f"unix_socket {unix_socket} is not a valid path ({os.strerror(number)}). {fix}"
    if number == errno.EPROTOTYPE:
        return f"unix_socket {unix_socket} is a socket of a kind that has no HTTP. {fix}"
    if number == errno.ECONNREFUSED:
        kind = _kind_of(unix_socket)
        return f"unix_socket {unix_socket} is {kind}. {fix}" if kind else f"nothing listens at {unix_socket}. {fix}"
    if number == errno.EAGAIN:
        return (
            f"unix_socket {unix_socket} accepts no more connections. Check whether Synapse is overloaded, or set the"
            " option timeout to more seconds."
        )
    return ""


def _errno_of(found: t.Iterable[BaseException]) -> int | None:
    """The number of the error of the system that a library has wrapped."""
    return next((each.errno for each in found if isinstance(each, OSError) and isinstance(each.errno, int)), None)


def _kind_of(path: str) -> str:
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return ""
    if stat.S_ISDIR(mode):
        return "a directory, not a socket"
    return "" if stat.S_ISSOCK(mode) else "a file, not a socket"


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())
