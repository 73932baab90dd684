# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Where a redirect leads. Neither other servers nor most clients follow one, so it is followed only to report it."""

from __future__ import annotations

import typing as t
import urllib.parse

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.connecting import shown
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.exchange import (
    DEFAULT_PORTS,
    Answer,
    NoAnswer,
    Place,
    Request,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.subject import Sends

_MOST = 5
_LOGIN_WORDS = ("login", "signin", "sign_in", "auth", "sso", "cloudflareaccess")
# In a URL, all but these are encoded before it is sent.
_SAFE = "".join(chr(code) for code in range(0x21, 0x7F))


class Redirect(t.NamedTuple):
    """Where a redirect leads.

    `url`: the last one that is known, without its query. `is_loop`: one of the URLs came twice, or there were too many.
    `last`: the answer there, None if it was not asked, as on every other host.
    """

    url: str
    is_loop: bool
    last: Answer | NoAnswer | None
    leaves_host: bool

    @property
    def looks_like_login(self) -> bool:
        """Whether the URL has the words of a login page."""
        return any(word in self.url.lower() for word in _LOGIN_WORDS)


def is_redirect(answer: Answer) -> bool:
    """Whether an answer sends its client to another URL."""
    return answer.status in (301, 302, 303, 307, 308)


def follow(sender: Sends, first: Answer) -> Redirect:
    """Follow a redirect on the same host, at most five times.

    Another host gets no request: a hostile server could otherwise choose what is asked in the network of this host.
    """
    answer = first
    url = _url(first.place, first.request.target)
    visited = {url}
    for _step in range(_MOST):
        target = _joined(url, answer.header("Location"))
        if target is None:
            return Redirect(_shown(answer.header("Location")) or "an empty Location", False, None, False)
        place, path = target
        url = _url(place, path)
        if url in visited:
            return Redirect(_shown(url), True, None, False)
        visited.add(url)
        if place.host.lower() != first.place.host.lower():
            return Redirect(_shown(url), False, None, True)
        got = sender.send(place, Request(path))
        if isinstance(got, NoAnswer) or not is_redirect(got):
            return Redirect(_shown(url), False, got, False)
        answer = got
    return Redirect(_shown(url), True, None, False)


def target_of(url: urllib.parse.SplitResult) -> str:
    """Return the path and the query of a URL as they can be sent."""
    path = urllib.parse.quote(url.path or "/", safe=_SAFE)
    return f"{path}?{urllib.parse.quote(url.query, safe=_SAFE)}" if url.query else path


def _shown(url: str) -> str:
    # The query can contain what identifies a session.
    return shown(url.partition("?")[0], 200)


def _url(place: Place, target: str) -> str:
    return f"{place.scheme}://{place.netloc.lower()}{target}"


def _joined(url: str, location: str) -> tuple[Place, str] | None:
    """Return the place and the path of a Location, None if it is not a URL for HTTP."""
    if not location:
        return None
    try:
        parts = urllib.parse.urlsplit(urllib.parse.urljoin(url, location))
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname or port == 0:
        return None
    return Place(parts.scheme, parts.hostname, port or DEFAULT_PORTS[parts.scheme]), target_of(parts)
