# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Examines the public sites of a server, compares them with Synapse itself, and puts together what the checks find."""

from __future__ import annotations

import concurrent.futures
import functools
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.addresses import check_addresses
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.arrivals import Arrivals, LogWatch
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.body_size import check_body_size
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.certificates import check_certificates
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.cors import check_cors
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.delegation import check_delegation
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.exchange import Request
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.exposure import check_exposure
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.finding import (
    ERROR,
    INFO,
    WARNING,
    Finding,
    Found,
    Unknown,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.headers import ask_headers, judge_headers
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.identity import check_site
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.long_poll import check_long_poll
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.path_causes import joined
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.paths import ask_paths, judge_paths
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.preparation import Prepared
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.server_names import parse_server_name
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.signed import ask_signed, judge_signed
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.subject import (
    CLIENT,
    FEDERATION,
    GROUPS,
    Site,
    Subject,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.transport import Sender
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.well_known import check_well_known

# What `gather` can contain.
BODY_SIZE, CERTIFICATES, CORS, DELEGATION = "body_size", "certificates", "cors", "delegation"
EXPOSURE, HEADERS, LONG_POLL = "exposure", "headers", "long_poll"
PATHS, SIGNATURES = "paths", "signatures"
GATHER = (BODY_SIZE, CERTIFICATES, CORS, DELEGATION, EXPOSURE, HEADERS, LONG_POLL, PATHS, SIGNATURES)

# Synapse logs a request without authentication with a warning, at which it also writes what it has held back.
_FLUSHING = Request("/_matrix/federation/v1/event/%24matrix_ops_synapse")
# In seconds. Without the warning, Synapse's default log configuration writes every five seconds.
_PATIENCE_FOR_LOG = 1.5
_THREADS = 8
_EXHAUSTED = Unknown(
    "requests",
    "So much is wrong that the limit of requests was reached, and some things were not asked.",
    "Correct what was found, and run the task again.",
)
_FIX_DELEGATION = (
    "Let other servers reach it there, or add delegation to gather and install dnspython where the module runs, to find"
    " out how they do."
)
_OUT_OF_REACH = (
    "unreachable",
    "name_not_found",
    "tls_failed",
    "certificate_wrong_name",
    "certificate_expired",
    "certificate_not_trusted",
)
_OF_SOME_PATHS = ("path_not_forwarded", "path_rewritten")
_SEVERITIES = (ERROR, WARNING, INFO)
# What the survey calls and waits for.
_Check = t.Callable[[], Found]


class Wanted(t.NamedTuple):
    """What is to be found out: parts of GATHER. `max_upload_size`: in bytes, None for Synapse's default."""

    gather: frozenset[str]
    long_poll_seconds: float
    max_upload_size: int | None


class Surveyed(t.NamedTuple):
    """What was found: `findings` the most severe first, `certificates` as check_certificates returns them.

    `proxy`: the name of the reverse proxy, "" if it does not show it. `is_examined`: whether the paths for other
    servers were compared.
    """

    findings: tuple[Finding, ...]
    certificates: list[dict[str, t.Any]]
    proxy: str
    unknown: tuple[Unknown, ...]
    is_examined: bool


def survey(prepared: Prepared, wanted: Wanted, sender: Sender, watch: LogWatch | None) -> Surveyed:
    """Run the checks that are wanted. `watch`: the log of Synapse, None if it is not known.

    Everything that the network does is a finding or unknown, and no error.
    """
    subject = prepared.subject
    with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
        looking = pool.submit(check_certificates, subject) if CERTIFICATES in wanted.gather else None
        identities = list(pool.map(functools.partial(check_site, subject), subject.sites))
        found = _together(identity.found for identity in identities)
        reached = _with_federation(_reached(subject, found))
        found += _examine(prepared, reached, wanted, sender, watch, pool)
        certificates, of_certificates = looking.result() if looking else ([], Found())
    if sender.is_exhausted:
        found += Found(unknown=(_EXHAUSTED,))
    found = _judged_together(found + of_certificates + prepared.delegation.found, prepared, wanted)
    return Surveyed(
        findings=tuple(sorted(found.findings, key=_order)),
        certificates=certificates,
        proxy=next((identity.proxy for identity in identities if identity.proxy), ""),
        unknown=tuple(dict.fromkeys((*prepared.unknown, *found.unknown))),
        is_examined=PATHS in wanted.gather and reached.site_of("federation") is not None,
    )


def _reached(subject: Subject, found: Found) -> Subject:
    """Return the subject with the groups that can be examined further: behind the others is no Synapse."""
    sites = []
    for site in subject.sites:
        ending = [finding for finding in found.findings if finding.site == site.name and _ends(finding)]
        lost = {group for finding in ending for group in _lost(finding, site)}
        groups = tuple(group for group in site.groups if group not in lost)
        if groups:
            sites.append(site._replace(groups=groups))
    return subject._replace(sites=tuple(sites))


def _ends(finding: Finding) -> bool:
    # Where a redirect leads to, some clients go on, but everything else would only be redirected too.
    return finding.severity == ERROR or finding.name == "redirected"


def _lost(finding: Finding, site: Site) -> t.Iterator[str]:
    """Yield the groups that need not be asked after this finding about the first requests to a site."""
    if finding.name == "another_server":
        # It must not look for rooms of this server.
        yield from site.groups
        return
    for group in finding.groups or site.groups:
        if finding.name in _OF_SOME_PATHS:
            yield group
        else:
            # What answers for another server, or not at all, does so for all paths of clients or of servers.
            yield from GROUPS[CLIENT] if group in GROUPS[CLIENT] else GROUPS[FEDERATION]


def _with_federation(subject: Subject) -> Subject:
    """Return the subject with the groups of other servers at the site for clients, if their own site is not reached.

    One proxy mostly serves both, and what it does to these paths matters as soon as other servers reach it.
    """
    site = subject.site_of("client")
    if site is None or subject.site_of("federation") or subject.site_of("key") or not subject.is_federating:
        return subject
    both = site._replace(groups=GROUPS[FEDERATION])
    if check_site(subject, both).found != Found():
        return subject
    return subject._replace(sites=(site._replace(groups=(*site.groups, *both.groups)),))


def _judged_together(found: Found, prepared: Prepared, wanted: Wanted) -> Found:
    """Return what is found, each cause once, and without what follows from something else."""
    findings: dict[tuple[str, str], Finding] = {}
    for finding in found.findings:
        first = findings.setdefault((finding.name, finding.site), finding)
        if first.groups and finding.groups:
            groups = tuple(dict.fromkeys((*first.groups, *finding.groups)))
            findings[finding.name, finding.site] = first._replace(groups=groups)
    unreachable = findings.get(("unreachable", FEDERATION))
    if unreachable and ("port_8448_closed", FEDERATION) in findings:
        del findings[unreachable.name, FEDERATION]
    # The files of a site that cannot be reached may well exist.
    own = f"https://{parse_server_name(prepared.subject.server_name).host}"
    sites = [site.name for site in prepared.subject.sites if site.place.url == own]
    if any((name, site) in findings for name in _OUT_OF_REACH for site in sites):
        findings.pop(("well_known_missing", CLIENT), None)
    unknown = list(found.unknown)
    delegation = prepared.delegation
    if not delegation.certain or DELEGATION not in wanted.gather:
        for name in ("unreachable", "name_not_found"):
            if (name, FEDERATION) in findings:
                unknown.append(Unknown(name, findings.pop((name, FEDERATION)).what, _FIX_DELEGATION))
    return Found(tuple(findings.values()), tuple(unknown))


def _examine(
    prepared: Prepared,
    subject: Subject,
    wanted: Wanted,
    sender: Sender,
    watch: LogWatch | None,
    pool: concurrent.futures.ThreadPoolExecutor,
) -> Found:
    """Run the checks. `subject`: without the groups of `prepared` behind which is no Synapse."""
    gather = wanted.gather
    asked_paths = pool.submit(ask_paths, subject) if PATHS in gather else None
    asked_signed = pool.submit(ask_signed, subject) if SIGNATURES in gather else None
    asked_headers = pool.submit(ask_headers, subject) if HEADERS in gather else None
    running = [pool.submit(check) for check in _checks(prepared, subject, wanted, sender)]
    asked = [part.result() for part in (asked_paths, asked_signed, asked_headers) if part]
    # Before the other checks are complete, which may need the rest of the requests.
    arrivals = _arrivals(subject, watch, [tag for part in asked for tag in part.tags])
    found = _together(check.result() for check in running)
    of_paths = judge_paths(asked_paths.result(), arrivals) if asked_paths else Found()
    of_signatures = judge_signed(asked_signed.result(), arrivals) if asked_signed else Found()
    found += joined(of_paths, of_signatures)
    if asked_headers:
        found += judge_headers(asked_headers.result(), arrivals)
    return found


def _checks(prepared: Prepared, subject: Subject, wanted: Wanted, sender: Sender) -> t.Iterator[_Check]:
    """Yield the checks that need nothing of each other."""
    gather = wanted.gather
    if DELEGATION in gather:
        # Also if nothing else can be examined, because this can be the reason.
        yield functools.partial(check_delegation, prepared.delegation, sender)
        yield functools.partial(check_well_known, prepared.delegation, prepared.client_file, prepared.subject)
        for site in prepared.subject.sites:
            yield functools.partial(check_addresses, site.place, sender.connect_to, site.name)
    if CORS in gather:
        yield functools.partial(check_cors, subject)
    if EXPOSURE in gather:
        for site in subject.sites:
            yield functools.partial(check_exposure, subject._replace(sites=(site,)))
    if BODY_SIZE in gather:
        yield functools.partial(check_body_size, subject, sender, wanted.max_upload_size)
    if LONG_POLL in gather:
        yield functools.partial(check_long_poll, subject, wanted.long_poll_seconds)


def _arrivals(subject: Subject, watch: LogWatch | None, tags: t.Iterable[str]) -> Arrivals:
    """Return what the log says of the requests with these tags."""
    if watch is None:
        return Arrivals()
    place = subject.direct or next((site.place for site in subject.sites), None)
    if place is not None:
        subject.sender.send(place, _FLUSHING)
    return watch.read(tags, _PATIENCE_FOR_LOG)


def _together(results: t.Iterable[Found]) -> Found:
    found = Found()
    for result in results:
        found += result
    return found


def _order(finding: Finding) -> tuple[int, str, str]:
    return _SEVERITIES.index(finding.severity), finding.site, finding.name
