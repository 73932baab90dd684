# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Whether Synapse learns who its clients are: the headers that a proxy adds, and the version of HTTP that it speaks.

Relies on `XForwardedForRequest` in synapse/http/site.py of Synapse 1.163: with x_forwarded, the client's address is
the first one in the first X-Forwarded-For, whoever wrote it. The access log shows it.
"""

from __future__ import annotations

import concurrent.futures
import ipaddress
import secrets
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.arrivals import Arrival, Arrivals
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.exchange import Answer, NoAnswer, Request
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.exposure import is_private
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.finding import (
    ERROR,
    FIX_LIMIT,
    WARNING,
    Finding,
    Found,
    Unknown,
    evidence,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.identity import KEY
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.login_redirect import (
    RedirectAsked,
    ask_redirect,
    judge_redirect,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.subject import Site, Subject

_CLIENT = "/_matrix/client/versions"
_FEDERATION = "/_matrix/federation/v1/version"
_FIX = (
    "Run the task on the host of Synapse, with config_path or log_path, because only the log of Synapse shows the"
    " address of a client and the version of HTTP as they arrived."
)
# A proxy that limits requests.
_REFUSED = (429, 503)
_NO_LOG = "There is no log to read."
_LIMITS = "so the limits for one client apply to all of them together"


class SiteAsked(t.NamedTuple):
    """The answers of one site. `forged`: to a request with headers that only the proxy may set."""

    site: Site
    plain: Answer | NoAnswer
    forged: Answer | NoAnswer
    redirect: RedirectAsked | None


class HeadersAsked(t.NamedTuple):
    """What was asked, for `judge_headers`.

    `forged_address`: the address that the forged requests claimed. `control`: Synapse's own answer to a forged request,
    if it has to show whether Synapse obeys X-Forwarded-For.
    """

    subject: Subject
    forged_address: str
    sites: tuple[SiteAsked, ...]
    control: Answer | NoAnswer | None = None

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags of the requests that should be in the log."""
        got: list[Answer | NoAnswer | None] = [self.control]
        for asked in self.sites:
            got += [asked.plain, asked.forged, asked.redirect.public if asked.redirect else None]
        return tuple(answer.tag for answer in got if isinstance(answer, Answer))


def ask_headers(subject: Subject) -> HeadersAsked:
    """Send at most three requests to each site, and at most two to Synapse itself."""
    # From a network for documentation (RFC 5737).
    address = f"203.0.113.{secrets.randbelow(254) + 1}"
    # Without X-Forwarded-Proto, so that the log shows whether the proxy sets it.
    headers = (("X-Forwarded-For", address), ("X-Forwarded-Host", "forged.invalid"))
    proto = (("X-Forwarded-Proto", "https"),)

    def ask(site: Site) -> SiteAsked:
        target = _target(site)
        plain = subject.sender.send(site.place, Request(target))
        forged = subject.sender.send(site.place, Request(target, headers=headers))
        redirect = None
        if "client" in site.groups and subject.settings.single_sign_on is not False:
            redirect = ask_redirect(subject, site)
        return SiteAsked(site, plain, forged, redirect)

    with concurrent.futures.ThreadPoolExecutor() as threads:
        sites = list(threads.map(ask, subject.sites))
    control = None
    if subject.direct is not None and subject.settings.x_forwarded is None:
        control = subject.sender.send(subject.direct, Request(_CLIENT, headers=(*headers, *proto)))
    return HeadersAsked(subject, address, tuple(sites), control)


def judge_headers(asked: HeadersAsked, arrivals: Arrivals) -> Found:
    """Return what is wrong with the headers. `arrivals`: what the log says, which can be nothing."""
    found = Found()
    obeys = _obeys(asked, arrivals)
    silent = []
    for each in asked.sites:
        arrived = arrivals.get(each.plain.tag)
        of_site = Found()
        if arrived is not None and isinstance(each.plain, Answer):
            of_site = _judge_site(each, each.plain, arrived, arrivals, asked.forged_address, obeys=obeys)
        elif isinstance(each.plain, Answer) and each.plain.status in _REFUSED and not each.plain.errcode:
            reason = f"{each.plain.place.url} answered {each.plain.status}, so the request did not reach Synapse."
            of_site += Found((), (Unknown("headers", reason, FIX_LIMIT),))
        elif isinstance(each.plain, Answer):
            silent.append(each.plain.place.url)
        names = {finding.name for finding in of_site.findings}
        if each.redirect is not None:
            lacks = bool(names & {"forwarded_for_missing", "forwarded_for_ignored"})
            of_redirect = judge_redirect(asked.subject, each.site, each.redirect, arrivals, lacks_address=lacks)
            if of_redirect == Found():
                of_redirect = _hidden_scheme(asked, each, each.redirect, arrivals)
            of_site += of_redirect
        found += of_site
    if silent:
        reason = f"How requests to {' and '.join(silent)} arrive is not known. {arrivals.reason or _NO_LOG}"
        found += Found((), (Unknown("headers", reason, arrivals.fix if arrivals.reason else _FIX),))
    return found


def _hidden_scheme(asked: HeadersAsked, each: SiteAsked, redirect: RedirectAsked, arrivals: Arrivals) -> Found:
    """What judge_redirect leaves out because of a wrong address: then it is not known whether the scheme is wrong."""
    if not judge_redirect(asked.subject, each.site, redirect, arrivals, lacks_address=False).findings:
        return Found()
    forged = arrivals.get(each.forged.tag)
    if forged is not None and forged.client_address == asked.forged_address:
        # Nothing sets the header, so Synapse ignores the scheme.
        return Found()
    reason = (
        "Logins by single sign-on redirect to the same URL without end. If a second proxy replaces X-Forwarded-For, it"
        " replaces X-Forwarded-Proto as well."
    )
    fix = "Correct both headers in each proxy between the public URL and Synapse, and run the task again."
    return Found((), (Unknown("forwarded_proto_wrong", reason, fix),))


def _target(site: Site) -> str:
    if {"client", "media", "well_known"} & set(site.groups):
        return _CLIENT
    return _FEDERATION if "federation" in site.groups else KEY.target


def _obeys(asked: HeadersAsked, arrivals: Arrivals) -> bool | None:
    """Whether Synapse takes the address from X-Forwarded-For, None if that is not known."""
    forged = [arrivals.get(each.forged.tag) for each in asked.sites]
    if any(arrived is not None and arrived.client_address == asked.forged_address for arrived in forged):
        return True
    if asked.subject.settings.x_forwarded is not None:
        return asked.subject.settings.x_forwarded
    control = None if asked.control is None else arrivals.get(asked.control.tag)
    return None if control is None else control.client_address == asked.forged_address


def _judge_site(
    each: SiteAsked, plain: Answer, arrived: Arrival, arrivals: Arrivals, forged_address: str, *, obeys: bool | None
) -> Found:
    site = each.site
    forged = arrivals.get(each.forged.tag)
    is_forged = forged is not None and forged.client_address == forged_address
    shown = evidence(
        plain,
        expected=f"client address {plain.local_address}",
        arrived=f"client address {arrived.client_address or 'unknown'}, {arrived.http_version}",
    )
    findings: list[Finding] = []
    unknown: list[Unknown] = []
    if _is_of_proxy(plain, arrived.client_address):
        findings.append(_address_finding(site, plain, arrived.client_address, shown, obeys=obeys, is_forged=is_forged))
    elif is_forged and isinstance(each.forged, Answer):
        findings.append(_forgeable(site, each.forged, forged_address))
    elif _same(plain.local_address, arrived.client_address) and plain.local_address in ("127.0.0.1", "::1"):
        reason = f"The requests came from {plain.local_address}, which can be the address of the proxy too."
        unknown.append(Unknown("forwarded_for_missing", reason, "Run the task on another host than that of the proxy."))
    # The message has no tag, and can belong to another request: all of these must have it.
    others = [forged, arrivals.get(each.redirect.public.tag) if each.redirect else None]
    if arrived.lacks_proto and all(one is None or one.lacks_proto for one in others):
        what = (
            "The proxy sends X-Forwarded-For without X-Forwarded-Proto, so Synapse assumes https and logs a warning for"
            " each request."
        )
        findings.append(Finding("forwarded_proto_missing", what, WARNING, site.name, shown))
    if arrived.http_version == "HTTP/1.0":
        what = (
            "The proxy speaks HTTP/1.0 with Synapse, so each request needs a new connection, and long answers cannot be"
            " checked for completeness."
        )
        shown_version = {**shown, "expected": "HTTP/1.1"}
        findings.append(Finding("http_1_0", what, WARNING, site.name, shown_version))
    return Found(tuple(findings), tuple(unknown))


def _is_of_proxy(plain: Answer, address: str) -> bool:
    """Whether an address is that of the proxy and not of the client. A public one is from NAT or a network in front."""
    return not _same(plain.local_address, address) and (_parsed(address) is None or is_private(_plain(address)))


def _address_finding(
    site: Site, plain: Answer, address: str, shown: dict[str, str], *, obeys: bool | None, is_forged: bool
) -> Finding:
    taken = f"Synapse takes {address or 'an unknown address'} for the address of each client"
    if obeys is False:
        what = (
            f"{taken}, because x_forwarded is not true for its listener in homeserver.yaml, and ignores X-Forwarded-For"
            f" and X-Forwarded-Proto, {_LIMITS}."
        )
        return Finding("forwarded_for_ignored", what, ERROR, site.name, shown)
    parsed = _parsed(address)
    host = plain.address.rpartition(":")[0].strip("[]")
    certain = parsed is None or parsed.is_loopback or is_forged or _same(host, address)
    # A second proxy that replaces the header with the address of the first one looks the same.
    reason = "the proxy (or the last of several) does not send X-Forwarded-For, or not with the address of the client"
    if is_forged:
        reason = "the proxy does not set X-Forwarded-For and passes on what a client claims"
    elif not certain:
        reason = f"{reason}, or itself sees no other address, as behind NAT"
    elif obeys is None:
        reason = f"{reason}, or x_forwarded is not true for the listener in homeserver.yaml"
    severity = ERROR if certain else WARNING
    return Finding("forwarded_for_missing", f"{taken}, because {reason}, {_LIMITS}.", severity, site.name, shown)


def _forgeable(site: Site, forged: Answer, address: str) -> Finding:
    from_where = ""
    if is_private(forged.local_address):
        from_where = f" (it was asked from the address {forged.local_address}, which a proxy may trust on purpose)"
    what = (
        "A client can choose the address that Synapse logs and limits, because the proxy appends to X-Forwarded-For"
        f" instead of replacing it{from_where}."
    )
    shown = evidence(
        forged,
        sent=f"X-Forwarded-For: {address}",
        expected=f"client address {forged.local_address}",
        arrived=f"client address {address}",
    )
    return Finding("forwarded_for_spoofable", what, WARNING, site.name, shown)


def _plain(address: str) -> str:
    parsed = _parsed(address)
    return "" if parsed is None else str(parsed)


def _same(one: str, other: str) -> bool:
    return _parsed(one) is not None and _parsed(one) == _parsed(other)


def _parsed(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return an IP address, None for anything else, such as the path of a socket. Some proxies add the port."""
    text = address.partition("%")[0]
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        parsed = ipaddress.ip_address(text)
    except ValueError:
        return None
    return (parsed.ipv4_mapped or parsed) if isinstance(parsed, ipaddress.IPv6Address) else parsed
