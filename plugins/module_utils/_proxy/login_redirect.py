# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Whether the login by single sign-on ends in an endless redirect, because Synapse sees another URL than the client.

Relies on `SsoRedirectServlet` in synapse/rest/client/login.py and `get_request_uri` in synapse/http/__init__.py of
Synapse 1.163. Synapse takes the scheme of X-Forwarded-Proto and the header Host, with its port, and redirects to
public_baseurl if the requested URL does not begin with exactly this text: also `example.org:443` is not `example.org`.
The request has no redirectUrl, so Synapse refuses it (400) before it asks the identity provider or stores anything.
"""

from __future__ import annotations

import secrets
import typing as t
import urllib.parse

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.arrivals import Arrivals
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.exchange import (
    DEFAULT_PORTS,
    Answer,
    NoAnswer,
    Place,
    Request,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.finding import (
    ERROR,
    Finding,
    Found,
    Unknown,
    evidence,
    fix_of,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.subject import Site, Subject

_PATH = "/_matrix/client/v3/login/sso/redirect"
# From a network for documentation (RFC 5737).
_CLIENT = "203.0.113.1"
_LOOP = "so a login by single sign-on redirects to the same URL without end"


class RedirectAsked(t.NamedTuple):
    """The answer of a site, and if that is an endless redirect, Synapse's own one to the headers as they should be."""

    public: Answer | NoAnswer
    direct: Answer | NoAnswer | None = None

    @property
    def direct_loops(self) -> bool:
        """Whether Synapse itself redirects too, although the headers are right: it ignores them."""
        if not isinstance(self.public, Answer) or not isinstance(self.direct, Answer):
            return False
        return 300 <= self.direct.status < 400 and self.direct.header("Location") == self.public.header("Location")


def ask_redirect(subject: Subject, site: Site) -> RedirectAsked:
    """Ask for the redirect of single sign-on: one request to the site, and at most one to Synapse itself."""
    # It makes the target unique, so that it can be found in the log.
    request = Request(f"{_PATH}?probe={secrets.token_hex(8)}")
    public = subject.sender.send(site.place, request)
    if not isinstance(public, Answer) or not _loops(subject, site.place, public) or subject.direct is None:
        return RedirectAsked(public)
    scheme, host = _base(public.header("Location"))
    headers = (("Host", host), ("X-Forwarded-For", _CLIENT), ("X-Forwarded-Proto", scheme))
    return RedirectAsked(public, subject.sender.send(subject.direct, request._replace(headers=headers)))


def judge_redirect(
    subject: Subject, site: Site, asked: RedirectAsked, arrivals: Arrivals, *, lacks_address: bool
) -> Found:
    """Return why Synapse sees another URL. Nothing if there is no single sign-on, because then it has no effect.

    `lacks_address`: whether it is known that X-Forwarded-For does not arrive: then Synapse ignores X-Forwarded-Proto.
    """
    public = asked.public
    if isinstance(public, NoAnswer):
        reason = f"{public.place.url}{_PATH} had no answer: {public.reason}."
        return Found((), (Unknown("host_wrong", reason, fix_of(public)),))
    if public.status == 429 or public.status >= 500:
        reason = f"{public.place.url}{_PATH} answered with {public.status}."
        return Found((), (Unknown("host_wrong", reason, "Run the task again."),))
    if not _loops(subject, site.place, public):
        return Found()
    scheme, host = _base(public.header("Location"))
    requested = arrivals.requested_uri(public.request.target)
    ignored = subject.settings.x_forwarded is False or asked.direct_loops
    if requested:
        findings = _certain(site, public, _base(requested), (scheme, host), ignored=ignored)
        return Found(tuple(each for each in findings if each.name == "host_wrong" or not lacks_address))
    if lacks_address and scheme == "https":
        return Found()
    if ignored and scheme == "https":
        return Found((_ignored(site, public),))
    return Found(_either(site, public, scheme, host))


def _certain(
    site: Site, public: Answer, arrived: tuple[str, str], right: tuple[str, str], *, ignored: bool
) -> list[Finding]:
    """The findings if the log shows which URL Synapse has seen."""
    findings = []
    shown = evidence(public, expected="://".join(right), arrived="://".join(arrived))
    if arrived[1] != right[1]:
        what = f"The proxy sends the header Host as {arrived[1]} instead of {right[1]}, {_LOOP}."
        findings.append(Finding("host_wrong", what, ERROR, site.name, shown, values={"host": right[1]}))
    if arrived[0] != right[0] and ignored:
        findings.append(_ignored(site, public))
    elif arrived[0] != right[0]:
        what = f"The proxy makes Synapse see {arrived[0]} instead of {right[0]} (X-Forwarded-Proto), {_LOOP}."
        values = {"scheme": right[0]}
        findings.append(Finding("forwarded_proto_wrong", what, ERROR, site.name, shown, values=values))
    return findings


def _ignored(site: Site, public: Answer) -> Finding:
    what = (
        "Synapse ignores X-Forwarded-For and X-Forwarded-Proto, because x_forwarded is not true for its listener in"
        f" homeserver.yaml, {_LOOP}."
    )
    return Finding("forwarded_for_ignored", what, ERROR, site.name, evidence(public))


def _either(site: Site, public: Answer, scheme: str, host: str) -> tuple[Finding, ...]:
    """Both findings: without the log, it cannot be seen which of the headers is wrong."""
    shown = evidence(public, expected=f"{scheme}://{host}")
    host_wrong = f"another header Host than {host}"
    # Without X-Forwarded-For, Synapse does not look at the other header.
    proto_wrong = f"another X-Forwarded-Proto than {scheme} or no X-Forwarded-For"
    first = f"The proxy sends {host_wrong}, or {proto_wrong}, {_LOOP}."
    second = f"The proxy sends {proto_wrong}, or {host_wrong}, {_LOOP}."
    values = {"host": host, "scheme": scheme}
    return (
        Finding("host_wrong", first, ERROR, site.name, shown, values={**values, "or": "forwarded_proto_wrong"}),
        Finding("forwarded_proto_wrong", second, ERROR, site.name, shown, values={**values, "or": "host_wrong"}),
    )


def _loops(subject: Subject, place: Place, answer: Answer) -> bool:
    """Whether an answer redirects to the URL that was asked for. Only Synapse's own redirects count, if it is known."""
    location = answer.header("Location")
    target = answer.request.target
    if not 300 <= answer.status < 400 or not location.endswith(target):
        return False
    baseurl = subject.settings.public_baseurl
    if baseurl is not None and location != f"{baseurl.rstrip('/')}{target}":
        return False
    try:
        base = urllib.parse.urlsplit(location[: -len(target)])
        port = base.port or DEFAULT_PORTS.get(base.scheme, 0)
    except ValueError:
        return False
    return (
        not base.path
        and "@" not in base.netloc
        and (base.scheme, base.hostname, port) == (place.scheme, place.host.lower(), place.port)
    )


def _base(url: str) -> tuple[str, str]:
    """Return the scheme and the host with the port, if one is written, of a URL."""
    scheme, _colon, rest = url.partition("://")
    return scheme.lower(), rest.partition("/")[0]
