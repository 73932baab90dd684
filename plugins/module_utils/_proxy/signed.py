# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Whether the signatures of other servers pass the proxy: Synapse verifies requests that its own key signed.

Relies on Synapse 1.163: synapse/federation/transport/server/_base.py verifies method, URI, origin and destination, and
synapse/crypto/keyring.py takes its own key for its own name without asking another server. These GET requests have no
effect. Intact: 404 for what does not exist, 200 for an alias that exists.
"""

from __future__ import annotations

import concurrent.futures
import typing as t
from urllib.parse import quote

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.exchange import Answer, NoAnswer, Place, Request
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.finding import (
    ERROR,
    FIX_LIMIT,
    Finding,
    Found,
    Unknown,
    evidence,
    fix_of,
    shown_target,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.path_asked import is_busy
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.path_backend import (
    AGAIN,
    is_limit,
    is_unreached,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.path_change import SAME, describe_change
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.path_findings import REPLACING, listed
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.path_logged import Arrivals
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.subject import FEDERATION, Subject

SIGNATURE, AUTHORIZATION = "signature_broken", "authorization_removed"
# What an answer says of a signature.
_ACCEPTED, _INVALID, _MISSING, _MALFORMED = "accepted", "invalid", "missing", "malformed"
_LOST, _DENIED, _OTHER_KEY, _NOTHING = "lost", "denied", "other key", "nothing"
_PROOFS = (_INVALID, _MISSING, _MALFORMED)
_FOUND, _NOT_FOUND = 200, 404
_SEE_LOG = "Look at the log of the proxy."


class SignedRequest(t.NamedTuple):
    """A signed request, its answer, and the answer of Synapse itself, if it was asked. They do not have the header."""

    target: str
    answer: Answer | NoAnswer
    control: Answer | NoAnswer | None = None


class SignedAsked(t.NamedTuple):
    """The signed requests, or why there are none. `site`: the name of the site."""

    rows: tuple[SignedRequest, ...] = ()
    problem: str = ""
    site: str = FEDERATION

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags of the requests to the site that can be in the access log."""
        return tuple(row.answer.tag for row in self.rows if not is_unreached(row.answer))


def targets(server_name: str) -> tuple[str, ...]:
    """Return the URIs that are signed: those of other servers contain the same encoded characters."""
    name = quote(server_name, safe="")
    federation = "/_matrix/federation/v1"
    return (
        f"{federation}/event/%24a%3Ab%21%40%2Bc%2Fd",
        f"{federation}/make_join/%21a%3A{name}/%40x%3A{name}?ver=11&ver=12",
        f"{federation}/query/directory?room_alias=%23x%3A{name}",
    )


def ask_signed(subject: Subject) -> SignedAsked:
    """Send the signed requests to the site of the federation, and those that fail to Synapse itself too.

    At most six requests; none without a signer or without such a site.
    """
    site = subject.site_of("federation")
    if subject.signer is None or site is None:
        return SignedAsked()
    uris = targets(subject.server_name)
    try:
        headers = subject.signer.sign([("GET", uri) for uri in uris])
    except SynapseError as error:
        return SignedAsked(problem=error.message, site=site.name)
    asked = list(zip(uris, headers))
    with concurrent.futures.ThreadPoolExecutor(len(uris)) as pool:
        answers = list(pool.map(lambda pair: _send(subject, site.place, *pair), asked))
        rows = [SignedRequest(uri, answer) for uri, answer in zip(uris, answers)]
        direct = subject.direct
        if direct is not None:
            failed = [at for at, answer in enumerate(answers) if _verdict(answer) != _ACCEPTED and not is_busy(answer)]
            controls = pool.map(lambda at: _send(subject, direct, *asked[at]), failed)
            for at, control in zip(failed, controls):
                rows[at] = rows[at]._replace(control=control)
    return SignedAsked(tuple(rows), site=site.name)


def judge_signed(asked: SignedAsked, arrivals: Arrivals) -> Found:
    """Return what is wrong with the signatures. `arrivals`: what the access log shows of the requests."""
    if asked.problem:
        fix = "Run this on the host of Synapse as root, with config_path and synapse_python."
        return Found(unknown=(Unknown(SIGNATURE, asked.problem, fix),))
    failed = [row for row in asked.rows if _verdict(row.answer) != _ACCEPTED]
    passed = [row for row in asked.rows if row not in failed]
    proven = [row for row in failed if _is_proven(row, arrivals, bool(passed))]
    removed = [row for row in proven if _verdict(row.answer) in (_MISSING, _MALFORMED)]
    broken = [row for row in proven if _verdict(row.answer) == _INVALID]
    # A path that Synapse does not know fails before its signature is verified.
    lost = [row for row in proven if _verdict(row.answer) == _LOST]
    findings = []
    if removed:
        findings.append(_removed(removed[0], asked.site, arrivals))
    if broken:
        findings.append(_broken(broken, lost, passed, asked.site, arrivals))
    doubtful = [row for row in failed if row not in proven]
    if findings or not doubtful:
        return Found(tuple(findings))
    reason, fix = _doubt(doubtful[0])
    return Found(unknown=(Unknown(SIGNATURE, reason, fix),))


def _send(subject: Subject, place: Place, uri: str, header: str) -> Answer | NoAnswer:
    got = subject.sender.send(place, Request(uri, headers=(("Authorization", header),)))
    # Nothing that is shown later can contain the signature.
    return got._replace(request=Request(uri))


def _verdict(answer: Answer | NoAnswer) -> str:
    """Return what an answer says of the signature."""
    if isinstance(answer, NoAnswer) or is_busy(answer) or not answer.is_matrix:
        return _NOTHING
    if answer.status == 401 and answer.error.startswith("Invalid signature"):
        return _INVALID
    if answer.status == 401 and answer.error.startswith("Missing Authorization"):
        return _MISSING
    if answer.status == 400 and answer.error.startswith("Malformed Authorization"):
        return _MALFORMED
    if answer.status == 401:
        return _OTHER_KEY
    if answer.status == 403 and answer.error.startswith("Federation denied"):
        return _DENIED
    if answer.errcode == "M_UNRECOGNIZED":
        return _LOST
    return _ACCEPTED if answer.status in (200, 404) else _NOTHING


def _is_proven(row: SignedRequest, arrivals: Arrivals, has_passed: bool) -> bool:
    """Whether the proxy is the cause: Synapse itself accepts the request, or the log shows another URI."""
    verdict = _verdict(row.answer)
    arrival = arrivals.get(row.answer.tag)
    if verdict == _LOST or verdict in _PROOFS:
        if row.control is not None:
            return _verdict(row.control) == _ACCEPTED
        changed = arrival is not None and describe_change(row.target, arrival.uri).kind != SAME
        # Only a wrong key is another cause of an invalid signature. Then none passes.
        return changed or has_passed or verdict in (_MISSING, _MALFORMED)
    return False


def _removed(row: SignedRequest, site: str, arrivals: Arrivals) -> Finding:
    does = "removes" if _verdict(row.answer) == _MISSING else "changes"
    what = f"The proxy {does} the header Authorization, so that Synapse refuses the requests of other servers."
    return Finding(AUTHORIZATION, what, ERROR, site, _evidence(row, arrivals), ("federation",))


def _broken(
    broken: list[SignedRequest], lost: list[SignedRequest], passed: list[SignedRequest], site: str, arrivals: Arrivals
) -> Finding:
    best = next((row for row in broken if arrivals.get(row.answer.tag)), broken[0])
    failing = listed([_kind_of(row) for row in (*broken, *lost)])
    rest = f", while {listed([_kind_of(row) for row in passed])} requests pass" if passed else ""
    what = (
        f"The proxy changes the URIs of {failing} requests, so that other servers get the error Invalid signature for"
        f" server{rest}."
    )
    return Finding(SIGNATURE, what, ERROR, site, _evidence(best, arrivals), ("federation",))


def _evidence(row: SignedRequest, arrivals: Arrivals) -> dict[str, str]:
    arrival = arrivals.get(row.answer.tag)
    target = shown_target(row.answer.request)
    return evidence(row.answer, expected=target, **({} if arrival is None else {"arrived": arrival.uri}))


def _kind_of(row: SignedRequest) -> str:
    """Return the kind of a request: event, make_join or query."""
    return row.target.split("/")[4]


def _doubt(row: SignedRequest) -> tuple[str, str]:
    """Return why a request that failed proves nothing, and what to do about it."""
    direct = row.answer if row.control is None else row.control
    verdict = _verdict(direct)
    where = "Synapse itself" if row.control is not None else "The site"
    if verdict == _DENIED:
        return (
            "Synapse does not accept requests of its own name, because federation_domain_whitelist does not have it.",
            "Add the own server name to federation_domain_whitelist, or set log_path.",
        )
    if verdict in (_INVALID, _OTHER_KEY):
        also = "" if row.control is not None else ", or the proxy changes all of them"
        return (
            f"{where} refused the signature of each request: the signing key is not the one that Synapse uses{also}.",
            "Set config_path to the configuration with which Synapse was started, and base_url to Synapse itself.",
        )
    if isinstance(direct, NoAnswer):
        return f"{where} did not answer a signed request: {direct.reason}.", fix_of(direct)
    if row.control is not None and verdict == _ACCEPTED and isinstance(row.answer, Answer):
        text = f"{row.answer.status} {row.answer.errcode}".rstrip()
        reason = f"The site answered {text} to a signed request that Synapse itself accepts"
        if not row.answer.is_matrix and row.answer.status in (_FOUND, _NOT_FOUND):
            return f"{reason}: the proxy may replace the errors of Synapse.", REPLACING
        return f"{reason}.", _SEE_LOG
    text = f"{where} answered {direct.status} {direct.errcode}".rstrip() + " to a signed request."
    if is_limit(direct):
        return text, FIX_LIMIT
    return text, AGAIN if is_busy(direct) else _SEE_LOG
